//! The samples of the page about embedding: a broker without sockets, its hooks and its life.

#![allow(clippy::print_stdout, reason = "a sample shows one thing")]

use std::error::Error;

use mqtt_broker_lite::{
    Authenticator, Authorizer, Config, ConnectRequest, ConnectVerdict, Permission, PublishRequest,
    ReadRequest, Server, SubscribeRequest,
};
use mqtt_client_async::{Client, QoS};

// ANCHOR: hooks
/// Devices come in under the serial number that they are known by.
struct Devices {
    known: Vec<String>,
}

impl Authenticator for Devices {
    async fn connect(&self, request: &ConnectRequest) -> ConnectVerdict {
        match request.user_name() {
            Some(name) if self.known.iter().any(|known| known == name) => {
                ConnectVerdict::accept(name)
            }
            _ => ConnectVerdict::Abstain,
        }
    }
}

/// Everybody publishes below their own name, and reads everything.
struct OwnBranch;

impl Authorizer for OwnBranch {
    async fn publish(&self, request: &PublishRequest) -> Permission {
        match request.topic().split_once('/') {
            Some((branch, _)) if Some(branch) == request.identity() => Permission::Allow,
            _ => Permission::Deny,
        }
    }

    async fn subscribe(&self, _: &SubscribeRequest, _: &str) -> Permission {
        Permission::Allow
    }

    async fn read(&self, _: &ReadRequest) -> Permission {
        Permission::Allow
    }
}
// ANCHOR_END: hooks

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // ANCHOR: memory
    let server = Server::bind(Config::in_memory()).await?;
    let host = Client::builder("mqtt://broker").connect_with(server.connect()).await?;
    let mut messages = host.subscribe("news/#").await?;
    host.publish("news/today", "hello").qos(QoS::AtLeastOnce).send().await?;
    if let Some(message) = messages.next().await {
        println!("{}: {}", message.topic(), message.payload_str()?);
    }
    // ANCHOR_END: memory
    host.close().await;

    // ANCHOR: status
    let status = server.status().await?;
    println!("{} messages dropped", status.statistics.dropped.total());
    // ANCHOR_END: status
    server.shutdown().await?;

    // ANCHOR: guarded
    let mut config = Config::free_port();
    config.authenticate_with(Devices { known: vec!["meter-17".to_owned()] });
    config.authorize_with(OwnBranch);
    let server = Server::bind(config).await?;
    println!(
        "listening on {}",
        server.addresses().iter().map(ToString::to_string).collect::<String>()
    );
    server.shutdown().await?;
    // ANCHOR_END: guarded
    Ok(())
}
