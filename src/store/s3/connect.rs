//! The client of a bucket: who asks, where, how addresses are written, and how long anything may take.

use std::time::Duration;

use aws_config::{
    BehaviorVersion, SdkConfig,
    environment::EnvironmentVariableRegionProvider,
    meta::region::RegionProviderChain,
    profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider},
    provider_config::ProviderConfig,
};
use aws_sdk_s3::{
    Client,
    config::{Builder, Region, SharedHttpClient, timeout::TimeoutConfig},
};
use aws_smithy_http_client::tls;

use super::{S3Config, trust};
use crate::store::StoreError;

/// To one connection. A machine that is there answers within milliseconds.
const CONNECT: Duration = Duration::from_secs(3);

/// From a request to the first byte of its answer. By default a server that takes a connection and then says nothing would be
/// waited for as long as it pleases.
const FIRST_BYTE: Duration = Duration::from_secs(5);

/// For one try of a call, its body not counted.
const TRY: Duration = Duration::from_secs(10);

/// For a call with all its tries.
const CALL: Duration = Duration::from_secs(30);

/// For one try of sending one part of a file: 8 MiB at 70 KB/s.
pub const UPLOAD_TRY: Duration = Duration::from_secs(120);

/// The region of a server that has none.
const NO_REGION: &str = "us-east-1";

/// Makes the client; asks nobody, except for the region of an instance that nothing else names.
pub async fn connect(config: &S3Config) -> Result<Client, StoreError> {
    let endpoint = config.endpoint.clone().or_else(endpoint_of_environment);
    let http = http_client(config)?;
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http.clone())
        .timeout_config(timeouts(FIRST_BYTE, TRY, CALL))
        .region(region(config, endpoint.is_some()));
    if let Some(endpoint) = &endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    if let Some(profile) = &config.profile {
        loader = loader.profile_name(profile);
    }
    if config.anonymous {
        loader = loader.no_credentials();
    } else if config.credentials_file.is_some() {
        loader = loader.credentials_provider(credentials_of_file(config, http));
    }
    let sdk = loader.load().await;
    if sdk.region().is_none() {
        return Err(StoreError::Denied(
            "the bucket's region is not known: set `models.s3.region` or AWS_REGION; with a server of your own, set \
             `models.s3.endpoint` or AWS_ENDPOINT_URL"
                .to_owned(),
        ));
    }
    let settings = Builder::from(&sdk).force_path_style(config.path_style.unwrap_or_else(|| is_own_server(&sdk)));
    Ok(Client::from_conf(settings.build()))
}

/// The same client for calls that carry a body, which by the reckoning of the time-outs belongs to the wait for an answer.
pub fn for_uploads(client: &Client) -> Client {
    let settings = client.config().to_builder().timeout_config(timeouts(UPLOAD_TRY, UPLOAD_TRY, 3 * UPLOAD_TRY));
    Client::from_conf(settings.build())
}

fn timeouts(first_byte: Duration, one_try: Duration, call: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .read_timeout(first_byte)
        .operation_attempt_timeout(one_try)
        .operation_timeout(call)
        .build()
}

fn http_client(config: &S3Config) -> Result<SharedHttpClient, StoreError> {
    let provider = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring);
    let builder = aws_smithy_http_client::Builder::new().tls_provider(provider);
    Ok(match trust::context(config)? {
        Some(context) => builder.tls_context(context).build_https(),
        None => builder.build_https(),
    })
}

/// The SDK reads these only when the client is built, and whether there is one decides about the region before that.
pub fn endpoint_of_environment() -> Option<String> {
    ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|url| !url.is_empty()))
}

/// A server of one's own is not asked about regions, nor is a cloud's instance on its behalf, which takes seconds outside of
/// that cloud.
fn region(config: &S3Config, own_server: bool) -> RegionProviderChain {
    let named = RegionProviderChain::first_try(config.region.clone().map(Region::new));
    if !own_server {
        return named.or_default_provider();
    }
    let mut profile = ProfileFileRegionProvider::builder();
    if let Some(name) = &config.profile {
        profile = profile.profile_name(name);
    }
    named.or_else(EnvironmentVariableRegionProvider::new()).or_else(profile.build()).or_else(Region::new(NO_REGION))
}

#[expect(deprecated, reason = "the crate that these types went to is none of ours, and the settings take them")]
fn credentials_of_file(config: &S3Config, http: SharedHttpClient) -> ProfileFileCredentialsProvider {
    use aws_config::profile::profile_file::{ProfileFileKind, ProfileFiles};
    let mut files = ProfileFiles::builder();
    if let Some(file) = &config.credentials_file {
        files = files.with_file(ProfileFileKind::Credentials, file);
    }
    let profile = config.profile.as_deref().unwrap_or("default");
    // A profile may name a role, and then a server is asked for it.
    let settings = ProviderConfig::without_region().with_http_client(http);
    let settings = settings.with_region(config.region.clone().map(Region::new));
    ProfileFileCredentialsProvider::builder()
        .configure(&settings)
        .profile_files(files.build())
        .profile_name(profile)
        .build()
}

/// Whether the endpoint is not AWS's. Few other servers have a name for every bucket, and nearly all take it in the path.
fn is_own_server(sdk: &SdkConfig) -> bool {
    sdk.endpoint_url().is_some_and(|endpoint| {
        let host = endpoint.split("://").last().unwrap_or_default().split(['/', ':']).next().unwrap_or_default();
        !(host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_own(endpoint: &str) -> bool {
        is_own_server(&SdkConfig::builder().endpoint_url(endpoint).build())
    }

    #[test]
    fn every_endpoint_but_those_of_aws_takes_the_bucket_in_its_path() {
        for own in
            ["http://127.0.0.1:7070", "http://[::1]:9000", "http://minio.minio.svc.cluster.local:9000", "https://minio"]
        {
            assert!(is_own(own), "{own}");
        }
        assert!(!is_own("https://s3.eu-central-1.amazonaws.com"));
        assert!(!is_own("https://vpce-1.s3.cn-north-1.vpce.amazonaws.com.cn:443/"));
        assert!(!is_own_server(&SdkConfig::builder().build()), "AWS itself");
    }
}
