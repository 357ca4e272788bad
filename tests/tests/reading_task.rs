//! The task that reads messages calls everything that a client can do, while its own buffer is full
//! and the server is held back: nothing waits for a message to be read.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::num::NonZeroU16;
use std::time::Duration;

use mqtt_broker_lite::{Config, Server};
use mqtt_client_async::{Client, QoS, Subscription};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

const RECEIVE_MAXIMUM: NonZeroU16 = NonZeroU16::new(4).unwrap();

/// Messages of QoS 1 that wait before anybody reads: more than the buffer and the Receive Maximum.
const WAITING: usize = 40;

/// A client whose reader has a buffer of one message, and does not read.
async fn held_back() -> (Server, Client, Subscription) {
    let server = Server::bind(Config::free_port()).await.unwrap();
    let url = format!("mqtt://{}", server.local_addr().unwrap());
    let client = Client::builder(&url).receive_maximum(RECEIVE_MAXIMUM).connect().await.unwrap();
    let messages = client.subscribe("slow/#").qos(QoS::AtLeastOnce).buffer(1).await.unwrap();
    let other = Client::builder(&url).connect().await.unwrap();
    for number in 0..WAITING {
        other.publish("slow/a", number.to_string()).qos(QoS::AtLeastOnce).send().await.unwrap();
    }
    timeout(PATIENCE, async {
        while !client.is_held_back() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await
    .expect("the server is held back");
    (server, client, messages)
}

#[tokio::test]
async fn a_reader_whose_buffer_is_full_may_publish_subscribe_request_and_close() {
    let (server, client, mut messages) = held_back().await;
    let everything = async {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            client.publish("else/where", "word").qos(qos).send().await.unwrap();
            client.publish("else/where", "word").qos(qos).enqueue().unwrap().await.unwrap();
        }
        let fast = client.subscribe("fast/#").qos(QoS::AtMostOnce).await.unwrap();
        let mut questions = client.subscribe("question").await.unwrap();
        let asked = client.request("question", "how many?");
        let answering = async {
            let question = questions.next().await.unwrap();
            client.reply(&question, "one").unwrap().send().await.unwrap();
        };
        let (answer, ()) = tokio::join!(asked, answering);
        assert_eq!(answer.unwrap().payload_str().unwrap(), "one");
        fast.unsubscribe().await.unwrap();
        client.ready().await.unwrap();
        assert!(client.is_held_back(), "all the while nothing was read");
    };
    timeout(PATIENCE, everything).await.expect("no call waits for the reader");
    // Nothing of what waited is lost.
    for number in 0..WAITING {
        let message = timeout(PATIENCE, messages.next()).await.unwrap().unwrap();
        assert_eq!(message.payload_str().unwrap(), number.to_string());
    }
    timeout(PATIENCE, client.close()).await.expect("the client closes");
    server.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_reader_whose_buffer_is_full_may_close_without_reading() {
    let (server, client, messages) = held_back().await;
    timeout(PATIENCE, client.close()).await.expect("closing waits for no reader");
    drop(messages);
    server.shutdown().await.unwrap();
}
