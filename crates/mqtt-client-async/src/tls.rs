//! The options of TLS: whom to trust, and how to show who this client is.

use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::ClientConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, version};

/// The options of TLS, for `mqtts` and `wss` addresses; to be given to
/// [`ClientBuilder::tls`](crate::ClientBuilder::tls).
///
/// The server has to show a certificate for the host name of the address, from an issuer that is
/// trusted: by default whom the operating system trusts. That cannot be turned off. Files are read
/// when connecting, once.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use mqtt_client_async::{Client, Tls};
///
/// let tls = Tls::new().roots_file("ca.pem").client_certificate_files("client.pem", "client.key");
/// let client = Client::builder("mqtts://broker.example").tls(tls).connect().await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "options do nothing until they are given to a builder"]
#[derive(Clone, Debug, Default)]
pub struct Tls {
    roots: Vec<Pem>,
    has_system_roots: bool,
    client: Option<(Pem, Pem)>,
    alpn: Vec<Vec<u8>>,
}

impl Tls {
    /// Trusts whom the operating system trusts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts the certificates in a PEM file, instead of those of the operating system.
    pub fn roots_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.roots.push(Pem::File(path.into()));
        self
    }

    /// Trusts the certificates in a PEM text, instead of those of the operating system.
    pub fn roots_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots.push(Pem::Text(pem.into()));
        self
    }

    /// Trusts whom the operating system trusts beside the roots that are named.
    pub fn system_roots(mut self) -> Self {
        self.has_system_roots = true;
        self
    }

    /// Shows a certificate to servers that ask for one: PEM files of the certificate, its issuers
    /// behind it, and of its private key.
    pub fn client_certificate_files(
        mut self,
        certificates: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        self.client = Some((Pem::File(certificates.into()), Pem::File(key.into())));
        self
    }

    /// Shows a certificate to servers that ask for one: PEM texts of the certificate, its issuers
    /// behind it, and of its private key.
    pub fn client_certificate_pem(
        mut self,
        certificates: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        self.client = Some((Pem::Text(certificates.into()), Pem::Text(key.into())));
        self
    }

    /// Offers these application protocols (ALPN), by preference; none by default. A server that
    /// knows of ALPN and takes none of them refuses the connection. `mqtt` is the registered name.
    pub fn alpn<P: Into<Vec<u8>>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.alpn = protocols.into_iter().map(Into::into).collect();
        self
    }

    /// Reads the files and makes a configuration of rustls.
    fn build(&self) -> Result<ClientConfig, TlsError> {
        let provider = provider().ok_or(TlsError::NoProvider)?;
        let mut roots = RootCertStore::empty();
        for source in &self.roots {
            for certificate in source.certificates()? {
                roots.add(certificate).map_err(|error| source.unusable(error))?;
            }
        }
        if self.roots.is_empty() || self.has_system_roots {
            let found = rustls_native_certs::load_native_certs();
            let (usable, _) = roots.add_parsable_certificates(found.certs);
            if usable == 0 {
                let errors: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
                return Err(TlsError::NoSystemRoots { errors: errors.join("; ") });
            }
        }
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .map_err(TlsError::Provider)?
            .with_root_certificates(roots);
        let mut config = match &self.client {
            Some((certificates, key)) => config
                .with_client_auth_cert(certificates.certificates()?, key.private_key()?)
                .map_err(|error| certificates.unusable(error))?,
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols.clone_from(&self.alpn);
        Ok(config)
    }
}

