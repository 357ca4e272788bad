//! Connections that end, and what the client does about it: against a server whose every byte the
//! test writes, on sockets where the network matters and in virtual time where time does.

#[cfg(test)]
mod common;

use std::future::IntoFuture;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Peer, Server, qos1, terms};
use mqtt_client_async::{
    Attempt, Backoff, Client, ClientBuilder, ConnectError, ConnectReason, Credentials, DialFault,
    Jitter, Offline, Overflow, PropertyBuf, PubAckReason, PublishError, QoS, Reconnect,
    SessionPolicy, State, SubAckReason, Target,
};
use mqtt_codec::{
    ConnAck, Decoded, Disconnect, DisconnectReason, Limits, Packet, PacketType, Properties, decode,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

const GRANTED: &[SubAckReason] = &[SubAckReason::GrantedQos2];
const SECOND: Duration = Duration::from_secs(1);

#[cfg(test)]
impl Peer {
    /// Takes CONNECT and accepts it.
    async fn accept(mut self, session_present: bool) -> Self {
        assert_eq!(self.packet_type().await, PacketType::Connect);
        let reason = ConnectReason::Success;
        self.send(ConnAck { session_present, reason, properties: Properties::EMPTY }).await;
        self
    }

    /// Takes CONNECT, returns its password, and refuses it.
    async fn refuse(mut self, reason: ConnectReason, properties: &PropertyBuf) -> Vec<u8> {
        let bytes = self.packet().await.expect("a CONNECT");
        let properties = properties.as_properties();
        self.send(ConnAck { session_present: false, reason, properties }).await;
        let Ok(Decoded::Packet(Packet::Connect(connect), _)) = decode(&bytes, &Limits::new())
        else {
            panic!("a CONNECT, not {bytes:x?}");
        };
        connect.password().unwrap_or_default().to_vec()
    }
}

/// A client that waits hardly at all.
#[cfg(test)]
fn quick(builder: ClientBuilder) -> ClientBuilder {
    builder.backoff(Backoff::exponential(Duration::ZERO..=Duration::ZERO))
}

/// What a client dialled: when, which attempt it was, and the server's end of the transport.
type Dialled = (Instant, Attempt, DuplexStream);

/// A client whose transports the test hands out: each attempt comes through the channel.
#[cfg(test)]
fn transports() -> (
    impl FnMut(Attempt) -> std::future::Ready<io::Result<DuplexStream>> + Send + Sync,
    mpsc::UnboundedReceiver<Dialled>,
) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let open = move |attempt| {
        let (near, far) = tokio::io::duplex(4096);
        let result = match sender.send((Instant::now(), attempt, far)) {
            Ok(()) => Ok(near),
            Err(_) => Err(io::ErrorKind::ConnectionRefused.into()),
        };
        std::future::ready(result)
    };
    (open, receiver)
}

/// Reads CONNECT and accepts it.
#[cfg(test)]
async fn accept(far: &mut DuplexStream) {
    let mut connect = [0; 512];
    let read = far.read(&mut connect).await.unwrap();
    assert_eq!((connect[0], read > 10), (0x10, true));
    far.write_all(&[0x20, 3, 0, 0, 0]).await.unwrap();
}

#[tokio::test]
async fn subscriptions_and_messages_live_on_when_the_connection_is_lost() {
    let server = Server::start().await;
    let resuming = quick(server.client()).session(SessionPolicy::resume(60 * SECOND));
    let (client, mut peer) = server.connected(resuming, &PropertyBuf::new()).await;
    let (subscription, ()) = tokio::join!(client.subscribe("a").into_future(), peer.grant(GRANTED));
    let mut subscription = subscription.unwrap();
    let unacknowledged = client.publish("b", "1").qos(QoS::AtLeastOnce).enqueue().unwrap();
    let (first, ..) = peer.publish().await;
    drop(peer);

    let mut peer = server.accept().await.accept(true).await;
    let (again, _, payload) = peer.publish().await;
    assert_eq!((again.packet_id(), payload), (first.packet_id(), b"1".to_vec()));
    assert!(again.dup());
    peer.puback(again.packet_id().unwrap(), PubAckReason::Success).await;
    unacknowledged.await.unwrap();
    peer.deliver("a", b"still subscribed", qos1(1)).await;
    assert_eq!(subscription.next().await.unwrap().payload(), b"still subscribed");
}

#[tokio::test]
async fn what_the_server_has_lost_is_made_again_before_anything_else() {
    let server = Server::start().await;
    let (client, mut peer) = server.connected(quick(server.client()), &PropertyBuf::new()).await;
    let (subscription, ()) = tokio::join!(client.subscribe("a").into_future(), peer.grant(GRANTED));
    let mut subscription = subscription.unwrap();
    let word = client.publish("b", "1").qos(QoS::AtLeastOnce).enqueue().unwrap();
    peer.publish().await;
    drop(peer);

    let mut peer = server.accept().await.accept(false).await;
    peer.grant(GRANTED).await;
    let (again, ..) = peer.publish().await;
    assert!(!again.dup(), "a new message of a new session");
    peer.puback(again.packet_id().unwrap(), PubAckReason::Success).await;
    assert!(word.await.unwrap().republished());
    peer.deliver("a", b"here", qos1(1)).await;
    assert_eq!(subscription.next().await.unwrap().payload(), b"here");
}

