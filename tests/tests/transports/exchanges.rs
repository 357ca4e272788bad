//! The same exchanges over every transport, with both clients.

use std::time::Duration;

use mqtt_client_async::{Backoff, Jitter, Tls};
use mqtt_client_blocking as blocking;
use tokio::sync::mpsc;

use crate::PATIENCE;
use crate::pki::Authority;
use crate::server::{Peer, Server, Stream};

const EVERY_QOS: [mqtt_client_async::QoS; 3] = [
    mqtt_client_async::QoS::AtMostOnce,
    mqtt_client_async::QoS::AtLeastOnce,
    mqtt_client_async::QoS::ExactlyOnce,
];

/// As large as several frames of WebSocket and records of TLS, and more than sockets hold.
fn large() -> Vec<u8> {
    (0..700_000_u32).map(|number| (number >> 8 ^ number) as u8).collect()
}

fn quick() -> Backoff {
    Backoff::exponential(Duration::from_millis(5)..=Duration::from_millis(5)).jitter(Jitter::None)
}

/// What the server sees of it.
const EXPECTED: [[&str; 10]; 2] = [
    [
        "CONNECT",
        "SUBSCRIBE",
        "PUBACK",
        "PUBREC",
        "PUBCOMP",
        "PUBLISH q0 out/0 5",
        "PUBLISH q1 out/1 700000",
        "PUBLISH q2 out/2 0",
        "PUBREL",
        "PUBLISH q0 cut 0",
    ],
    [
        "CONNECT",
        "SUBSCRIBE",
        "PUBACK",
        "PUBREC",
        "PUBCOMP",
        "PUBLISH q0 out/0 5",
        "PUBLISH q1 out/1 700000",
        "PUBLISH q2 out/2 0",
        "PUBREL",
        "DISCONNECT",
    ],
];

/// Serves two connections, and holds what came against [`EXPECTED`].
async fn serve(mut accept: impl AsyncFnMut() -> Stream) {
    for expected in EXPECTED {
        let peer = Peer::new(accept().await);
        let mut came = peer.serve([b"small", &large(), b""]).await;
        // What answers the server and what the application sends take no account of each other.
        let mut expected = expected;
        came.sort_unstable();
        expected.sort_unstable();
        assert_eq!(came, expected);
    }
}

async fn exchange(client: mqtt_client_async::Client) {
    let mut states = client.state();
    assert!(matches!(states.next().await, Some(mqtt_client_async::State::Connected { .. })));
    let mut messages = client.subscribe("in/#").qos(EVERY_QOS[2]).await.unwrap();
    for is_last in [false, true] {
        for (qos, payload) in EVERY_QOS.into_iter().zip([b"small".to_vec(), large(), Vec::new()]) {
            let next = tokio::time::timeout(PATIENCE, messages.next()).await;
            let message = next.expect("a message in time").expect("the client lives");
            assert_eq!(message.topic(), format!("in/{}", u8::from(qos)));
            assert_eq!(message.qos(), qos);
            assert!(message.payload() == payload, "at {qos}");
        }
        for (qos, payload) in EVERY_QOS.into_iter().zip([b"small".to_vec(), large(), Vec::new()]) {
            let topic = format!("out/{}", u8::from(qos));
            client.publish(&topic, payload).qos(qos).send().await.unwrap();
        }
        if is_last {
            break;
        }
        client.publish("cut", "").send().await.unwrap();
        while !matches!(states.next().await, Some(mqtt_client_async::State::Connected { .. })) {}
    }
    let closed = client.close().drain(PATIENCE).await;
    assert!(closed.cause.is_disconnected());
    assert_eq!(closed.unacknowledged, 0);
    // Sooner, it would unsubscribe.
    drop(messages);
}

