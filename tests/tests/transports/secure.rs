//! TLS: whom the client trusts, what it shows, and what it says when that does not work.

use std::io::Write;
use std::sync::Arc;

use mqtt_client_async::{Client, ConnectError, DialFault, Tls};
use rustls::ServerConfig;
use tempfile::NamedTempFile;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::PATIENCE;
use crate::pki::{Authority, provider};
use crate::server::{Peer, Server};

/// Connects to a server that refuses or is refused, and tells why.
async fn refused(config: ServerConfig, tls: Tls) -> ConnectError {
    let server = Server::tls(config).await;
    let client = Client::builder(&server.url()).tls(tls).connect();
    let serve = async {
        if let Some(stream) = server.accept().await {
            // The client believes that it is connected until it reads that it was refused.
            assert!(Peer::new(stream).packet().await.is_none(), "nothing may be told to this one");
        }
    };
    let (client, ()) = tokio::join!(timeout(PATIENCE, client), serve);
    client.expect("an answer in time").expect_err("this server is not to be trusted")
}

#[track_caller]
fn assert_refused(error: &ConnectError, expected: DialFault, text: &str) {
    let ConnectError::Unreachable { fault, .. } = error else { panic!("{error:?}") };
    assert_eq!(*fault, expected, "{error}");
    assert!(error.to_string().contains(text), "{error}");
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused() {
    let authority = Authority::new("root");
    let config = authority.issue("other.example").server(None);
    let error = refused(config, Tls::new().roots_pem(&*authority.pem)).await;
    assert_refused(&error, DialFault::TlsRefused, "connect to a name that the certificate is for");
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn a_certificate_of_an_unknown_issuer_is_refused() {
    let config = Authority::new("root").issue("localhost").server(None);
    let trusted = Authority::new("another root").pem;
    let error = refused(config, Tls::new().roots_pem(trusted)).await;
    assert_refused(&error, DialFault::TlsRefused, "name it with `Tls::roots_file`");
}

#[tokio::test]
async fn an_expired_certificate_is_refused_for_now() {
    let authority = Authority::new("root");
    let config = authority.issue_expired("localhost").server(None);
    let error = refused(config, Tls::new().roots_pem(&*authority.pem)).await;
    assert_refused(&error, DialFault::CertificateOutOfTime, "is the clock of this machine right");
    assert!(error.is_retryable());
}

#[tokio::test]
async fn what_does_not_speak_tls_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("mqtts://{}", listener.local_addr().unwrap());
    let tls = Tls::new().roots_pem(Authority::new("root").pem);
    let serve = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut peer = Peer::new(Box::new(stream));
        peer.send(&[0x20, 3, 0, 0x84, 0, 0xe0, 0]).await;
        peer
    };
    let (client, _peer) = tokio::join!(Client::builder(&url).tls(tls).connect(), serve);
    assert_refused(&client.unwrap_err(), DialFault::TlsRefused, "does the server speak TLS");
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_gets_it_or_says_so() {
    let authority = Authority::new("root");
    let clients = Authority::new("clients");
    let config = authority.issue("localhost").server(Some(&clients));
    let trusting = Tls::new().roots_pem(&*authority.pem);

    let error = refused(config.clone(), trusting.clone()).await;
    assert!(error.to_string().contains("give one with `Tls::client_certificate_files`"), "{error}");

    let stranger = Authority::new("strangers").issue("device-1");
    let tls = trusting.clone().client_certificate_pem(stranger.certificate, stranger.key);
    let error = refused(config.clone(), tls).await;
    assert!(error.to_string().contains("does not trust the client certificate"), "{error}");

    let device = clients.issue("device-1");
    let (certificate, key) = (file(&device.certificate), file(&device.key));
    let tls = trusting.client_certificate_files(certificate.path(), key.path());
    let server = Server::tls(config).await;
    let connect = Client::builder(&server.url()).tls(tls).connect();
    let serve = async {
        let mut peer = Peer::new(server.accept().await.expect("the server trusts the client"));
        peer.accept().await;
        peer
    };
    let (client, _peer) = tokio::join!(connect, serve);
    client.unwrap();
}

#[tokio::test]
async fn protocols_are_offered_and_a_configuration_of_rustls_is_taken_as_it_is() {
    let authority = Authority::new("root");
    let mut config = authority.issue("localhost").server(None);
    config.alpn_protocols = vec![b"http/1.1".to_vec(), b"mqtt".to_vec()];
    let ready = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(authority.roots())
        .with_no_client_auth();
    let mut ready = ready;
    ready.alpn_protocols = vec![b"mqtt".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config.clone()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("mqtts://localhost:{}", listener.local_addr().unwrap().port());
    let file = file(&authority.pem);
    let tls = Tls::new().roots_file(file.path()).alpn(["x", "mqtt"]);
    for builder in [Client::builder(&url).tls(tls), Client::builder(&url).tls_config(ready)] {
        let serve = async {
            let (stream, _) = listener.accept().await.unwrap();
            let stream = acceptor.accept(stream).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"mqtt"[..]));
            let mut peer = Peer::new(Box::new(stream));
            peer.accept().await;
            peer
        };
        let (client, _peer) = tokio::join!(builder.connect(), serve);
        client.unwrap();
    }
    let tls = Tls::new().roots_pem(&*authority.pem).alpn(["h2"]);
    let error = refused(config, tls).await;
    assert_refused(&error, DialFault::TlsRefused, "NoApplicationProtocol");
}

