//! Closing the connection.

use std::sync::Arc;
use std::time::Duration;

use crate::error::InsideRuntime;
use crate::inside::may_wait;
use crate::wait::{Gate, block_on};
use crate::{Closed, EncodeError};

/// How to close the connection, by [`wait`](Self::wait). Made by [`Client::close`].
///
/// [`Client::close`]: crate::Client::close
#[must_use = "nothing is closed unless `wait` is called"]
#[derive(Clone, Debug)]
pub struct Close {
    close: mqtt_client_async::Close,
    ended: Arc<Gate>,
}

impl Close {
    pub(crate) fn new(close: mqtt_client_async::Close, ended: &Arc<Gate>) -> Self {
        Self { close, ended: Arc::clone(ended) }
    }

    /// How long to wait until everything is sent and acknowledged; not at all by default. Messages
    /// that can be sent at once are sent in any case.
    pub fn drain(mut self, at_most: Duration) -> Self {
        self.close = self.close.drain(at_most);
        self
    }

    /// Has the server publish the will, which a normal disconnection drops.
    pub fn with_will(mut self) -> Self {
        self.close = self.close.with_will();
        self
    }

    /// Changes how long the session outlives the connection, in whole seconds (rounded up). A
    /// session that was to end with its connection cannot be given time any more; this has no
    /// effect then.
    pub fn session_expiry(mut self, expiry: Duration) -> Self {
        self.close = self.close.session_expiry(expiry);
        self
    }

    /// Adds a User Property to DISCONNECT. They keep the order in which they are added.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] if a text cannot be sent.
    pub fn user_property(mut self, name: &str, value: &str) -> Result<Self, EncodeError> {
        self.close = self.close.user_property(name, value)?;
        Ok(self)
    }

    /// Says why in words, for the server's log.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] if the text cannot be sent.
    pub fn reason_string(mut self, reason: &str) -> Result<Self, EncodeError> {
        self.close = self.close.reason_string(reason)?;
        Ok(self)
    }

    /// Closes the connection, and returns when nothing of it is left: the goodbye is handed to the
    /// system and the socket is closed. A server that reads nothing any more is given a few seconds
    /// beyond the time to [`drain`](Self::drain).
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # fn example(client: &mqtt_client_blocking::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let closed = client.close().drain(Duration::from_secs(5)).wait()?;
    /// if closed.unacknowledged > 0 {
    ///     println!("{} messages may be lost: {}", closed.unacknowledged, closed.cause);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`InsideRuntime`]; the connection stays open.
    pub fn wait(self) -> Result<Closed, InsideRuntime> {
        may_wait()?;
        let closed = block_on(self.close.into_future());
        self.ended.wait();
        Ok(closed)
    }
}
