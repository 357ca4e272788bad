//! A server whose every byte the test writes, and a client connected to it.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use mqtt_client_blocking::{Client, ClientBuilder, QoS, Reconnect, Subscription};
use mqtt_codec::{
    ConnAck, ConnectReason, Decoded, Limits, Packet, PacketId, PacketType, Properties, PropertyBuf,
    PubAck, PubAckReason, Publish, PublishQos, SubAck, SubAckReason, TopicName, decode,
};
use tokio::runtime::{Builder, Runtime};

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Long enough to tell waiting from not waiting.
pub(crate) const MOMENT: Duration = Duration::from_millis(50);

pub(crate) const GRANTED: &[SubAckReason] = &[SubAckReason::GrantedQos2];

/// A server that waits for connections on a free port.
pub(crate) struct Server {
    listener: TcpListener,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").unwrap() }
    }

    pub(crate) fn url(&self) -> String {
        format!("mqtt://{}", self.listener.local_addr().unwrap())
    }

    pub(crate) fn client(&self) -> ClientBuilder {
        Client::builder(&self.url()).client_id("c").keep_alive(Duration::ZERO)
    }

    pub(crate) fn accept(&self) -> Peer {
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Peer { stream, buffer: Vec::new() }
    }

    /// Takes a CONNECT and accepts it on these terms.
    pub(crate) fn welcome(&self, terms: &PropertyBuf) -> Peer {
        let mut peer = self.accept();
        assert_eq!(peer.packet_type(), PacketType::Connect);
        peer.send(ConnAck {
            session_present: false,
            reason: ConnectReason::Success,
            properties: terms.as_properties(),
        });
        peer
    }

    /// Connects a client on these terms.
    pub(crate) fn connected(&self, client: ClientBuilder, terms: &PropertyBuf) -> (Client, Peer) {
        thread::scope(|scope| {
            let peer = scope.spawn(|| self.welcome(terms));
            (client.connect().unwrap(), peer.join().unwrap())
        })
    }

    /// A client connected without any terms.
    pub(crate) fn open(&self) -> (Client, Peer) {
        self.connected(self.client(), &PropertyBuf::new())
    }

    /// A client that ends with its first connection.
    pub(crate) fn open_once(&self) -> (Client, Peer) {
        self.connected(self.client().reconnect(Reconnect::Never), &PropertyBuf::new())
    }
}

/// The server's end of a connection.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    /// Bytes that came and were not looked at.
    buffer: Vec<u8>,
}

impl Peer {
    pub(crate) fn send<'a>(&mut self, packet: impl Into<Packet<'a>>) {
        let mut bytes = Vec::new();
        packet.into().encode(&mut bytes, u32::MAX).unwrap();
        self.stream.write_all(&bytes).unwrap();
    }

    /// The bytes of the next packet of the client; `None` if it has closed the connection.
    pub(crate) fn packet(&mut self) -> Option<Vec<u8>> {
        loop {
            match decode(&self.buffer, &Limits::new()).expect("the client sends valid packets") {
                Decoded::Packet(_, len) => return Some(self.buffer.drain(..len).collect()),
                Decoded::NeedMore(_) => {
                    let mut bytes = [0; 4096];
                    let len = match self.stream.read(&mut bytes) {
                        Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
                        read => read.expect("the client sends something"),
                    };
                    if len == 0 {
                        assert!(self.buffer.is_empty(), "a packet was cut off");
                        return None;
                    }
                    self.buffer.extend_from_slice(&bytes[..len]);
                }
            }
        }
    }

    pub(crate) fn packet_type(&mut self) -> PacketType {
        let bytes = self.packet().expect("a packet");
        PacketType::from_number(bytes[0] >> 4).unwrap()
    }

    /// The next packet, which is a PUBLISH: its QoS with the identifier, topic and payload.
    pub(crate) fn publish(&mut self) -> (PublishQos, String, Vec<u8>) {
        let bytes = self.packet().expect("a PUBLISH");
        match decode(&bytes, &Limits::new()).unwrap() {
            Decoded::Packet(Packet::Publish(publish), _) => {
                (publish.qos, publish.topic.unwrap().as_str().to_owned(), publish.payload.to_vec())
            }
            Decoded::NeedMore(_) | Decoded::Packet(..) => panic!("a PUBLISH, not {bytes:?}"),
        }
    }

    /// Takes a SUBSCRIBE and answers each of its filters with one of these.
    pub(crate) fn grant(&mut self, reasons: &[SubAckReason]) {
        let bytes = self.packet().expect("a SUBSCRIBE");
        match decode(&bytes, &Limits::new()).unwrap() {
            Decoded::Packet(Packet::Subscribe(subscribe), _) => {
                let suback = SubAck::new(subscribe.packet_id, Properties::EMPTY, reasons);
                self.send(suback.unwrap());
            }
            Decoded::NeedMore(_) | Decoded::Packet(..) => panic!("a SUBSCRIBE, not {bytes:?}"),
        }
    }

    pub(crate) fn deliver(&mut self, topic: &str, payload: &[u8], qos: PublishQos) {
        self.send(Publish {
            qos,
            retain: false,
            topic: TopicName::new(topic).ok(),
            properties: Properties::EMPTY,
            payload,
        });
    }

    pub(crate) fn puback(&mut self, packet_id: PacketId, reason: PubAckReason) {
        self.send(PubAck { packet_id, reason, properties: Properties::EMPTY });
    }
}

/// Does what the server must answer, while the server answers it.
pub(crate) fn together<A, B: Send>(
    client: impl FnOnce() -> A,
    server: impl FnOnce() -> B + Send,
) -> (A, B) {
    thread::scope(|scope| {
        let server = scope.spawn(server);
        let answer = client();
        (answer, server.join().unwrap())
    })
}

/// A subscription that the server grants.
pub(crate) fn subscribed(client: &Client, peer: &mut Peer, filter: &str) -> Subscription {
    let subscribe = || client.subscribe(filter).qos(QoS::ExactlyOnce).wait().unwrap();
    together(subscribe, || peer.grant(GRANTED)).0
}

/// Sends until neither the server's system nor ours takes more.
pub(crate) fn clog(client: &Client) {
    let payload = vec![0; 1024 * 1024];
    while client.publish("a", payload.clone()).enqueue().is_ok() {}
    let full = client.outgoing_messages();
    thread::sleep(MOMENT);
    if client.outgoing_messages() < full {
        clog(client);
    }
}

pub(crate) fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

pub(crate) fn qos1(number: u16) -> PublishQos {
    PublishQos::AtLeastOnce { id: id(number), dup: false }
}

pub(crate) fn terms(set: impl FnOnce(&mut PropertyBuf)) -> PropertyBuf {
    let mut terms = PropertyBuf::new();
    set(&mut terms);
    terms
}

/// A runtime with tasks, as an application of its own may have.
pub(crate) fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).build().unwrap()
}
