//! The samples of the page about the clients: addresses, TLS, and streams of the application.

#![allow(dead_code, reason = "they are compiled, and need servers to run")]

use std::error::Error;

use mqtt_client_async::{Client, Tls, rustls};

type Anything = Box<dyn Error + Send + Sync>;

async fn addresses() -> Result<(), Anything> {
    // ANCHOR: addresses
    let here = Client::builder("unix:///run/mqtt.sock").connect().await?;
    let there = Client::builder("wss://broker.example/mqtt").connect().await?;
    // ANCHOR_END: addresses
    drop((here, there));
    Ok(())
}

async fn tls() -> Result<(), Anything> {
    // ANCHOR: tls
    let tls = Tls::new()
        .roots_file("ca.pem") // instead of those of the system
        .client_certificate_files("client.pem", "client.key")
        .alpn(["mqtt"]);
    let client = Client::builder("mqtts://broker.example").tls(tls).connect().await?;
    // ANCHOR_END: tls
    drop(client);
    Ok(())
}

async fn ready(roots: rustls::RootCertStore) -> Result<(), Anything> {
    // ANCHOR: rustls
    let config =
        rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let client = Client::builder("mqtts://broker.example").tls_config(config).connect().await?;
    // ANCHOR_END: rustls
    drop(client);
    Ok(())
}

async fn own() -> Result<(), Anything> {
    // ANCHOR: own
    let open = |_attempt| tokio::net::TcpStream::connect("gateway.example:7000");
    let client = Client::builder("").connect_by(open).await?;
    // ANCHOR_END: own
    drop(client);
    Ok(())
}

fn main() {}
