//! Enhanced authentication on threads, against a server whose every byte the test writes.

#[cfg(test)]
mod common;

use std::thread;

use common::{Peer, Server, together};
use mqtt_client_blocking::{
    AuthenticationError, AuthenticationExchange, AuthenticationMethod, CallError, Client,
    ConnectError, ConnectionError, ReauthenticateError,
};
use mqtt_codec::{
    Auth, AuthReason, ConnAck, ConnectReason, Decoded, Limits, Packet, PropertyBuf, decode,
};

/// Answers every challenge with the same word, and believes a server that ends with it.
#[derive(Clone, Copy)]
struct Word(&'static str);

impl AuthenticationMethod for Word {
    fn name(&self) -> &str {
        "word"
    }

    fn begin(&self) -> Result<Box<dyn AuthenticationExchange>, AuthenticationError> {
        Ok(Box::new(*self))
    }
}

impl AuthenticationExchange for Word {
    fn first(&mut self) -> Result<Vec<u8>, AuthenticationError> {
        Ok(b"hello".to_vec())
    }

    fn answer(&mut self, challenge: &[u8]) -> Result<Vec<u8>, AuthenticationError> {
        assert_eq!(challenge, b"which word?");
        Ok(self.0.into())
    }

    fn finish(&mut self, last: &[u8]) -> Result<(), AuthenticationError> {
        if last == self.0.as_bytes() { Ok(()) } else { Err(AuthenticationError::new("a liar")) }
    }
}

#[cfg(test)]
fn data(data: &[u8]) -> PropertyBuf {
    let mut properties = PropertyBuf::new();
    properties.authentication_method("word").unwrap();
    properties.authentication_data(data).unwrap();
    properties
}

#[cfg(test)]
impl Peer {
    /// Takes what begins an exchange: CONNECT, or AUTH.
    fn hello(&mut self) {
        let bytes = self.packet().expect("a CONNECT or AUTH");
        let properties = match decode(&bytes, &Limits::new()).unwrap() {
            Decoded::Packet(Packet::Connect(connect), _) => connect.properties(),
            Decoded::Packet(Packet::Auth(auth), _) => {
                assert_eq!(auth.reason, AuthReason::ReAuthenticate);
                auth.properties
            }
            other @ (Decoded::NeedMore(_) | Decoded::Packet(..)) => panic!("{other:?}"),
        };
        assert_eq!(properties.authentication_method(), Some("word"));
        assert_eq!(properties.authentication_data(), Some(&b"hello"[..]));
    }

    /// Asks, and takes the answer.
    fn challenge(&mut self) -> Vec<u8> {
        self.auth(AuthReason::ContinueAuthentication, b"which word?");
        let bytes = self.packet().expect("an AUTH");
        match decode(&bytes, &Limits::new()).unwrap() {
            Decoded::Packet(Packet::Auth(auth), _) => {
                assert_eq!(auth.reason, AuthReason::ContinueAuthentication);
                auth.properties.authentication_data().unwrap_or_default().to_vec()
            }
            other @ (Decoded::NeedMore(_) | Decoded::Packet(..)) => panic!("{other:?}"),
        }
    }

    fn auth(&mut self, reason: AuthReason, word: &[u8]) {
        self.send(Auth { reason, properties: data(word).as_properties() });
    }

    fn accept(&mut self, word: &[u8]) {
        self.send(ConnAck {
            session_present: false,
            reason: ConnectReason::Success,
            properties: data(word).as_properties(),
        });
    }
}

/// A client that has proved itself with `word`.
#[cfg(test)]
fn authenticated(server: &Server, word: &'static str) -> (Client, Peer) {
    let (client, peer) = together(
        || server.client().authentication_method(Word(word)).connect(),
        || {
            let mut peer = server.accept();
            peer.hello();
            let answer = peer.challenge();
            assert_eq!(answer, word.as_bytes());
            peer.accept(&answer);
            peer
        },
    );
    (client.unwrap(), peer)
}

#[test]
fn reauthenticating_returns_when_both_sides_are_convinced_and_everything_goes_on_meanwhile() {
    let server = Server::start();
    let (client, mut peer) = authenticated(&server, "friend");
    thread::scope(|scope| {
        let first = scope.spawn(|| client.reauthenticate());
        peer.hello();
        client.publish("a", "meanwhile").send().unwrap();
        assert_eq!(peer.publish().1, "a");
        assert!(!first.is_finished());
        let answer = peer.challenge();
        peer.auth(AuthReason::Success, &answer);
        first.join().unwrap().unwrap();
    });
    client.publish("a", "afterwards").send().unwrap();
    assert_eq!(peer.publish().2, b"afterwards");
}

#[test]
fn a_server_that_does_not_convince_the_client_is_left() {
    let server = Server::start();
    let (client, mut peer) = authenticated(&server, "friend");
    let (outcome, ()) = together(
        || client.reauthenticate(),
        || {
            peer.hello();
            peer.challenge();
            peer.auth(AuthReason::Success, b"foe");
        },
    );
    let error = outcome.unwrap_err();
    assert!(
        matches!(
            error,
            CallError::Failed(ReauthenticateError::Connection(ConnectionError::Authentication(_)))
        ),
        "{error}"
    );
    assert!(error.to_string().contains("a liar"), "{error}");
    // Nor does it connect to one.
    let (outcome, ()) = together(
        || server.client().authentication_method(Word("friend")).connect(),
        || {
            let mut peer = server.accept();
            peer.hello();
            peer.accept(b"foe");
        },
    );
    let error = outcome.unwrap_err();
    assert!(
        matches!(
            error,
            CallError::Failed(ConnectError::Connection(ConnectionError::Authentication(_)))
        ),
        "{error}"
    );
}

#[test]
fn a_client_without_a_method_says_that_it_has_none() {
    let server = Server::start();
    let (client, _peer) = server.open();
    let error = client.reauthenticate().unwrap_err();
    assert!(matches!(error, CallError::Failed(ReauthenticateError::NoMethod)), "{error}");
    assert!(error.to_string().contains("set `authentication_method`"), "{error}");
}
