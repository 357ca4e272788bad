//! The samples of the introduction: a broker in the process, and a client of it.

#![allow(clippy::print_stdout, clippy::indexing_slicing, reason = "a sample shows one thing")]

use std::error::Error;

use mqtt_broker_lite::{Config, Server};
use mqtt_client_async::{Client, QoS};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // ANCHOR: broker
    let server = Server::bind(Config::free_port()).await?;
    let url = server.addresses()[0].to_string();
    // ANCHOR_END: broker

    // ANCHOR: client
    let client = Client::builder(&url).connect().await?;
    let mut sensors = client.subscribe("sensor/+/temperature").qos(QoS::AtLeastOnce).await?;
    client.publish("sensor/7/temperature", "21.5").qos(QoS::AtLeastOnce).send().await?;
    if let Some(message) = sensors.next().await {
        println!("{} {}", message.topic(), message.payload_str()?);
    }
    client.close().await;
    // ANCHOR_END: client

    server.shutdown().await?;
    Ok(())
}
