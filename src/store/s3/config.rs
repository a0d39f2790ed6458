//! The `models.s3:` part of `server.yaml`: how a bucket is reached. What it does not say, the environment says, as for every
//! program that speaks to S3.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a bucket is reached. Credentials come from the standard chain (environment, profile, web identity, instance).
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct S3Config {
    /// The server's address, such as `http://minio:9000`. `null`: `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, the profile's
    /// `endpoint_url`, or else AWS.
    pub endpoint: Option<String>,
    /// The region. `null`: `AWS_REGION`, the profile, or the instance's; `us-east-1` for an endpoint of one's own.
    pub region: Option<String>,
    /// Whether the bucket stands in the path (`https://host/bucket`) and not before the host. `null`: it does where the
    /// endpoint is `localhost`, an IP address or a name without a dot.
    pub path_style: Option<bool>,
    /// Ask without credentials: for public buckets.
    pub anonymous: bool,
    /// The profile of the shared credentials and configuration files. `null`: `AWS_PROFILE`, or `default`.
    pub profile: Option<String>,
    /// A file of credentials in the form of `~/.aws/credentials`, such as a mounted secret; it is used instead of the chain.
    /// `null`: the chain.
    pub credentials_file: Option<PathBuf>,
    /// The certificates (PEM) of the authorities that are trusted instead of the system's, for a private one.
    /// `null`: the system's, or those in `SSL_CERT_FILE`.
    pub ca_file: Option<PathBuf>,
}
