//! Sessions in a store: what waits for it, what a later client goes on with, and what is said when
//! it fails.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

#[cfg(test)]
mod common;

use std::io;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use common::{Peer, Server, id, qos1};
use mqtt_client_async::{
    Client, ClientBuilder, ConnectError, ConnectionError, FileStore, MemoryStore, PublishError,
    QoS, SavedSessionError, SessionPolicy, SessionStore, State, StoreError, StoredName,
    StoredSession,
};
use mqtt_codec::{
    ConnAck, ConnectReason, PacketType, Properties, PubAckReason, PubComp, PubRec, PublishQos,
    SubAckReason,
};
use tokio::time::timeout;

const HOUR: Duration = Duration::from_secs(3600);

fn keeping(server: &Server, store: impl SessionStore) -> ClientBuilder {
    server.client().session(SessionPolicy::resume(HOUR)).session_store(store)
}

/// Connects, and the server says whether it has the session.
async fn resumed(server: &Server, client: ClientBuilder, session_present: bool) -> (Client, Peer) {
    let accept = async {
        let mut peer = server.accept().await;
        let connect = peer.packet().await.unwrap();
        // Clean Start, in the Connect Flags.
        assert_eq!(connect[9] & 0b10 == 0, session_present, "{connect:x?}");
        peer.send(ConnAck {
            session_present,
            reason: ConnectReason::Success,
            properties: Properties::EMPTY,
        })
        .await;
        peer
    };
    let (client, peer) = tokio::join!(client.connect(), accept);
    (client.unwrap(), peer)
}

/// Nothing comes although everything that could has been given time.
async fn nothing_comes(peer: &mut Peer) {
    let early = timeout(Duration::from_millis(50), peer.packet()).await;
    assert!(early.is_err(), "{early:?}");
}

/// A store that writes only while its gate is open, or fails.
#[derive(Clone, Default)]
struct Gated {
    state: Arc<(Mutex<Gate>, Condvar)>,
    sessions: MemoryStore,
}

#[derive(Default, PartialEq)]
enum Gate {
    #[default]
    Open,
    Shut,
    Failing,
}

impl Gated {
    fn set(&self, gate: Gate) {
        *self.state.0.lock().unwrap() = gate;
        self.state.1.notify_all();
    }
}

impl SessionStore for Gated {
    fn open(&self, name: &StoredName) -> io::Result<Box<dyn StoredSession>> {
        Ok(Box::new(GatedSession { gate: self.clone(), inner: self.sessions.open(name)? }))
    }
}

struct GatedSession {
    gate: Gated,
    inner: Box<dyn StoredSession>,
}

impl StoredSession for GatedSession {
    fn load(&mut self) -> io::Result<Option<Vec<u8>>> {
        self.inner.load()
    }

    fn save(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (gate, changed) = &*self.gate.state;
        let gate = changed.wait_while(gate.lock().unwrap(), |it| *it == Gate::Shut).unwrap();
        if *gate == Gate::Failing {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "the disk is full"));
        }
        self.inner.save(bytes)
    }

    fn remove(&mut self) -> io::Result<()> {
        self.inner.remove()
    }

    fn location(&self) -> String {
        "the test".to_owned()
    }
}

#[tokio::test]
async fn nothing_leaves_that_the_store_does_not_know_of_and_reading_goes_on() {
    let server = Server::start().await;
    let store = Gated::default();
    let (client, mut peer) = resumed(&server, keeping(&server, store.clone()), false).await;
    let (subscription, ()) = tokio::join!(
        client.subscribe("in").into_future(),
        peer.grant(&[SubAckReason::GrantedQos0])
    );
    let mut messages = subscription.unwrap();
    client.stored().await.unwrap();
    store.set(Gate::Shut);
    let pending = client.publish("a", "1").qos(QoS::AtLeastOnce).enqueue().unwrap();
    nothing_comes(&mut peer).await;
    peer.deliver("in", b"meanwhile", PublishQos::AtMostOnce).await;
    assert_eq!(messages.next().await.unwrap().payload(), b"meanwhile");
    let mut stored = tokio::spawn({
        let client = client.clone();
        async move { client.stored().await }
    });
    assert!(timeout(Duration::from_millis(20), &mut stored).await.is_err());
    store.set(Gate::Open);
    stored.await.unwrap().unwrap();
    assert_eq!(peer.publish().await, (qos1(1), "a".to_owned(), b"1".to_vec()));
    peer.puback(id(1), PubAckReason::Success).await;
    pending.await.unwrap();
}

