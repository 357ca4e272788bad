//! Watching the connection. Nothing needs this to work; it is for those who want to know.

use std::time::Duration;

use crate::error::CallError;
use crate::receive::Receiver;
use crate::{ConnectionError, State};

/// The states of the connection, from the present one on; made by [`Client::state`].
///
/// A state that is over before it is looked at is left out. After [`State::Closed`] there is none.
/// It keeps no connection open.
///
/// [`Client::state`]: crate::Client::state
#[must_use = "states are seen by receiving them"]
#[derive(Debug)]
pub struct States(Receiver<mqtt_client_async::States>);

impl States {
    pub(crate) fn new(client: &mqtt_client_async::Client) -> Self {
        Self(Receiver::new(client.state(), client.state()))
    }

    /// Waits for the next state; the first one is the present one.
    ///
    /// # Errors
    ///
    /// [`CallError::Failed`] after [`State::Closed`], and [`CallError::InsideRuntime`].
    pub fn recv(&self) -> Result<State, CallError<ConnectionError>> {
        self.0.recv()
    }

    /// Waits for the next state, and no longer than this.
    ///
    /// # Errors
    ///
    /// [`CallError::Timeout`] if there is none in time, [`CallError::Failed`] after
    /// [`State::Closed`], and [`CallError::InsideRuntime`].
    pub fn recv_timeout(&self, timeout: Duration) -> Result<State, CallError<ConnectionError>> {
        self.0.recv_timeout(timeout)
    }

    /// The next state if there is one already, without waiting.
    ///
    /// # Errors
    ///
    /// Why the connection has ended, after [`State::Closed`].
    pub fn try_recv(&self) -> Result<Option<State>, ConnectionError> {
        self.0.try_recv()
    }
}
