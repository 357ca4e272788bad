//! Clients are served: what one publishes reaches the others.

use std::net::SocketAddr;

use mqtt_broker_lite::{Config, Server};

use crate::client::{Client, connect, publish, publish_qos1, subscribe};

/// A broker on a free port.
fn broker() -> (Server, SocketAddr) {
    let server = Server::bind_blocking(Config::free_port()).unwrap();
    let address = server.local_addr().unwrap();
    (server, address)
}

#[test]
fn a_message_reaches_its_subscriber() {
    let (_server, address) = broker();
    let mut subscriber = Client::connect(address, "subscriber");
    let mut publisher = Client::connect(address, "publisher");
    subscriber.subscribe("room/+/light");
    publisher.publish("room/kitchen/heat", b"21");
    publisher.publish("room/kitchen/light", b"on");
    assert_eq!(subscriber.receive_message(), ("room/kitchen/light".to_owned(), b"on".to_vec()));
}

#[test]
fn packets_may_come_in_one_segment_or_byte_by_byte() {
    let (_server, address) = broker();
    let all = |topic: &str| {
        let mut all = connect(topic);
        all.extend_from_slice(&subscribe(topic, 0));
        all.extend_from_slice(&publish(topic, b"hello"));
        all
    };
    let mut at_once = Client::open(address);
    at_once.send(&all("at once"));
    let mut in_pieces = Client::open(address);
    for byte in all("in pieces") {
        in_pieces.send(&[byte]);
    }
    for client in [&mut at_once, &mut in_pieces] {
        assert_eq!(client.receive().first, 0x20);
        assert_eq!(client.receive().first, 0x90);
        assert_eq!(client.receive_message().1, b"hello");
    }
}

#[test]
fn a_burst_of_small_messages_arrives_whole_and_in_order() {
    let (_server, address) = broker();
    let mut client = Client::connect(address, "loop");
    client.subscribe("t");
    for round in 0..20u32 {
        let burst: Vec<u8> =
            (0..500u32).flat_map(|n| publish("t", &(round * 500 + n).to_be_bytes())).collect();
        client.send(&burst);
        for n in 0..500u32 {
            assert_eq!(client.receive_message().1, (round * 500 + n).to_be_bytes());
        }
    }
}

#[test]
fn a_burst_of_tiny_messages_overflows_no_subscriber_that_reads() {
    let (_server, address) = broker();
    let mut subscriber = Client::connect(address, "subscriber");
    subscriber.subscribe("t");
    let publisher = Client::connect(address, "publisher");
    let mut sender = publisher.stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        let burst: Vec<u8> = (0..50_000u32).flat_map(|n| publish("t", &n.to_be_bytes())).collect();
        std::io::Write::write_all(&mut sender, &burst).unwrap();
    });
    for n in 0..50_000u32 {
        assert_eq!(subscriber.receive_message().1, n.to_be_bytes());
    }
    sender.join().unwrap();
}

/// Proves: [MQTT-4.2.0-1]
#[test]
fn a_payload_of_a_mebibyte_arrives_as_it_was_sent() {
    let (_server, address) = broker();
    let mut subscriber = Client::connect(address, "subscriber");
    let mut publisher = Client::connect(address, "publisher");
    subscriber.subscribe("large");
    for round in 0..4u8 {
        let payload: Vec<u8> = (0..1024 * 1024usize).map(|i| (i / 251) as u8 ^ round).collect();
        publisher.publish("large", &payload);
        let (_, received) = subscriber.receive_message();
        assert!(received == payload, "round {round}: {} bytes came", received.len());
    }
}

/// Proves: [MQTT-4.3.2-4]
#[test]
fn what_was_published_before_a_half_close_is_delivered_and_acknowledged() {
    let (_server, address) = broker();
    let mut subscriber = Client::connect(address, "subscriber");
    subscriber.subscribe("last/words");
    for round in 0..50u8 {
        let mut publisher = Client::connect(address, "publisher");
        publisher.send(&publish_qos1("last/words", 7, &[round]));
        publisher.finish();
        assert_eq!(subscriber.receive_message().1, [round]);
        let puback = publisher.receive();
        assert_eq!((puback.first, &puback.body[..2]), (0x40, &[0x00, 0x07][..]));
        publisher.expect_end();
    }
}

#[test]
fn what_was_published_by_a_client_that_left_without_reading_is_delivered() {
    let (_server, address) = broker();
    let mut subscriber = Client::connect(address, "subscriber");
    subscriber.subscribe("t");
    for round in 0..50u8 {
        let mut publisher = Client::open(address);
        let mut all = connect("publisher");
        for n in 0..100 {
            all.extend_from_slice(&publish("t", &[round, n]));
        }
        publisher.send(&all);
        // Closing with the CONNACK unread resets the connection.
        drop(publisher);
        for n in 0..100 {
            assert_eq!(subscriber.receive_message().1, [round, n]);
        }
    }
}

/// Proves: [MQTT-3.1.4-3]
#[test]
fn a_client_identifier_that_connects_again_takes_the_older_connection_over() {
    let (_server, address) = broker();
    let mut older = Client::connect(address, "same");
    let mut newer = Client::connect(address, "same");
    older.expect_disconnect(0x8e);
    newer.ping();
}

#[test]
fn more_clients_than_allowed_are_turned_away_until_one_leaves() {
    let mut config = Config::free_port();
    config.broker.limits.connections = 2;
    let server = Server::bind_blocking(config).unwrap();
    let address = server.local_addr().unwrap();
    let mut first = Client::connect(address, "first");
    let mut second = Client::connect(address, "second");
    for _ in 0..10 {
        Client::open(address).expect_end();
    }
    first.ping();
    second.finish();
    second.expect_end();
    Client::connect(address, "third").ping();
    first.ping();
}

#[test]
fn many_clients_are_served_at_once() {
    let (_server, address) = broker();
    let mut clients: Vec<Client> = (0..300)
        .map(|n| {
            let mut client = Client::connect(address, &format!("client-{n}"));
            client.subscribe("all");
            client
        })
        .collect();
    clients[7].publish("all", b"hello");
    for client in &mut clients {
        assert_eq!(client.receive_message().1, b"hello");
    }
}