#[tokio::test(start_paused = true)]
async fn attempts_wait_longer_each_time_and_the_state_tells_until_when() {
    let (open, mut dials) = transports();
    let backoff = Backoff::exponential(SECOND..=4 * SECOND).jitter(Jitter::None);
    let connect = Client::builder("").keep_alive(Duration::ZERO).backoff(backoff).connect_by(open);
    let first = async {
        let (_, _, mut far) = dials.recv().await.unwrap();
        accept(&mut far).await;
        (far, dials)
    };
    let (client, (far, mut dials)) = tokio::join!(connect, first);
    let client = client.unwrap();
    let mut states = client.state();
    assert!(matches!(states.next().await, Some(State::Connected { resumed: false })));
    let mut lost = Instant::now();
    drop(far);
    for (number, wait) in [(2, 1), (3, 2), (4, 4), (5, 4)] {
        let Some(State::Waiting { retry_at, cause }) = states.next().await else {
            panic!("it waits")
        };
        assert_eq!(retry_at, (lost + wait * SECOND).into_std());
        assert_eq!(cause.to_string(), "the connection was lost");
        let (at, attempt, far) = dials.recv().await.unwrap();
        // Timers of tokio are as fine as a millisecond.
        assert_eq!(at.duration_since(lost).as_secs(), u64::from(wait), "{attempt:?}");
        assert_eq!((attempt.number, attempt.target), (number, Target::Configured));
        assert!(matches!(states.next().await, Some(State::Connecting)));
        lost = Instant::now();
        drop(far);
    }
    let waiting = tokio::join!(states.next(), async {
        let (_, _, mut far) = dials.recv().await.unwrap();
        accept(&mut far).await;
        client.ready().await.unwrap();
        // The next state that is asked for is the present one.
        far
    });
    assert!(matches!(waiting.0, Some(State::Waiting { .. })));
    assert!(matches!(states.next().await, Some(State::Connected { .. })));
}

#[tokio::test(start_paused = true)]
async fn messages_wait_for_the_connection_within_their_bounds() {
    let (open, mut dials) = transports();
    let connect = Client::builder("")
        .keep_alive(Duration::ZERO)
        .backoff(Backoff::exponential(9 * SECOND..=9 * SECOND).jitter(Jitter::None))
        .offline(Offline::queue(2, Overflow::DropOldest))
        .connect_by(open);
    let (client, (far, mut dials)) = tokio::join!(connect, async {
        let (_, _, mut far) = dials.recv().await.unwrap();
        accept(&mut far).await;
        (far, dials)
    });
    let client = client.unwrap();
    let mut states = client.state();
    states.next().await;
    drop(far);
    assert!(matches!(states.next().await, Some(State::Waiting { .. })));
    let publish = |payload: &'static str| client.publish("a", payload).qos(QoS::AtLeastOnce);
    let dropped = publish("1").enqueue().unwrap();
    let expires = publish("2").expiry(5 * SECOND).enqueue().unwrap();
    let error = publish("now").only_online().send().await.unwrap_err();
    assert!(matches!(error, PublishError::Connection(_)), "{error:?}");
    let kept = publish("3").enqueue().unwrap();
    let Err(PublishError::Dropped(message)) = dropped.await else { panic!("it was dropped") };
    assert_eq!((&*message.topic, &message.payload[..]), ("a", &b"1"[..]));
    let start = Instant::now();
    assert!(matches!(expires.await, Err(PublishError::Expired)));
    assert_eq!(start.elapsed().as_secs(), 5, "it is told when it expires");
    let (_, _, mut far) = dials.recv().await.unwrap();
    accept(&mut far).await;
    let mut publish = [0; 9];
    far.read_exact(&mut publish).await.unwrap();
    assert_eq!(publish, [0x32, 7, 0, 1, b'a', 0, 1, 0, b'3']);
    far.write_all(&[0x40, 2, 0, 1]).await.unwrap();
    kept.await.unwrap();
}

#[tokio::test]
async fn every_attempt_has_credentials_of_its_own_and_may_be_refused() {
    let server = Server::start().await;
    let attempts = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&attempts);
    let client = quick(server.client()).keep_trying().credentials_fn(move |attempt| {
        seen.lock().unwrap().push(attempt.number);
        async move {
            if attempt.number == 2 {
                return Err("no token today");
            }
            Ok(Credentials::new("user", format!("token {}", attempt.number)))
        }
    });
    let (client, ()) = tokio::join!(client.connect(), async {
        let reason = ConnectReason::NotAuthorized;
        let password = server.accept().await.refuse(reason, &PropertyBuf::new()).await;
        assert_eq!(password, b"token 1");
        let mut peer = server.accept().await;
        let connect = peer.packet().await.unwrap();
        assert!(connect.ends_with(b"token 3"));
        peer.stream.write_all(&[0x20, 3, 0, 0, 0]).await.unwrap();
        // The connection lives as long as the test.
        std::mem::forget(peer);
    });
    client.unwrap();
    assert_eq!(*attempts.lock().unwrap(), [1, 2, 3]);
}

