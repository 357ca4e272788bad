//! SCRAM-SHA-256 between the client and the broker, whose side of it is played by a hook.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64ct::{Base64, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use mqtt_broker_lite::{
    AuthenticateAnswer, AuthenticateRequest, Authenticator, Config, ConnectGrant, ConnectRequest,
    ConnectVerdict, Server,
};
use mqtt_client_async::{Client, ConnectError, ConnectionError, Scram, ScramError};
use mqtt_codec::{ConnectReason, DisconnectReason};
use sha2::{Digest, Sha256};
use tokio::time::timeout;

const SALT: &[u8] = b"a salt of the server";
const ITERATIONS: u32 = 4096;

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// A server that knows what follows from a password, and not the password.
#[derive(Clone)]
struct Scrams {
    stored_key: [u8; 32],
    server_key: [u8; 32],
    /// What was said in each exchange that is under way.
    open: Arc<Mutex<BTreeMap<String, (String, String)>>>,
    /// How often a client has proved itself.
    proofs: Arc<Mutex<u32>>,
}

impl Scrams {
    fn knowing(password: &str) -> Self {
        let mut salted = [0; 32];
        pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), SALT, ITERATIONS, &mut salted);
        Self {
            stored_key: Sha256::digest(hmac(&salted, b"Client Key")).into(),
            server_key: hmac(&salted, b"Server Key"),
            open: Arc::default(),
            proofs: Arc::default(),
        }
    }

    fn challenge(&self, client: &str, data: &[u8]) -> Vec<u8> {
        let first = str::from_utf8(data).unwrap().strip_prefix("n,,").unwrap().to_owned();
        let nonce = first.split_once(",r=").unwrap().1;
        let salt = Base64::encode_string(SALT);
        let challenge = format!("r={nonce}and-the-servers,s={salt},i={ITERATIONS}");
        self.open.lock().unwrap().insert(client.to_owned(), (first, challenge.clone()));
        challenge.into_bytes()
    }

    /// The server's signature, if the client has proved that it knows the password.
    fn verify(&self, client: &str, data: &[u8]) -> Option<Vec<u8>> {
        let (first, challenge) = self.open.lock().unwrap().remove(client)?;
        let (answer, proof) = str::from_utf8(data).unwrap().split_once(",p=").unwrap();
        let spoken = format!("{first},{challenge},{answer}");
        let mut key = Base64::decode_vec(proof).unwrap();
        for (byte, sign) in key.iter_mut().zip(hmac(&self.stored_key, spoken.as_bytes())) {
            *byte ^= sign;
        }
        if Sha256::digest(&key)[..] != self.stored_key {
            return None;
        }
        *self.proofs.lock().unwrap() += 1;
        let signature = hmac(&self.server_key, spoken.as_bytes());
        Some(format!("v={}", Base64::encode_string(&signature)).into_bytes())
    }

    async fn server(&self) -> (Server, String) {
        let mut config = Config::free_port();
        config.authenticate_with(self.clone());
        let server = Server::bind(config).await.unwrap();
        let url = server.addresses()[0].to_string();
        (server, url)
    }
}

impl Authenticator for Scrams {
    async fn connect(&self, request: &ConnectRequest) -> ConnectVerdict {
        if request.authentication_method() != Some("SCRAM-SHA-256") {
            return ConnectVerdict::Abstain;
        }
        let data = request.authentication_data().unwrap_or_default();
        if request.authentication_round() == 0 {
            return ConnectVerdict::Challenge(self.challenge(request.client_id(), data).into());
        }
        match self.verify(request.client_id(), data) {
            Some(last) => {
                let mut grant = ConnectGrant::to("meter");
                grant.authentication_data = Some(last.into());
                ConnectVerdict::Accept(grant)
            }
            None => ConnectVerdict::Refuse(ConnectReason::NotAuthorized.into()),
        }
    }

    async fn authenticate(&self, request: &AuthenticateRequest) -> Option<AuthenticateAnswer> {
        let data = request.authentication_data().unwrap_or_default();
        if request.authentication_round() == 0 {
            let challenge = self.challenge(request.client_id(), data);
            return Some(AuthenticateAnswer::Challenge(challenge.into()));
        }
        Some(match self.verify(request.client_id(), data) {
            Some(last) => AuthenticateAnswer::Accept(Some(last.into())),
            None => AuthenticateAnswer::Refuse(DisconnectReason::NotAuthorized),
        })
    }
}

async fn connect(url: &str, password: &str) -> Result<Client, ConnectError> {
    let scram = Scram::sha256("meter", password).unwrap();
    let client = Client::builder(url).client_id("m").authentication_method(scram);
    timeout(Duration::from_secs(20), client.connect()).await.unwrap()
}

/// Proves: [MQTT-4.12.0-3], [MQTT-4.12.0-5], [MQTT-4.12.1-1]
#[tokio::test]
async fn both_sides_prove_themselves_and_do_so_again_while_messages_flow() {
    let scrams = Scrams::knowing("pencil");
    let (_server, url) = scrams.server().await;
    let client = connect(&url, "pencil").await.unwrap();
    assert_eq!(*scrams.proofs.lock().unwrap(), 1);
    let (first, second, published) = tokio::join!(
        client.reauthenticate(),
        client.reauthenticate(),
        client.publish("a", "x").send()
    );
    first.unwrap();
    second.unwrap();
    published.unwrap();
    assert_eq!(*scrams.proofs.lock().unwrap(), 2, "both asked for the same");
    client.reauthenticate().await.unwrap();
    assert_eq!(*scrams.proofs.lock().unwrap(), 3);
}

#[tokio::test]
async fn a_wrong_password_is_refused_for_good() {
    let (_server, url) = Scrams::knowing("pencil").server().await;
    let error = connect(&url, "pen").await.unwrap_err();
    let refused = ConnectReason::NotAuthorized;
    assert!(matches!(error, ConnectError::Refused { reason, .. } if reason == refused), "{error}");
    assert!(!error.is_retryable());
}

/// Proves: [MQTT-4.12.1-2]
#[tokio::test]
async fn a_server_that_cannot_prove_that_it_knows_the_password_is_left() {
    let mut impostor = Scrams::knowing("pencil");
    impostor.server_key = [7; 32];
    let (_server, url) = impostor.server().await;
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
