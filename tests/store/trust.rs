//! Servers that speak TLS: whose authority is known, whose is not, and files of authorities that are none.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use modelmill::store::{S3Config, S3Store, Store, StoreError};

use crate::{faults::noise, put, s3::S3Server};

fn denied(config: &S3Config) -> String {
    match S3Store::open("s3://models", config).unwrap().list() {
        Err(StoreError::Denied(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_server_of_a_private_authority_is_reached_once_that_is_named_and_else_the_way_out_is_told() {
    let Some(server) = S3Server::start_tls() else { return };
    server.bucket("models");
    let text = denied(&server.config());
    assert!(
        text.contains("signed by an authority that is not known here") && text.contains("`models.s3.ca_file`"),
        "{text}"
    );
    assert!(text.contains(&server.endpoint()), "{text}");
    let config = S3Config { ca_file: Some(server.authority()), ..server.config() };
    let store = S3Store::open("s3://models", &config).unwrap();
    let bytes = noise(3 << 20);
    let object = put(&store, "iris/1/model.onnx", &bytes);
    let folder = tempfile::tempdir().unwrap();
    store.download(&object, &folder.path().join("part"), &mut |_| true).unwrap();
    assert_eq!(fs::read(folder.path().join("part")).unwrap(), bytes);
    let elsewhere = S3Config { endpoint: Some(format!("https://{}", server.address())), ..config };
    let text = denied(&elsewhere);
    assert!(text.contains("its certificate is for another name") && text.contains("`models.s3.endpoint`"), "{text}");
}

#[test]
fn a_certificate_that_signed_itself_as_an_authority_is_told_as_such() {
    let Some(server) = S3Server::start_tls_as("ca") else { return };
    let text = denied(&S3Config { ca_file: Some(server.authority()), ..server.config() });
    assert!(text.contains("is one of an authority itself") && text.contains("CA:FALSE"), "{text}");
}

#[test]
fn an_authority_that_is_renewed_on_disk_needs_no_restart() {
    let Some(server) = S3Server::start_tls() else { return };
    let Some(stranger) = S3Server::start_tls() else { return };
    server.bucket("models");
    let file = server.authority().with_file_name("mounted.pem");
    fs::copy(stranger.authority(), &file).unwrap();
    let config = S3Config { ca_file: Some(file.clone()), ..server.config() };
    let store = S3Store::open("s3://models", &config).unwrap();
    assert!(matches!(store.list(), Err(StoreError::Denied(_))));
    // Both, as while one replaces the other.
    let both = [stranger.authority(), server.authority()].map(|file| fs::read_to_string(file).unwrap()).concat();
    fs::write(&file, both).unwrap();
    assert_eq!(store.list().unwrap(), []);
}

#[test]
fn a_file_of_authorities_that_is_not_there_keeps_a_store_from_being_opened() {
    let config = S3Config { ca_file: Some("/nowhere/ca.pem".into()), ..S3Config::default() };
    let error = S3Store::open("s3://models", &config).err().unwrap();
    assert!(matches!(error, StoreError::Unsupported(_)), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("`/nowhere/ca.pem`, which models.s3.ca_file names, cannot be read"), "{text}");
}

#[test]
fn the_variable_of_awss_own_tools_names_an_authority_too() {
    let Some(server) = S3Server::start_tls() else { return };
    server.bucket("models");
    let push = |bundle: Option<PathBuf>| -> Output {
        let mut push = Command::new(env!("CARGO_BIN_EXE_modelmill"));
        push.args(["push", "models/iris/1", "s3://models/iris/1"]).current_dir(env!("CARGO_MANIFEST_DIR"));
        server.environment(&mut push);
        push.env_remove("AWS_CA_BUNDLE").envs(bundle.map(|file| ("AWS_CA_BUNDLE", file)));
        push.output().unwrap()
    };
    let said = |output: &Output| String::from_utf8_lossy(&output.stderr).replace('\n', " ");
    let unknown = push(None);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(said(&unknown).contains("AWS_CA_BUNDLE"), "{}", said(&unknown));
    let missing = push(Some("/nowhere/ca.pem".into()));
    assert_eq!(missing.status.code(), Some(2));
    assert!(said(&missing).contains("which AWS_CA_BUNDLE names, cannot be read"), "{}", said(&missing));
    let known = push(Some(server.authority()));
    assert!(known.status.success(), "{}", said(&known));
    assert!(server.bucket_folder("models").join("iris/1/manifest.json").is_file());
}
