//! This project's client.

use std::collections::VecDeque;

use mqtt_client_async::{Client, QoS};

use crate::{Failure, TOPIC, Task, WINDOW};

async fn connect(task: &Task) -> Result<(Client, QoS), Failure> {
    let url = format!("mqtt://127.0.0.1:{}", task.port);
    let client = Client::builder(&url).client_id("bench").connect().await?;
    let qos = QoS::try_from(task.qos).map_err(|_| "a QoS is 0, 1 or 2")?;
    Ok((client, qos))
}

/// Publishes; QoS 1 and 2 until everything is acknowledged.
pub async fn publish(task: &Task) -> Result<(), Failure> {
    let (client, qos) = connect(task).await?;
    let mut pending = VecDeque::with_capacity(WINDOW);
    for _ in 0..task.count {
        let message = client.publish(TOPIC, task.payload.clone()).qos(qos);
        if qos == QoS::AtMostOnce {
            message.send().await?;
            continue;
        }
        if pending.len() == WINDOW
            && let Some(word) = pending.pop_front()
        {
            let word: mqtt_client_async::Pending = word;
            word.await?;
        }
        pending.push_back(message.enqueue().map_err(|error| format!("{error}"))?);
    }
    for word in pending {
        word.await?;
    }
    client.close().drain(std::time::Duration::from_secs(60)).await;
    Ok(())
}

/// Receives from one subscription.
pub async fn receive(task: &Task) -> Result<(), Failure> {
    let (client, qos) = connect(task).await?;
    let mut messages = client.subscribe(TOPIC).qos(qos).await?;
    for _ in 0..task.count {
        let message = messages.next().await.ok_or("the connection ended")?;
        if message.payload().len() != task.payload.len() {
            return Err("a message of another size".into());
        }
    }
    if messages.dropped() > 0 {
        return Err("messages were dropped".into());
    }
    client.close().await;
    Ok(())
}
