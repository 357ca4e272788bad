//! Ending a subscription with an answer.

use std::future::IntoFuture;
use std::sync::Arc;

use crate::client::Connection;
use crate::error::CallError;
use crate::inside::may_wait;
use crate::wait::block_on;
use crate::{UnsubscribeError, Unsubscribed};

/// A subscription to be ended, by [`wait`](Self::wait). Made by
/// [`Subscription::unsubscribe`](crate::Subscription::unsubscribe).
///
/// Dropped without that it ends the subscription as well, without its User Properties.
#[must_use = "the server's answer, and the User Properties, need `wait`"]
#[derive(Debug)]
pub struct Unsubscribe {
    // Before the connection, which waits for the goodbye that the last handle says.
    unsubscribe: mqtt_client_async::Unsubscribe,
    connection: Arc<Connection>,
}

impl Unsubscribe {
    pub(crate) const fn new(
        unsubscribe: mqtt_client_async::Unsubscribe,
        connection: Arc<Connection>,
    ) -> Self {
        Self { unsubscribe, connection }
    }

    /// Adds a User Property to UNSUBSCRIBE. They keep the order in which they are added, and are
    /// left out if the server takes no packet that large.
    pub fn user_property(mut self, name: &str, value: &str) -> Self {
        self.unsubscribe = self.unsubscribe.user_property(name, value);
        self
    }

    /// Unsubscribes, and waits for the server's answer. Without a connection that is after the next
    /// one stands.
    ///
    /// # Errors
    ///
    /// [`CallError::Failed`] with an [`UnsubscribeError`], and [`CallError::InsideRuntime`]; the
    /// subscription ends in any case.
    pub fn wait(self) -> Result<Unsubscribed, CallError<UnsubscribeError>> {
        may_wait()?;
        let Self { unsubscribe, connection } = self;
        let answer = block_on(unsubscribe.into_future()).map_err(CallError::Failed);
        drop(connection);
        answer
    }
}
