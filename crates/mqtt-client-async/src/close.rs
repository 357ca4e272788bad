//! Closing the connection.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use mqtt_codec::{DisconnectReason, EncodeError};
use mqtt_session::{DisconnectOptions, UnsentMessage};

use crate::error::ConnectionError;
use crate::shared::{Shared, Status};

/// How to close the connection, by awaiting it. Made by [`Client::close`].
///
/// [`Client::close`]: crate::Client::close
#[must_use = "nothing is closed unless this is awaited"]
#[derive(Clone, Debug)]
pub struct Close {
    shared: Arc<Shared>,
    options: DisconnectOptions,
}

impl Close {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared), options: DisconnectOptions::default() }
    }

    /// How long to wait until everything is sent and acknowledged; not at all by default. Messages
    /// that can be sent at once are sent in any case.
    pub fn drain(mut self, at_most: Duration) -> Self {
        self.options = self.options.drain(at_most);
        self
    }

    /// Has the server publish the will, which a normal disconnection drops.
    pub fn with_will(mut self) -> Self {
        self.options = self.options.reason(DisconnectReason::DisconnectWithWillMessage);
        self
    }

    /// Changes how long the session outlives the connection, in whole seconds (rounded up). A
    /// session that was to end with its connection cannot be given time any more; this has no
    /// effect then.
    pub fn session_expiry(mut self, expiry: Duration) -> Self {
        let seconds = expiry.as_nanos().div_ceil(1_000_000_000);
        let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
        self.options = self.options.session_expiry_interval(seconds);
        self
    }

    /// Adds a User Property to DISCONNECT. They keep the order in which they are added.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] if a text cannot be sent.
    pub fn user_property(mut self, name: &str, value: &str) -> Result<Self, EncodeError> {
        self.options = self.options.user_property(name, value)?;
        Ok(self)
    }

    /// Says why in words, for the server's log.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] if the text cannot be sent.
    pub fn reason_string(mut self, reason: &str) -> Result<Self, EncodeError> {
        self.options = self.options.reason_string(reason)?;
        Ok(self)
    }
}

impl IntoFuture for Close {
    type Output = Closed;
    type IntoFuture = Closing;

    fn into_future(self) -> Closing {
        Closing { close: self, has_begun: false }
    }
}

/// The future of [`Close`]: resolves when the connection has ended.
///
/// # Cancel safety
///
/// Dropped after it was polled, the connection is closed all the same.
#[must_use = "nothing is closed unless this is awaited"]
#[derive(Debug)]
pub struct Closing {
    close: Close,
    has_begun: bool,
}

impl Future for Closing {
    type Output = Closed;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Closed> {
        let Self { close, has_begun } = &mut *self;
        close.shared.call(|state| {
            if !*has_begun {
                state.disconnect(&close.options);
                *has_begun = true;
            }
            // With a store the end of the session has to be written as well.
            let is_stored = state.ledger.is_none();
            if let Status::Closed(cause) = state.status()
                && is_stored
            {
                let cause = cause.clone();
                let unacknowledged = state.session().outgoing_messages();
                let unsent = state.take_unsent();
                return Poll::Ready(Closed { cause, unacknowledged, unsent });
            }
            state.watch(cx.waker());
            Poll::Pending
        })
    }
}

/// How the connection was closed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Closed {
    /// Why the connection ended: that the application disconnected, unless something else came
    /// first.
    pub cause: ConnectionError,
    /// How many messages were published and have not ended: not sent, or at QoS 1 and QoS 2 not
    /// acknowledged.
    pub unacknowledged: usize,
    /// Those of them that were not sent, oldest first. Only the first who closes gets them. None
    /// where the session is [stored](crate::ClientBuilder::session_store): the next run sends them.
    pub unsent: Vec<UnsentMessage>,
}
