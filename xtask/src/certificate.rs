//! A certificate for programs on this machine, made with openssl.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
};

use crate::{
    error::Error,
    process::{program, run},
};

/// The files of a certificate that signs itself, for `localhost` and 127.0.0.1.
#[derive(Debug)]
pub(crate) struct Certificate {
    /// The certificate, which is its own root, in PEM.
    pub(crate) chain: PathBuf,
    /// Its private key, in PEM.
    pub(crate) key: PathBuf,
}

/// Makes one in `folder`, for two days.
pub(crate) fn make(folder: &Path) -> Result<Certificate, Error> {
    let (chain, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    let mut command = program("openssl");
    command
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&chain)
        // It shows its progress there.
        .stderr(Stdio::null());
    run(&mut command)?;
    // Servers that give up root's rights have to read it too; it is worth nothing.
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644))?;
    Ok(Certificate { chain, key })
}
