//! The handle of a connection.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use mqtt_session::{ClientStatistics, Negotiated};

use crate::builder::ClientBuilder;
use crate::close::Close;
use crate::error::{ConnectionError, ReauthenticateError};
use crate::message::Message;
use crate::publish::{Payload, Publish};
use crate::request::Request;
use crate::shared::{Shared, Status};
use crate::state::States;
use crate::subscribe::{IntoFilters, Subscribe, Unmatched};

/// A client of an MQTT server, which keeps a connection to it.
///
/// When the connection is lost the client makes another one by itself, as the options say:
/// subscriptions live on, and messages wait for it. [`state`](Self::state) tells, to those who
/// want to know.
///
/// Clones are handles of the same client. It is closed by [`close`](Self::close), or, without
/// waiting for anything, when the last handle and the last subscription are dropped.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use mqtt_client_async::{Client, QoS};
///
/// let client = Client::builder("mqtt://localhost").client_id("meter-17").connect().await?;
/// let mut commands = client.subscribe("meter/17/set").qos(QoS::AtLeastOnce).await?;
/// client.publish("meter/17/kwh", "1234.5").qos(QoS::AtLeastOnce).send().await?;
/// while let Some(message) = commands.next().await {
///     println!("{}: {}", message.topic(), message.payload_str()?);
/// }
/// # Ok(())
/// # }
/// ```
pub struct Client {
    shared: Arc<Shared>,
}

impl Client {
    /// The options for a connection to `address`: `mqtt://[user[:password]@]host[:port]`, or with
    /// another [scheme](crate#transports). It is looked at when connecting.
    pub fn builder(address: &str) -> ClientBuilder {
        ClientBuilder::new(address)
    }

    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        shared.call(|state| state.add_handle());
        Self { shared: Arc::clone(shared) }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// A message to publish, at QoS 0 unless told otherwise: [`send`](Publish::send) or
    /// [`enqueue`](Publish::enqueue) it.
    pub fn publish<'a>(&'a self, topic: &'a str, payload: impl Into<Payload>) -> Publish<'a> {
        Publish::new(self, topic, payload.into())
    }

