//! A server whose every byte the test writes, and a client connected to it.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::time::Duration;

use mqtt_client_async::{Client, ClientBuilder};
use mqtt_codec::{
    ConnAck, ConnectReason, Decoded, Limits, Packet, PacketId, PacketType, Properties, PropertyBuf,
    PubAck, PubAckReason, Publish, PublishQos, SubAck, SubAckReason, TopicName, decode,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A server that waits for connections on a free port.
pub(crate) struct Server {
    listener: TcpListener,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    pub(crate) fn url(&self) -> String {
        format!("mqtt://{}", self.listener.local_addr().unwrap())
    }

    pub(crate) fn client(&self) -> ClientBuilder {
        Client::builder(&self.url()).client_id("c").keep_alive(Duration::ZERO)
    }

    pub(crate) async fn accept(&self) -> Peer {
        let (stream, _) = self.listener.accept().await.unwrap();
        Peer { stream, buffer: Vec::new() }
    }

    /// Connects a client on these terms.
    pub(crate) async fn connected(
        &self,
        client: ClientBuilder,
        terms: &PropertyBuf,
    ) -> (Client, Peer) {
        let server = async {
            let mut peer = self.accept().await;
            assert_eq!(peer.packet_type().await, PacketType::Connect);
            peer.send(ConnAck {
                session_present: false,
                reason: ConnectReason::Success,
                properties: terms.as_properties(),
            })
            .await;
            peer
        };
        let (client, peer) = tokio::join!(client.connect(), server);
        (client.unwrap(), peer)
    }

    /// A client connected without any terms.
    pub(crate) async fn open(&self) -> (Client, Peer) {
        self.connected(self.client(), &PropertyBuf::new()).await
    }
}

/// The server's end of a connection.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    /// Bytes that came and were not looked at.
    pub(crate) buffer: Vec<u8>,
}

impl Peer {
    pub(crate) async fn send<'a>(&mut self, packet: impl Into<Packet<'a>>) {
        let mut bytes = Vec::new();
        packet.into().encode(&mut bytes, u32::MAX).unwrap();
        self.stream.write_all(&bytes).await.unwrap();
    }

    /// The bytes of the next packet of the client; `None` if it has closed the connection.
    pub(crate) async fn packet(&mut self) -> Option<Vec<u8>> {
        loop {
            match decode(&self.buffer, &Limits::new()).expect("the client sends valid packets") {
                Decoded::Packet(_, len) => return Some(self.buffer.drain(..len).collect()),
                Decoded::NeedMore(_) => {
                    let read = self.stream.read_buf(&mut self.buffer);
                    let read = tokio::time::timeout(Duration::from_secs(20), read).await;
                    if read.expect("the client sends something").unwrap() == 0 {
                        assert!(self.buffer.is_empty(), "a packet was cut off");
                        return None;
                    }
                }
            }
        }
    }

    pub(crate) async fn packet_type(&mut self) -> PacketType {
        let bytes = self.packet().await.expect("a packet");
        PacketType::from_number(bytes[0] >> 4).unwrap()
    }

    /// The next packet, which is a PUBLISH: its QoS with the identifier, topic and payload.
    pub(crate) async fn publish(&mut self) -> (PublishQos, String, Vec<u8>) {
        let bytes = self.packet().await.expect("a PUBLISH");
        let Ok(Decoded::Packet(Packet::Publish(publish), _)) = decode(&bytes, &Limits::new())
        else {
            panic!("a PUBLISH, not {bytes:x?}");
        };
        let topic = publish.topic.unwrap().as_str().to_owned();
        (publish.qos, topic, publish.payload.to_vec())
    }

    /// Takes a SUBSCRIBE and grants it.
    pub(crate) async fn grant(&mut self, reasons: &[SubAckReason]) {
        let bytes = self.packet().await.expect("a SUBSCRIBE");
        let Ok(Decoded::Packet(Packet::Subscribe(subscribe), _)) = decode(&bytes, &Limits::new())
        else {
            panic!("a SUBSCRIBE, not {bytes:x?}");
        };
        let suback = SubAck::new(subscribe.packet_id, Properties::EMPTY, reasons);
        self.send(suback.unwrap()).await;
    }

    pub(crate) async fn deliver(&mut self, topic: &str, payload: &[u8], qos: PublishQos) {
        self.send(Publish {
            qos,
            retain: false,
            topic: TopicName::new(topic).ok(),
            properties: Properties::EMPTY,
            payload,
        })
        .await;
    }

    pub(crate) async fn puback(&mut self, packet_id: PacketId, reason: PubAckReason) {
        self.send(PubAck { packet_id, reason, properties: Properties::EMPTY }).await;
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
