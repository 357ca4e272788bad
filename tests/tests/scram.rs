//! SCRAM-SHA-256 between the client and the broker, whose side of it is played by a hook.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

#[path = "../../docs/examples/scram.rs"]
#[allow(unreachable_pub, reason = "it is a crate of its own elsewhere")]
mod sample;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use mqtt_broker_lite::{
    AuthenticateAnswer, AuthenticateRequest, Authenticator, Config, ConnectRequest, ConnectVerdict,
    Server,
};
use mqtt_client_async::{Client, ConnectError, ConnectionError, Scram, ScramError};
use mqtt_codec::ConnectReason;
use sample::{ScramServer, Verifier};
use tokio::time::timeout;

/// The book's server, and how often a client has proved itself to it.
struct Counted {
    server: ScramServer,
    proofs: Arc<AtomicU32>,
}

impl Authenticator for Counted {
    async fn connect(&self, request: &ConnectRequest) -> ConnectVerdict {
        let verdict = self.server.connect(request).await;
        if matches!(verdict, ConnectVerdict::Accept(_)) {
            self.proofs.fetch_add(1, Ordering::SeqCst);
        }
        verdict
    }

    async fn authenticate(&self, request: &AuthenticateRequest) -> Option<AuthenticateAnswer> {
        let answer = self.server.authenticate(request).await;
        if matches!(answer, Some(AuthenticateAnswer::Accept(_))) {
            self.proofs.fetch_add(1, Ordering::SeqCst);
        }
        answer
    }
}

/// A broker where `meter` is known by this; its address, and the number of proofs.
async fn broker(meter: Verifier) -> (Server, String, Arc<AtomicU32>) {
    let proofs = Arc::new(AtomicU32::new(0));
    let server = ScramServer::new([("meter".to_owned(), meter)].into());
    let mut config = Config::free_port();
    config.authenticate_with(Counted { server, proofs: Arc::clone(&proofs) });
    let server = Server::bind(config).await.unwrap();
    let url = server.addresses()[0].to_string();
    (server, url, proofs)
}

async fn connect(url: &str, password: &str) -> Result<Client, ConnectError> {
    let scram = Scram::sha256("meter", password).unwrap();
    let client = Client::builder(url).client_id("m").authentication_method(scram);
    timeout(Duration::from_secs(20), client.connect()).await.unwrap()
}

/// Proves: [MQTT-4.12.0-3], [MQTT-4.12.0-5], [MQTT-4.12.1-1]
#[tokio::test]
async fn both_sides_prove_themselves_and_do_so_again_while_messages_flow() {
    let (_server, url, proofs) = broker(Verifier::new("pencil").unwrap()).await;
    let proofs = || proofs.load(Ordering::SeqCst);
    let client = connect(&url, "pencil").await.unwrap();
    assert_eq!(proofs(), 1);
    let (first, second, published) = tokio::join!(
        client.reauthenticate(),
        client.reauthenticate(),
        client.publish("a", "x").send()
    );
    first.unwrap();
    second.unwrap();
    published.unwrap();
    assert_eq!(proofs(), 2, "both asked for the same");
    client.reauthenticate().await.unwrap();
    assert_eq!(proofs(), 3);
}

#[tokio::test]
async fn a_wrong_password_is_refused_for_good() {
    let (_server, url, proofs) = broker(Verifier::new("pencil").unwrap()).await;
    let error = connect(&url, "pen").await.unwrap_err();
    let refused = ConnectReason::NotAuthorized;
    assert!(matches!(error, ConnectError::Refused { reason, .. } if reason == refused), "{error}");
    assert!(!error.is_retryable());
    assert_eq!(proofs.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_user_who_is_not_known_is_refused() {
    let (_server, url, _) = broker(Verifier::new("pencil").unwrap()).await;
    let scram = Scram::sha256("gauge", "pencil").unwrap();
    let error = Client::builder(&url).authentication_method(scram).connect().await.unwrap_err();
    let refused = ConnectReason::NotAuthorized;
    assert!(matches!(error, ConnectError::Refused { reason, .. } if reason == refused), "{error}");
}

/// Proves: [MQTT-4.12.1-2]
#[tokio::test]
async fn a_server_that_cannot_prove_that_it_knows_the_password_is_left() {
    let impostor = Verifier { server_key: [7; 32], ..Verifier::new("pencil").unwrap() };
    let (_server, url, _) = broker(impostor).await;
    let error = connect(&url, "pencil").await.unwrap_err();
    let ConnectError::Connection(ConnectionError::Authentication(cause)) = &error else {
        panic!("{error}")
    };
    assert_eq!(cause.reason().downcast_ref(), Some(&ScramError::Signature));
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn a_server_without_the_method_refuses_it() {
    let server = Server::bind(Config::free_port()).await.unwrap();
    let error = connect(&server.addresses()[0].to_string(), "pencil").await.unwrap_err();
    let refused = ConnectReason::BadAuthenticationMethod;
    assert!(matches!(error, ConnectError::Refused { reason, .. } if reason == refused), "{error}");
}
