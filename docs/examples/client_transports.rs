//! The samples of the pages about addresses and TLS. `docs/tests/transports.rs` runs each of them
//! against a broker.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use mqtt_client_async::{Client, Tls, rustls};

/// Whatever goes wrong.
pub type Anything = Box<dyn Error + Send + Sync>;

/// A socket of this machine, and a WebSocket.
pub async fn addresses(socket: &Path, gateway: &str) -> Result<[Client; 2], Anything> {
    // ANCHOR: addresses
    let here = Client::builder(&format!("unix://{}", socket.display())).connect().await?;
    let there = Client::builder(&format!("ws://{gateway}/mqtt")).connect().await?;
    // ANCHOR_END: addresses
    Ok([here, there])
}

/// A private root, and a certificate of this client.
pub async fn tls(url: &str, folder: &Path) -> Result<Client, Anything> {
    // ANCHOR: tls
    let tls = Tls::new()
        .roots_file(folder.join("ca.pem")) // instead of those of the system
        .client_certificate_files(folder.join("client.pem"), folder.join("client.key"))
        .alpn(["mqtt"]);
    let client = Client::builder(url).tls(tls).connect().await?; // "mqtts://broker.example"
    // ANCHOR_END: tls
    Ok(client)
}

/// The same for threads.
pub fn tls_blocking(url: &str, folder: &Path) -> Result<mqtt_client_blocking::Client, Anything> {
    use mqtt_client_blocking::{Client, Tls};
    // ANCHOR: tls_blocking
    let tls = Tls::new()
        .roots_file(folder.join("ca.pem"))
        .client_certificate_files(folder.join("client.pem"), folder.join("client.key"))
        .alpn(["mqtt"]);
    let client = Client::builder(url).tls(tls).connect()?;
    // ANCHOR_END: tls_blocking
    Ok(client)
}

/// A configuration of rustls.
pub async fn ready(url: &str, roots: rustls::RootCertStore) -> Result<Client, Anything> {
    // ANCHOR: rustls
    // `ClientConfig::builder()` does as well in a program that has one provider of cryptography.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = Client::builder(url).tls_config(config).connect().await?;
    // ANCHOR_END: rustls
    Ok(client)
}

/// A stream that the application opens.
pub async fn own(gateway: String) -> Result<Client, Anything> {
    // ANCHOR: own
    let open = move |_attempt| tokio::net::TcpStream::connect(gateway.clone());
    let client = Client::builder("").connect_by(open).await?;
    // ANCHOR_END: own
    Ok(client)
}
