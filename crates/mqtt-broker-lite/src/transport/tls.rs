//! TLS: what a listener shows to clients, and what it wants of them.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig, crypto::CryptoProvider};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use crate::config::Listener;
use crate::error::BindError;
use crate::files::FileError;

/// What the listener says in a handshake. Files are read.
///
/// # Errors
///
/// When a file cannot be read, or what stands in it is of no use.
pub(crate) fn server_config(listener: &Listener) -> Result<Arc<ServerConfig>, BindError> {
    if let Some(ready) = &listener.tls_config {
        return Ok(Arc::clone(ready));
    }
    let (Some(certificate), Some(key)) = (&listener.certificate, &listener.key) else {
        return Err(wrong(listener, "it needs a certificate and a key"));
    };
    let chain: Vec<CertificateDer<'static>> = read_all(certificate, "certificate")?;
    let key: PrivateKeyDer<'static> = read_one(key)?;
    let provider = provider();
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(listener, &error.to_string()))?;
    let builder = match client_verifier(listener, provider)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| {
        wrong(listener, &format!("its certificate and key cannot be used: {error}"))
    })?;
    let protocol: &[u8] = if listener.url.is_websocket() { b"http/1.1" } else { b"mqtt" };
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(Arc::new(config))
}

/// Who checks the certificates of clients, if any are wanted.
fn client_verifier(
    listener: &Listener,
    provider: Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, BindError> {
    let Some(path) = &listener.client_ca else { return Ok(None) };
    let mut roots = RootCertStore::empty();
    for certificate in read_all::<CertificateDer<'static>>(path, "certificate")? {
        roots.add(certificate).map_err(|error| content(path, &error.to_string()))?;
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    if let Some(path) = &listener.client_crl {
        let lists: Vec<CertificateRevocationListDer<'static>> = read_all(path, "revocation list")?;
        builder = builder.with_crls(lists);
    }
    if listener.client_certificate_optional {
        builder = builder.allow_unauthenticated();
    }
    let verifier = builder.build().map_err(|error| content(path, &error.to_string()))?;
    Ok(Some(verifier))
}

fn provider() -> Arc<CryptoProvider> {
    #[cfg(feature = "aws-lc-rs")]
    return Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    #[cfg(not(feature = "aws-lc-rs"))]
    return Arc::new(rustls::crypto::ring::default_provider());
}

fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    fs::read(path).map_err(|source| FileError::Read { path: path.to_owned(), source })
}

/// Every object of a kind in a PEM file, which has one at least. `what` names the kind.
fn read_all<T: PemObject>(path: &Path, what: &str) -> Result<Vec<T>, FileError> {
    let text = read(path)?;
    let all: Vec<T> = T::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|error| FileError::whole(path, &format!("no {what}: {error}")))?;
    if all.is_empty() {
        return Err(FileError::whole(path, &format!("there is no {what} in it")));
    }
    Ok(all)
}

fn read_one(path: &Path) -> Result<PrivateKeyDer<'static>, FileError> {
    PrivateKeyDer::from_pem_slice(&read(path)?)
        .map_err(|error| FileError::whole(path, &format!("no private key: {error}")))
}

fn wrong(listener: &Listener, reason: &str) -> BindError {
    BindError::Listener { listen: listener.url.clone(), reason: reason.to_owned() }
}

fn content(path: &Path, reason: &str) -> BindError {
    BindError::File(FileError::whole(path, reason))
}

/// The name that a client certificate gives its holder: the common name of its subject. `None` if
/// it has none, or one that could mean something else where names are used: empty, not text, with
/// wildcards or control characters.
pub(crate) fn identity(certificate: &CertificateDer<'_>) -> Option<String> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let name = certificate.tbs_certificate().subject().common_name().ok()??;
    let name = name.value();
    let is_safe = !name.is_empty() && !name.contains(|c: char| c.is_control() || "+#".contains(c));
    is_safe.then(|| name.into_owned())
}
