//! rumqttc-next, with its event loop in the same task that reads what comes.

use rumqttc_next::mqttbytes::QoS;
use rumqttc_next::mqttbytes::v5::Packet;
use rumqttc_next::{AsyncClient, Event, EventLoop, MqttOptions, Outgoing, PublishOptions};

use crate::{Failure, TOPIC, Task, WINDOW};

fn connect(task: &Task) -> (AsyncClient, EventLoop, QoS) {
    let options = MqttOptions::new("bench", ("127.0.0.1", task.port));
    let qos = match task.qos {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    };
    let (client, events) = AsyncClient::builder(options).capacity(WINDOW).build();
    (client, events, qos)
}

/// Publishes; QoS 1 and 2 until everything is acknowledged.
pub async fn publish(task: &Task) -> Result<(), Failure> {
    let (client, mut events, qos) = connect(task);
    let (count, payload) = (task.count, task.payload.clone());
    let publisher = tokio::spawn(async move {
        for _ in 0..count {
            client.publish(TOPIC, payload.clone(), PublishOptions::new(qos)).await?;
        }
        Ok::<_, rumqttc_next::ClientError>(client)
    });
    let mut ended = 0;
    while ended < task.count {
        match (events.poll().await?, qos) {
            (Event::Outgoing(Outgoing::Publish(_)), QoS::AtMostOnce)
            | (Event::Incoming(Packet::PubAck(_)), QoS::AtLeastOnce)
            | (Event::Incoming(Packet::PubComp(_)), QoS::ExactlyOnce) => ended += 1,
            _ => {}
        }
    }
    let client = publisher.await??;
    client.disconnect().await?;
    // What is buffered leaves with the goodbye, which ends the loop.
    while events.poll().await.is_ok() {}
    Ok(())
}

/// Receives.
pub async fn receive(task: &Task) -> Result<(), Failure> {
    let (client, mut events, qos) = connect(task);
    client.subscribe(TOPIC, qos).await?;
    let mut ended = 0;
    while ended < task.count {
        if let Event::Incoming(Packet::Publish(publish)) = events.poll().await? {
            if publish.payload.len() != task.payload.len() {
                return Err("a message of another size".into());
            }
            ended += 1;
        }
    }
    client.disconnect().await?;
    while events.poll().await.is_ok() {}
    Ok(())
}
