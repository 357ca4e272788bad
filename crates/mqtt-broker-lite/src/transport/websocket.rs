//! WebSocket: the request that opens it, and the frames around MQTT's bytes.
//!
//! The library's state machine runs on buffers in memory. So what a peer may have it reserve is
//! under control, and packets may be spread over frames in any way.

use std::io::{self, Read, Write};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tungstenite::error::CapacityError;
use tungstenite::handshake::machine::TryParse as _;
use tungstenite::handshake::server::{Request, create_response, write_response};
use tungstenite::http::{HeaderMap, HeaderValue, StatusCode, header};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tungstenite::{Error, Message, WebSocket};

use super::pipe::Pipe;

/// Bytes of a request's head. Over it the request is refused.
const LONGEST_HEAD: usize = 8 * 1024;
/// Bytes of a frame before the CONNECT is accepted, at least: with the packets that may follow the
/// CONNECT at once.
const FIRST_FRAMES: usize = 16 * 1024;
/// Bytes of a frame afterwards, at least.
const FRAMES: usize = 64 * 1024;
/// The subprotocol of MQTT.
const PROTOCOL: &str = "mqtt";

/// What a listener wants of requests.
#[derive(Clone, Debug)]
pub(crate) struct Upgrade {
    /// The path; empty takes any.
    pub(crate) path: String,
    /// The origins of pages whose scripts may connect; empty takes any.
    pub(crate) origins: Vec<String>,
    /// Bytes of a packet before the CONNECT is accepted.
    pub(crate) first_packets: usize,
    /// Bytes of a packet afterwards.
    pub(crate) packets: usize,
}

/// Answers the request that opens a WebSocket.
///
/// # Errors
///
/// When the stream ends or fails, or the request was refused: it has been answered then.
pub(super) async fn accept<S>(stream: &mut S, upgrade: &Upgrade) -> io::Result<Framer>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut head = BytesMut::new();
    let refused = loop {
        if stream.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match Request::try_parse(&head) {
            Ok(Some((length, request))) => match answer(&request, upgrade) {
                Ok(response) => {
                    stream.write_all(&response).await?;
                    stream.flush().await?;
                    head.advance(length);
                    return Ok(Framer::new(head, upgrade));
                }
                Err(status) => break status,
            },
            Ok(None) if head.len() < LONGEST_HEAD => {}
            Ok(None) => break StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Err(_) => break StatusCode::BAD_REQUEST,
        }
    };
    let response = format!("HTTP/1.1 {refused}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(response.as_bytes()).await?;
    stream.shutdown().await?;
    Err(io::Error::new(io::ErrorKind::InvalidData, format!("the request was refused: {refused}")))
}

/// The response that accepts, or the status that refuses.
fn answer(request: &Request, upgrade: &Upgrade) -> Result<Vec<u8>, StatusCode> {
    if !upgrade.path.is_empty() && request.uri().path() != upgrade.path {
        return Err(StatusCode::NOT_FOUND);
    }
    let headers = request.headers();
    if !upgrade.origins.is_empty()
        && let Some(origin) = headers.get(header::ORIGIN)
        && !upgrade.origins.iter().any(|known| known.as_bytes() == origin.as_bytes())
    {
        return Err(StatusCode::FORBIDDEN);
    }
    // [MQTT-6.0.0-3]
    if !offers_mqtt(headers) {
        return Err(StatusCode::BAD_REQUEST);
    }
    let mut response = create_response(request).map_err(|_| StatusCode::BAD_REQUEST)?;
    // [MQTT-6.0.0-4]. No extension is named, so that nothing is ever compressed.
    let protocol = HeaderValue::from_static(PROTOCOL);
    response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    let mut bytes = Vec::new();
    write_response(&mut bytes, &response).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(bytes)
}

fn offers_mqtt(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|offered| offered.trim() == PROTOCOL)
}

/// The frames of one connection.
#[derive(Debug)]
pub(super) struct Framer {
    socket: WebSocket<Memory>,
    /// What frames may have once the CONNECT is accepted, until they have it.
    later: Option<usize>,
    /// A close was sent or received: nothing more is read.
    is_closing: bool,
}

/// The bytes that the library reads and writes.
#[derive(Debug, Default)]
struct Memory {
    input: BytesMut,
    output: BytesMut,
}

impl Read for Memory {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = self.input.len().min(buffer.len());
        if let Some(buffer) = buffer.get_mut(..count) {
            self.input.copy_to_slice(buffer);
        }
        Ok(count)
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Framer {
    fn new(input: BytesMut, upgrade: &Upgrade) -> Self {
        let first = upgrade.first_packets.max(FIRST_FRAMES);
        let config = WebSocketConfig::default()
            .read_buffer_size(4 * 1024)
            .write_buffer_size(0)
            .max_message_size(Some(first))
            .max_frame_size(Some(first));
        let memory = Memory { input, output: BytesMut::new() };
        Self {
            socket: WebSocket::from_raw_socket(memory, Role::Server, Some(config)),
            later: Some(upgrade.packets.max(FRAMES)),
            is_closing: false,
        }
    }

    /// Gives the pipe the bytes that frames carry, whatever packets they make [MQTT-6.0.0-2].
    /// False if nothing more may come.
    pub(super) fn decode(&mut self, input: &[u8], pipe: &Pipe) -> bool {
        self.socket.get_mut().input.extend_from_slice(input);
        if let Some(most) = self.later.take_if(|_| pipe.is_accepted()) {
            self.socket.set_config(|config| {
                config.max_message_size = Some(most);
                config.max_frame_size = Some(most);
            });
        }
        while !self.is_closing {
            match self.socket.read() {
                Ok(Message::Binary(bytes)) => pipe.push(&bytes),
                // [MQTT-6.0.0-1]
                Ok(Message::Text(_)) => self.refuse(CloseCode::Unsupported),
                // The library has put the pong into the output.
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                Ok(Message::Close(_)) => {
                    self.is_closing = true;
                    // The answer goes out with the next flush, whose result comes when all is
                    // said.
                    let _ = self.socket.flush();
                }
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(Error::Capacity(CapacityError::MessageTooLong { .. })) => {
                    self.refuse(CloseCode::Size);
                }
                Err(Error::Utf8(_)) => self.refuse(CloseCode::Invalid),
                Err(_) => self.refuse(CloseCode::Protocol),
            }
        }
        false
    }

    fn refuse(&mut self, code: CloseCode) {
        self.is_closing = true;
        // Where the peer has closed already, there is nothing left to say.
        let _ = self.socket.close(Some(CloseFrame { code, reason: "".into() }));
        let _ = self.socket.flush();
    }

    /// What is to be written for `bytes`, and what the library has to say itself.
    pub(super) fn encode(&mut self, bytes: Bytes) -> Bytes {
        if !bytes.is_empty() && !self.is_closing {
            // [MQTT-6.0.0-1]. Writing to memory fails only after a close, when nobody listens.
            let _ = self.socket.write(Message::Binary(bytes));
            let _ = self.socket.flush();
        }
        self.socket.get_mut().output.split().freeze()
    }

    /// What is to be written at the end.
    pub(super) fn close(&mut self) -> Bytes {
        if !self.is_closing {
            self.refuse(CloseCode::Normal);
        }
        self.socket.get_mut().output.split().freeze()
    }
}
