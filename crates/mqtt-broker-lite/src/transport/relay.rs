//! The task of a connection: bytes between the peer's stream and the pipe to the loop.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf, ReadHalf, WriteHalf, split};
use tokio::sync::Notify;
use tokio::time::sleep;

use super::pipe::Pipe;

/// What the transport puts around the bytes.
#[derive(Debug)]
pub(super) enum Framing {
    /// Nothing.
    Plain,
    #[cfg(feature = "websocket")]
    WebSocket(Box<super::websocket::Framer>),
}

#[cfg_attr(
    not(feature = "websocket"),
    expect(clippy::needless_pass_by_ref_mut, reason = "frames have a state, and nothing has none")
)]
impl Framing {
    /// Takes the frame off what the peer has sent. False if nothing more may come.
    fn decode(&mut self, input: &[u8], pipe: &Pipe) -> bool {
        match self {
            Self::Plain => {
                pipe.push(input);
                true
            }
            #[cfg(feature = "websocket")]
            Self::WebSocket(framer) => framer.decode(input, pipe),
        }
    }

    /// What is to be written for `bytes` of the broker, and for the transport itself.
    fn encode(&mut self, bytes: Bytes) -> Bytes {
        match self {
            Self::Plain => bytes,
            #[cfg(feature = "websocket")]
            Self::WebSocket(framer) => framer.encode(bytes),
        }
    }

    /// What is to be written at the end.
    fn close(&mut self) -> Bytes {
        match self {
            Self::Plain => Bytes::new(),
            #[cfg(feature = "websocket")]
            Self::WebSocket(framer) => framer.close(),
        }
    }
}

/// What both halves share.
struct Shared<'a> {
    pipe: &'a Pipe,
    framing: Mutex<Framing>,
    /// The transport has something to write of its own: a pong, a close.
    own: Notify,
}

impl Shared<'_> {
    fn framing(&self) -> MutexGuard<'_, Framing> {
        self.framing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Moves bytes until both sides have ended, or the loop is through and the rest takes too long.
pub(super) async fn relay<S>(stream: S, pipe: &Pipe, framing: Framing)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let shared = Shared { pipe, framing: Mutex::new(framing), own: Notify::new() };
    let (reader, writer) = split(stream);
    let both = async { tokio::join!(read(reader, &shared), write(writer, &shared)) };
    let too_long = async { sleep(pipe.finished().await).await };
    tokio::select! {
        _ = both => {}
        () = too_long => {}
    }
}

async fn read<S: AsyncRead>(mut stream: ReadHalf<S>, shared: &Shared<'_>) {
    loop {
        shared.pipe.room().await;
        let found = read_once(&mut stream, shared).await;
        shared.own.notify_one();
        match found {
            Ok(Found::Input) => {}
            // What still comes is read and dropped until the peer closes, or the loop's patience
            // ends: a socket that is closed with bytes in it would reset the connection, and the
            // peer might miss the last frame.
            Ok(Found::Refused) => shared.pipe.end(),
            Ok(Found::End) | Err(_) => {
                shared.pipe.end();
                return;
            }
        }
    }
}

/// What one read has brought.
enum Found {
    Input,
    /// Something after which nothing more may come.
    Refused,
    End,
}

/// Reads once, through a buffer that no idle connection holds.
async fn read_once<S: AsyncRead>(
    stream: &mut ReadHalf<S>,
    shared: &Shared<'_>,
) -> io::Result<Found> {
    poll_fn(|context| {
        let mut scratch = [0; 8 * 1024];
        let mut buffer = ReadBuf::new(&mut scratch);
        ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer))?;
        let input = buffer.filled();
        Poll::Ready(Ok(if input.is_empty() {
            Found::End
        } else if shared.framing().decode(input, shared.pipe) {
            Found::Input
        } else {
            Found::Refused
        }))
    })
    .await
}

async fn write<S: AsyncWrite>(mut stream: WriteHalf<S>, shared: &Shared<'_>) {
    loop {
        let bytes = tokio::select! {
            biased;
            bytes = shared.pipe.take() => bytes,
            () = shared.own.notified() => Some(Bytes::new()),
        };
        let is_last = bytes.is_none();
        let bytes = match bytes {
            Some(bytes) => shared.framing().encode(bytes),
            None => shared.framing().close(),
        };
        let written = async {
            if !bytes.is_empty() {
                stream.write_all(&bytes).await?;
                stream.flush().await?;
            }
            if is_last { stream.shutdown().await } else { Ok(()) }
        };
        if written.await.is_err() {
            shared.pipe.fail();
            // The loop has to be through before the other half may end.
            shared.pipe.finished().await;
            return;
        }
        if is_last {
            return;
        }
    }
}
