//! A server for one test over any transport, and the MQTT that it speaks.

use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use mqtt_codec::{Decoded, Limits, Packet, PublishQos, decode};
use rustls::ServerConfig;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

use crate::PATIENCE;

/// Anything that carries bytes.
pub(crate) trait Carrier: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Carrier for S {}

pub(crate) type Stream = Box<dyn Carrier>;

/// What a server listens on.
pub(crate) enum Server {
    Tcp {
        listener: TcpListener,
        tls: Option<TlsAcceptor>,
        is_websocket: bool,
    },
    #[cfg(unix)]
    Unix {
        listener: tokio::net::UnixListener,
        folder: TempDir,
    },
}

impl Server {
    pub(crate) async fn tcp() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::Tcp { listener, tls: None, is_websocket: false }
    }

    pub(crate) async fn tls(config: ServerConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tls = Some(TlsAcceptor::from(Arc::new(config)));
        Self::Tcp { listener, tls, is_websocket: false }
    }

    /// The same, with WebSocket on it.
    pub(crate) fn websocket(self) -> Self {
        match self {
            Self::Tcp { listener, tls, .. } => Self::Tcp { listener, tls, is_websocket: true },
            #[cfg(unix)]
            Self::Unix { .. } => panic!("WebSocket goes over TCP"),
        }
    }

    #[cfg(unix)]
    pub(crate) fn unix() -> Self {
        let folder = TempDir::new().unwrap();
        let listener = tokio::net::UnixListener::bind(folder.path().join("mqtt.sock")).unwrap();
        Self::Unix { listener, folder }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Tcp { listener, tls, is_websocket } => {
                let scheme = match (tls, is_websocket) {
                    (None, false) => "mqtt",
                    (Some(_), false) => "mqtts",
                    (None, true) => "ws",
                    (Some(_), true) => "wss",
                };
                format!("{scheme}://localhost:{}", listener.local_addr().unwrap().port())
            }
            #[cfg(unix)]
            Self::Unix { folder, .. } => {
                format!("unix://{}", folder.path().join("mqtt.sock").display())
            }
        }
    }

    /// The next connection, all handshakes done; `None` if one of them failed.
    pub(crate) async fn accept(&self) -> Option<Stream> {
        match self {
            Self::Tcp { listener, tls, is_websocket } => {
                let (stream, _) = listener.accept().await.unwrap();
                let stream: Stream = match tls {
                    None => Box::new(stream),
                    Some(acceptor) => Box::new(acceptor.accept(stream).await.ok()?),
                };
                if !is_websocket {
                    return Some(stream);
                }
                let socket = tokio_tungstenite::accept_hdr_async(stream, speak_mqtt).await.ok()?;
                Some(Box::new(joined(socket)))
            }
            #[cfg(unix)]
            Self::Unix { listener, .. } => Some(Box::new(listener.accept().await.unwrap().0)),
        }
    }
}

/// Agrees to the subprotocol that the client has to offer.
#[expect(clippy::result_large_err, reason = "the library's callback is of this type")]
pub(crate) fn speak_mqtt(
    request: &Request,
    mut answer: Response,
) -> Result<Response, ErrorResponse> {
    assert_eq!(request.headers()["sec-websocket-protocol"], "mqtt");
    assert!(!request.headers().contains_key("sec-websocket-extensions"), "no compression");
    answer.headers_mut().insert("sec-websocket-protocol", "mqtt".parse().unwrap());
    Ok(answer)
}

/// The bytes in the frames of a WebSocket. What goes to the client is cut at odd places.
fn joined(mut socket: WebSocketStream<Stream>) -> impl Carrier {
    let (near, far) = tokio::io::duplex(1 << 20);
    tokio::spawn(async move {
        let (mut from_server, mut to_server) = tokio::io::split(far);
        let mut buffer = vec![0; 7 * 1024 + 3];
        loop {
            tokio::select! {
                message = socket.next() => match message {
                    Some(Ok(Message::Binary(bytes))) => to_server.write_all(&bytes).await.unwrap(),
                    Some(Ok(Message::Text(text))) => panic!("a text frame: {text}"),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return,
                },
                read = from_server.read(&mut buffer) => {
                    let read = read.unwrap();
                    if read == 0 {
                        // The client may be gone already.
                        let _closed = socket.close(None).await;
                        return;
                    }
                    for piece in buffer[..read].chunks(read.div_ceil(3)) {
                        socket.send(Message::binary(piece.to_vec())).await.unwrap();
                    }
                }
            }
        }
    });
    near
}

