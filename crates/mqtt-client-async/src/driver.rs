//! The driver: moves bytes between a transport and the state machine, and opens another transport
//! when the state machine asks for one.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Buf;
use mqtt_session::{Time, TransmitBuf};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::Handle;
use tokio::time::Sleep;

use crate::authentication::{Answering, Challenge};
use crate::dial::{Dialler, Dialling};
use crate::error::ConnectionError;
use crate::keeper::{Change, Keeper};
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

/// The work of a client, as a future.
///
/// [`connect`](crate::ClientBuilder::connect) spawns it;
/// [`connect_with_driver`](crate::ClientBuilder::connect_with_driver) hands it over, to be polled
/// beside the application or spawned wherever it likes. It ends when the client has ended, and no
/// other connection follows: with `Ok` if the application closed it. Nothing happens on the
/// connection while it is not polled, and dropping it ends the connection without a goodbye.
#[must_use = "nothing happens on the connection unless the driver is polled or spawned"]
#[derive(Debug)]
pub struct Driver<S> {
    shared: Arc<Shared>,
    /// Opens transports; `None` if there is only the one that the application has made.
    dialler: Option<OpaqueDialler<S>>,
    /// The transport that is being opened; locked by nobody, but so the driver can be shared.
    dialling: Option<Mutex<OpaqueDialling<S>>>,
    transport: Option<Pin<Box<S>>>,
    /// Where the session is kept, if not in memory alone.
    keeper: Option<Keeper>,
    /// The answer to a challenge of the server.
    answering: Option<Answering>,
    runtime: Handle,
    read: Box<[u8]>,
    out: TransmitBuf,
    timer: Pin<Box<Sleep>>,
    /// When `timer` fires.
    armed: Option<Time>,
    accepts_input: bool,
    /// The transport may hold back what was written.
    needs_flush: bool,
    phase: Phase,
    /// Futures to wake after a turn; empty between turns.
    wakers: Vec<Waker>,
}

#[derive(Debug)]
enum Phase {
    /// There is no transport; one may be being opened.
    Idle,
    Open,
    /// The connection has ended, and what was to be sent before is written.
    Flushing,
    /// The transport is closed.
    Closing,
    Done,
}

/// What opens transports, out of sight of `Debug`.
struct OpaqueDialler<S>(Dialler<S>);

impl<S> fmt::Debug for OpaqueDialler<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dialler")
    }
}

struct OpaqueDialling<S>(Dialling<S>);

impl<S> fmt::Debug for OpaqueDialling<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dialling")
    }
}

impl<S: AsyncRead + AsyncWrite> Driver<S> {
    /// Drives the one connection over this transport.
    pub(crate) fn over(shared: Arc<Shared>, transport: S, keeper: Option<Keeper>) -> Self {
        let mut driver = Self::new(shared, None, keeper);
        driver.transport = Some(Box::pin(transport));
        driver.phase = Phase::Open;
        driver
    }

    /// Drives connections over transports that this opens.
    pub(crate) fn dialling(
        shared: Arc<Shared>,
        dialler: Dialler<S>,
        keeper: Option<Keeper>,
    ) -> Self {
        Self::new(shared, Some(OpaqueDialler(dialler)), keeper)
    }

    fn new(shared: Arc<Shared>, dialler: Option<OpaqueDialler<S>>, keeper: Option<Keeper>) -> Self {
        Self {
            shared,
            dialler,
            dialling: None,
            transport: None,
            keeper,
            answering: None,
            runtime: Handle::current(),
            read: vec![0; READ].into_boxed_slice(),
            out: TransmitBuf::new(),
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            armed: None,
            // CONNECT leaves before anything is read.
            accepts_input: false,
            needs_flush: false,
            phase: Phase::Idle,
            wakers: Vec::new(),
        }
    }

    /// Does everything that can be done without a transport. Ready when there is one, or when
    /// there will be none any more.
    fn dial(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut is_due = false;
        loop {
            is_due |= self.poll_timer(cx);
            self.store(None, cx);
            let mut input = Input::Nothing;
            let mut stands = false;
            if let Some(dialling) = &mut self.dialling {
                let dialling = dialling.get_mut().unwrap_or_else(PoisonError::into_inner);
                match dialling.0.as_mut().poll(cx) {
                    Poll::Pending => {}
                    Poll::Ready(Ok(dialled)) => {
                        self.dialling = None;
                        self.transport = Some(Box::pin(dialled.transport));
                        stands = true;
                        input = Input::Dialled(dialled.credentials);
                    }
                    Poll::Ready(Err(failure)) => {
                        self.dialling = None;
                        input = Input::DialFailed(failure);
                    }
                }
            }
            let turn = self.shared.turn(input, is_due, cx.waker(), &mut self.out, &mut self.wakers);
            if turn.drops_dial {
                self.dialling = None;
                self.transport = None;
                stands = false;
            }
            let has_stored = self.store(turn.change, cx);
            if turn.is_closed {
                self.phase = Phase::Done;
                return Poll::Ready(());
            }
            if let Some(attempt) = self.shared.take_attempt()
                && let Some(dialler) = &mut self.dialler
            {
                self.dialling = Some(Mutex::new(OpaqueDialling((dialler.0)(attempt))));
                continue;
            }
            if stands {
                // CONNECT leaves before anything is read.
                self.accepts_input = false;
                self.phase = Phase::Open;
                return Poll::Ready(());
            }
            is_due = self.arm(turn.deadline, cx);
            if !is_due && !has_stored {
                return Poll::Pending;
            }
        }
    }

