//! MQTT over WebSocket: a stream of bytes in binary frames.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use futures_sink::Sink;
use mqtt_session::DialFault;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::handshake::client::{Request, generate_key};
use tokio_tungstenite::tungstenite::http;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, WebSocketConfig};

use super::{Fault, Transport};
use crate::address::Address;

/// The most that one frame carries to the server: what some servers buffer at once.
const FRAME: usize = 64 * 1024;

/// What one frame from the server may have above the largest packet: others may be in it too.
const ABOVE_PACKET: usize = 1024 * 1024;

/// What is read from the network at once.
const READ: usize = 64 * 1024;

/// How WebSockets are made.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Headers of the request above those that belong to it.
    pub(crate) headers: Vec<(String, String)>,
    /// The largest packet that may come, in bytes.
    pub(crate) largest_packet: usize,
}

/// Asks the server to speak MQTT over this transport's WebSocket.
pub(super) async fn handshake(
    transport: Transport,
    address: &Address,
    options: &Options,
) -> Result<Transport, Fault> {
    let request = request(address, options)
        .map_err(|error| Fault::new(DialFault::BadAddress, io::Error::other(error)))?;
    let largest = options.largest_packet.saturating_add(ABOVE_PACKET);
    let config = WebSocketConfig::default()
        .read_buffer_size(READ)
        .write_buffer_size(FRAME)
        .max_message_size(Some(largest))
        .max_frame_size(Some(largest));
    let shaken = tokio_tungstenite::client_async_with_config(request, transport, Some(config));
    let (inner, _) = shaken.await.map_err(|error| fault(error, &address.path))?;
    Ok(Transport::new("websocket", WebSocket { inner, unread: Bytes::new() }))
}

fn request(address: &Address, options: &Options) -> http::Result<Request> {
    let host = address.authority();
    let mut request = Request::builder()
        .uri(format!("ws://{host}{}", address.path))
        .header("Host", host)
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", generate_key())
        // [MQTT-6.0.0-3]
        .header("Sec-WebSocket-Protocol", "mqtt");
    for (name, value) in &options.headers {
        request = request.header(name, value);
    }
    request.body(())
}

/// What the failure of the handshake means.
#[expect(clippy::wildcard_enum_match_arm, reason = "the other cases of another library are alike")]
fn fault(error: Error, path: &str) -> Fault {
    let refused = |text: String| Fault::new(DialFault::ProtocolRefused, io::Error::other(text));
    match error {
        Error::Io(error) => error.into(),
        Error::Http(answer) => {
            let status = answer.status();
            let text = format!("the server answered the WebSocket handshake with {status}");
            // A gateway says so while the server behind it is away.
            if status.is_server_error() || status == http::StatusCode::TOO_MANY_REQUESTS {
                return Fault::new(DialFault::Unreachable, io::Error::other(text));
            }
            refused(format!("{text}; is `{path}` the path of its WebSocket?"))
        }
        Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(_)) => {
            refused("the server does not speak the WebSocket subprotocol `mqtt`".to_owned())
        }
        Error::Protocol(ProtocolError::HandshakeIncomplete) => {
            let text = "the connection ended during the WebSocket handshake";
            Fault::new(DialFault::Unreachable, io::Error::other(text))
        }
        error => refused(error.to_string()),
    }
}

/// A WebSocket as the stream of bytes that its frames carry.
struct WebSocket {
    inner: WebSocketStream<Transport>,
    /// What the last frame had and nobody has taken yet.
    unread: Bytes,
}

impl AsyncRead for WebSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // [MQTT-6.0.0-2]
        while self.unread.is_empty() {
            match ready!(Pin::new(&mut self.inner).poll_next(cx)) {
                None | Some(Ok(Message::Close(_))) => return Poll::Ready(Ok(())),
                Some(Ok(Message::Binary(bytes))) => self.unread = bytes,
                Some(Ok(Message::Text(_))) => {
                    // [MQTT-6.0.0-1]
                    let close = CloseFrame {
                        code: CloseCode::Unsupported,
                        reason: "MQTT is in binary frames".into(),
                    };
                    let _gone = Pin::new(&mut self.inner).start_send(Message::Close(Some(close)));
                    let text =
                        "the server sent a WebSocket frame of text, and MQTT is in binary ones";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, text)));
                }
                // The library answers pings.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(error)) => return Poll::Ready(Err(io_error(error))),
            }
        }
        let len = self.unread.len().min(buffer.remaining());
        buffer.put_slice(&self.unread.split_to(len));
        Poll::Ready(Ok(()))
    }
}

impl WebSocket {
    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        frame: impl FnOnce() -> Bytes,
    ) -> Poll<io::Result<usize>> {
        ready!(Pin::new(&mut self.inner).poll_ready(cx)).map_err(io_error)?;
        let frame = frame();
        let len = frame.len();
        // [MQTT-6.0.0-1]
        let sent = Pin::new(&mut self.inner).start_send(Message::Binary(frame));
        Poll::Ready(sent.map(|()| len).map_err(io_error))
    }
}

impl AsyncWrite for WebSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(cx, || Bytes::copy_from_slice(bytes.get(..FRAME).unwrap_or(bytes)))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(cx, || {
            let all: usize = pieces.iter().map(|piece| piece.len()).sum();
            let mut frame = BytesMut::with_capacity(all.min(FRAME));
            for piece in pieces {
                let room = FRAME - frame.len();
                frame.extend_from_slice(piece.get(..room).unwrap_or(piece));
            }
            frame.freeze()
        })
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx).map_err(io_error)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.inner).poll_close(cx)).map_err(io_error)?;
        Pin::new(self.inner.get_mut()).poll_shutdown(cx)
    }
}

fn io_error(error: Error) -> io::Error {
    if let Error::Io(error) = error { error } else { io::Error::other(error) }
}
