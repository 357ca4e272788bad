//! The broker inside another program, without a socket.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Instant;

use mqtt_broker_lite::{BindError, Config, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::runtime::{Builder, Runtime};

use crate::client::{Client, PATIENCE};

/// A connection in memory as a client of these tests has it.
struct Local {
    stream: DuplexStream,
    runtime: Arc<Runtime>,
}

impl Read for Local {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Self { stream, runtime } = self;
        runtime.block_on(async {
            tokio::time::timeout(PATIENCE, stream.read(buffer)).await.expect("an answer")
        })
    }
}

impl Write for Local {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Self { stream, runtime } = self;
        runtime.block_on(stream.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Host {
    server: Server,
    runtime: Arc<Runtime>,
}

impl Host {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        Self {
            server: Server::bind_blocking(Config::in_memory()).unwrap(),
            runtime: Arc::new(runtime),
        }
    }

    fn connect(&self, client_id: &str) -> Client<Local> {
        let stream = self.server.connect();
        let mut client = Client { stream: Local { stream, runtime: Arc::clone(&self.runtime) } };
        client.introduce(client_id);
        client
    }
}

#[test]
fn a_broker_in_memory_has_no_address_and_serves() {
    let host = Host::new();
    assert_eq!(host.server.addresses(), []);
    assert_eq!(host.server.local_addr(), None);
    let mut reader = host.connect("reader");
    reader.subscribe("t");
    let mut writer = host.connect("writer");
    let payload = vec![3; 1_000_000];
    writer.publish("t", &payload);
    assert!(reader.receive_message().1 == payload);
    let status = host.runtime.block_on(host.server.status()).unwrap();
    assert_eq!((status.gauges.connected, status.gauges.subscriptions), (2, 1));
    drop(writer);
    let began = Instant::now();
    while host.runtime.block_on(host.server.status()).unwrap().gauges.connected != 1 {
        assert!(began.elapsed() < PATIENCE);
    }
    let stopping = std::thread::spawn(|| host.server.shutdown_blocking());
    reader.expect_disconnect(0x8b);
    stopping.join().unwrap().unwrap();
}

#[test]
fn brokers_in_memory_stand_side_by_side_and_start_again() {
    for _ in 0..3 {
        let (one, other) = (Host::new(), Host::new());
        let mut reader = one.connect("same");
        reader.subscribe("t");
        let mut stranger = other.connect("same");
        stranger.publish("t", b"elsewhere");
        stranger.ping();
        reader.ping();
        one.server.shutdown_blocking().unwrap();
        stranger.ping();
        other.server.shutdown_blocking().unwrap();
    }
}

#[test]
fn what_is_not_mqtt_is_closed_in_memory_too() {
    let host = Host::new();
    let mut stream = host.server.connect();
    host.runtime.block_on(async {
        stream.write_all(b"\x00\x00").await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, []);
    });
    host.connect("a").ping();
}

#[test]
fn a_server_without_listeners_is_no_accident() {
    let mut config = Config::free_port();
    config.listeners.clear();
    assert!(matches!(Server::bind_blocking(config), Err(BindError::NoListener)));
}
