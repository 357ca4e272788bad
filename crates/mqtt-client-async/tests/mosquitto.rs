//! The client against mosquitto, with its own command-line clients on the other side.
//!
//! Where mosquitto is not installed these tests say so and pass, except in CI.

#[cfg(test)]
mod broker;

use std::time::Duration;

use broker::{Mosquitto, output};
use mqtt_client_async::{Client, PubAckReason, QoS, SessionPolicy, Subscription, Will};

const EVERY_QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

#[cfg(test)]
async fn next(subscription: &mut Subscription) -> mqtt_client_async::Message {
    let next = tokio::time::timeout(Duration::from_secs(20), subscription.next());
    next.await.expect("a message in time").expect("the connection stands")
}

/// One payload of each kind: empty, small, and as large as a megabyte.
fn payloads() -> [Vec<u8>; 3] {
    let large = (0..1_048_576u32).map(|number| (number >> 8 ^ number) as u8).collect();
    [Vec::new(), b"small".to_vec(), large]
}

#[tokio::test]
async fn messages_of_every_qos_and_size_come_from_mosquitto_pub() {
    let Some(broker) = Mosquitto::start() else { return };
    let client = broker.client().await;
    for qos in EVERY_QOS {
        let mut messages = client.subscribe("from/#").qos(qos).await.unwrap();
        assert_eq!(messages.granted(), [("from/#".to_owned(), qos)]);
        for payload in payloads() {
            let options = ["-D", "publish", "content-type", "a/b"];
            broker.publish("from/pub", &payload, qos, &options);
            let message = next(&mut messages).await;
            assert_eq!(message.topic(), "from/pub");
            assert_eq!(message.payload(), payload);
            assert_eq!(message.qos(), qos);
            assert_eq!(message.properties().content_type(), Some("a/b"));
            assert!(!message.retain());
        }
    }
}

#[tokio::test]
async fn messages_of_every_qos_and_size_reach_mosquitto_sub() {
    let Some(broker) = Mosquitto::start() else { return };
    let client = broker.client().await;
    for qos in EVERY_QOS {
        let child = broker.subscribe(&client, "to/#", qos, 3).await;
        let output = tokio::spawn(output(child));
        for payload in payloads() {
            client.publish("to/sub", payload).qos(qos).send().await.unwrap();
        }
        assert_eq!(output.await.unwrap(), payloads().concat(), "at {qos}");
    }
}

#[tokio::test]
async fn retained_messages_are_kept_replaced_and_cleared() {
    let Some(broker) = Mosquitto::start() else { return };
    let client = broker.client().await;
    client.publish("kept", "1").qos(QoS::AtLeastOnce).retain(true).send().await.unwrap();
    broker.publish("kept", b"2", QoS::AtLeastOnce, &["-r"]);
    let mut messages = client.subscribe("kept").qos(QoS::ExactlyOnce).await.unwrap();
    let message = next(&mut messages).await;
    assert_eq!(message.payload(), b"2");
    assert!(message.retain());
    client.publish("kept", "").qos(QoS::AtLeastOnce).retain(true).send().await.unwrap();
    assert_eq!(next(&mut messages).await.payload(), b"");
    let mut later = client.subscribe("kept").await.unwrap();
    client.publish("kept", "live").send().await.unwrap();
    assert_eq!(next(&mut later).await.payload(), b"live", "nothing was retained");
}

#[tokio::test]
async fn overlapping_subscriptions_get_each_message_once() {
    let Some(broker) = Mosquitto::start() else { return };
    let client = broker.client().await;
    let mut wide = client.subscribe("a/#").qos(QoS::AtLeastOnce).await.unwrap();
    let mut narrow = client.subscribe("a/+").qos(QoS::AtLeastOnce).await.unwrap();
    let mut shared = client.subscribe("$share/g/a/b").qos(QoS::AtLeastOnce).await.unwrap();
    for number in 0..10 {
        let payload = number.to_string();
        client.publish("a/b", payload).qos(QoS::AtLeastOnce).send().await.unwrap();
    }
    for messages in [&mut wide, &mut narrow, &mut shared] {
        for number in 0..10 {
            assert_eq!(next(messages).await.payload_str(), Ok(&*number.to_string()));
        }
    }
    for messages in [&mut wide, &mut narrow, &mut shared] {
        assert!(messages.try_next().is_none());
    }
}

