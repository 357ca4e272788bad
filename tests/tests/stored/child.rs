//! What the process does that is killed: this test binary again, told by its environment.

use std::env;
use std::time::Duration;

use mqtt_client_async::{Client, EnqueueError, FileStore, QoS, SessionPolicy};

pub(crate) const URL: &str = "STORED_TEST_URL";
pub(crate) const DIRECTORY: &str = "STORED_TEST_DIRECTORY";
pub(crate) const QOS: &str = "STORED_TEST_QOS";
pub(crate) const RUN: &str = "STORED_TEST_RUN";

/// What stands before a report.
pub(crate) const REPORT: &str = "stored up to ";

/// Messages between two reports: an odd number, so that they end anywhere in a write.
const MESSAGES: u32 = 7;

/// Nothing without being told to. It is a test so that the test binary can be that process.
#[tokio::test]
async fn publishes_if_it_is_told_to() {
    let Ok(url) = env::var(URL) else { return };
    let run: usize = env::var(RUN).unwrap().parse().unwrap();
    let qos = QoS::try_from(env::var(QOS).unwrap().parse::<u8>().unwrap()).unwrap();
    let client = Client::builder(&url)
        .client_id("publisher")
        .session(SessionPolicy::resume(Duration::from_secs(3600)))
        .session_store(FileStore::new(env::var(DIRECTORY).unwrap()))
        .connect()
        .await
        .unwrap();
    if run == 0 {
        finish(&client).await;
    } else {
        publish(&client, run, qos).await;
    }
}

/// Waits until nothing is left of the earlier runs.
async fn finish(client: &Client) {
    let closed = client.close().drain(Duration::from_secs(30)).session_expiry(Duration::ZERO).await;
    assert!(closed.cause.is_disconnected() && closed.unacknowledged == 0, "{closed:?}");
    println!("{REPORT}0");
}

async fn publish(client: &Client, run: usize, qos: QoS) {
    let topic = format!("run/{run}");
    for number in 0.. {
        let message = client.publish(&topic, number.to_string()).qos(qos);
        match message.enqueue() {
            Ok(pending) => drop(pending),
            Err(EnqueueError::Full(message)) => {
                message.send().await.unwrap();
            }
            Err(error) => panic!("{error}"),
        }
        if number % MESSAGES == MESSAGES - 1 {
            client.stored().await.unwrap();
            println!("{REPORT}{number}");
        }
    }
}
