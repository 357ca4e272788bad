//! mqtt5, whose calls wait for their acknowledgement: as many tasks as the window has places.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mqtt5::{ConnectOptions, MqttClient, PublishOptions, QoS, SubscribeOptions};
use tokio::sync::Notify;

use crate::{Failure, TOPIC, Task, WINDOW};

async fn connect(task: &Task) -> Result<(MqttClient, QoS), Failure> {
    let client = MqttClient::with_options(ConnectOptions::new("bench"));
    client.connect(&format!("mqtt://127.0.0.1:{}", task.port)).await?;
    let qos = match task.qos {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    };
    Ok((client, qos))
}

/// Publishes; QoS 1 and 2 until everything is acknowledged.
pub async fn publish(task: Task) -> Result<(), Failure> {
    let (client, qos) = connect(&task).await?;
    let options = PublishOptions { qos, ..PublishOptions::default() };
    let tasks = if task.qos == 0 { 1 } else { WINDOW };
    let (next, task) = (Arc::new(AtomicUsize::new(0)), Arc::new(task));
    let mut workers = Vec::new();
    for _ in 0..tasks {
        let (client, options) = (client.clone(), options.clone());
        let (next, task) = (Arc::clone(&next), Arc::clone(&task));
        workers.push(tokio::spawn(async move {
            while next.fetch_add(1, Ordering::Relaxed) < task.count {
                let payload = task.payload.to_vec();
                client.publish_with_options(TOPIC, payload, options.clone()).await?;
            }
            Ok::<_, mqtt5::MqttError>(())
        }));
    }
    for worker in workers {
        worker.await??;
    }
    client.disconnect().await?;
    Ok(())
}

/// Receives.
pub async fn receive(task: &Task) -> Result<(), Failure> {
    let (client, qos) = connect(task).await?;
    let (count, size) = (task.count, task.payload.len());
    let (received, all) = (AtomicUsize::new(0), Arc::new(Notify::new()));
    let has_all = Arc::clone(&all);
    let options = SubscribeOptions { qos, ..SubscribeOptions::default() };
    let take = move |message: mqtt5::Message| {
        let is_whole = message.payload.len() == size;
        if is_whole && received.fetch_add(1, Ordering::Relaxed) + 1 == count {
            has_all.notify_one();
        }
    };
    client.subscribe_with_options(TOPIC, options, take).await?;
    all.notified().await;
    client.disconnect().await?;
    Ok(())
}
