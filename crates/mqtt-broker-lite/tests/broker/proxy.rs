//! The PROXY protocol: balancers tell who the client is, and nobody else does.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use mqtt_broker_lite::{BindError, Config, Server};

use crate::client::{Client, connect};

fn behind_a_balancer(trusted: &str) -> Config {
    let mut config = Config::free_port();
    config.listeners[0].proxy_protocol = vec![trusted.parse().unwrap()];
    config.broker.limits.connect_timeout = Duration::from_secs(2);
    config
}

fn serve(config: Config) -> (Server, SocketAddr) {
    let server = Server::bind_blocking(config).unwrap();
    let address = server.local_addr().unwrap();
    (server, address)
}

fn v2(address: Ipv4Addr) -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c".to_vec();
    bytes.extend_from_slice(&address.octets());
    bytes.extend_from_slice(&[10, 0, 0, 1, 0x30, 0x39, 0x07, 0x5b]);
    bytes
}

fn v1(address: Ipv4Addr) -> Vec<u8> {
    format!("PROXY TCP4 {address} 10.0.0.1 12345 1883\r\n").into_bytes()
}

fn through(address: SocketAddr, header: &[u8], client_id: &str) -> Client {
    let mut client = Client::open(address);
    // In one piece: what follows the header belongs to the client.
    client.send(&[header, &connect(client_id)].concat());
    client
}

#[test]
fn the_client_of_a_balancer_is_the_one_it_names() {
    let mut config = behind_a_balancer("127.0.0.0/8");
    config.broker.limits.connections_per_address = 1;
    let (_server, address) = serve(config);
    let (one, other) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
    let mut first = through(address, &v1(one), "a");
    assert_eq!(first.receive().body[1], 0x00);
    through(address, &v2(one), "b").expect_end();
    let mut third = through(address, &v2(other), "c");
    assert_eq!(third.receive().body[1], 0x00);
    first.subscribe("t");
    third.publish("t", b"across");
    assert_eq!(first.receive_message().1, b"across");
}

#[test]
fn a_header_that_comes_in_pieces_is_one() {
    let (_server, address) = serve(behind_a_balancer("127.0.0.1"));
    for header in [v1(Ipv4Addr::new(192, 0, 2, 1)), v2(Ipv4Addr::new(192, 0, 2, 1))] {
        let mut client = Client::open(address);
        for byte in header {
            client.send(&[byte]);
        }
        client.introduce("a");
        client.ping();
    }
}

#[test]
fn without_a_header_a_connection_behind_a_balancer_is_closed() {
    let (_server, address) = serve(behind_a_balancer("127.0.0.1"));
    for bytes in [
        connect("a"),
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00".to_vec(),
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff".to_vec(),
        [b"PROXY TCP4 ".as_slice(), &[b'1'; 120]].concat(),
    ] {
        let began = Instant::now();
        let mut client = Client::open(address);
        client.send(&bytes);
        client.expect_end();
        assert!(began.elapsed() < Duration::from_secs(10));
    }
    // The balancer looks whether somebody is there.
    through(address, b"PROXY UNKNOWN\r\n", "a").ping_after_connack();
}

impl Client {
    fn ping_after_connack(mut self) {
        assert_eq!(self.receive().body[1], 0x00);
        self.ping();
    }
}

#[test]
fn who_is_not_a_balancer_is_not_listened_to() {
    let (_server, address) = serve(behind_a_balancer("10.0.0.0/8"));
    through(address, &v1(Ipv4Addr::new(192, 0, 2, 1)), "a").expect_end();
    through(address, b"", "a").expect_end();
}

#[test]
fn a_header_where_none_is_expected_is_not_mqtt() {
    let (_server, address) = serve(Config::free_port());
    for header in [v1(Ipv4Addr::new(192, 0, 2, 1)), v2(Ipv4Addr::new(192, 0, 2, 1))] {
        through(address, &header, "a").expect_end();
    }
}

#[test]
#[cfg(unix)]
fn no_balancer_stands_before_a_unix_socket() {
    let mut config = behind_a_balancer("10.0.0.0/8");
    config.listeners[0].url = "unix:///nonexistent/socket".parse().unwrap();
    assert!(matches!(config.check(), Err(BindError::Listener { .. })));
}
