//! The blocking client at the broker, over sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::collections::HashSet;
use std::thread;
use std::time::Duration;

use mqtt_broker_lite::{Config, Server};
use mqtt_client_blocking::{
    CallError, Client, PubAckReason, QoS, Reconnect, SessionPolicy, State, Will,
};

const LEVELS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// Long enough to tell waiting from not waiting.
const MOMENT: Duration = Duration::from_millis(50);

struct Broker(Server);

impl Broker {
    fn start() -> Self {
        Self::with(Config::free_port())
    }

    fn with(config: Config) -> Self {
        Self(Server::bind_blocking(config).expect("a broker on a free port"))
    }

    fn url(&self) -> String {
        self.0.addresses().first().expect("an address").to_string()
    }

    fn client(&self) -> Client {
        Client::builder(&self.url()).connect().expect("a connection")
    }
}

#[test]
fn a_message_comes_at_the_qos_at_which_it_was_published() {
    let broker = Broker::start();
    let client = broker.client();
    let messages = client.subscribe("sensor/+").qos(QoS::ExactlyOnce).wait().unwrap();
    for qos in LEVELS {
        let word = client.publish("sensor/7", "21.5").qos(qos).content_type("text").send();
        assert_eq!(word.unwrap().reason(), PubAckReason::Success);
        let message = messages.recv_timeout(PATIENCE).unwrap();
        assert_eq!((message.topic(), message.payload_str().unwrap()), ("sensor/7", "21.5"));
        assert_eq!(message.qos(), qos);
        assert_eq!(message.properties().content_type(), Some("text"));
    }
    assert!(matches!(messages.recv_timeout(MOMENT), Err(CallError::Timeout)));
    let word = client.publish("nobody", "").qos(QoS::AtLeastOnce).send().unwrap();
    assert_eq!(word.reason(), PubAckReason::NoMatchingSubscribers);
    assert!(client.close().wait().unwrap().cause.is_disconnected());
}

#[test]
fn many_threads_publish_over_one_connection_and_many_read_one_subscription() {
    const THREADS: usize = 8;
    const MESSAGES: usize = 250;
    let broker = Broker::start();
    let (sender, receiver) = (broker.client(), broker.client());
    let messages = receiver.subscribe("t/#").qos(QoS::ExactlyOnce).wait().unwrap();
    let received = thread::scope(|scope| {
        for number in 0..THREADS {
            let sender = sender.clone();
            scope.spawn(move || {
                let topic = format!("t/{number}");
                for count in 0..MESSAGES {
                    let qos = if count % 2 == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
                    sender.publish(&topic, count.to_string()).qos(qos).send().unwrap();
                }
            });
        }
        let readers: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    let mut received = Vec::new();
                    for _ in 0..MESSAGES {
                        let message = messages.recv_timeout(PATIENCE).unwrap();
                        let payload = message.payload_str().unwrap();
                        received.push(format!("{} {payload}", message.topic()));
                    }
                    received
                })
            })
            .collect();
        readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(received.len(), THREADS * MESSAGES);
    assert_eq!(received.iter().collect::<HashSet<_>>().len(), THREADS * MESSAGES, "each once");
    assert!(messages.try_recv().unwrap().is_none());
}

#[test]
fn one_thread_reads_what_another_publishes_without_waiting_in_order() {
    const MESSAGES: usize = 5000;
    // The broker drops what it cannot queue, however surely it was published.
    let mut config = Config::free_port();
    config.broker.limits.queued_messages = MESSAGES;
    let broker = Broker::with(config);
    let client = broker.client();
    let messages = client.subscribe("a").qos(QoS::AtLeastOnce).wait().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            for count in 0..MESSAGES {
                let message = client.publish("a", count.to_string()).qos(QoS::AtLeastOnce);
                match message.enqueue() {
                    Ok(pending) => drop(pending),
                    Err(mqtt_client_blocking::EnqueueError::Full(message)) => {
                        message.send().unwrap();
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        });
        for (count, message) in messages.iter().take(MESSAGES).enumerate() {
            assert_eq!(message.unwrap().payload_str().unwrap(), count.to_string());
        }
    });
    let closed = client.close().drain(PATIENCE).wait().unwrap();
    assert_eq!(closed.unacknowledged, 0);
}

#[test]
fn a_session_that_is_resumed_brings_what_came_in_between() {
    let broker = Broker::start();
    let options = Client::builder(&broker.url())
        .client_id("meter")
        .session(SessionPolicy::rejoin(Duration::from_secs(60)));
    let client = options.clone().connect().unwrap();
    let messages = client.subscribe("a").qos(QoS::AtLeastOnce).wait().unwrap();
    client.close().wait().unwrap();
    // After the connection it unsubscribes from nothing.
    drop(messages);
    broker.client().publish("a", "meanwhile").qos(QoS::AtLeastOnce).send().unwrap();
    let client = options.connect().unwrap();
    assert!(matches!(client.state().recv().unwrap(), State::Connected { resumed: true }));
    thread::sleep(MOMENT);
    let rest = client.unmatched();
    assert_eq!(rest.recv_timeout(PATIENCE).unwrap().payload(), b"meanwhile");
}

#[test]
fn a_client_that_is_dropped_says_goodbye_and_one_that_asks_for_it_leaves_its_will() {
    let broker = Broker::start();
    let watcher = broker.client();
    let wills = watcher.subscribe("will").qos(QoS::AtLeastOnce).wait().unwrap();
    let options = Client::builder(&broker.url()).will(Will::new("will", "gone"));
    drop(options.clone().connect().unwrap());
    assert!(matches!(wills.recv_timeout(MOMENT), Err(CallError::Timeout)));
    options.connect().unwrap().close().with_will().wait().unwrap();
    assert_eq!(wills.recv_timeout(PATIENCE).unwrap().payload(), b"gone");
}

#[test]
fn a_broker_that_stops_ends_what_waits() {
    let broker = Broker::start();
    let builder = Client::builder(&broker.url()).reconnect(Reconnect::Never);
    let client = builder.connect().unwrap();
    let messages = client.subscribe("a").wait().unwrap();
    thread::scope(|scope| {
        let reader = scope.spawn(|| messages.recv());
        broker.0.shutdown_blocking().unwrap();
        let ended = reader.join().unwrap().unwrap_err();
        assert!(matches!(&ended, CallError::Failed(_)) && !ended.is_disconnected(), "{ended}");
    });
    client.publish("a", "").send().unwrap_err();
}
