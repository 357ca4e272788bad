//! The samples of the pages about addresses and TLS, against a broker with listeners of all kinds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

#[path = "../examples/client_transports.rs"]
#[allow(unreachable_pub, reason = "it is a crate of its own elsewhere")]
mod transports;

use std::fs;
use std::path::Path;

use mqtt_broker_lite::{Config, Listener, Server};
use mqtt_client_async::rustls::RootCertStore;
use mqtt_client_async::rustls::pki_types::CertificateDer;
use mqtt_client_async::rustls::pki_types::pem::PemObject;
use mqtt_client_async::{Client, ConnectError, ConnectionError, DialFault, QoS, Tls};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

fn server(listeners: impl IntoIterator<Item = Listener>) -> Server {
    let mut config = Config::free_port();
    config.listeners = listeners.into_iter().collect();
    Server::bind_blocking(config).unwrap()
}

/// A folder with a root, and certificates that it has issued, for `localhost` and for a client.
fn certificates() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "root");
    let key = KeyPair::generate().unwrap();
    fs::write(folder.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    let root = Issuer::new(params, key);
    for (file, name) in [("broker", "localhost"), ("client", "meter-17")] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &root).unwrap();
        let path = folder.path().join(file);
        fs::write(path.with_extension("pem"), certificate.pem()).unwrap();
        fs::write(path.with_extension("key"), key.serialize_pem()).unwrap();
    }
    folder
}

/// A broker with TLS, and its address.
fn secure_server(folder: &Path, asks_for_certificates: bool) -> (Server, String) {
    let mut listener: Listener = "mqtts://127.0.0.1:0".parse().unwrap();
    listener.certificate = Some(folder.join("broker.pem"));
    listener.key = Some(folder.join("broker.key"));
    listener.client_ca = asks_for_certificates.then(|| folder.join("ca.pem"));
    let server = server([listener]);
    let port = server.addresses()[0].socket_addr().unwrap().port();
    (server, format!("mqtts://localhost:{port}"))
}

async fn assert_works(client: &Client) {
    client.publish("a", "b").qos(QoS::AtLeastOnce).send().await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn a_socket_and_a_websocket_are_reached() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("mqtt.sock");
    let listeners = [format!("unix://{}", socket.display()), "ws://127.0.0.1:0/mqtt".to_owned()];
    let server = server(listeners.map(|url| url.parse().unwrap()));
    let address = server.addresses().iter().find_map(|it| it.socket_addr()).unwrap();
    for client in transports::addresses(&socket, &address.to_string()).await.unwrap() {
        assert_works(&client).await;
    }
}

#[tokio::test]
async fn a_certificate_is_shown_and_one_is_checked() {
    let folder = certificates();
    let (_server, url) = secure_server(folder.path(), true);
    let client = transports::tls(&url, folder.path()).await.unwrap();
    assert_works(&client).await;
}

#[test]
fn a_certificate_is_shown_and_one_is_checked_by_threads() {
    let folder = certificates();
    let (_server, url) = secure_server(folder.path(), true);
    let client = transports::tls_blocking(&url, folder.path()).unwrap();
    client.publish("a", "b").qos(QoS::AtLeastOnce).send().unwrap();
}

/// TLS 1.3 has a server say so after the handshake only.
#[tokio::test]
async fn a_certificate_that_is_missing_is_told_late() {
    let folder = certificates();
    let (_server, url) = secure_server(folder.path(), true);
    let tls = Tls::new().roots_file(folder.path().join("ca.pem"));
    let error = Client::builder(&url).tls(tls).connect().await.unwrap_err();
    assert!(matches!(&error, ConnectError::Connection(ConnectionError::Io(_))), "{error:?}");
    assert!(error.is_retryable());
    let text = error.to_string();
    assert!(text.contains("received fatal alert: CertificateRequired; "), "{text}");
}

#[tokio::test]
async fn an_issuer_that_is_not_trusted_is_told_at_once() {
    let (folder, other) = (certificates(), certificates());
    let (_server, url) = secure_server(folder.path(), false);
    let tls = Tls::new().roots_file(other.path().join("ca.pem"));
    let error = Client::builder(&url).tls(tls).connect().await.unwrap_err();
    let ConnectError::Unreachable { fault: DialFault::TlsRefused, source: Some(source), .. } =
        &error
    else {
        panic!("{error:?}")
    };
    assert!(source.to_string().starts_with("invalid peer certificate: "), "{source}");
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn a_configuration_of_rustls_is_used() {
    let folder = certificates();
    let (_server, url) = secure_server(folder.path(), false);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.path().join("ca.pem")).unwrap()).unwrap();
    assert_works(&transports::ready(&url, roots).await.unwrap()).await;
    transports::ready(&url, RootCertStore::empty()).await.unwrap_err();
}

#[tokio::test]
async fn a_stream_of_the_application_is_used() {
    let server = server(["mqtt://127.0.0.1:0".parse().unwrap()]);
    let address = server.addresses()[0].socket_addr().unwrap().to_string();
    assert_works(&transports::own(address).await.unwrap()).await;
}
