//! A client made of a socket and bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// No answer takes this long unless it is never coming.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A connection to a broker.
#[derive(Debug)]
pub(crate) struct Client<S = TcpStream> {
    pub(crate) stream: S,
}

/// A packet as it came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    /// Type and flags.
    pub(crate) first: u8,
    /// What follows the fixed header.
    pub(crate) body: Vec<u8>,
}

impl Client {
    /// A connection on which nothing was sent.
    pub(crate) fn open(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).expect("the broker listens"))
    }

    /// A client over a socket that is connected.
    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream }
    }

    /// Says that nothing more is sent, and goes on reading.
    pub(crate) fn finish(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// A client whose CONNECT was accepted.
    pub(crate) fn connect(address: SocketAddr, client_id: &str) -> Self {
        let mut client = Self::open(address);
        client.introduce(client_id);
        client
    }
}

impl<S: Read + Write> Client<S> {
    /// Sends CONNECT and takes the CONNACK, which accepts.
    pub(crate) fn introduce(&mut self, client_id: &str) {
        self.send(&connect(client_id));
        let connack = self.receive();
        assert_eq!(connack.first, 0x20, "a CONNACK");
        assert_eq!(connack.body[1], 0x00, "that accepts");
    }

    /// Subscribes to `filter` with QoS 0 and takes the SUBACK.
    pub(crate) fn subscribe(&mut self, filter: &str) {
        self.send(&subscribe(filter, 0));
        let suback = self.receive();
        assert_eq!((suback.first, suback.body.last()), (0x90, Some(&0x00)), "a grant of QoS 0");
    }

    /// Publishes with QoS 0.
    pub(crate) fn publish(&mut self, topic: &str, payload: &[u8]) {
        self.send(&publish(topic, payload));
    }

    /// Makes sure that the broker has handled everything that was sent: answers come in order.
    pub(crate) fn ping(&mut self) {
        self.send(&[0xc0, 0x00]);
        assert_eq!(self.receive(), Packet { first: 0xd0, body: Vec::new() }, "a PINGRESP");
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the broker takes what is sent");
    }

    /// The next packet.
    pub(crate) fn receive(&mut self) -> Packet {
        self.receive_or_end().expect("a packet, not the end")
    }

    /// The next packet, which is a PUBLISH of QoS 0: its topic and payload.
    pub(crate) fn receive_message(&mut self) -> (String, Vec<u8>) {
        let Packet { first, mut body } = self.receive();
        assert_eq!(first & 0xf6, 0x30, "a PUBLISH with QoS 0");
        let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
        let topic = String::from_utf8(body[2..2 + length].to_vec()).unwrap();
        assert!(body[2 + length] < 0x80, "few properties");
        let properties = usize::from(body[2 + length]);
        body.drain(..2 + length + 1 + properties);
        (topic, body)
    }

    /// The next packet, or `None` if the broker has closed the connection.
    pub(crate) fn receive_or_end(&mut self) -> Option<Packet> {
        let mut first = [0];
        if self.read(&mut first)? == 0 {
            return None;
        }
        let mut length = 0;
        for shift in [0, 7, 14, 21] {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).unwrap();
            length |= usize::from(byte[0] & 0x7f) << shift;
            if byte[0] < 0x80 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        Some(Packet { first: first[0], body })
    }

    /// Reads once; `None` if the connection was reset.
    fn read(&mut self, buffer: &mut [u8]) -> Option<usize> {
        match self.stream.read(buffer) {
            Ok(count) => Some(count),
            // A read with a time limit is not resumed after a signal.
            Err(error) if error.kind() == ErrorKind::Interrupted => self.read(buffer),
            Err(error) if is_over(error.kind()) => None,
            Err(error) => panic!("the broker neither answers nor closes: {error}"),
        }
    }

    /// Waits for the end, which comes without another packet.
    pub(crate) fn expect_end(&mut self) {
        assert_eq!(self.receive_or_end(), None, "the end of the connection");
    }

    /// Waits for DISCONNECT with `reason` and the end.
    pub(crate) fn expect_disconnect(&mut self, reason: u8) {
        let packet = self.receive();
        assert_eq!((packet.first, packet.body.first()), (0xe0, Some(&reason)), "a DISCONNECT");
        self.expect_end();
    }
}

/// What an end without a goodbye looks like, over a bare socket and over TLS.
fn is_over(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::UnexpectedEof
    )
}

/// CONNECT with Clean Start and a Keep Alive of 60 seconds.
pub(crate) fn connect(client_id: &str) -> Vec<u8> {
    let mut body = b"\x00\x04MQTT\x05\x02\x00\x3c\x00".to_vec();
    put_text(&mut body, client_id);
    packet(0x10, &body)
}

/// CONNECT with these flags and properties, and what follows the client identifier.
pub(crate) fn connect_with(client_id: &str, flags: u8, properties: &[u8], rest: &[u8]) -> Vec<u8> {
    let mut body = b"\x00\x04MQTT\x05".to_vec();
    body.extend_from_slice(&[flags, 0x00, 0x3c, u8::try_from(properties.len()).unwrap()]);
    body.extend_from_slice(properties);
    put_text(&mut body, client_id);
    body.extend_from_slice(rest);
    packet(0x10, &body)
}

/// CONNECT like [`connect`], with a user name and a password.
pub(crate) fn connect_as(client_id: &str, user: &str, password: &str) -> Vec<u8> {
    let mut body = b"\x00\x04MQTT\x05\xc2\x00\x3c\x00".to_vec();
    for text in [client_id, user, password] {
        put_text(&mut body, text);
    }
    packet(0x10, &body)
}

/// SUBSCRIBE to one filter, with packet identifier 1.
pub(crate) fn subscribe(filter: &str, qos: u8) -> Vec<u8> {
    let mut body = vec![0x00, 0x01, 0x00];
    put_text(&mut body, filter);
    body.push(qos);
    packet(0x82, &body)
}

/// PUBLISH with QoS 0.
pub(crate) fn publish(topic: &str, payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    put_text(&mut body, topic);
    body.push(0x00);
    body.extend_from_slice(payload);
    packet(0x30, &body)
}

/// PUBLISH with QoS 1 and packet identifier `id`.
pub(crate) fn publish_qos1(topic: &str, id: u8, payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    put_text(&mut body, topic);
    body.extend_from_slice(&[0x00, id, 0x00]);
    body.extend_from_slice(payload);
    packet(0x32, &body)
}

pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut length = body.len();
    loop {
        let more = if length >= 0x80 { 0x80 } else { 0 };
        bytes.push((length & 0x7f) as u8 | more);
        length >>= 7;
        if length == 0 {
            break;
        }
    }
    bytes.extend_from_slice(body);
    bytes
}

pub(crate) fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&u16::try_from(text.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
}
