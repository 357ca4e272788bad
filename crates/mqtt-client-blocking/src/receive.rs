//! Receiving, by any number of threads, from what is a stream in the async client.

use std::fmt;
use std::iter::FusedIterator;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_core::Stream;

use crate::error::CallError;
use crate::inside::may_wait;
use crate::wait::{Bell, deadline};
use crate::{ConnectionError, Message, State};

/// A stream to wait at.
///
/// The stream knows one waker at a time, so it is always the same bell. It rings for one thread,
/// and a thread that has got something rings it for the next: there may be more.
#[derive(Debug)]
pub(crate) struct Receiver<S> {
    source: Mutex<Source<S>>,
    bell: Arc<Bell>,
    waker: Waker,
}

#[derive(Debug)]
struct Source<S> {
    stream: S,
    /// To learn why the stream has ended.
    states: mqtt_client_async::States,
    cause: Option<ConnectionError>,
}

impl<S: Stream + Unpin> Receiver<S> {
    pub(crate) fn new(stream: S, states: mqtt_client_async::States) -> Self {
        let bell = Arc::new(Bell::default());
        let waker = Waker::from(Arc::clone(&bell));
        Self { source: Mutex::new(Source { stream, states, cause: None }), bell, waker }
    }

    /// The stream itself, when nobody waits at it any more.
    pub(crate) fn into_stream(self) -> S {
        // Nothing panics while it holds the lock.
        self.source.into_inner().unwrap_or_else(PoisonError::into_inner).stream
    }

    /// Looks at the stream itself.
    pub(crate) fn with<R>(&self, look: impl FnOnce(&S) -> R) -> R {
        look(&self.lock().stream)
    }

    pub(crate) fn recv(&self) -> Result<S::Item, CallError<ConnectionError>> {
        self.recv_by(None)
    }

    pub(crate) fn recv_timeout(
        &self,
        timeout: Duration,
    ) -> Result<S::Item, CallError<ConnectionError>> {
        self.recv_by(deadline(timeout))
    }

    pub(crate) fn try_recv(&self) -> Result<Option<S::Item>, ConnectionError> {
        match self.poll() {
            Poll::Ready(received) => received.map(Some),
            Poll::Pending => Ok(None),
        }
    }

    fn recv_by(&self, deadline: Option<Instant>) -> Result<S::Item, CallError<ConnectionError>> {
        may_wait()?;
        let mut is_over = false;
        loop {
            let heard = self.bell.rings();
            match self.poll() {
                Poll::Ready(received) => return received.map_err(CallError::Failed),
                Poll::Pending if is_over => return Err(CallError::Timeout),
                Poll::Pending => is_over = !self.bell.wait(heard, deadline),
            }
        }
    }

    fn poll(&self) -> Poll<Result<S::Item, ConnectionError>> {
        let mut source = self.lock();
        let polled = Pin::new(&mut source.stream).poll_next(&mut Context::from_waker(&self.waker));
        let received = match polled {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Some(item)) => Ok(item),
            Poll::Ready(None) => Err(source.cause()),
        };
        drop(source);
        self.bell.pass_on();
        Poll::Ready(received)
    }

    fn lock(&self) -> MutexGuard<'_, Source<S>> {
        // Nothing panics while it holds the lock.
        self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Source<S> {
    /// Why the stream has ended.
    fn cause(&mut self) -> ConnectionError {
        let mut cx = Context::from_waker(Waker::noop());
        while self.cause.is_none()
            && let Poll::Ready(Some(state)) = Pin::new(&mut self.states).poll_next(&mut cx)
        {
            if let State::Closed { cause } = state {
                self.cause = Some(cause);
            }
        }
        // A stream ends with its connection, whose cause is known by then.
        self.cause.clone().unwrap_or(ConnectionError::DriverDropped)
    }
}

/// Messages as they come; made by [`Subscription::iter`] and [`Unmatched::iter`].
///
/// It waits for each message. It ends when the connection was closed by the application; if it has
/// ended for another reason, or the thread must not wait, that error comes last.
///
/// [`Subscription::iter`]: crate::Subscription::iter
/// [`Unmatched::iter`]: crate::Unmatched::iter
#[must_use = "messages are received by going through them"]
pub struct Messages<'a> {
    origin: Origin<'a>,
    has_ended: bool,
}

#[derive(Clone, Copy)]
enum Origin<'a> {
    Subscription(&'a Receiver<mqtt_client_async::Subscription>),
    Unmatched(&'a Receiver<mqtt_client_async::Unmatched>),
}

impl<'a> Messages<'a> {
    pub(crate) fn of(subscription: &'a Receiver<mqtt_client_async::Subscription>) -> Self {
        Self { origin: Origin::Subscription(subscription), has_ended: false }
    }

    pub(crate) fn of_unmatched(unmatched: &'a Receiver<mqtt_client_async::Unmatched>) -> Self {
        Self { origin: Origin::Unmatched(unmatched), has_ended: false }
    }
}

impl Iterator for Messages<'_> {
    type Item = Result<Message, CallError<ConnectionError>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_ended {
            return None;
        }
        let received = match self.origin {
            Origin::Subscription(receiver) => receiver.recv(),
            Origin::Unmatched(receiver) => receiver.recv(),
        };
        match received {
            Ok(message) => Some(Ok(message)),
            Err(error) => {
                self.has_ended = true;
                (!error.is_disconnected()).then_some(Err(error))
            }
        }
    }
}

impl FusedIterator for Messages<'_> {}

impl fmt::Debug for Messages<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages").field("has_ended", &self.has_ended).finish_non_exhaustive()
    }
}
