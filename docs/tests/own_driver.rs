//! The driver of the book against a broker, over a network that fails once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use mqtt_broker_lite::{Config, Server};

#[path = "../examples/std_net.rs"]
#[allow(unreachable_pub, reason = "it is a crate of its own elsewhere")]
mod std_net;

/// The first byte of a QoS 2 PUBLISH.
const PUBLISH: u8 = 0x34;

/// Relays between clients and `broker`; hangs up once a client has sent a PUBLISH, which the broker
/// gets, on the first connection. Returns the address, and counts connections.
fn relay(broker: String) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    thread::spawn(move || {
        for client in listener.incoming() {
            let number = count.fetch_add(1, Ordering::SeqCst);
            let (client, server) = (client.unwrap(), TcpStream::connect(&broker).unwrap());
            let (mut from_server, mut to_client) =
                (server.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || {
                // It ends with the connection, however that ends.
                let _copied = std::io::copy(&mut from_server, &mut to_client);
                let _closed = to_client.shutdown(Shutdown::Both);
            });
            let (mut client, mut server) = (client, server);
            thread::spawn(move || {
                let mut bytes = [0; 1024];
                while let Ok(read @ 1..) = client.read(&mut bytes) {
                    if number == 0 && bytes[0] == PUBLISH {
                        // Nobody will tell the client whether the broker has it.
                        client.shutdown(Shutdown::Both).unwrap();
                        server.write_all(&bytes[..read]).unwrap();
                        break;
                    }
                    if server.write_all(&bytes[..read]).is_err() {
                        break;
                    }
                }
                let _closed = server.shutdown(Shutdown::Both);
            });
        }
    });
    (address, connections)
}

#[test]
fn a_message_that_the_network_swallowed_arrives_exactly_once() {
    let broker = Server::bind_blocking(Config::free_port()).unwrap();
    let url = broker.addresses()[0].to_string();
    let (address, connections) = relay(url.trim_start_matches("mqtt://").to_owned());
    let received = std_net::exchange(&address).unwrap();
    let payloads: Vec<_> = received.iter().map(|it| it.message.payload()).collect();
    assert_eq!(payloads, [b"hello"]);
    assert_eq!(connections.load(Ordering::SeqCst), 2, "one was cut");
    broker.shutdown_blocking().unwrap();
}
