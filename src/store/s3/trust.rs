//! Whose signature on a server's certificate is believed: that of the system's authorities, and of those in a file of one's own.
//!
//! The client's TLS takes authorities as they come and panics at the first that it cannot use. So each is tried here before, in
//! a sentence that says which file is wrong.

use std::path::{Path, PathBuf};

use aws_smithy_http_client::tls::{TlsContext, TrustStore};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::S3Config;
use crate::store::StoreError;

/// The standard variable of AWS's own tools.
const VARIABLE: &str = "AWS_CA_BUNDLE";

/// Authorities beside the system's (which `SSL_CERT_FILE` replaces); `None` if none are named. The file is read at each call:
/// a renewed one counts for the next client.
///
/// # Errors
/// If the file cannot be read, or holds no certificate or one that cannot be used.
pub fn context(config: &S3Config) -> Result<Option<TlsContext>, StoreError> {
    let Some((key, file)) = named(config, std::env::var_os(VARIABLE).map(PathBuf::from)) else { return Ok(None) };
    let pem = bundle(&file).map_err(|why| {
        let file = file.display();
        StoreError::Unsupported(format!("`{file}`, which {key} names, {why}; expected a PEM file of certificates"))
    })?;
    let trusted = TlsContext::builder().with_trust_store(TrustStore::default().with_pem_certificate(pem)).build();
    trusted.map(Some).map_err(|error| StoreError::Unsupported(format!("TLS cannot be set up with {key}: {error}")))
}

/// The file of authorities, and what names it.
fn named(config: &S3Config, variable: Option<PathBuf>) -> Option<(&'static str, PathBuf)> {
    let of_file = config.ca_file.clone().map(|file| ("models.s3.ca_file", file));
    of_file.or_else(|| Some((VARIABLE, variable.filter(|file| !file.as_os_str().is_empty())?)))
}

/// The text of a file of usable authorities, at least one.
fn bundle(file: &Path) -> Result<Vec<u8>, String> {
    let pem = std::fs::read(file).map_err(|error| format!("cannot be read: {error}"))?;
    let mut roots = RootCertStore::empty();
    for (index, certificate) in CertificateDer::pem_slice_iter(&pem).enumerate() {
        let wrong = |error: &dyn std::fmt::Display| {
            format!("holds a certificate (number {}) that cannot be used: {error}", index + 1)
        };
        roots.add(certificate.map_err(|error| wrong(&error))?).map_err(|error| wrong(&error))?;
    }
    if roots.is_empty() { Err("holds no certificate".to_owned()) } else { Ok(pem) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_file_goes_before_the_environment() {
        let plain = S3Config::default();
        assert_eq!(named(&plain, None), None);
        assert_eq!(named(&plain, Some(PathBuf::new())), None, "an empty variable names nothing");
        assert_eq!(named(&plain, Some("theirs.pem".into())), Some((VARIABLE, "theirs.pem".into())));
        let own = S3Config { ca_file: Some("own.pem".into()), ..plain };
        assert_eq!(named(&own, Some("theirs.pem".into())), Some(("models.s3.ca_file", "own.pem".into())));
    }

    #[test]
    fn a_file_that_is_no_bundle_is_refused_in_a_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let refused = |file: &Path| {
            let config = S3Config { ca_file: Some(file.to_owned()), ..S3Config::default() };
            let error = context(&config).unwrap_err().to_string();
            assert!(error.contains("which models.s3.ca_file names") && error.contains("ca.pem"), "{error}");
            error
        };
        assert!(refused(&file).contains("cannot be read"));
        for (text, why) in [
            ("", "holds no certificate"),
            ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "holds no certificate"),
            ("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", "(number 1) that cannot be used"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "(number 1) that cannot be used"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n", "(number 1) that cannot be used"),
        ] {
            std::fs::write(&file, text).unwrap();
            let error = refused(&file);
            assert!(error.contains(why), "{text:?}: {error}");
        }
    }
}
