//! The subscriber of the README, which shows everything below the next line.

#![allow(clippy::print_stdout, reason = "it prints")]

use mqtt_client_async::Client;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = std::env::args().nth(1).ok_or("give an address, mqtt://localhost for example")?;
    let client = Client::builder(&server).connect().await?;
    let mut messages = client.subscribe("sensor/#").await?;
    while let Some(message) = messages.next().await {
        println!("{} {}", message.topic(), message.payload_str()?);
    }
    Ok(())
}