#[tokio::test]
async fn qos_0_messages_wait_for_no_store() {
    let server = Server::start().await;
    let store = Gated::default();
    let (client, mut peer) = resumed(&server, keeping(&server, store.clone()), false).await;
    client.stored().await.unwrap();
    store.set(Gate::Shut);
    for number in 0..3 {
        client.publish("a", number.to_string()).send().await.unwrap();
        assert_eq!(peer.publish().await.2, number.to_string().into_bytes());
    }
    store.set(Gate::Open);
}

#[tokio::test]
async fn many_messages_are_covered_by_few_writes() {
    let server = Server::start().await;
    let store = Counting::default();
    let (client, mut peer) = resumed(&server, keeping(&server, store.clone()), false).await;
    client.stored().await.unwrap();
    let before = store.writes();
    for _ in 0..500 {
        drop(client.publish("a", "x").qos(QoS::AtLeastOnce).enqueue().unwrap());
    }
    for number in 1..=500 {
        assert_eq!(peer.publish().await.0, qos1(number));
    }
    let writes = store.writes() - before;
    assert!(writes <= 4, "{writes} writes for 500 messages");
}

/// Counts what is written.
#[derive(Clone, Default)]
struct Counting {
    writes: Arc<Mutex<u32>>,
    sessions: MemoryStore,
}

impl Counting {
    fn writes(&self) -> u32 {
        *self.writes.lock().unwrap()
    }
}

impl SessionStore for Counting {
    fn open(&self, name: &StoredName) -> io::Result<Box<dyn StoredSession>> {
        Ok(Box::new(CountingSession { store: self.clone(), inner: self.sessions.open(name)? }))
    }
}

struct CountingSession {
    store: Counting,
    inner: Box<dyn StoredSession>,
}

impl StoredSession for CountingSession {
    fn load(&mut self) -> io::Result<Option<Vec<u8>>> {
        self.inner.load()
    }

    fn save(&mut self, bytes: &[u8]) -> io::Result<()> {
        *self.store.writes.lock().unwrap() += 1;
        self.inner.save(bytes)
    }

    fn remove(&mut self) -> io::Result<()> {
        self.inner.remove()
    }

    fn location(&self) -> String {
        self.inner.location()
    }
}

/// Proves: [MQTT-4.4.0-1], [MQTT-4.3.3-6]
#[tokio::test]
async fn a_later_client_goes_on_where_the_earlier_one_was_dropped() {
    let server = Server::start().await;
    let store = MemoryStore::new();
    let (client, mut peer) = resumed(&server, keeping(&server, store.clone()), false).await;
    for (topic, qos) in
        [("one", QoS::AtLeastOnce), ("two", QoS::ExactlyOnce), ("three", QoS::ExactlyOnce)]
    {
        drop(client.publish(topic, "x").qos(qos).enqueue().unwrap());
        peer.publish().await;
    }
    // The second is recorded, and PUBREL is on its way.
    let reason = PubAckReason::Success;
    peer.send(PubRec { packet_id: id(2), reason, properties: Properties::EMPTY }).await;
    assert_eq!(peer.packet_type().await, PacketType::PubRel);
    drop(peer.stream);
    // While there is no connection another is published.
    drop(client.publish("four", "x").qos(QoS::AtLeastOnce).enqueue().unwrap());
    let closed = client.close().await;
    assert_eq!(closed.unacknowledged, 4);
    assert!(closed.unsent.is_empty(), "the next client sends it");

    let (client, mut peer) = resumed(&server, keeping(&server, store), true).await;
    assert_eq!(client.outgoing_messages(), 4);
    let one = PublishQos::AtLeastOnce { id: id(1), dup: true };
    let three = PublishQos::ExactlyOnce { id: id(3), dup: true };
    assert_eq!(peer.packet().await.unwrap()[..4], [0x62, 2, 0, 2], "PUBREL, not PUBLISH");
    assert_eq!(peer.publish().await, (one, "one".to_owned(), b"x".to_vec()));
    assert_eq!(peer.publish().await, (three, "three".to_owned(), b"x".to_vec()));
    assert_eq!(peer.publish().await.1, "four");
    peer.send(PubComp {
        packet_id: id(2),
        reason: mqtt_codec::PubRelReason::Success,
        properties: Properties::EMPTY,
    })
    .await;
}

