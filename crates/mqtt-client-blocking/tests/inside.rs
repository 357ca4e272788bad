//! Calls from a thread that runs async tasks.

#[cfg(test)]
mod common;

use std::time::{Duration, Instant};

use common::{Server, clog, runtime, subscribed};
use mqtt_client_blocking::{CallError, Client, InsideRuntime, QoS};
use mqtt_codec::PacketType;
use tokio::io::duplex;
use tokio::task;

#[test]
fn every_call_that_waits_says_what_is_wrong_and_does_nothing() {
    let server = Server::start();
    let (client, mut peer) = server.open();
    let messages = subscribed(&client, &mut peer, "a");
    let left = subscribed(&client, &mut peer, "left");
    let second = Duration::from_secs(1);
    runtime().block_on(async {
        let error = Client::builder(&server.url()).connect().unwrap_err();
        assert!(matches!(error, CallError::InsideRuntime(_)), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("mqtt-client-async") && text.contains("spawn_blocking"), "{text}");
        let error = server.client().connect_by(|_| async { Ok(duplex(1).0) });
        assert!(matches!(error.unwrap_err(), CallError::InsideRuntime(_)));

        assert!(matches!(client.publish("a", "").send(), Err(CallError::InsideRuntime(_))));
        assert!(matches!(client.subscribe("a").wait(), Err(CallError::InsideRuntime(_))));
        assert!(matches!(client.request("a", "").wait(), Err(CallError::InsideRuntime(_))));
        assert!(matches!(client.stored(), Err(CallError::InsideRuntime(_))));
        assert!(matches!(client.reauthenticate(), Err(CallError::InsideRuntime(_))));
        assert!(matches!(client.ready(), Err(CallError::InsideRuntime(_))));
        assert!(matches!(client.ready_timeout(second), Err(CallError::InsideRuntime(_))));
        assert!(matches!(client.state().recv(), Err(CallError::InsideRuntime(_))));
        assert!(matches!(client.state().recv_timeout(second), Err(CallError::InsideRuntime(_))));
        assert!(matches!(client.unmatched().recv(), Err(CallError::InsideRuntime(_))));
        assert!(matches!(
            client.unmatched().recv_timeout(second),
            Err(CallError::InsideRuntime(_))
        ));
        assert!(matches!(messages.recv(), Err(CallError::InsideRuntime(_))));
        assert!(matches!(messages.recv_timeout(second), Err(CallError::InsideRuntime(_))));
        let outcomes: Vec<_> = messages.iter().collect();
        assert!(matches!(outcomes.as_slice(), [Err(CallError::InsideRuntime(_))]));
        let outcomes: Vec<_> = client.unmatched().iter().collect();
        assert!(matches!(outcomes.as_slice(), [Err(CallError::InsideRuntime(_))]));
        assert_eq!(client.close().wait().unwrap_err(), InsideRuntime);

        // What does not wait works.
        assert!(messages.try_recv().unwrap().is_none());
        let mut pending = client.publish("a", "").qos(QoS::AtLeastOnce).enqueue().unwrap();
        assert!(matches!(pending.wait_timeout(second), Err(CallError::InsideRuntime(_))));
        assert!(matches!(pending.wait(), Err(CallError::InsideRuntime(_))));

        // A subscription that is given away ends all the same.
        assert!(matches!(left.unsubscribe().wait(), Err(CallError::InsideRuntime(_))));
    });
    // Nothing else has left, and the connection stands.
    assert_eq!(peer.publish().1, "a");
    assert_eq!(peer.packet_type(), PacketType::Unsubscribe);
    client.ready().unwrap();
    client.publish("b", "").send().unwrap();
    assert_eq!(peer.publish().1, "b");
}

#[test]
fn the_threads_of_a_runtime_that_may_block_may_call() {
    let server = Server::start();
    let (client, mut peer) = server.open();
    let runtime = runtime();
    runtime
        .block_on(runtime.spawn(async move {
            let other = client.clone();
            task::spawn_blocking(move || other.publish("pool", "").send()).await.unwrap().unwrap();
            task::block_in_place(|| client.publish("place", "").send()).unwrap();
        }))
        .unwrap();
    assert_eq!(peer.publish().1, "pool");
    assert_eq!(peer.publish().1, "place");
}

#[test]
fn a_handle_that_is_dropped_by_a_task_does_not_hold_it_up() {
    let server = Server::start();
    let (client, _peer) = server.open();
    // The server reads nothing, so the goodbye cannot leave.
    clog(&client);
    runtime().block_on(async move {
        let before = Instant::now();
        drop(client);
        assert!(before.elapsed() < Duration::from_millis(250), "{:?}", before.elapsed());
    });
}