#[tokio::test]
async fn a_redirect_keeps_tls_and_trusts_nobody_else() {
    let authority = Authority::new("root");
    let home = Server::tls(authority.issue("localhost").server(None)).await;
    let away = Server::tls(authority.issue("localhost").server(None)).await;
    let elsewhere = away.url().trim_start_matches("mqtts://").to_owned();
    let builder = Client::builder(&home.url()).tls(Tls::new().roots_pem(&*authority.pem));
    let send_away = async |to: &str| {
        let mut peer = Peer::new(home.accept().await.expect("the client trusts this one"));
        peer.packet().await.expect("a CONNECT");
        let len = to.len() as u8;
        let mut refusal = vec![0x20, 6 + len, 0, 0x9c, 3 + len, 0x1c, 0, len];
        refusal.extend(to.as_bytes());
        peer.send(&refusal).await;
    };
    let serve = async {
        send_away(&elsewhere).await;
        let mut peer = Peer::new(away.accept().await.expect("the client trusts the other one"));
        peer.accept().await;
        peer
    };
    let (client, peer) = tokio::join!(builder.clone().connect(), serve);
    client.unwrap();
    drop(peer);
    // The same one by an address that its certificate is not for.
    let elsewhere = elsewhere.replace("localhost", "127.0.0.1");
    let serve = async {
        send_away(&elsewhere).await;
        assert!(
            away.accept().await.is_none(),
            "the client sees that the certificate is for others"
        );
    };
    let (client, ()) = tokio::join!(builder.connect(), serve);
    assert_refused(&client.unwrap_err(), DialFault::TlsRefused, "127.0.0.1");
}

#[tokio::test]
async fn the_roots_of_the_system_do_not_trust_anybody() {
    let config = Authority::new("root").issue("localhost").server(None);
    let server = Server::tls(config).await;
    let (client, _) =
        tokio::join!(Client::builder(&server.url()).connect(), async { server.accept().await });
    match client.unwrap_err() {
        // Systems without any roots say so.
        ConnectError::Tls(error) => assert!(error.to_string().contains("ca-certificates")),
        error => assert_refused(&error, DialFault::TlsRefused, "`Tls::roots_file`"),
    }
}

#[tokio::test]
async fn what_cannot_be_set_up_is_told_before_anything_is_connected_to() {
    let authority = Authority::new("root");
    let identity = authority.issue("c");
    let other = authority.issue("d");
    let empty = file("");
    let roots = || Tls::new().roots_pem(&*authority.pem);
    let damaged = "-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n";
    let forged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (tls, text) in [
        (Tls::new().roots_file("/no/such.pem"), "`/no/such.pem` cannot be read"),
        (Tls::new().roots_file(empty.path()), "has no certificate"),
        (Tls::new().roots_pem(""), "the PEM text has no certificate"),
        (Tls::new().roots_pem("").system_roots(), "the PEM text has no certificate"),
        (Tls::new().roots_pem(&*identity.key), "the PEM text has no certificate"),
        (Tls::new().roots_pem(damaged), "is not PEM"),
        (Tls::new().roots_pem(forged), "cannot be used"),
        (roots().client_certificate_pem("", &*identity.key), "has no certificate"),
        (roots().client_certificate_pem(&*identity.certificate, ""), "has no private key"),
        (roots().client_certificate_pem(&*identity.certificate, &*other.key), "cannot be used"),
        (roots().client_certificate_files("/no/c.pem", "/no/c.key"), "`/no/c.pem` cannot be read"),
    ] {
        // Nobody listens there, which would be told otherwise.
        let error = Client::builder("mqtts://localhost:1").tls(tls).connect().await.unwrap_err();
        assert!(matches!(error, ConnectError::Tls(_)), "{error:?}");
        assert!(error.to_string().contains(text), "{error}");
        assert!(!error.is_retryable());
    }
}

#[tokio::test]
async fn a_server_that_goes_without_a_goodbye_of_tls_has_closed_the_connection() {
    let authority = Authority::new("root");
    let config = authority.issue("localhost").server(None);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("mqtts://localhost:{}", listener.local_addr().unwrap().port());
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let serve = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = acceptor.accept(stream).await.unwrap();
        let mut connect = [0; 2];
        stream.read_exact(&mut connect).await.unwrap();
        // Only the TCP connection is closed, by being dropped.
        drop(stream.into_inner());
    };
    let tls = Tls::new().roots_pem(&*authority.pem);
    let (client, ()) = tokio::join!(Client::builder(&url).tls(tls).connect(), serve);
    let error = client.unwrap_err();
    assert!(matches!(error, ConnectError::Connection(_)), "{error:?}");
    assert!(error.is_retryable());
    assert!(!error.to_string().contains("close_notify"), "{error}");
}

#[test]
fn keys_do_not_show() {
    let identity = Authority::new("root").issue("c");
    let tls = Tls::new().client_certificate_pem(identity.certificate, &*identity.key);
    let shown = format!("{tls:?}");
    assert!(!shown.contains("PRIVATE") && shown.len() < 200, "{shown}");
}

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}
