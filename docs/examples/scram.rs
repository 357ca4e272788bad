//! The broker's side of SCRAM-SHA-256 (RFC 5802, RFC 7677), as an authenticator of a broker in a
//! program. `docs/tests/tour_async.rs`, `docs/tests/tour_blocking.rs` and `tests/tests/scram.rs` log in
//! there.

#![allow(missing_debug_implementations, reason = "what is kept of a password is not to be printed")]

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use base64ct::{Base64, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use mqtt_broker_lite::{
    AuthenticateAnswer, AuthenticateRequest, Authenticator, ConnectGrant, ConnectRequest,
    ConnectVerdict, ConnectionId,
};
use mqtt_codec::{ConnectReason, DisconnectReason};
use sha2::{Digest, Sha256};

type HmacSha256 = Hmac<Sha256>;

// ANCHOR: verifier
/// How often a password is hashed, which makes guessing slow.
const ITERATIONS: u32 = 4096;

/// How many exchanges are remembered that were begun and not ended.
const OPEN: usize = 1000;

/// What the server keeps of a password: it can tell who knows the password, and does not know it.
pub struct Verifier {
    /// What makes equal passwords differ.
    pub salt: [u8; 16],
    /// What the client's proof is held against.
    pub stored_key: [u8; 32],
    /// What the server proves itself with.
    pub server_key: [u8; 32],
}

impl Verifier {
    /// Made once, where the password is set.
    pub fn new(password: &str) -> Result<Self, getrandom::Error> {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt)?;
        let mut salted = [0; 32];
        pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), &salt, ITERATIONS, &mut salted);
        let stored_key = Sha256::digest(sign(&salted, b"Client Key")).into();
        Ok(Self { salt, stored_key, server_key: sign(&salted, b"Server Key") })
    }
}
// ANCHOR_END: verifier

fn sign(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    let mut block = [0; 64];
    block[..32].copy_from_slice(key);
    let mut mac = HmacSha256::new(&block.into());
    mac.update(message);
    mac.finalize().into_bytes().into()
}

// ANCHOR: exchange
/// Knows users by what follows from their passwords.
pub struct ScramServer {
    users: BTreeMap<String, Verifier>,
    /// The exchanges under way: user, nonce, and what both have said.
    open: Mutex<BTreeMap<ConnectionId, (String, String, String)>>,
}

impl ScramServer {
    /// A server of these users.
    pub fn new(users: BTreeMap<String, Verifier>) -> Self {
        Self { users, open: Mutex::default() }
    }

    /// Answers the client's first message, `n,,n=user,r=nonce`.
    fn challenge(&self, connection: ConnectionId, first: &[u8]) -> Option<Vec<u8>> {
        let bare = str::from_utf8(first).ok()?.strip_prefix("n,,")?;
        let (user, nonce) = bare.strip_prefix("n=")?.split_once(",r=")?;
        let salt = Base64::encode_string(&self.users.get(user)?.salt);
        let mut own = [0; 18];
        getrandom::fill(&mut own).ok()?;
        let nonce = format!("{nonce}{}", Base64::encode_string(&own));
        let challenge = format!("r={nonce},s={salt},i={ITERATIONS}");
        let spoken = format!("{bare},{challenge}");
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= OPEN {
            open.pop_first(); // the oldest connection
        }
        open.insert(connection, (user.to_owned(), nonce, spoken));
        Some(challenge.into_bytes())
    }

    /// Takes the client's proof, `c=biws,r=nonce,p=proof`: who it is, and the server's own proof.
    fn verify(&self, connection: ConnectionId, last: &[u8]) -> Option<(String, Vec<u8>)> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let (user, nonce, spoken) = open.remove(&connection)?;
        drop(open);
        let (answer, proof) = str::from_utf8(last).ok()?.split_once(",p=")?;
        if answer != format!("c=biws,r={nonce}") {
            return None; // no channel is bound to, and this is the answer to another challenge
        }
        let verifier = self.users.get(&user)?;
        let spoken = format!("{spoken},{answer}");
        let mut key: [u8; 32] = Base64::decode_vec(proof).ok()?.try_into().ok()?;
        for (byte, sign) in key.iter_mut().zip(sign(&verifier.stored_key, spoken.as_bytes())) {
            *byte ^= sign;
        }
        if Sha256::digest(key)[..] != verifier.stored_key {
            return None;
        }
        let signature = Base64::encode_string(&sign(&verifier.server_key, spoken.as_bytes()));
        Some((user, format!("v={signature}").into_bytes()))
    }
}

impl Authenticator for ScramServer {
    async fn connect(&self, request: &ConnectRequest) -> ConnectVerdict {
        let (Some("SCRAM-SHA-256"), Some(data)) =
            (request.authentication_method(), request.authentication_data())
        else {
            return ConnectVerdict::Abstain; // the next one may know another way
        };
        if request.authentication_round() == 0
            && let Some(challenge) = self.challenge(request.connection(), data)
        {
            return ConnectVerdict::Challenge(challenge.into());
        }
        let Some((user, signature)) = self.verify(request.connection(), data) else {
            return ConnectVerdict::Refuse(ConnectReason::NotAuthorized.into());
        };
        let mut grant = ConnectGrant::to(user);
        grant.authentication_data = Some(signature.into());
        ConnectVerdict::Accept(grant)
    }

    /// A client that is connected proves itself once more.
    async fn authenticate(&self, request: &AuthenticateRequest) -> Option<AuthenticateAnswer> {
        let (connection, data) = (request.connection(), request.authentication_data()?);
        if request.authentication_round() == 0
            && let Some(challenge) = self.challenge(connection, data)
        {
            return Some(AuthenticateAnswer::Challenge(challenge.into()));
        }
        Some(match self.verify(connection, data) {
            // It stays who it was.
            Some((user, signature)) if request.identity() == Some(&*user) => {
                AuthenticateAnswer::Accept(Some(signature.into()))
            }
            _ => AuthenticateAnswer::Refuse(DisconnectReason::NotAuthorized),
        })
    }
}
// ANCHOR_END: exchange
