//! An authority and the certificates that it has signed, made for one test by OpenSSL's program.

#![allow(dead_code, reason = "each of the modules that include this uses a part of it")]

use std::{fs, path::Path, process::Command};

const SETTINGS: &str = "\
[req]
prompt = no
distinguished_name = name
[name]
CN = the authority of a test
[authority]
basicConstraints = critical, CA:TRUE
subjectAltName = DNS:localhost
[server]
basicConstraints = critical, CA:FALSE
subjectAltName = DNS:localhost
[client]
basicConstraints = critical, CA:FALSE
";

/// Writes `ca.pem`, `server.pem` and `server.key`, for the name `localhost`, into a folder.
///
/// # Panics
/// If there is no `openssl`, which scripts/system-packages.sh brings.
pub fn make(folder: &Path) {
    fs::write(folder.join("openssl.cnf"), SETTINGS).unwrap();
    let new_key = ["-newkey", "rsa:2048", "-nodes", "-config", "openssl.cnf"];
    let authority = ["-x509", "-days", "2", "-extensions", "authority", "-keyout", "ca.key", "-out", "ca.pem"];
    openssl(folder, &[&["req"][..], &new_key, &authority].concat());
    sign(folder, "server", "localhost", "server");
}

/// Writes `client.pem` and `client.key`, which `password` opens, for a client of this name; the folder is one of [`make`].
pub fn make_client(folder: &Path, name: &str, password: &str) {
    sign(folder, "client", name, "client");
    let (open, word) = (folder.join("client.open.key"), format!("pass:{password}"));
    fs::rename(folder.join("client.key"), &open).unwrap();
    let locked = ["-in", "client.open.key", "-out", "client.key", "-passout", &word];
    openssl(folder, &[&["pkcs8", "-topk8", "-v2", "aes256"][..], &locked].concat());
    fs::remove_file(open).unwrap();
}

/// Writes a key and its certificate for a common name, with the extensions of a section above.
fn sign(folder: &Path, file: &str, name: &str, extensions: &str) {
    let [key, request, certificate] = ["key", "csr", "pem"].map(|kind| format!("{file}.{kind}"));
    let subject = format!("/CN={name}");
    let new_key = ["req", "-newkey", "rsa:2048", "-nodes", "-config", "openssl.cnf"];
    openssl(folder, &[&new_key[..], &["-subj", &subject, "-keyout", &key, "-out", &request]].concat());
    let signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-out", &certificate];
    let about = ["-in", &request, "-extfile", "openssl.cnf", "-extensions", extensions];
    openssl(folder, &[&["x509", "-req"][..], &about, &signed].concat());
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let ran = Command::new("openssl").args(arguments).current_dir(folder).output().expect("openssl is installed");
    assert!(ran.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
}
