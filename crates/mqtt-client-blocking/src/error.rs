//! What blocking adds to the errors of the async client.

use std::fmt;

use crate::publish::Publish;
use crate::{ConnectionError, PublishError};

/// The call would wait, on a thread that must not: nothing was done.
///
/// See [the crate](crate#inside-an-async-runtime) for what counts as such a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this call would block a thread that runs async tasks; use `mqtt-client-async` there, or call \
     from `tokio::task::spawn_blocking` or a thread of its own"
)]
pub struct InsideRuntime;

/// Why a call that waits has no result. `E` is what the same call of the async client fails with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError<E> {
    /// The thread must not wait: nothing was done.
    #[error(transparent)]
    InsideRuntime(#[from] InsideRuntime),
    /// The time given is over. Whatever was waited for may still come.
    #[error("the time to wait for it is over")]
    Timeout,
    /// It failed.
    #[error(transparent)]
    Failed(E),
}

/// Why [`Publish::enqueue`] did not take a message.
#[derive(thiserror::Error)]
pub enum EnqueueError<'a> {
    /// As many messages wait to be sent or acknowledged as the options allow. The message is
    /// given back: [`send`](Publish::send) it, which waits, or try again later.
    #[error("as many messages wait to be sent or acknowledged as `max_outgoing_messages` allows")]
    Full(Box<Publish<'a>>),
    /// The message cannot be published.
    #[error(transparent)]
    Failed(#[from] PublishError),
}

impl fmt::Debug for EnqueueError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("Full"),
            Self::Failed(error) => f.debug_tuple("Failed").field(error).finish(),
        }
    }
}

impl CallError<ConnectionError> {
    /// Whether the application itself ended the connection.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        matches!(self, Self::Failed(error) if error.is_disconnected())
    }
}
