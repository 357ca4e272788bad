//! The samples of the chapter on receiving: a broker in the process, and a client that reads slowly,
//! acknowledges by hand, asks and replies.

#![allow(clippy::print_stdout, clippy::indexing_slicing, reason = "a sample shows one thing")]

use std::error::Error;
use std::time::Duration;

use mqtt_broker_lite::{Config, Server};
use mqtt_client_async::{Client, OnFull, OnFullQos0, QoS};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::bind(Config::free_port()).await?;
    let url = server.addresses()[0].to_string();
    let client = Client::builder(&url).connect().await?;

    buffers(&client).await?;
    acknowledgement(&client).await?;
    unmatched(&client);
    requests(&client).await?;

    client.close().await;
    server.shutdown().await?;
    Ok(())
}

async fn buffers(client: &Client) -> Result<(), Box<dyn Error>> {
    // ANCHOR: buffers
    // Only the latest readings matter: ten of them, older ones make room.
    let mut readings = client
        .subscribe("sensor/+/temperature")
        .buffer(10)
        .on_full_qos0(OnFullQos0::DropOldest)
        .await?;

    // Better refused than late: the server is told 0x97 for what finds no room.
    let orders = client
        .subscribe("orders/#")
        .qos(QoS::AtLeastOnce)
        .buffer(100)
        .on_full(OnFull::Refuse)
        .await?;
    // ANCHOR_END: buffers

    for number in 0..20 {
        client.publish("sensor/7/temperature", number.to_string()).send().await?;
    }
    // ANCHOR: dropped
    if let Some(reading) = readings.next().await {
        println!("{} ({} were dropped)", reading.payload_str()?, readings.dropped());
    }
    // ANCHOR_END: dropped
    drop(orders);
    Ok(())
}

async fn acknowledgement(client: &Client) -> Result<(), Box<dyn Error>> {
    // ANCHOR: manual
    let mut jobs =
        client.subscribe("$share/workers/jobs/#").qos(QoS::AtLeastOnce).manual_ack().await?;
    client.publish("jobs/1", "sweep").qos(QoS::AtLeastOnce).send().await?;
    if let Some(job) = jobs.next().await {
        match job.payload_str() {
            Ok(what) => {
                println!("done: {what}");
                job.ack();
            }
            Err(_) => job.refuse(mqtt_client_async::PubAckReason::PayloadFormatInvalid),
        }
    }
    // ANCHOR_END: manual
    Ok(())
}

fn unmatched(client: &Client) {
    // ANCHOR: unmatched
    let mut rest = client.unmatched();
    while let Some(stray) = rest.try_next() {
        println!("nobody wanted {}", stray.topic());
    }
    // ANCHOR_END: unmatched
}

async fn requests(client: &Client) -> Result<(), Box<dyn Error>> {
    // ANCHOR: responder
    let mut questions = client.subscribe("service/double").await?;
    let responder = client.clone();
    let service = tokio::spawn(async move {
        while let Some(question) = questions.next().await {
            let number: i64 = question.payload_str().ok().and_then(|it| it.parse().ok())?;
            // `None` for a message that asks nothing.
            let reply = responder.reply(&question, (2 * number).to_string())?;
            reply.send().await.ok()?;
        }
        Some(())
    });
    // ANCHOR_END: responder

    // ANCHOR: request
    let answer = client.request("service/double", "21").timeout(Duration::from_secs(2)).await?;
    println!("{}", answer.payload_str()?);
    // ANCHOR_END: request
    service.abort();
    Ok(())
}