    /// Does everything that can be done now. Ready when the connection has ended: true if the
    /// transport can still be written to.
    fn drive(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut read_in_all = 0;
        let mut is_due = false;
        loop {
            is_due |= self.poll_timer(cx);
            self.store(None, cx);
            self.answer(None, cx);
            let mut input = Input::Nothing;
            if self.accepts_input
                && let Some(transport) = &mut self.transport
            {
                let room = self.read.get_mut(read_in_all..).unwrap_or_default();
                let mut buffer = ReadBuf::new(room);
                match transport.as_mut().poll_read(cx, &mut buffer) {
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
            if turn.has_ended || turn.is_closed {
                self.store(turn.change, cx);
                return Poll::Ready(!turn.has_failed);
            }
            let has_stored = self.store(turn.change, cx) | self.answer(turn.challenge, cx);
            let written = if turn.may_write { self.write(cx) } else { Poll::Pending };
            let is_written = match written {
                Poll::Pending => false,
                Poll::Ready(Ok(())) => true,
                Poll::Ready(Err(error)) => {
                    self.shared.transport_failed(error);
                    return Poll::Ready(false);
                }
            };
            is_due = self.arm(turn.deadline, cx);
            if read_in_all >= READ {
                // Those who read the messages get their turn.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            // A transport that had something may have more, and what was written made room.
            let goes_on = is_due || has_stored || (is_written && turn.has_more);
            if !(has_input || begins_to_read || goes_on) {
                return Poll::Pending;
            }
        }
    }

    /// Writes what is due to the store. True if something has been written.
    fn store(&mut self, change: Option<Change>, cx: &mut Context<'_>) -> bool {
        let Self { keeper: Some(keeper), shared, .. } = self else { return false };
        keeper.advance(shared, change, cx)
    }

    /// Answers the server's challenges. True if an answer is ready to be sent.
    fn answer(&mut self, challenge: Option<Challenge>, cx: &mut Context<'_>) -> bool {
        if let Some(challenge) = challenge {
            self.answering = Some(Answering::new(&self.runtime, challenge));
        }
        let Some(answering) = &mut self.answering else { return false };
        let is_ready = answering.advance(&self.shared, cx);
        if is_ready {
            self.answering = None;
        }
        is_ready
    }

    /// Writes to the store until it lets through what is to be sent, or, with `is_last`, until it
    /// holds everything. False if what is to be sent may never leave.
    fn store_all(&mut self, is_last: bool, cx: &mut Context<'_>) -> Poll<bool> {
        loop {
            let (change, may_write) = self.shared.store_due(is_last);
            let has_stored = self.store(change, cx);
            if may_write && !is_last {
                return Poll::Ready(true);
            }
            if !has_stored {
                return if self.is_storing() { Poll::Pending } else { Poll::Ready(may_write) };
            }
        }
    }

    fn is_storing(&mut self) -> bool {
        self.keeper.as_mut().is_some_and(Keeper::is_busy)
    }

    /// Writes until nothing is left, here or in the transport.
    fn write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(transport) = &mut self.transport else { return Poll::Ready(Ok(())) };
        let mut transport = transport.as_mut();
        if !self.out.is_empty() {
            self.needs_flush = true;
            while !self.out.is_empty() {
                let transport = transport.as_mut();
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
        }
        if self.needs_flush {
            ready!(transport.poll_flush(cx))?;
            self.needs_flush = false;
        }
        Poll::Ready(Ok(()))
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
            match driver.phase {
                Phase::Idle => {
                    ready!(driver.dial(cx));
                    driver.armed = None;
                }
                Phase::Open => {
                    let can_write = ready!(driver.drive(cx));
                    driver.timer.as_mut().reset(tokio::time::Instant::now() + LINGER);
                    driver.phase = if can_write { Phase::Flushing } else { Phase::Closing };
                }
                Phase::Flushing => {
                    // What cannot be written any more is nobody's loss: the connection has ended.
                    let is_written = match driver.store_all(false, cx) {
                        Poll::Pending => Poll::Pending,
                        Poll::Ready(true) => driver.write(cx).map(drop),
                        Poll::Ready(false) => Poll::Ready(()),
                    };
                    if is_written.is_pending() && driver.timer.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    driver.phase = Phase::Closing;
                }
                Phase::Closing => {
                    if let Some(transport) = &mut driver.transport
                        && transport.as_mut().poll_shutdown(cx).is_pending()
                        && driver.timer.as_mut().poll(cx).is_pending()
                    {
                        return Poll::Pending;
                    }
                    driver.transport = None;
                    driver.answering = None;
                    driver.needs_flush = false;
                    driver.out.reset(OUT_KEPT);
                    driver.armed = None;
                    driver.phase = if driver.dialler.is_some() { Phase::Idle } else { Phase::Done };
                }
                Phase::Done => {
                    ready!(driver.store_all(true, cx));
                    driver.keeper = None;
                    driver.shared.end_store();
                    return Poll::Ready(driver.shared.result());
                }
            }
        }
    }
}

impl<S> Drop for Driver<S> {
    fn drop(&mut self) {
        self.shared.driver_dropped();
    }
}