/// The server's end of a connection.
pub(crate) struct Peer {
    stream: Stream,
    buffer: Vec<u8>,
}

impl Peer {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// The bytes of the client's next packet; `None` if it has closed the connection.
    pub(crate) async fn packet(&mut self) -> Option<Vec<u8>> {
        loop {
            match decode(&self.buffer, &Limits::new()).expect("the client sends valid packets") {
                Decoded::Packet(_, len) => return Some(self.buffer.drain(..len).collect()),
                Decoded::NeedMore(_) => {
                    let read = timeout(PATIENCE, self.stream.read_buf(&mut self.buffer)).await;
                    if read.expect("the client sends something").unwrap_or(0) == 0 {
                        return None;
                    }
                }
            }
        }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Takes CONNECT and accepts.
    pub(crate) async fn accept(&mut self) {
        let connect = self.packet().await.expect("a CONNECT");
        assert_eq!(connect[0], 0x10);
        self.send(&[0x20, 3, 0, 0, 0]).await;
    }

    /// Answers everything until the client leaves or publishes to `cut`; tells what came. Each
    /// SUBSCRIBE is followed by a message of each QoS, `deliveries` with the topics `in/0` to
    /// `in/2`.
    pub(crate) async fn serve(mut self, deliveries: [&[u8]; 3]) -> Vec<String> {
        let mut log = Vec::new();
        while let Some(bytes) = self.packet().await {
            let Ok(Decoded::Packet(packet, _)) = decode(&bytes, &Limits::new()) else {
                panic!("it was decoded before");
            };
            match packet {
                Packet::Connect(_) => {
                    log.push("CONNECT".to_owned());
                    self.send(&[0x20, 3, 0, 0, 0]).await;
                }
                Packet::Publish(publish) => {
                    let topic = publish.topic.expect("no alias").as_str();
                    let (qos, id) = match publish.qos {
                        PublishQos::AtMostOnce => (0, 0),
                        PublishQos::AtLeastOnce { id, .. } => (1, id.get()),
                        PublishQos::ExactlyOnce { id, .. } => (2, id.get()),
                    };
                    log.push(format!("PUBLISH q{qos} {topic} {}", publish.payload.len()));
                    if topic == "cut" {
                        return log;
                    }
                    let [high, low] = id.to_be_bytes();
                    match qos {
                        0 => {}
                        1 => self.send(&[0x40, 2, high, low]).await,
                        _ => self.send(&[0x50, 2, high, low]).await,
                    }
                }
                Packet::PubRel(release) => {
                    log.push("PUBREL".to_owned());
                    let [high, low] = release.packet_id.get().to_be_bytes();
                    self.send(&[0x70, 2, high, low]).await;
                }
                Packet::Subscribe(subscribe) => {
                    log.push("SUBSCRIBE".to_owned());
                    let [high, low] = subscribe.packet_id.get().to_be_bytes();
                    let mut out = vec![0x90, 4, high, low, 0, 2];
                    for (qos, payload) in (0..).zip(deliveries) {
                        out.extend(delivery(qos, payload));
                    }
                    self.send(&out).await;
                }
                Packet::PubAck(_) => log.push("PUBACK".to_owned()),
                Packet::PubRec(record) => {
                    log.push("PUBREC".to_owned());
                    let [high, low] = record.packet_id.get().to_be_bytes();
                    self.send(&[0x62, 2, high, low]).await;
                }
                Packet::PubComp(_) => log.push("PUBCOMP".to_owned()),
                Packet::Disconnect(_) => log.push("DISCONNECT".to_owned()),
                other => panic!("{other:?}"),
            }
        }
        log
    }
}

/// A PUBLISH to `in/QOS`, with the QoS as its packet identifier.
pub(crate) fn delivery(qos: u8, payload: &[u8]) -> Vec<u8> {
    let mut body = vec![0, 4, b'i', b'n', b'/', b'0' + qos];
    if qos > 0 {
        body.extend([0, qos]);
    }
    body.push(0);
    body.extend(payload);
    let mut packet = vec![0x30 | qos << 1];
    let mut left = body.len();
    loop {
        let more = if left >= 128 { 128 } else { 0 };
        packet.push((left % 128) as u8 | more);
        left /= 128;
        if left == 0 {
            break;
        }
    }
    packet.extend(body);
    packet
}
