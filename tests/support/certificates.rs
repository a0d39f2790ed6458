//! An authority and a server's certificate that it has signed, made for one test by OpenSSL's program.

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
    openssl(
        folder,
        &[&["req"][..], &new_key, &["-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr"]].concat(),
    );
    let signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-out", "server.pem"];
    let server = ["-in", "server.csr", "-extfile", "openssl.cnf", "-extensions", "server"];
    openssl(folder, &[&["x509", "-req"][..], &server, &signed].concat());
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let ran = Command::new("openssl").args(arguments).current_dir(folder).output().expect("openssl is installed");
    assert!(ran.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
}
