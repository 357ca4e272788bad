//! The driver: moves bytes between a transport and the state machine, until the connection ends.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Buf;
use mqtt_session::{Time, TransmitBuf};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::error::ConnectionError;
use crate::shared::{Input, Shared};

/// How much is read before those who read the messages get their turn. Not more: what they free
/// is what the next messages are put into, still in the cache, and before the allocator gives it
/// back to the system.
const READ: usize = 64 * 1024;

/// Pieces that one vectored write takes.
const PIECES: usize = 64;

/// After the end of the connection, how long the transport may take for what is left to write.
const LINGER: Duration = Duration::from_secs(2);

/// Memory for outgoing bytes that is kept while nothing is to be sent.
const OUT_KEPT: usize = 64 * 1024;

/// The work of one connection, as a future.
///
/// [`connect`](crate::ClientBuilder::connect) spawns it;
/// [`connect_with_driver`](crate::ClientBuilder::connect_with_driver) hands it over, to be polled
/// beside the application or spawned wherever it likes. It ends when the connection has ended:
/// with `Ok` if the application closed it. Nothing happens on the connection while it is not
/// polled, and dropping it ends the connection without a goodbye.
#[must_use = "nothing happens on the connection unless the driver is polled or spawned"]
#[derive(Debug)]
pub struct Driver<S> {
    shared: Arc<Shared>,
    transport: Pin<Box<S>>,
    read: Box<[u8]>,
    out: TransmitBuf,
    timer: Pin<Box<Sleep>>,
    /// When `timer` fires.
    armed: Option<Time>,
    accepts_input: bool,
    phase: Phase,
    /// Futures to wake after a turn; empty between turns.
    wakers: Vec<Waker>,
}

#[derive(Debug)]
enum Phase {
    Open,
    /// The connection has ended, and what was to be sent before is written.
    Flushing(ConnectionError),
    /// The transport is closed.
    Closing(ConnectionError),
    Done,
}

impl<S: AsyncRead + AsyncWrite> Driver<S> {
    pub(crate) fn new(shared: Arc<Shared>, transport: S) -> Self {
        Self {
            shared,
            transport: Box::pin(transport),
            read: vec![0; READ].into_boxed_slice(),
            out: TransmitBuf::new(),
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            armed: None,
            // CONNECT leaves before anything is read.
            accepts_input: false,
            phase: Phase::Open,
            wakers: Vec::new(),
        }
    }

    /// Does everything that can be done now. Ready when the connection has ended.
    fn drive(&mut self, cx: &mut Context<'_>) -> Poll<ConnectionError> {
        let mut read_in_all = 0;
        let mut is_due = false;
        loop {
            is_due |= self.poll_timer(cx);
            let mut input = Input::Nothing;
            if self.accepts_input {
                let room = self.read.get_mut(read_in_all..).unwrap_or_default();
                let mut buffer = ReadBuf::new(room);
                match self.transport.as_mut().poll_read(cx, &mut buffer) {
                    Poll::Pending => {}
                    Poll::Ready(Err(error)) => input = Input::Failure(error),
                    Poll::Ready(Ok(())) => {
                        let end = read_in_all + buffer.filled().len();
                        input = match self.read.get(read_in_all..end) {
                            Some(bytes) if !bytes.is_empty() => Input::Bytes(bytes),
                            _ => Input::End,
                        };
                        read_in_all = end;
                    }
                }
            }
            let has_input = !matches!(input, Input::Nothing);
            let turn = self.shared.turn(input, is_due, cx.waker(), &mut self.out, &mut self.wakers);
            let begins_to_read = turn.accepts_input && !self.accepts_input;
            self.accepts_input = turn.accepts_input;
            if let Some(error) = turn.closed {
                return Poll::Ready(error);
            }
            let is_written = match self.write(cx) {
                Poll::Pending => false,
                Poll::Ready(Ok(())) => true,
                Poll::Ready(Err(error)) => return Poll::Ready(self.shared.transport_failed(error)),
            };
            is_due = self.arm(turn.deadline, cx);
            if read_in_all >= READ {
                // Those who read the messages get their turn.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            // A transport that had something may have more, and what was written made room.
            if !(has_input || begins_to_read || is_due || (is_written && turn.has_more)) {
                return Poll::Pending;
            }
        }
    }

    /// Writes until nothing is left.
    fn write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.out.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while !self.out.is_empty() {
            let transport = self.transport.as_mut();
            let written = if transport.is_write_vectored() {
                let mut pieces = [IoSlice::new(&[]); PIECES];
                let count = self.out.chunks_vectored(&mut pieces);
                transport.poll_write_vectored(cx, pieces.get(..count).unwrap_or_default())
            } else {
                transport.poll_write(cx, self.out.chunk())
            };
            match ready!(written) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(written) => self.out.advance(written),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        self.out.reset(OUT_KEPT);
        self.transport.as_mut().poll_flush(cx)
    }

    /// Whether the deadline has come.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> bool {
        let is_due = self.armed.is_some() && self.timer.as_mut().poll(cx).is_ready();
        if is_due {
            self.armed = None;
        }
        is_due
    }

    /// Sets the timer to a deadline; a later one is looked at when the earlier one fires. True if
    /// it has come already.
    fn arm(&mut self, deadline: Option<Time>, cx: &mut Context<'_>) -> bool {
        let Some(deadline) = deadline else { return false };
        if self.armed.is_none_or(|armed| deadline < armed) {
            self.timer.as_mut().reset(self.shared.instant(deadline));
            self.armed = Some(deadline);
        }
        self.poll_timer(cx)
    }
}

impl<S: AsyncRead + AsyncWrite> Future for Driver<S> {
    type Output = Result<(), ConnectionError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let driver = &mut *self;
        loop {
            match &driver.phase {
                Phase::Open => {
                    let error = ready!(driver.drive(cx));
                    let linger = tokio::time::Instant::now() + LINGER;
                    driver.timer.as_mut().reset(linger);
                    let is_gone = matches!(error, ConnectionError::Io(_));
                    driver.phase =
                        if is_gone { Phase::Closing(error) } else { Phase::Flushing(error) };
                }
                Phase::Flushing(error) => {
                    let error = error.clone();
                    // What cannot be written any more is nobody's loss: the connection has ended.
                    if driver.write(cx).is_pending() && driver.timer.as_mut().poll(cx).is_pending()
                    {
                        return Poll::Pending;
                    }
                    driver.phase = Phase::Closing(error);
                }
                Phase::Closing(error) => {
                    let error = error.clone();
                    let closed = driver.transport.as_mut().poll_shutdown(cx);
                    if closed.is_pending() && driver.timer.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    driver.phase = Phase::Done;
                    let result = if error.is_disconnected() { Ok(()) } else { Err(error) };
                    return Poll::Ready(result);
                }
                Phase::Done => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl<S> Drop for Driver<S> {
    fn drop(&mut self) {
        self.shared.driver_dropped();
    }
}