/// The cryptography: what the process has chosen, or else what is built in.
fn provider() -> Option<Arc<CryptoProvider>> {
    if let Some(provider) = CryptoProvider::get_default() {
        return Some(Arc::clone(provider));
    }
    #[cfg(feature = "aws-lc-rs")]
    return Some(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    #[cfg(all(feature = "tls", not(feature = "aws-lc-rs")))]
    return Some(Arc::new(rustls::crypto::ring::default_provider()));
    #[cfg(not(any(feature = "tls", feature = "aws-lc-rs")))]
    None
}

/// Where TLS is configured.
#[derive(Clone, Debug)]
pub(crate) enum TlsSource {
    Options(Tls),
    Ready(Arc<ClientConfig>),
}

impl Default for TlsSource {
    fn default() -> Self {
        Self::Options(Tls::new())
    }
}

impl TlsSource {
    /// The configuration. Reading files may take a moment, so that is done where it may block.
    pub(crate) async fn config(self) -> Result<Arc<ClientConfig>, TlsError> {
        match self {
            Self::Ready(config) => Ok(config),
            Self::Options(tls) => {
                let built = tokio::task::spawn_blocking(move || tls.build()).await;
                built.map_err(|error| TlsError::Setup(io::Error::other(error)))?.map(Arc::new)
            }
        }
    }
}

/// PEM, which never shows in `Debug`: it may be a key.
#[derive(Clone)]
enum Pem {
    File(PathBuf),
    Text(Vec<u8>),
}

impl Pem {
    fn read(&self) -> Result<Vec<u8>, TlsError> {
        match self {
            Self::File(path) => {
                fs::read(path).map_err(|source| TlsError::File { path: path.clone(), source })
            }
            Self::Text(text) => Ok(text.clone()),
        }
    }

    /// All certificates; at least one.
    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let certificates: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(&self.read()?).collect();
        let certificates =
            certificates.map_err(|source| TlsError::Pem { origin: self.to_string(), source })?;
        if certificates.is_empty() {
            return Err(TlsError::NoCertificate { origin: self.to_string() });
        }
        Ok(certificates)
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        PrivateKeyDer::from_pem_slice(&self.read()?).map_err(|source| {
            let origin = self.to_string();
            if matches!(source, pem::Error::NoItemsFound) {
                TlsError::NoPrivateKey { origin }
            } else {
                TlsError::Pem { origin, source }
            }
        })
    }

    fn unusable(&self, source: rustls::Error) -> TlsError {
        TlsError::Certificate { origin: self.to_string(), source }
    }
}

impl fmt::Display for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "`{}`", path.display()),
            Self::Text(_) => f.write_str("the PEM text"),
        }
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why TLS cannot be set up as the options say. Nothing is connected to then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("`{}` cannot be read: {source}; give a PEM file that this user may read", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file or text is not PEM.
    #[error(
        "{origin} is not PEM: {source}; convert it with `openssl x509 -inform der` or `openssl pkey`"
    )]
    Pem {
        /// Which.
        origin: String,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// There is no certificate in it.
    #[error("{origin} has no certificate; it needs `-----BEGIN CERTIFICATE-----`")]
    NoCertificate {
        /// Which file or text.
        origin: String,
    },
    /// There is no private key in it.
    #[error("{origin} has no private key; it needs `-----BEGIN PRIVATE KEY-----` or the like")]
    NoPrivateKey {
        /// Which file or text.
        origin: String,
    },
    /// A certificate cannot be used, or does not belong to the key.
    #[error("the certificate in {origin} cannot be used: {source}")]
    Certificate {
        /// The file or text that it is in.
        origin: String,
        /// Why not.
        source: rustls::Error,
    },
    /// The operating system names nobody to trust.
    #[error("this system has no root certificates{}; install them (the package is often called \
             `ca-certificates`) or name your own with `Tls::roots_file`", in_parentheses(.errors))]
    NoSystemRoots {
        /// What went wrong in looking for them; may be empty.
        errors: String,
    },
    /// No cryptography is built in, and the process has installed none.
    #[error(
        "no cryptography for TLS is built in: enable the feature `tls` or `aws-lc-rs`, install \
             a provider with `rustls::crypto::CryptoProvider`, or give a `rustls::ClientConfig`"
    )]
    NoProvider,
    /// The cryptography that the process has installed cannot be used.
    #[error("the cryptography of this process cannot do TLS 1.2 and 1.3: {0}")]
    Provider(#[source] rustls::Error),
    /// No thread to read the files.
    #[error("TLS could not be set up: {0}")]
    Setup(#[source] io::Error),
}

fn in_parentheses(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" ({text})") }
}