#[tokio::test]
async fn a_refusal_that_would_come_again_ends_the_client() {
    let server = Server::start().await;
    let (client, peer) = server.connected(quick(server.client()), &PropertyBuf::new()).await;
    drop(peer);
    let reason = ConnectReason::NotAuthorized;
    server.accept().await.refuse(reason, &PropertyBuf::new()).await;
    let mut states = client.state();
    let cause = loop {
        match states.next().await {
            Some(State::Closed { cause }) => break cause,
            Some(_) => {}
            None => panic!("it ends with its cause"),
        }
    };
    assert_eq!(cause.to_string(), "the server refused the connection: Not authorized");
    let error = client.publish("a", "x").send().await.unwrap_err();
    assert!(matches!(error, PublishError::Connection(_)), "{error:?}");
}

#[tokio::test]
async fn a_server_can_send_the_client_to_another_one() {
    let (first, second) = (Server::start().await, Server::start().await);
    let elsewhere = second.url().trim_start_matches("mqtt://").to_owned();
    let reference = terms(|terms| {
        terms.server_reference(&elsewhere).unwrap();
    });
    let (client, peer) = tokio::join!(first.client().connect(), async {
        let reason = ConnectReason::UseAnotherServer;
        first.accept().await.refuse(reason, &reference).await;
        second.accept().await.accept(false).await
    });
    let client = client.unwrap();
    // And back again while the connection stands.
    let mut peer = peer;
    let home = first.url().trim_start_matches("mqtt://").to_owned();
    let reference = terms(|terms| {
        terms.server_reference(&home).unwrap();
    });
    let reason = DisconnectReason::ServerMoved;
    peer.send(Disconnect { reason, properties: reference.as_properties() }).await;
    let mut peer = first.accept().await.accept(false).await;
    client.publish("a", "x").send().await.unwrap();
    assert_eq!(peer.packet_type().await, PacketType::Publish);
}

#[tokio::test]
async fn a_client_that_keeps_trying_waits_for_a_server_that_is_not_there_yet() {
    let address = Server::start().await.url();
    let error = Client::builder(&address).connect().await.unwrap_err();
    let ConnectError::Unreachable { fault, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*fault, DialFault::Unreachable);
    let mut failures = 0;
    let server = Server::start().await;
    let port = server.url();
    let connect = quick(Client::builder("").keep_trying()).connect_by(move |_| {
        failures += 1;
        let address = port.trim_start_matches("mqtt://").to_owned();
        async move {
            if failures < 3 {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            tokio::net::TcpStream::connect(address).await
        }
    });
    let accept = async { server.accept().await.accept(false).await };
    let (client, _peer) = tokio::join!(connect, accept);
    client.unwrap();
}

#[tokio::test]
async fn a_name_that_is_not_found_is_told_from_a_server_that_is_not_there() {
    let connect = Client::builder("mqtt://no-such-host.invalid").connect();
    let error = connect.await.unwrap_err();
    let ConnectError::Unreachable { fault, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*fault, DialFault::NameNotFound);
    assert!(error.to_string().ends_with("is the host name right?"), "{error}");
}

#[tokio::test]
async fn closing_without_a_connection_hands_back_what_was_not_sent() {
    let server = Server::start().await;
    let backoff = Backoff::exponential(1000 * SECOND..=1000 * SECOND).jitter(Jitter::None);
    let (client, peer) =
        server.connected(server.client().backoff(backoff), &PropertyBuf::new()).await;
    let mut states = client.state();
    states.next().await;
    drop(peer);
    assert!(matches!(states.next().await, Some(State::Waiting { .. })));
    let first = client.publish("a", "1").qos(QoS::AtLeastOnce).enqueue().unwrap();
    client.publish("b", "2").send().await.unwrap();
    let closed = client.close().drain(60 * SECOND).await;
    assert!(closed.cause.is_disconnected());
    assert_eq!(closed.unacknowledged, 2);
    let topics: Vec<&str> = closed.unsent.iter().map(|message| &*message.topic).collect();
    assert_eq!(topics, ["a", "b"]);
    assert!(matches!(first.await, Err(PublishError::Connection(_))));
    assert!(matches!(states.next().await, Some(State::Closed { .. })));
}

#[tokio::test]
async fn as_many_attempts_as_allowed_are_made() {
    let server = Server::start().await;
    let two = std::num::NonZeroU32::new(2).unwrap();
    let patient = quick(server.client()).reconnect(Reconnect::AtMost(two));
    let (client, peer) = server.connected(patient, &PropertyBuf::new()).await;
    drop((peer, server));
    let mut states = client.state();
    let cause = loop {
        if let Some(State::Closed { cause }) = states.next().await {
            break cause;
        }
    };
    assert!(cause.to_string().contains("is the server running"), "{cause}");
}