#[tokio::test]
async fn a_message_without_a_subscriber_is_acknowledged_as_such() {
    let Some(broker) = Mosquitto::start() else { return };
    let client = broker.client().await;
    let message = client.publish("nobody/reads", "x").qos(QoS::AtLeastOnce);
    assert_eq!(message.send().await.unwrap().reason(), PubAckReason::NoMatchingSubscribers);
}

#[tokio::test]
async fn ten_thousand_messages_pass_the_flow_control_of_both_sides() {
    let Some(broker) = Mosquitto::start() else { return };
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let sender = broker.client().await;
        let receiver = broker.client().await;
        let mut messages = receiver.subscribe("flow").qos(qos).await.unwrap();
        let send = async {
            let mut words = std::collections::VecDeque::new();
            for number in 0..5_000 {
                if words.len() == 100 {
                    let word: mqtt_client_async::Pending = words.pop_front().unwrap();
                    word.await.unwrap();
                }
                let message = sender.publish("flow", number.to_string()).qos(qos);
                words.push_back(message.enqueue().unwrap());
            }
            for word in words {
                word.await.unwrap();
            }
        };
        let receive = async {
            for number in 0..5_000 {
                assert_eq!(next(&mut messages).await.payload_str(), Ok(&*number.to_string()));
            }
        };
        tokio::join!(send, receive);
        assert_eq!(sender.outgoing_messages(), 0);
    }
}

#[tokio::test]
async fn the_will_is_published_for_a_client_that_is_gone_and_not_for_one_that_left() {
    let Some(broker) = Mosquitto::start() else { return };
    let watcher = broker.client().await;
    let mut wills = watcher.subscribe("gone/#").await.unwrap();
    let client = |name: &str| {
        let will = Will::new(format!("gone/{name}"), name.to_owned());
        Client::builder(&broker.url()).client_id(name).will(will)
    };
    client("left").connect().await.unwrap().close().await;
    let (lost, driver) = client("lost").connect_with_driver().await.unwrap();
    drop(driver);
    let said = client("said").connect().await.unwrap();
    assert_eq!(next(&mut wills).await.payload(), b"lost");
    said.close().with_will().await;
    assert_eq!(next(&mut wills).await.payload(), b"said");
    drop(lost);
}

#[tokio::test]
async fn a_session_that_waited_at_the_server_is_rejoined_and_nothing_is_lost() {
    let Some(broker) = Mosquitto::start() else { return };
    let policy = SessionPolicy::rejoin(Duration::from_secs(600));
    let builder = Client::builder(&broker.url()).client_id("sleeper").session(policy);
    let client = builder.clone().connect().await.unwrap();
    let filters = ["while/away", "other"];
    let messages = client.subscribe(filters).qos(QoS::AtLeastOnce).await.unwrap();
    client.close().await;
    drop(messages);
    for topic in ["while/away", "other", "while/away"] {
        broker.publish(topic, topic.as_bytes(), QoS::AtLeastOnce, &[]);
    }
    let client = builder.connect().await.unwrap();
    assert!(client.negotiated().unwrap().session_present);
    let mut messages = client.subscribe("while/away").qos(QoS::AtLeastOnce).await.unwrap();
    for _ in 0..2 {
        assert_eq!(next(&mut messages).await.payload(), b"while/away");
    }
    let mut rest = client.unmatched();
    let other = tokio::time::timeout(Duration::from_secs(20), rest.next());
    assert_eq!(other.await.unwrap().unwrap().payload(), b"other");
}
