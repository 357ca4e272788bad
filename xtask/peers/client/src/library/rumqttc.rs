//! rumqttc, with its event loop in the same task that reads what comes.

use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Packet;
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};

use crate::{Failure, TOPIC, Task, WINDOW};

fn connect(task: &Task) -> Result<(AsyncClient, EventLoop, QoS), Failure> {
    let mut options = MqttOptions::new("bench", "127.0.0.1", task.port);
    options.set_outgoing_inflight_upper_limit(WINDOW as u16);
    let qos = match task.qos {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    };
    let (client, events) = AsyncClient::new(options, WINDOW);
    Ok((client, events, qos))
}

/// Publishes; QoS 1 and 2 until everything is acknowledged.
pub async fn publish(task: &Task) -> Result<(), Failure> {
    let (client, mut events, qos) = connect(task)?;
    let (count, payload) = (task.count, task.payload.clone());
    let publisher = tokio::spawn(async move {
        for _ in 0..count {
            client.publish_bytes(TOPIC, qos, false, payload.clone()).await?;
        }
        Ok::<_, rumqttc::v5::ClientError>(client)
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
    let (client, mut events, qos) = connect(task)?;
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
