//! A logger that uses the client, and so is called on the client's own thread.

#[cfg(test)]
mod common;

use std::sync::{Mutex, PoisonError};

use common::Server;
use mqtt_client_blocking::{CallError, Client};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

static ANSWERS: Mutex<Vec<bool>> = Mutex::new(Vec::new());

struct Logger;

impl Subscriber for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("mqtt_client_async")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        let connected = Client::builder("mqtt://localhost:1").connect();
        let is_refused = matches!(connected, Err(CallError::InsideRuntime(_)));
        ANSWERS.lock().unwrap_or_else(PoisonError::into_inner).push(is_refused);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn waiting_on_the_clients_own_thread_is_refused() {
    tracing::subscriber::set_global_default(Logger).unwrap();
    let server = Server::start();
    let (client, _peer) = server.open();
    client.close().wait().unwrap();
    let answers = ANSWERS.lock().unwrap();
    assert!(!answers.is_empty(), "the client logs that it is connected");
    assert!(answers.iter().all(|is_refused| *is_refused));
}
