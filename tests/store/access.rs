//! Who asks: credentials that are wrong, missing, set right, or not needed.

use std::fs;

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use modelmill::store::{S3Config, S3Store, Store, StoreError};

use crate::{is_discreet, put, s3::S3Server};

fn denied<T: std::fmt::Debug>(outcome: Result<T, StoreError>) -> String {
    let error = outcome.unwrap_err();
    assert!(matches!(error, StoreError::Denied(_)), "{error:?}");
    let text = error.to_string();
    assert!(is_discreet(&text), "{text}");
    text
}

#[test]
fn a_wrong_secret_is_refused_and_one_that_is_set_right_needs_no_restart() {
    let Some(server) = S3Server::start() else { return };
    server.bucket("models");
    server.write_credentials("wrongsecret");
    let store = server.store("s3://models");
    let text = denied(store.list());
    assert!(text.contains("the secret does not belong to the access key"), "{text}");
    server.write_credentials("testsecret");
    assert_eq!(store.list().unwrap(), []);
}

#[test]
fn an_unknown_access_key_is_told_as_such() {
    let Some(server) = S3Server::start() else { return };
    server.bucket("models");
    let text = "[default]\naws_access_key_id = stranger\naws_secret_access_key = wrongsecret\n";
    fs::write(server.credentials_file(), text).unwrap();
    let text = denied(server.store("s3://models").list());
    assert!(text.contains("does not know this access key"), "{text}");
}

#[test]
fn a_missing_bucket_is_named() {
    let Some(server) = S3Server::start() else { return };
    let store = server.store("s3://modles/prod");
    for text in [
        denied(store.list()),
        denied(store.read("iris/1/manifest.json", 9)),
        denied(store.write("x", Vec::new(), true)),
    ] {
        assert!(text.contains("there is no bucket `modles`"), "{text}");
    }
}

#[test]
fn credentials_that_are_not_there_yet_are_an_outage() {
    let Some(server) = S3Server::start() else { return };
    server.bucket("models");
    let missing = server.credentials_file().with_file_name("later");
    let config = S3Config { credentials_file: Some(missing.clone()), ..server.config() };
    let store = S3Store::open("s3://models", &config).unwrap();
    let error = store.list().unwrap_err();
    assert!(matches!(error, StoreError::Unreachable(_)), "{error:?}");
    let text = error.to_string();
    assert!(text.starts_with("no credentials for `s3://models/`") && is_discreet(&text), "{text}");
    fs::rename(server.credentials_file(), missing).unwrap();
    assert_eq!(store.list().unwrap(), []);
}

#[test]
fn a_profile_of_the_file_can_be_chosen() {
    let Some(server) = S3Server::start() else { return };
    server.bucket("models");
    let right = fs::read_to_string(server.credentials_file()).unwrap();
    let wrong = "[default]\naws_access_key_id = stranger\naws_secret_access_key = wrongsecret\n";
    fs::write(server.credentials_file(), format!("{wrong}\n{}", right.replace("default", "models"))).unwrap();
    let config = S3Config { profile: Some("models".to_owned()), ..server.config() };
    assert_eq!(S3Store::open("s3://models", &config).unwrap().list().unwrap(), []);
}

#[test]
fn a_public_bucket_is_read_without_credentials_and_a_private_one_is_not() {
    let Some(server) = S3Server::start() else { return };
    server.bucket("public");
    server.bucket("private");
    put(&server.store("s3://public"), "iris/1/model.onnx", b"x");
    allow_everybody(&server, "public");
    let config = S3Config { credentials_file: None, anonymous: true, ..server.config() };
    let open = |url: &str| S3Store::open(url, &config).unwrap();
    let store = open("s3://public");
    let object = store.list().unwrap().remove(0);
    let folder = tempfile::tempdir().unwrap();
    store.download(&object, &folder.path().join("part"), &mut |_| true).unwrap();
    assert_eq!(fs::read(folder.path().join("part")).unwrap(), b"x");
    denied(open("s3://private").list());
}

/// Everybody may list the bucket and read what is in it.
fn allow_everybody(server: &S3Server, bucket: &str) {
    let policy = format!(
        r#"{{"Version": "2012-10-17", "Statement": [
            {{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::{bucket}/*"}},
            {{"Effect": "Allow", "Principal": "*", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::{bucket}"}}]}}"#
    );
    let settings = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(server.endpoint())
        .force_path_style(true)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("testkey", "testsecret", None, None, "test"))
        .build();
    let client = aws_sdk_s3::Client::from_conf(settings);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(client.put_bucket_policy().bucket(bucket).policy(policy).send()).unwrap();
}
