//! Requests: a message that waits for its response.

use std::future::IntoFuture;
use std::time::Duration;

use crate::error::CallError;
use crate::inside::may_wait;
use crate::wait::block_on;
use crate::{Message, QoS, RequestError};

/// A request to be made, by [`wait`](Self::wait). Made by [`Client::request`].
///
/// [`Client::request`]: crate::Client::request
#[must_use = "nothing is requested unless `wait` is called"]
#[derive(Clone, Debug)]
pub struct Request<'a>(mqtt_client_async::Request<'a>);

impl<'a> Request<'a> {
    pub(crate) fn new(request: mqtt_client_async::Request<'a>) -> Self {
        Self(request)
    }

    /// How long the response may take; 10 seconds by default.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self(self.0.timeout(timeout))
    }

    /// How surely the request reaches the server; QoS 0 by default.
    pub fn qos(self, qos: QoS) -> Self {
        Self(self.0.qos(qos))
    }

    /// How long the request is worth delivering, in whole seconds (rounded up).
    pub fn expiry(self, expiry: Duration) -> Self {
        Self(self.0.expiry(expiry))
    }

    /// What the payload contains, as a MIME type for example.
    pub fn content_type(self, content_type: &str) -> Self {
        Self(self.0.content_type(content_type))
    }

    /// Says that the payload is text in UTF-8.
    pub fn text(self) -> Self {
        Self(self.0.text())
    }

    /// Adds a User Property. They keep the order in which they are added.
    pub fn user_property(self, name: &str, value: &str) -> Self {
        Self(self.0.user_property(name, value))
    }

    /// Publishes the request, and waits for its response.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # fn example(client: &mqtt_client_blocking::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let sum = client.request("svc/add", "1 2").timeout(Duration::from_secs(2)).wait()?;
    /// println!("{}", sum.payload_str()?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`CallError::Failed`] with a [`RequestError`], and [`CallError::InsideRuntime`].
    pub fn wait(self) -> Result<Message, CallError<RequestError>> {
        may_wait()?;
        block_on(self.0.into_future()).map_err(CallError::Failed)
    }
}