fn exchange_blocking(client: &blocking::Client) {
    let states = client.state();
    assert!(matches!(states.recv(), Ok(blocking::State::Connected { .. })));
    let messages = client.subscribe("in/#").qos(EVERY_QOS[2]).wait().unwrap();
    for is_last in [false, true] {
        for (qos, payload) in EVERY_QOS.into_iter().zip([b"small".to_vec(), large(), Vec::new()]) {
            let message = messages.recv_timeout(PATIENCE).unwrap();
            assert_eq!(message.topic(), format!("in/{}", u8::from(qos)));
            assert_eq!(message.qos(), qos);
            assert!(message.payload() == payload, "at {qos}");
        }
        for (qos, payload) in EVERY_QOS.into_iter().zip([b"small".to_vec(), large(), Vec::new()]) {
            let topic = format!("out/{}", u8::from(qos));
            client.publish(&topic, payload).qos(qos).send().unwrap();
        }
        if is_last {
            break;
        }
        client.publish("cut", "").send().unwrap();
        while !matches!(states.recv(), Ok(blocking::State::Connected { .. })) {}
    }
    let closed = client.close().drain(PATIENCE).wait().unwrap();
    assert!(closed.cause.is_disconnected());
    assert_eq!(closed.unacknowledged, 0);
    // Sooner, it would unsubscribe.
    drop(messages);
}

/// Both clients, one after the other, at a server with a certificate of `authority` if it has one.
async fn both(server: Server, authority: Option<&Authority>) {
    let tls = authority.map_or_else(Tls::new, |authority| Tls::new().roots_pem(&*authority.pem));
    let accept = async || server.accept().await.expect("every handshake works");

    let builder = mqtt_client_async::Client::builder(&server.url());
    let builder = builder.client_id("c").backoff(quick()).tls(tls.clone());
    let client = async { exchange(builder.connect().await.unwrap()).await };
    tokio::join!(client, serve(accept));

    let builder = blocking::Client::builder(&server.url());
    let builder = builder.client_id("c").backoff(quick()).tls(tls);
    let client = async {
        let exchange = move || exchange_blocking(&builder.connect().unwrap());
        tokio::task::spawn_blocking(exchange).await.unwrap();
    };
    tokio::join!(client, serve(accept));
}

/// Proves: [MQTT-4.2.0-1]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tcp() {
    both(Server::tcp().await, None).await;
}

/// Proves: [MQTT-4.2.0-1]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls() {
    let authority = Authority::new("root");
    let config = authority.issue("localhost").server(None);
    both(Server::tls(config).await, Some(&authority)).await;
}

/// Frames come cut at odd places.
///
/// Proves: [MQTT-6.0.0-1], [MQTT-6.0.0-2], [MQTT-6.0.0-3]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_websocket() {
    both(Server::tcp().await.websocket(), None).await;
}

/// Proves: [MQTT-6.0.0-1], [MQTT-6.0.0-2], [MQTT-6.0.0-3]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_secure_websocket() {
    let authority = Authority::new("root");
    let config = authority.issue("localhost").server(None);
    both(Server::tls(config).await.websocket(), Some(&authority)).await;
}

/// Proves: [MQTT-4.2.0-1]
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_unix_socket() {
    both(Server::unix(), None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_streams_of_the_application() {
    let (dials, mut dialled) = mpsc::unbounded_channel();
    let open = move |_| {
        let (near, far) = tokio::io::duplex(1000);
        let stream: Stream = Box::new(far);
        dials.send(stream).unwrap_or_else(|_| panic!("the server waits"));
        async move { Ok(near) }
    };
    let mut accept = async || dialled.recv().await.expect("the client dials");

    let builder = mqtt_client_async::Client::builder("").client_id("c").backoff(quick());
    let open_async = open.clone();
    let client = async { exchange(builder.connect_by(open_async).await.unwrap()).await };
    tokio::join!(client, serve(&mut accept));

    let builder = blocking::Client::builder("").client_id("c").backoff(quick());
    let client = async {
        let exchange = move || exchange_blocking(&builder.connect_by(open).unwrap());
        tokio::task::spawn_blocking(exchange).await.unwrap();
    };
    tokio::join!(client, serve(&mut accept));
}
