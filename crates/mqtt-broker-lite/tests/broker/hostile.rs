//! Peers that mean harm, or are broken: they hurt themselves alone.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use mqtt_broker_lite::{Config, Server};
use socket2::{Domain, Socket, Type};

use crate::client::Client;

fn broker() -> (Server, SocketAddr) {
    let server = Server::bind_blocking(Config::free_port()).unwrap();
    let address = server.local_addr().unwrap();
    (server, address)
}

/// A connection whose own buffers are small, so that it is soon stuck when nobody reads.
fn small_buffers(address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(8 * 1024).unwrap();
    socket.set_send_buffer_size(64 * 1024).unwrap();
    socket.connect(&address.into()).unwrap();
    socket.into()
}

#[test]
fn garbage_closes_only_the_connection_it_came_on() {
    let (_server, address) = broker();
    let mut canary = Client::connect(address, "canary");
    let garbage: [&[u8]; 7] = [
        b"GET / HTTP/1.1\r\nHost: broker\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x00\x00",
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xc0\x00",
        b"\xf0\x00",
        b"\x30\x03\x00\x01a",
    ];
    for bytes in garbage {
        let mut peer = Client::open(address);
        peer.send(bytes);
        // [MQTT-3.1.0-1]: nothing is said to a peer that is no client.
        peer.expect_end();
        canary.ping();
    }
}

#[test]
fn a_packet_too_large_is_refused_by_its_header_and_the_refusal_arrives() {
    let (_server, address) = broker();
    let mut client = Client::connect(address, "large");
    // The client goes on sending: the refusal must not be lost to a reset.
    let mut sender = client.stream.try_clone().unwrap();
    let sender = thread::spawn(move || {
        let mut sent = sender.write_all(b"\x30\xff\xff\xff\x7f");
        for _ in 0..64 {
            sent = sent.and_then(|()| sender.write_all(&[0; 16 * 1024]));
        }
        // Once the broker has closed, writing fails: that is its right.
        drop(sent);
    });
    let disconnect = client.receive();
    assert_eq!((disconnect.first, disconnect.body[0]), (0xe0, 0x95));
    sender.join().unwrap();
}

#[test]
fn a_subscriber_that_never_reads_disturbs_nobody() {
    let (_server, address) = broker();
    let mut stuck = Client::over(small_buffers(address));
    stuck.introduce("stuck");
    stuck.subscribe("#");
    let mut reader = Client::connect(address, "reader");
    reader.subscribe("t");
    let mut publisher = Client::connect(address, "publisher");
    let mut slowest = Duration::ZERO;
    for round in 0..400u32 {
        let mut payload = vec![0; 64 * 1024];
        payload[..4].copy_from_slice(&round.to_be_bytes());
        let before = Instant::now();
        publisher.publish("t", &payload);
        let (_, received) = reader.receive_message();
        slowest = slowest.max(before.elapsed());
        assert!(received == payload, "round {round}");
    }
    assert!(slowest < Duration::from_secs(1), "one took {slowest:?}");
    // What the stuck one does get is whole packets.
    for _ in 0..10 {
        assert_eq!(stuck.receive_message().1.len(), 64 * 1024);
    }
}

#[test]
fn a_subscriber_that_never_reads_is_cut_off_in_time() {
    let mut config = Config::free_port();
    config.broker.limits.write_stall = Duration::from_millis(200);
    let server = Server::bind_blocking(config).unwrap();
    let address = server.local_addr().unwrap();
    let mut stuck = Client::over(small_buffers(address));
    stuck.introduce("stuck");
    stuck.subscribe("t");
    let mut publisher = Client::connect(address, "publisher");
    for _ in 0..300 {
        publisher.publish("t", &[0; 64 * 1024]);
    }
    publisher.ping();
    // Reading nothing until the broker gives up shows as writing that fails.
    let cut_off = Instant::now();
    loop {
        match stuck.stream.write(&[0xc0, 0x00]) {
            Ok(_) => thread::sleep(Duration::from_millis(10)),
            Err(error) => {
                let broken = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
                assert!(broken.contains(&error.kind()), "{error}");
                break;
            }
        }
        assert!(cut_off.elapsed() < Duration::from_secs(10), "never cut off");
    }
    publisher.ping();
}

#[test]
fn a_flood_of_pings_is_held_back_and_every_one_is_answered_in_the_end() {
    const AT_MOST: usize = 64 * 1024 * 1024;
    let (_server, address) = broker();
    let mut canary = Client::connect(address, "canary");
    let mut flood = Client::over(small_buffers(address));
    flood.introduce("flood");
    // Reads nothing and sends for as long as the broker takes it.
    flood.stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let pings = [0xc0, 0x00].repeat(32 * 1024);
    let mut sent = 0;
    loop {
        match flood.stream.write(&pings[sent % 2..]) {
            Ok(count) => sent += count,
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
                break;
            }
        }
        assert!(sent < AT_MOST, "the broker holds nobody back");
    }
    canary.ping();
    // Now it reads, and the broker goes on where it stopped.
    flood.finish();
    let mut answers = Vec::new();
    flood.stream.read_to_end(&mut answers).unwrap();
    assert_eq!(answers.len() / 2, sent / 2, "answers to {} pings", sent / 2);
    assert!(answers.chunks_exact(2).all(|answer| answer == [0xd0, 0x00]));
}

#[test]
fn one_client_that_floods_does_not_starve_another() {
    let (_server, address) = broker();
    let mut canary = Client::connect(address, "canary");
    let flood = Client::connect(address, "flood");
    let mut sender = flood.stream.try_clone().unwrap();
    let sender = thread::spawn(move || {
        let messages = crate::client::publish("nobody/listens", &[0; 20]).repeat(10_000);
        for _ in 0..20 {
            sender.write_all(&messages).unwrap();
        }
    });
    let mut slowest = Duration::ZERO;
    while !sender.is_finished() {
        let before = Instant::now();
        canary.ping();
        slowest = slowest.max(before.elapsed());
    }
    sender.join().unwrap();
    assert!(slowest < Duration::from_secs(1), "one ping took {slowest:?}");
}

#[test]
fn connections_that_come_and_go_leave_nothing_behind() {
    let (server, address) = broker();
    for round in 0..200 {
        let mut client = Client::open(address);
        match round % 4 {
            0 => {}
            1 => client.send(b"\x10"),
            2 => client.introduce("short"),
            _ => {
                client.introduce("polite");
                client.send(b"\xe0\x00");
                client.expect_end();
            }
        }
    }
    Client::connect(address, "after").ping();
    server.shutdown_blocking().unwrap();
}
