//! The client of a schema registry: Confluent's HTTP interface, which Apicurio, Karapace and Redpanda speak, too.
//!
//! Nothing that it is told is believed: answers have a bound, calls have an end, and a 404 that is not in the registry's own
//! words is no word on a schema. Secrets are read where they are used and stand in no error.
//!
//! Source: <https://docs.confluent.io/platform/current/schema-registry/develop/api.html>.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode, body::Bytes, header};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use parking_lot::Mutex;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::references::Kept;
use crate::{
    codec::{cloudevents::base64, framed::Referred, uri::segment},
    error::chain,
};

/// To one connection. A machine that is there answers within milliseconds.
const CONNECT: Duration = Duration::from_secs(3);

/// The most bytes of an answer; registries themselves take schemas of about a megabyte.
pub(super) const LARGEST_ANSWER: usize = 8 << 20;

/// What is sent and taken: some registries refuse plain JSON.
const MEDIA: &str = "application/vnd.schemaregistry.v1+json";

/// Where a registry is, and as whom it is asked.
#[derive(Clone)]
pub struct Place {
    /// Its URL, what its paths begin with included.
    pub url: String,
    pub login: Login,
    /// PEM file of the authorities that are believed instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The longest that one call may take.
    pub timeout: Duration,
}

/// As whom a registry is asked.
#[derive(Clone, Default)]
pub enum Login {
    #[default]
    Nobody,
    Basic {
        user: String,
        password: Secret,
    },
    Bearer(Secret),
}

/// What nobody may see.
#[derive(Clone)]
pub enum Secret {
    Text(String),
    /// Read at each call, so that a renewed one counts.
    File(PathBuf),
}

impl Secret {
    fn read(&self) -> Result<String, Failure> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::File(file) => match std::fs::read_to_string(file) {
                Ok(text) => Ok(text.trim_end().to_owned()),
                Err(error) => Err(Failure::Passing(format!("`{}` cannot be read: {error}", file.display()))),
            },
        }
    }
}

/// Why a call did not bring what it was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The registry says that there is no such thing.
    Unknown(String),
    /// The registry refuses it.
    Refused(String),
    /// The registry has it, and it cannot be used.
    Unusable(String),
    /// Later it may go better.
    Passing(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Unknown(why) | Self::Refused(why) | Self::Unusable(why) | Self::Passing(why)) = self;
        f.write_str(why)
    }
}

/// A schema as the registry has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Registered {
    /// Its text.
    pub schema: String,
    /// `AVRO` if it is not there.
    pub schema_type: Option<String>,
    /// What it refers to.
    #[serde(default)]
    pub references: Vec<Reference>,
}

/// How one schema refers to another.
#[derive(Clone, Debug, Deserialize)]
pub struct Reference {
    /// What it calls it.
    #[serde(default)]
    pub name: String,
    pub subject: String,
    pub version: i64,
}

/// Asks a registry.
pub struct Client {
    http: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    place: Place,
    /// What schemas refer to.
    pub(super) kept: Mutex<Kept>,
}

impl Client {
    /// A client; asks nobody.
    ///
    /// # Errors
    /// A sentence if the authorities cannot be used.
    pub fn new(place: Place) -> Result<Self, String> {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(CONNECT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(&place)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        Ok(Self { http: legacy::Client::builder(TokioExecutor::new()).build(connector), place, kept: Mutex::default() })
    }

    /// The schema with this id, and those that it refers to, each behind those that it refers to itself.
    pub async fn schema(&self, id: u32) -> Result<(Registered, Vec<Referred>), Failure> {
        let mut schema: Registered = self.call(Method::GET, &format!("/schemas/ids/{id}"), None).await?;
        let references = self.references(std::mem::take(&mut schema.references)).await?;
        Ok((schema, references))
    }

    /// The id of an Avro schema under a subject, under which it is registered first if `register` says so.
    pub async fn id(&self, subject: &str, schema: &str, register: bool) -> Result<u32, Failure> {
        #[derive(Deserialize)]
        struct Id {
            id: u32,
        }
        let path = format!("/subjects/{}{}", segment(subject), if register { "/versions" } else { "" });
        let Id { id } = self.call(Method::POST, &path, Some(json!({"schema": schema}))).await?;
        Ok(id)
    }

    /// A schema by its subject and version.
    pub(super) async fn version(&self, subject: &str, version: i64) -> Result<Registered, Failure> {
        self.call(Method::GET, &format!("/subjects/{}/versions/{version}", segment(subject)), None).await
    }

    async fn call<T: DeserializeOwned>(&self, method: Method, path: &str, body: Option<Value>) -> Result<T, Failure> {
        match tokio::time::timeout(self.place.timeout, self.answer(method, path, body)).await {
            Ok(answer) => answer,
            Err(_) => Err(Failure::Passing(format!("it did not answer within {:?}", self.place.timeout))),
        }
    }

    async fn answer<T: DeserializeOwned>(&self, method: Method, path: &str, body: Option<Value>) -> Result<T, Failure> {
        let request = self.request(method, path, body)?;
        let answer = self.http.request(request).await.map_err(|error| Failure::Passing(chain(&error)))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LARGEST_ANSWER).collect().await;
        let body = body.map_err(|error| Failure::Passing(format!("its answer broke off: {error}")))?.to_bytes();
        if status.is_success() {
            let strange = |error| Failure::Passing(format!("its answer is none of a schema registry: {error}"));
            return serde_json::from_slice(&body).map_err(strange);
        }
        Err(failure(status, &body))
    }