/// Proves: [MQTT-4.3.3-10]
#[tokio::test]
async fn a_qos_2_message_whose_pubrec_has_left_is_not_read_again_by_a_later_client() {
    let server = Server::start().await;
    let store = MemoryStore::new();
    let (client, mut peer) = resumed(&server, keeping(&server, store.clone()), false).await;
    let (subscription, ()) = tokio::join!(
        client.subscribe("in").into_future(),
        peer.grant(&[SubAckReason::GrantedQos2])
    );
    let mut messages = subscription.unwrap();
    peer.deliver("in", b"once", PublishQos::ExactlyOnce { id: id(7), dup: false }).await;
    assert_eq!(messages.next().await.unwrap().payload(), b"once");
    assert_eq!(peer.packet_type().await, PacketType::PubRec);
    drop(peer.stream);
    client.close().await;
    drop((messages, client));

    let (client, mut peer) = resumed(&server, keeping(&server, store), true).await;
    let mut unmatched = client.unmatched();
    peer.deliver("in", b"once", PublishQos::ExactlyOnce { id: id(7), dup: true }).await;
    assert_eq!(peer.packet_type().await, PacketType::PubRec);
    peer.deliver("in", b"next", PublishQos::AtMostOnce).await;
    assert_eq!(unmatched.next().await.unwrap().payload(), b"next");
}

#[tokio::test]
async fn what_comes_for_subscriptions_of_the_earlier_client_waits_for_those_of_the_later() {
    let server = Server::start().await;
    let store = MemoryStore::new();
    let (client, mut peer) = resumed(&server, keeping(&server, store.clone()), false).await;
    let (subscription, ()) = tokio::join!(
        client.subscribe("in/#").into_future(),
        peer.grant(&[SubAckReason::GrantedQos1])
    );
    let messages = subscription.unwrap();
    drop(peer.stream);
    client.close().await;
    drop((messages, client));

    let (client, mut peer) = resumed(&server, keeping(&server, store), true).await;
    peer.deliver("in/a", b"x", qos1(1)).await;
    nothing_comes(&mut peer).await;
    let (subscription, ()) = tokio::join!(
        client.subscribe("in/#").into_future(),
        peer.grant(&[SubAckReason::GrantedQos1])
    );
    assert_eq!(subscription.unwrap().next().await.unwrap().payload(), b"x");
    assert_eq!(peer.packet_type().await, PacketType::PubAck);
}

/// Proves: [MQTT-3.3.2-6]
#[tokio::test]
async fn the_expiry_of_a_message_counts_down_while_no_client_runs() {
    let server = Server::start().await;
    let store = MemoryStore::new();
    let (client, peer) = resumed(&server, keeping(&server, store.clone()), false).await;
    drop(peer);
    let mut states = client.state();
    while !matches!(states.next().await, Some(State::Waiting { .. })) {}
    for (topic, seconds) in [("short", 50), ("long", 500)] {
        let message = client.publish(topic, "x").qos(QoS::AtLeastOnce);
        drop(message.expiry(Duration::from_secs(seconds)).enqueue().unwrap());
    }
    client.close().await;
    drop(client);
    // It was saved 100 seconds ago: the time stands behind four bytes, and once more inverted.
    let name = StoredName::new(server.url().strip_prefix("mqtt://").unwrap(), "c");
    let mut place = store.open(&name).unwrap();
    let mut bytes = place.load().unwrap().unwrap();
    let millis = u64::from_le_bytes(bytes[4..12].try_into().unwrap()) - 100_000;
    bytes[4..12].copy_from_slice(&millis.to_le_bytes());
    bytes[12..20].copy_from_slice(&(!millis).to_le_bytes());
    place.save(&bytes).unwrap();
    drop(place);
    let (_client, mut peer) = resumed(&server, keeping(&server, store), true).await;
    assert_eq!(peer.publish().await.1, "long");
}

