//! Sessions in a store, on threads: what a later client goes on with, and what is refused.

#[cfg(test)]
mod common;

use std::thread;
use std::time::Duration;

use common::{PATIENCE, Peer, Server, id, together};
use mqtt_client_blocking::{
    CallError, Client, ClientBuilder, ConnectError, ConnectionError, MemoryStore, PubAckReason,
    QoS, SessionPolicy, SessionStore, State, StoreError, StoredName, StoredSession,
};
use mqtt_codec::{ConnAck, ConnectReason, PacketType, Properties, PublishQos};

#[cfg(test)]
fn keeping(server: &Server, store: impl SessionStore) -> ClientBuilder {
    let policy = SessionPolicy::resume(Duration::from_secs(3600));
    server.client().session(policy).session_store(store)
}

/// Connects, and the server says whether it has the session.
#[cfg(test)]
fn resumed(server: &Server, client: ClientBuilder, session_present: bool) -> (Client, Peer) {
    let accept = || {
        let mut peer = server.accept();
        let connect = peer.packet().unwrap();
        // Clean Start, in the Connect Flags.
        assert_eq!(connect[9] & 0b10 == 0, session_present, "{connect:x?}");
        peer.send(ConnAck {
            session_present,
            reason: ConnectReason::Success,
            properties: Properties::EMPTY,
        });
        peer
    };
    let (client, peer) = together(|| client.connect(), accept);
    (client.unwrap(), peer)
}

#[test]
fn a_later_client_sends_what_was_stored() {
    let server = Server::start();
    let store = MemoryStore::new();
    let (client, mut peer) = resumed(&server, keeping(&server, store.clone()), false);
    drop(client.publish("a", "1").qos(QoS::AtLeastOnce).enqueue().unwrap());
    client.stored().unwrap();
    let (sent, ..) = peer.publish();
    client.close().wait().unwrap();
    assert_eq!(peer.packet_type(), PacketType::Disconnect);

    let (client, mut peer) = resumed(&server, keeping(&server, store), true);
    assert_eq!(client.outgoing_messages(), 1);
    let again = PublishQos::AtLeastOnce { id: sent.packet_id().unwrap(), dup: true };
    assert_eq!(peer.publish(), (again, "a".to_owned(), b"1".to_vec()));
    peer.puback(id(1), PubAckReason::Success);
    assert_eq!(client.close().drain(PATIENCE).wait().unwrap().unacknowledged, 0);
}

#[test]
fn without_a_store_nothing_is_waited_for() {
    let server = Server::start();
    let (client, _peer) = server.open();
    client.publish("a", "1").send().unwrap();
    client.stored().unwrap();
}

#[test]
fn a_session_that_cannot_be_stored_is_refused() {
    let server = Server::start();
    let store = MemoryStore::new();
    let refused = |client: ClientBuilder| {
        let error = client.connect().unwrap_err();
        let CallError::Failed(ConnectError::Store(error)) = error else { panic!("{error}") };
        error
    };
    let unnamed = refused(keeping(&server, store.clone()).client_id(""));
    assert!(matches!(unnamed, StoreError::NoClientId));
    let short = refused(keeping(&server, store.clone()).session(SessionPolicy::clean()));
    assert!(matches!(short, StoreError::ShortSession));
    assert!(short.to_string().contains("set `session` to `SessionPolicy::resume`"), "{short}");
    let (_client, _peer) = resumed(&server, keeping(&server, store.clone()), false);
    let busy = refused(keeping(&server, store));
    assert!(busy.to_string().contains("in use by another client"), "{busy}");
}

/// A store whose disk is full.
struct Full;

impl SessionStore for Full {
    fn open(&self, _: &StoredName) -> std::io::Result<Box<dyn StoredSession>> {
        Ok(Box::new(Self))
    }
}

impl StoredSession for Full {
    fn load(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        Ok(None)
    }

    fn save(&mut self, _: &[u8]) -> std::io::Result<()> {
        Err(std::io::ErrorKind::StorageFull.into())
    }

    fn remove(&mut self) -> std::io::Result<()> {
        Ok(())
    }

    fn location(&self) -> String {
        "a full disk".to_owned()
    }
}

#[test]
fn a_store_that_fails_ends_the_client_and_every_call_says_so() {
    let server = Server::start();
    // CONNECT itself may not leave before the session is stored, or a moment later nothing else.
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut peer = server.accept();
            if peer.packet().is_some() {
                peer.send(ConnAck {
                    session_present: false,
                    reason: ConnectReason::Success,
                    properties: Properties::EMPTY,
                });
                assert_eq!(peer.packet(), None, "nothing leaves that is not stored");
            }
        });
        let error = match keeping(&server, Full).connect() {
            Err(CallError::Failed(ConnectError::Connection(error))) => error,
            Err(error) => panic!("{error}"),
            Ok(client) => {
                let states = client.state();
                while !matches!(states.recv_timeout(PATIENCE).unwrap(), State::Closed { .. }) {}
                let error = client.stored().unwrap_err();
                let CallError::Failed(error) = error else { panic!("{error}") };
                error
            }
        };
        assert!(matches!(error, ConnectionError::Store(_)), "{error}");
        assert!(error.to_string().contains("a full disk"), "{error}");
    });
}
