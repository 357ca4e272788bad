//! flowsdk's client for tokio, which calls a handler.

use std::sync::Arc;

use flowsdk::mqtt_client::client::PublishResult;
use flowsdk::mqtt_client::{
    MqttClientError, MqttClientOptions, MqttMessage, PublishCommand, TokioAsyncClientConfig,
    TokioAsyncMqttClient, TokioMqttEventHandler,
};
use tokio::sync::{Semaphore, mpsc};

use crate::{Failure, TOPIC, Task, WINDOW};

/// Tells what has happened.
struct Handler {
    /// A place for each message that may be under way.
    window: Arc<Semaphore>,
    /// The size of what has come.
    received: mpsc::UnboundedSender<usize>,
}

#[async_trait::async_trait]
impl TokioMqttEventHandler for Handler {
    async fn on_published(&mut self, _: &PublishResult) {
        self.window.add_permits(1);
    }

    async fn on_message_received(&mut self, message: &MqttMessage) {
        // The reader goes when it has all.
        let _counted = self.received.send(message.payload.len());
    }

    async fn on_error(&mut self, error: &MqttClientError) {
        eprintln!("flowsdk: {error}");
    }
}

type Connected = (TokioAsyncMqttClient, Arc<Semaphore>, mpsc::UnboundedReceiver<usize>);

async fn connect(task: &Task) -> Result<Connected, Failure> {
    let options = MqttClientOptions::builder()
        .peer(format!("127.0.0.1:{}", task.port))
        .client_id("bench")
        .auto_ack(true)
        .build();
    let config = TokioAsyncClientConfig::builder().tcp_nodelay(true).build();
    let window = Arc::new(Semaphore::new(WINDOW));
    let (received, receiver) = mpsc::unbounded_channel();
    let handler = Box::new(Handler { window: Arc::clone(&window), received });
    let client = TokioAsyncMqttClient::new(options, handler, config).await?;
    let answer = client.connect_sync().await?;
    if !answer.is_success() {
        return Err("the server refused".into());
    }
    Ok((client, window, receiver))
}

/// Publishes; QoS 1 and 2 until everything is acknowledged.
pub async fn publish(task: &Task) -> Result<(), Failure> {
    let (client, window, _receiver) = connect(task).await?;
    for _ in 0..task.count {
        if task.qos > 0 {
            window.acquire().await?.forget();
        }
        let command = PublishCommand::simple(TOPIC, task.payload.to_vec(), task.qos, false);
        client.publish_with_command(command).await?;
    }
    if task.qos > 0 {
        window.acquire_many(WINDOW as u32).await?.forget();
    }
    client.disconnect_sync().await?;
    Ok(())
}

/// Receives.
pub async fn receive(task: &Task) -> Result<(), Failure> {
    let (client, _, mut receiver) = connect(task).await?;
    let answer = client.subscribe_sync(TOPIC, task.qos).await?;
    if !answer.is_success() {
        return Err("the server refused the subscription".into());
    }
    for _ in 0..task.count {
        if receiver.recv().await != Some(task.payload.len()) {
            return Err("a message of another size".into());
        }
    }
    client.disconnect_sync().await?;
    Ok(())
}