    /// A request to publish, at QoS 0 unless told otherwise, with a response to wait for: await it.
    ///
    /// The response topic is made and subscribed to once for all requests of this client, below
    /// the server's Response Information where the client
    /// [asked for it](ClientBuilder::request_response_information).
    ///
    /// ```no_run
    /// # async fn example(client: &mqtt_client_async::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let sum = client.request("service/add", "1 2").timeout(std::time::Duration::from_secs(2)).await?;
    /// println!("{}", sum.payload_str()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn request<'a>(&'a self, topic: &'a str, payload: impl Into<Payload>) -> Request<'a> {
        Request::new(self.publish(topic, payload))
    }

    /// The response to a request, to be published like any message, at the QoS of the request
    /// unless told otherwise. `None` if the message has no Response Topic and so is no request.
    ///
    /// ```no_run
    /// # async fn example(client: &mqtt_client_async::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut questions = client.subscribe("service/echo").await?;
    /// while let Some(question) = questions.next().await {
    ///     if let Some(reply) = client.reply(&question, question.payload_bytes()) {
    ///         reply.send().await?;
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn reply<'a>(
        &'a self,
        request: &'a Message,
        payload: impl Into<Payload>,
    ) -> Option<Publish<'a>> {
        let topic = request.response_topic()?;
        let mut reply = self.publish(topic, payload).qos(request.qos());
        if let Some(data) = request.correlation_data() {
            reply = reply.correlation_data(data);
        }
        Some(reply)
    }

    /// A subscription to one or more topic filters, at QoS 0 unless told otherwise: await it.
    ///
    /// Several subscriptions may hold the same filter; each gets its own copy of every message,
    /// and the server is unsubscribed from when the last one is dropped.
    pub fn subscribe(&self, filters: impl IntoFilters) -> Subscribe<'_> {
        Subscribe::new(self, filters.into_filters())
    }

    /// The messages that match no subscription: those of a session that an earlier run of the
    /// program left, or that were on their way when their subscription ended. While nobody holds
    /// such a stream they are acknowledged and dropped.
    ///
    /// ```no_run
    /// # async fn example(client: &mqtt_client_async::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut rest = client.unmatched();
    /// while let Some(stray) = rest.try_next() {
    ///     println!("nobody wanted {}", stray.topic());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn unmatched(&self) -> Unmatched {
        Unmatched::new(&self.shared)
    }

    /// The states of the connection, from the present one on.
    ///
    /// ```no_run
    /// # async fn example(client: &mqtt_client_async::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use mqtt_client_async::State;
    ///
    /// let mut states = client.state();
    /// while let Some(state) = states.next().await {
    ///     match state {
    ///         State::Connected { resumed } => println!("connected, session there: {resumed}"),
    ///         State::Waiting { cause, .. } => println!("away: {cause}"),
    ///         State::Closed { cause } => println!("over: {cause}"),
    ///         _ => {}
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn state(&self) -> States {
        States::new(&self.shared)
    }

    /// Resolves when there is a connection.
    ///
    /// # Cancel safety
    ///
    /// Safe to drop at any time.
    ///
    /// # Errors
    ///
    /// [`ConnectionError`] if the client has ended.
    pub async fn ready(&self) -> Result<(), ConnectionError> {
        poll_fn(|cx| {
            self.shared.call(|state| match state.status() {
                Status::Connected { .. } => Poll::Ready(Ok(())),
                Status::Closed(error) => Poll::Ready(Err(error.clone())),
                Status::Connecting | Status::Waiting { .. } => {
                    state.watch(cx.waker());
                    Poll::Pending
                }
            })
        })
        .await
    }

    /// Resolves once everything that was done until now is in the
    /// [store](ClientBuilder::session_store): what was published so far survives whatever the store
    /// protects from. Without a store there is nothing to wait for.
    ///
    /// # Cancel safety
    ///
    /// Safe to drop at any time; it is stored all the same.
    ///
    /// # Errors
    ///
    /// [`ConnectionError`] if it could not be stored.
    pub async fn stored(&self) -> Result<(), ConnectionError> {
        let mut revision = None;
        poll_fn(|cx| self.shared.call(|state| state.poll_stored(&mut revision, cx.waker()))).await
    }

    /// Authenticates the client anew, with the
    /// [method](ClientBuilder::authentication_method) that it connected with. Everything else goes on
    /// meanwhile. Whoever calls this while it is under way waits for the same end.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it was polled, nothing happens; dropped later, the client is authenticated all
    /// the same.
    ///
    /// # Errors
    ///
    /// See [`ReauthenticateError`]. If one side is not convinced of the other the connection ends.
    pub async fn reauthenticate(&self) -> Result<(), ReauthenticateError> {
        let mut wanted = None;
        let poll = |cx: &mut Context<'_>| {
            self.shared.call(|state| state.poll_reauthenticate(&mut wanted, cx.waker()))
        };
        poll_fn(poll).await
    }

    /// The terms of the connection while it stands: what the server allows, and what is in force.
    #[must_use]
    pub fn negotiated(&self) -> Option<Negotiated> {
        self.shared.call(|state| state.session().negotiated().cloned())
    }

    /// Whether a subscription whose reader is slow holds back QoS 1 and QoS 2 messages, as
    /// [`OnFull::HoldBack`](crate::OnFull::HoldBack) says: those of all subscriptions in the end.
    #[must_use]
    pub fn is_held_back(&self) -> bool {
        self.shared.call(|state| state.session().held_back_by().is_some())
    }

    /// What was counted since the client was made: what was dropped, refused, unmatched.
    #[must_use]
    pub fn statistics(&self) -> ClientStatistics {
        self.shared.call(|state| *state.session().statistics())
    }

    /// How many messages were published and have not ended: to be sent, or sent and not
    /// acknowledged.
    #[must_use]
    pub fn outgoing_messages(&self) -> usize {
        self.shared.call(|state| state.session().outgoing_messages())
    }

    /// Closes the connection with a goodbye, for all handles: await it.
    ///
    /// ```no_run
    /// # async fn example(client: &mqtt_client_async::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let closed = client.close().drain(std::time::Duration::from_secs(5)).await;
    /// if closed.unacknowledged > 0 {
    ///     println!("{} messages may be lost: {}", closed.unacknowledged, closed.cause);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn close(&self) -> Close {
        Close::new(&self.shared)
    }
}

impl Clone for Client {
    fn clone(&self) -> Self {
        Self::new(&self.shared)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.shared.call(|state| state.drop_handle());
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (client_id, status) = self
            .shared
            .call(|state| (state.session().client_id().to_owned(), state.status().clone()));
        f.debug_struct("Client").field("client_id", &client_id).field("status", &status).finish()
    }
}