    fn request(&self, method: Method, path: &str, body: Option<Value>) -> Result<Request<Full<Bytes>>, Failure> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.place.url.trim_end_matches('/')))
            .header(header::ACCEPT, format!("{MEDIA}, application/json"));
        let authorization = match &self.place.login {
            Login::Nobody => None,
            Login::Basic { user, password } => {
                let mut text = b"Basic ".to_vec();
                base64::encode(&mut text, format!("{user}:{}", password.read()?).as_bytes());
                Some(text)
            }
            Login::Bearer(token) => Some(format!("Bearer {}", token.read()?).into_bytes()),
        };
        if let Some(authorization) = authorization {
            let value = header::HeaderValue::from_bytes(&authorization);
            let mut value = value.map_err(|_| Failure::Passing("the token cannot stand in a header".to_owned()))?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, MEDIA);
        }
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        request.body(Full::new(body.into())).map_err(|error| Failure::Passing(error.to_string()))
    }
}

fn tls(place: &Place) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?;
    let builder = match &place.ca_file {
        Some(file) => {
            let name = file.display();
            let roots =
                authorities(file).map_err(|why| format!("`{name}` {why}; expected a PEM file of certificates"))?;
            builder.with_root_certificates(roots)
        }
        // Those of the system take some time to be read.
        None if place.url.starts_with("http:") => builder.with_root_certificates(RootCertStore::empty()),
        None => builder.with_native_roots().map_err(|error| format!("the system's certificates: {error}"))?,
    };
    Ok(builder.with_no_client_auth())
}

fn authorities(file: &std::path::Path) -> Result<RootCertStore, String> {
    let pem = std::fs::read(file).map_err(|error| format!("cannot be read: {error}"))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let wrong = |error: &dyn fmt::Display| format!("holds a certificate that cannot be used: {error}");
        roots.add(certificate.map_err(|error| wrong(&error))?).map_err(|error| wrong(&error))?;
    }
    if roots.is_empty() { Err("holds no certificate".to_owned()) } else { Ok(roots) }
}

/// What a status that is no success says.
fn failure(status: StatusCode, body: &[u8]) -> Failure {
    #[derive(Deserialize)]
    struct Told {
        error_code: Option<i64>,
        message: Option<String>,
    }
    let told: Option<Told> = serde_json::from_slice(body).ok();
    let is_its_own = told.as_ref().is_some_and(|told| told.error_code.is_some());
    let message = told.and_then(|told| told.message).unwrap_or_default();
    let said: String = if message.is_empty() { "without a word".into() } else { message.chars().take(500).collect() };
    match status {
        StatusCode::NOT_FOUND if is_its_own => Failure::Unknown(said),
        StatusCode::NOT_FOUND => Failure::Passing(format!("404, {said}: is there a registry at schema_registry.url?")),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Failure::Passing(format!("it does not let this worker do that ({status}): {said}"))
        }
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Failure::Passing(format!("{status}: {said}")),
        status if status.is_client_error() => Failure::Refused(format!("{status}: {said}")),
        status => Failure::Passing(format!("{status}: {said}")),
    }
}