#[tokio::test]
async fn a_store_that_fails_ends_the_client_and_nothing_leaves() {
    let server = Server::start().await;
    let store = Gated::default();
    let (client, mut peer) = resumed(&server, keeping(&server, store.clone()), false).await;
    client.stored().await.unwrap();
    store.set(Gate::Failing);
    let error = client.publish("a", "1").qos(QoS::AtLeastOnce).send().await.unwrap_err();
    let PublishError::Connection(ConnectionError::Store(error)) = error else {
        panic!("{error:?}")
    };
    let StoreError::NotSaved { location, source } = &*error else { panic!("{error:?}") };
    assert_eq!((&**location, source.kind()), ("the test", io::ErrorKind::StorageFull));
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert!(matches!(client.stored().await, Err(ConnectionError::Store(_))));
    assert_eq!(peer.packet().await, None, "no PUBLISH, and no DISCONNECT");
    let closed = client.close().await;
    assert!(matches!(closed.cause, ConnectionError::Store(_)));
}

#[tokio::test]
async fn a_store_that_fails_at_the_end_is_told_by_close() {
    let server = Server::start().await;
    let store = Gated::default();
    let (client, mut peer) = resumed(&server, keeping(&server, store.clone()), false).await;
    client.stored().await.unwrap();
    store.set(Gate::Failing);
    let closed = client.close().await;
    assert!(matches!(closed.cause, ConnectionError::Store(_)), "{closed:?}");
    assert_eq!(peer.packet().await, None);
}

#[tokio::test]
async fn a_file_that_is_no_session_is_left_alone_and_the_error_says_what_to_do() {
    let server = Server::start().await;
    let directory = tempfile::tempdir().unwrap();
    let store = FileStore::new(directory.path());
    let path =
        store.path(&StoredName::new(server.url().strip_prefix("mqtt://").unwrap(), "c")).unwrap();
    let (client, mut peer) = resumed(&server, keeping(&server, store.clone()), false).await;
    drop(client.publish("a", "1").qos(QoS::AtLeastOnce).enqueue().unwrap());
    peer.publish().await;
    client.close().await;
    let whole = std::fs::read(&path).unwrap();
    let mut newer = whole.clone();
    newer[3] = 9;
    for (bytes, fault) in [
        (&whole[..whole.len() - 1], SavedSessionError::Damaged),
        (&b""[..], SavedSessionError::NotASession),
        (&newer, SavedSessionError::Version(9)),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let error = keeping(&server, store.clone()).connect().await.unwrap_err();
        assert!(!error.is_retryable());
        let text = error.to_string();
        let ConnectError::Store(StoreError::Unusable { location, source }) = error else {
            panic!("{text}")
        };
        assert_eq!((location, source), (path.display().to_string(), fault));
        assert!(text.contains("put a copy of it back, or move it away"), "{text}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "it is as it was");
    }
    std::fs::write(&path, whole).unwrap();
    let (client, _peer) = resumed(&server, keeping(&server, store), true).await;
    assert_eq!(client.outgoing_messages(), 1);
}

#[tokio::test]
async fn a_session_that_cannot_be_had_is_told_apart() {
    let server = Server::start().await;
    let store = MemoryStore::new();
    let unnamed = keeping(&server, store.clone()).client_id("").connect().await.unwrap_err();
    assert!(matches!(unnamed, ConnectError::Store(StoreError::NoClientId)));
    for short in [SessionPolicy::clean(), SessionPolicy::resume(Duration::ZERO)] {
        let error = keeping(&server, store.clone()).session(short).connect().await.unwrap_err();
        assert!(matches!(error, ConnectError::Store(StoreError::ShortSession)), "{error}");
        assert!(error.to_string().contains("set `session` to `SessionPolicy::resume`"), "{error}");
        assert!(!error.is_retryable());
    }
    let (_client, _peer) = resumed(&server, keeping(&server, store.clone()), false).await;
    let second = keeping(&server, store).connect().await.unwrap_err();
    assert!(matches!(second, ConnectError::Store(StoreError::Unavailable { .. })));
    assert!(second.to_string().contains("in use by another client"), "{second}");
}

#[tokio::test]
async fn a_session_that_is_given_up_leaves_nothing() {
    let server = Server::start().await;
    let directory = tempfile::tempdir().unwrap();
    let store = FileStore::new(directory.path());
    let (client, mut peer) = resumed(&server, keeping(&server, store), false).await;
    client.stored().await.unwrap();
    let sessions = || {
        let files = directory.path().read_dir().unwrap().map(|file| file.unwrap().path());
        files.filter(|file| file.extension().is_some_and(|it| it == "mqtt")).count()
    };
    assert_eq!(sessions(), 1);
    client.close().session_expiry(Duration::ZERO).await;
    assert_eq!(peer.packet_type().await, PacketType::Disconnect);
    assert_eq!(sessions(), 0);
}
