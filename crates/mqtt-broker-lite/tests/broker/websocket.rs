//! MQTT over WebSocket, spoken byte by byte: the request, the frames, and what breaks their rules.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use mqtt_broker_lite::{Config, Server};

use crate::client::{Client, PATIENCE, connect, publish};

fn broker(path: &str) -> (Server, SocketAddr) {
    broker_with(path, |_| {})
}

fn broker_with(path: &str, change: impl FnOnce(&mut Config)) -> (Server, SocketAddr) {
    let mut config = Config::free_port();
    config.listeners = vec![format!("ws://127.0.0.1:0{path}").parse().unwrap()];
    change(&mut config);
    let server = Server::bind_blocking(config).unwrap();
    let address = server.local_addr().unwrap();
    (server, address)
}

const REQUEST: &str = "GET /mqtt HTTP/1.1\r\nHost: broker\r\nUpgrade: websocket\r\n\
     Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Sends a request and reads the head of the response.
fn request(address: SocketAddr, head: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    let mut response = Vec::new();
    while !response.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            break;
        }
        response.push(byte[0]);
    }
    (stream, String::from_utf8(response).unwrap())
}

/// A WebSocket as a stream: each write is a binary frame, reads join the frames of the broker.
pub(crate) struct WebSocket<S> {
    pub(crate) stream: S,
    rest: Vec<u8>,
}

impl WebSocket<TcpStream> {
    fn open(address: SocketAddr) -> Self {
        let head = format!("{REQUEST}Sec-WebSocket-Protocol: mqttv3.1, mqtt\r\n\r\n");
        let (stream, response) = request(address, &head);
        assert!(response.starts_with("HTTP/1.1 101 "), "{response}");
        Self { stream, rest: Vec::new() }
    }
}

/// A frame of a client.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ ..126 => bytes.push(0x80 | length as u8),
        length @ ..0x1_0000 => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    let mask = [1, 2, 3, 4];
    bytes.extend_from_slice(&mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

impl<S: Read + Write> WebSocket<S> {
    /// The next frame: its first byte, and its payload.
    fn frame(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head)?;
        let length = match head[1] {
            126 => {
                let mut length = [0; 2];
                self.stream.read_exact(&mut length)?;
                u64::from(u16::from_be_bytes(length))
            }
            127 => {
                let mut length = [0; 8];
                self.stream.read_exact(&mut length)?;
                u64::from_be_bytes(length)
            }
            short => u64::from(short),
        };
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.stream.read_exact(&mut payload)?;
        Ok((head[0], payload))
    }

    /// Waits for a close with `code`, and the end.
    fn expect_close(&mut self, code: u16) {
        let (first, payload) = self.frame().unwrap();
        assert_eq!((first, payload), (0x88, code.to_be_bytes().to_vec()), "a close");
        let mut rest = Vec::new();
        // A reset says it as well.
        if self.stream.read_to_end(&mut rest).is_ok() {
            assert_eq!(rest, [], "the end");
        }
    }
}

impl<S: Read + Write> Read for WebSocket<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            let (first, payload) = self.frame()?;
            match first {
                0x82 => self.rest = payload,
                0x88 => return Ok(0),
                other => panic!("a frame {other:#x}"),
            }
        }
        let count = buffer.len().min(self.rest.len());
        buffer[..count].copy_from_slice(&self.rest[..count]);
        self.rest.drain(..count);
        Ok(count)
    }
}

