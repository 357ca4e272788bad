//! The handle of a connection.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::builder::ClientBuilder;
use crate::close::Close;
use crate::error::CallError;
use crate::inside::may_wait;
use crate::publish::Publish;
use crate::request::Request;
use crate::state::States;
use crate::subscribe::{Subscribe, Unmatched};
use crate::wait::{Gate, block_on, deadline, wait_for};
use crate::{
    ClientStatistics, ConnectionError, IntoFilters, Message, Negotiated, Payload,
    ReauthenticateError,
};

/// How long the drop of the last handle waits for the goodbye to leave.
const GOODBYE: Duration = Duration::from_millis(500);

/// A connection to an MQTT server.
///
/// Clones are handles of the same connection. It is closed by [`close`](Self::close), or when the
/// last handle and the last subscription are dropped; see [the crate](crate#the-end-of-a-connection).
///
/// ```no_run
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use mqtt_client_blocking::{Client, QoS};
///
/// let client = Client::builder("mqtt://localhost").client_id("meter-17").connect()?;
/// let commands = client.subscribe("meter/17/set").qos(QoS::AtLeastOnce).wait()?;
/// client.publish("meter/17/kwh", "1234.5").qos(QoS::AtLeastOnce).send()?;
/// for message in &commands {
///     let message = message?;
///     println!("{}: {}", message.topic(), message.payload_str()?);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    // Before the connection, which waits for the goodbye that the last handle says.
    client: mqtt_client_async::Client,
    connection: Arc<Connection>,
}

impl Client {
    /// The options for a connection to `address`: `mqtt://[user[:password]@]host[:port]`, or with
    /// another [scheme](crate). It is looked at when connecting.
    pub fn builder(address: &str) -> ClientBuilder {
        ClientBuilder::new(address)
    }

    pub(crate) fn new(client: mqtt_client_async::Client, ended: Arc<Gate>) -> Self {
        Self { client, connection: Arc::new(Connection { ended }) }
    }

    pub(crate) fn connection(&self) -> Arc<Connection> {
        Arc::clone(&self.connection)
    }

    /// A message to publish, at QoS 0 unless told otherwise: [`send`](Publish::send) or
    /// [`enqueue`](Publish::enqueue) it.
    pub fn publish<'a>(&'a self, topic: &'a str, payload: impl Into<Payload>) -> Publish<'a> {
        Publish::new(self.client.publish(topic, payload))
    }

    /// A request to publish, at QoS 0 unless told otherwise, with a response to
    /// [`wait`](Request::wait) for.
    ///
    /// The response topic is made and subscribed to once for all requests of this client, below
    /// the server's Response Information where the client
    /// [asked for it](ClientBuilder::request_response_information).
    pub fn request<'a>(&'a self, topic: &'a str, payload: impl Into<Payload>) -> Request<'a> {
        Request::new(self.client.request(topic, payload))
    }

    /// The response to a request, to be published like any message, at the QoS of the request
    /// unless told otherwise. `None` if the message has no Response Topic and so is no request.
    pub fn reply<'a>(
        &'a self,
        request: &'a Message,
        payload: impl Into<Payload>,
    ) -> Option<Publish<'a>> {
        self.client.reply(request, payload).map(Publish::new)
    }

    /// A subscription to one or more topic filters, at QoS 0 unless told otherwise:
    /// [`wait`](Subscribe::wait) for it.
    ///
    /// Several subscriptions may hold the same filter; each gets its own copy of every message,
    /// and the server is unsubscribed from when the last one is dropped.
    pub fn subscribe(&self, filters: impl IntoFilters) -> Subscribe<'_> {
        Subscribe::new(self, self.client.subscribe(filters))
    }

    /// The messages that match no subscription: those of a session that an earlier run of the
    /// program left, or that were on their way when their subscription ended. While nobody holds
    /// such a stream they are acknowledged and dropped.
    pub fn unmatched(&self) -> Unmatched {
        Unmatched::new(self.client.unmatched(), self)
    }

    /// The states of the connection, from the present one on.
    pub fn state(&self) -> States {
        States::new(&self.client)
    }

    pub(crate) fn states(&self) -> mqtt_client_async::States {
        self.client.state()
    }

    /// Waits until the connection stands.
    ///
    /// # Errors
    ///
    /// [`CallError::Failed`] if it has ended for good, and [`CallError::InsideRuntime`].
    pub fn ready(&self) -> Result<(), CallError<ConnectionError>> {
        self.ready_by(None)
    }

    /// Waits until the connection stands, and no longer than this.
    ///
    /// # Errors
    ///
    /// [`CallError::Timeout`] if it does not stand in time, [`CallError::Failed`] if it has ended
    /// for good, and [`CallError::InsideRuntime`].
    pub fn ready_timeout(&self, timeout: Duration) -> Result<(), CallError<ConnectionError>> {
        self.ready_by(deadline(timeout))
    }

    fn ready_by(&self, deadline: Option<Instant>) -> Result<(), CallError<ConnectionError>> {
        may_wait()?;
        let ready = wait_for(self.client.ready(), deadline).ok_or(CallError::Timeout)?;
        ready.map_err(CallError::Failed)
    }

    /// Waits until everything that was done until now is in the
    /// [store](ClientBuilder::session_store): what was published so far survives whatever the store
    /// protects from. Without a store there is nothing to wait for.
    ///
    /// # Errors
    ///
    /// [`CallError::Failed`] if it could not be stored, and [`CallError::InsideRuntime`].
    pub fn stored(&self) -> Result<(), CallError<ConnectionError>> {
        may_wait()?;
        block_on(self.client.stored()).map_err(CallError::Failed)
    }

    /// Authenticates the client anew, with the
    /// [method](ClientBuilder::authentication_method) that it connected with, and waits until that is
    /// done. Everything else goes on meanwhile.
    ///
    /// # Errors
    ///
    /// [`CallError::Failed`] with a [`ReauthenticateError`], and [`CallError::InsideRuntime`].
    pub fn reauthenticate(&self) -> Result<(), CallError<ReauthenticateError>> {
        may_wait()?;
        block_on(self.client.reauthenticate()).map_err(CallError::Failed)
    }

    /// The terms of the connection while it stands: what the server allows, and what is in force.
    #[must_use]
    pub fn negotiated(&self) -> Option<Negotiated> {
        self.client.negotiated()
    }

    /// Whether a subscription whose reader is slow holds back QoS 1 and QoS 2 messages, as
    /// [`OnFull::HoldBack`](crate::OnFull::HoldBack) says: those of all subscriptions in the end.
    #[must_use]
    pub fn is_held_back(&self) -> bool {
        self.client.is_held_back()
    }

    /// What was counted since the client was made: what was dropped, refused, unmatched.
    #[must_use]
    pub fn statistics(&self) -> ClientStatistics {
        self.client.statistics()
    }

    /// How many messages were published and have not ended: to be sent, or sent and not
    /// acknowledged.
    #[must_use]
    pub fn outgoing_messages(&self) -> usize {
        self.client.outgoing_messages()
    }

    /// Closes the connection with a goodbye, for all handles: [`wait`](Close::wait) for it.
    pub fn close(&self) -> Close {
        Close::new(self.client.close(), &self.connection.ended)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.client.fmt(f)
    }
}

/// What all handles of a connection hold, and drop after their handle of the async client.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Open when nothing of the connection is left.
    ended: Arc<Gate>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        // The goodbye is asked for already. A program that ends now would take it along.
        if may_wait().is_ok() {
            self.ended.wait_timeout(GOODBYE);
        }
    }
}
