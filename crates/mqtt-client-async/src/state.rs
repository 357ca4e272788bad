//! Watching the connection. Nothing needs this to work; it is for those who want to know.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use futures_core::Stream;

use crate::error::ConnectionError;
use crate::shared::{Shared, Status};

/// How the connection is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum State {
    /// It is being made: the server has not accepted it yet.
    Connecting,
    /// It stands.
    Connected {
        /// Whether the server had the session already.
        resumed: bool,
    },
    /// There is none, and the next attempt to make one begins at `retry_at`.
    Waiting {
        /// When.
        retry_at: Instant,
        /// Why there is none.
        cause: ConnectionError,
    },
    /// It has ended, and no other follows.
    Closed {
        /// Why.
        cause: ConnectionError,
    },
}

impl From<&Status> for State {
    fn from(status: &Status) -> Self {
        match status {
            Status::Connecting => Self::Connecting,
            Status::Connected { session_present } => Self::Connected { resumed: *session_present },
            Status::Waiting { until, cause } => {
                Self::Waiting { retry_at: until.into_std(), cause: cause.clone() }
            }
            Status::Closed(cause) => Self::Closed { cause: cause.clone() },
        }
    }
}

/// The states of the connection, from the present one on; made by [`Client::state`].
///
/// A state that is over before it is looked at is left out. The stream ends after
/// [`State::Closed`].
///
/// [`Client::state`]: crate::Client::state
#[must_use = "states are seen by reading the stream"]
#[derive(Debug)]
pub struct States {
    shared: Arc<Shared>,
    /// The version of the state seen last.
    seen: Option<u64>,
    has_ended: bool,
}

impl States {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared), seen: None, has_ended: false }
    }

    /// The next state; the first call tells the present one. `None` after [`State::Closed`].
    ///
    /// # Cancel safety
    ///
    /// No state is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<State> {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &Context<'_>) -> Poll<Option<State>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let seen = self.seen;
        let (version, state) = self.shared.call(|state| {
            if seen == Some(state.version()) {
                state.watch(cx.waker());
                return (seen, None);
            }
            (Some(state.version()), Some(State::from(state.status())))
        });
        self.seen = version;
        let Some(state) = state else { return Poll::Pending };
        self.has_ended = matches!(state, State::Closed { .. });
        Poll::Ready(Some(state))
    }
}

impl Stream for States {
    type Item = State;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<State>> {
        self.poll(cx)
    }
}