impl<S: Read + Write> Write for WebSocket<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write_all(&frame(0x82, bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

fn client(address: SocketAddr, client_id: &str) -> Client<WebSocket<TcpStream>> {
    let mut client = Client { stream: WebSocket::open(address) };
    client.introduce(client_id);
    client
}

/// Proves: [MQTT-6.0.0-1]
#[test]
fn clients_of_a_websocket_are_served_in_binary_frames() {
    let (server, address) = broker("");
    let mut reader = client(address, "reader");
    reader.subscribe("t");
    let mut writer = client(address, "writer");
    for size in [0, 100, 70_000, 1_000_000] {
        let payload: Vec<u8> = (0..size).map(|n: u32| n.to_le_bytes()[0]).collect();
        writer.publish("t", &payload);
        let (_, received) = reader.receive_message();
        assert!(received == payload, "{size} bytes");
    }
    let stopping = std::thread::spawn(|| server.shutdown_blocking());
    reader.expect_disconnect(0x8b);
    drop(writer);
    stopping.join().unwrap().unwrap();
}

/// Proves: [MQTT-6.0.0-2]
#[test]
fn packets_need_not_line_up_with_frames() {
    let (_server, address) = broker("/mqtt");
    let mut client = Client { stream: WebSocket::open(address) };
    // CONNECT byte by byte, an empty frame between, and a message in fragments.
    for byte in connect("a") {
        client.send(&[byte]);
        client.stream.stream.write_all(&frame(0x82, &[])).unwrap();
    }
    assert_eq!(client.receive().body[1], 0x00);
    client.subscribe("t");
    let packet = publish("t", b"in parts");
    let (one, rest) = packet.split_at(3);
    let (two, three) = rest.split_at(4);
    for fragment in [frame(0x02, one), frame(0x00, two), frame(0x80, three)] {
        client.stream.stream.write_all(&fragment).unwrap();
    }
    assert_eq!(client.receive_message().1, b"in parts");
    // Two packets and a half in one frame.
    let packets = [publish("t", b"1"), publish("t", b"2"), publish("t", b"3")].concat();
    let (together, rest) = packets.split_at(packets.len() - 3);
    client.send(together);
    client.send(rest);
    for expected in [b"1", b"2", b"3"] {
        assert_eq!(client.receive_message().1, expected);
    }
}

/// Proves: [MQTT-6.0.0-3], [MQTT-6.0.0-4]
#[test]
fn the_subprotocol_is_offered_and_selected() {
    let (_server, address) = broker("/mqtt");
    for offer in ["mqtt", "mqttv3.1, mqtt", "mqttv3.1\r\nSec-WebSocket-Protocol: mqtt"] {
        let head = format!("{REQUEST}Sec-WebSocket-Protocol: {offer}\r\n\r\n");
        let (_, response) = request(address, &head);
        assert!(response.starts_with("HTTP/1.1 101 "), "{response}");
        assert!(response.to_lowercase().contains("sec-websocket-protocol: mqtt\r\n"), "{response}");
        assert!(response.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "the key's answer: {response}");
    }
    for offer in ["", "Sec-WebSocket-Protocol: mqttv3.1\r\n", "Sec-WebSocket-Protocol: \u{e9}\r\n"]
    {
        let (_, response) = request(address, &format!("{REQUEST}{offer}\r\n"));
        assert!(response.starts_with("HTTP/1.1 400 "), "{response}");
    }
}

/// Row G4 of the hostile inputs.
#[test]
fn a_request_that_is_not_wanted_is_refused_and_closed() {
    let (_server, address) = broker_with("/mqtt", |config| {
        config.listeners[0].origins = vec!["https://good.example".to_owned()];
    });
    let offer = "Sec-WebSocket-Protocol: mqtt\r\n";
    let long = format!("X-Long: {}\r\n", "a".repeat(1024 * 1024));
    let many = "X-Many: 1\r\n".repeat(200);
    for (head, status) in [
        (format!("{}{offer}\r\n", REQUEST.replace("/mqtt", "/other")), "404"),
        (format!("{REQUEST}{offer}Origin: https://bad.example\r\n\r\n"), "403"),
        (format!("{REQUEST}{offer}Origin: https://good.example\r\n\r\n"), "101"),
        (format!("{REQUEST}{offer}\r\n"), "101"),
        (format!("{}{offer}\r\n", REQUEST.replace("GET", "POST")), "400"),
        (format!("{}{offer}\r\n", REQUEST.replace("13", "12")), "400"),
        (format!("{}{offer}\r\n", REQUEST.replace("websocket", "h2c")), "400"),
        (format!("{REQUEST}{offer}{many}\r\n"), "400"),
        ("\u{16}\u{3}\u{1}\r\n\r\n".to_owned(), "400"),
    ] {
        let (mut stream, response) = request(address, &head);
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{head}: {response}");
        if status != "101" {
            assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0, "the end");
        }
    }
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // The broker reads no further than 8 KiB, so that writing all of it may fail.
    let _ = stream.write_all(format!("{REQUEST}{offer}{long}\r\n").as_bytes());
    let mut response = Vec::new();
    let _ = stream.read_to_end(&mut response);
    assert!(response.is_empty() || response.starts_with(b"HTTP/1.1 431 "), "refused");
}

/// Row G5 of the hostile inputs.
///
/// Proves: [MQTT-6.0.0-1]
#[test]
fn a_frame_that_breaks_the_rules_closes_the_connection_with_its_code() {
    let (_server, address) = broker("");
    let unmasked = b"\x82\x02\xc0\x00".to_vec();
    let mut huge = vec![0x82, 0xff];
    huge.extend_from_slice(&0x0fff_ffff_ffff_ffffu64.to_be_bytes());
    huge.extend_from_slice(&[0; 4]);
    let mut over = vec![0x82, 0xff];
    over.extend_from_slice(&(5u64 * 1024 * 1024).to_be_bytes());
    over.extend_from_slice(&[0; 4]);
    for (bytes, code) in [
        (frame(0x81, b"text"), 1003),
        (unmasked, 1002),
        // A control frame in fragments, reserved bits, a continuation of nothing, a ping too long.
        (frame(0x09, b"ping"), 1002),
        (frame(0xc2, b"compressed"), 1002),
        (frame(0x80, b"rest"), 1002),
        (frame(0x89, &[0; 126]), 1002),
        (huge, 1009),
        (over, 1009),
    ] {
        let mut client = client(address, "a");
        client.stream.stream.write_all(&bytes).unwrap();
        client.stream.expect_close(code);
    }
    // Before a CONNECT was accepted, frames are held to less.
    let mut early = WebSocket::open(address);
    early.stream.write_all(&[0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
    early.expect_close(1009);
}

#[test]
fn pings_are_answered_and_a_flood_of_them_hurts_nobody() {
    let (_server, address) = broker("");
    let mut canary = client(address, "canary");
    let mut flooding = client(address, "flood");
    flooding.stream.stream.write_all(&frame(0x89, b"here?")).unwrap();
    assert_eq!(flooding.stream.frame().unwrap(), (0x8a, b"here?".to_vec()));
    let mut writer = flooding.stream.stream.try_clone().unwrap();
    let flood = std::thread::spawn(move || {
        let ping = frame(0x89, &[0; 100]).repeat(100);
        // Nobody reads the pongs, so that it comes to a halt in the end.
        writer.set_write_timeout(Some(std::time::Duration::from_secs(1))).unwrap();
        for _ in 0..200 {
            if writer.write_all(&ping).is_err() {
                break;
            }
        }
    });
    for _ in 0..100 {
        canary.ping();
    }
    flood.join().unwrap();
    canary.ping();
}

#[test]
fn a_close_of_the_client_is_answered() {
    let (_server, address) = broker("");
    let mut client = client(address, "a");
    client.stream.stream.write_all(&frame(0x88, &1000u16.to_be_bytes())).unwrap();
    client.stream.expect_close(1000);
}

#[test]
fn after_a_goodbye_what_the_client_still_sends_resets_nothing() {
    let (_server, address) = broker("");
    let mut client = client(address, "a");
    // DISCONNECT, a close, and something that nobody waits for.
    client.send(&[0xe0, 0x00]);
    client.stream.stream.write_all(&frame(0x88, &1000u16.to_be_bytes())).unwrap();
    let (first, payload) = client.stream.frame().unwrap();
    assert_eq!((first, payload), (0x88, 1000u16.to_be_bytes().to_vec()));
    client.stream.stream.write_all(&frame(0x82, &[0xc0, 0x00])).unwrap();
    let mut rest = Vec::new();
    client.stream.stream.read_to_end(&mut rest).expect("the end, and no reset");
    assert_eq!(rest, []);
    client.stream.stream.write_all(&frame(0x82, &[0xc0, 0x00])).expect("our side is open still");
}

/// Row G6 of the hostile inputs.
#[test]
fn compression_is_never_negotiated() {
    let (_server, address) = broker("");
    let (_, response) = request(
        address,
        &format!(
            "{REQUEST}Sec-WebSocket-Protocol: mqtt\r\n\
             Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
        ),
    );
    assert!(response.starts_with("HTTP/1.1 101 "), "{response}");
    assert!(!response.to_lowercase().contains("extensions"), "{response}");
}
