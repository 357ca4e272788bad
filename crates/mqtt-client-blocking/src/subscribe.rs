//! Subscribing: a builder, and the messages that come of it.

use std::sync::Arc;
use std::time::Duration;

use crate::client::{Client, Connection};
use crate::error::CallError;
use crate::inside::may_wait;
use crate::receive::{Messages, Receiver};
use crate::unsubscribe::Unsubscribe;
use crate::wait::block_on;
use crate::{ConnectionError, Message, OnFull, OnFullQos0, QoS, RetainHandling, SubscribeError};

/// A subscription to be made, by [`wait`](Self::wait). Made by [`Client::subscribe`].
#[must_use = "nothing is subscribed to unless `wait` is called"]
#[derive(Clone, Debug)]
pub struct Subscribe<'a> {
    client: &'a Client,
    subscribe: mqtt_client_async::Subscribe<'a>,
}

impl<'a> Subscribe<'a> {
    pub(crate) fn new(client: &'a Client, subscribe: mqtt_client_async::Subscribe<'a>) -> Self {
        Self { client, subscribe }
    }

    /// The highest QoS at which messages are to be sent; QoS 0 by default.
    pub fn qos(mut self, qos: QoS) -> Self {
        self.subscribe = self.subscribe.qos(qos);
        self
    }

    /// Whether messages that this client publishes are left out; no by default. Not for shared
    /// subscriptions.
    pub fn no_local(mut self, no_local: bool) -> Self {
        self.subscribe = self.subscribe.no_local(no_local);
        self
    }

    /// Whether messages keep the RETAIN flag that they were published with; no by default.
    pub fn retain_as_published(mut self, keep: bool) -> Self {
        self.subscribe = self.subscribe.retain_as_published(keep);
        self
    }

    /// Whether retained messages are sent; always by default.
    pub fn retain_handling(mut self, handling: RetainHandling) -> Self {
        self.subscribe = self.subscribe.retain_handling(handling);
        self
    }

    /// Adds a User Property to SUBSCRIBE.
    pub fn user_property(mut self, name: &str, value: &str) -> Self {
        self.subscribe = self.subscribe.user_property(name, value);
        self
    }

    /// How many messages wait to be received; 8,192 by default, at least 1. Who receives too slowly
    /// has a moment (20 ms) to catch up, during which nothing is read for anybody; what happens
    /// then say [`on_full_qos0`](Self::on_full_qos0) and [`on_full`](Self::on_full).
    pub fn buffer(mut self, messages: usize) -> Self {
        self.subscribe = self.subscribe.buffer(messages);
        self
    }

    /// How many bytes of messages wait to be received; 8 MiB by default. A message that is larger
    /// alone waits when no other does.
    pub fn buffer_bytes(mut self, bytes: usize) -> Self {
        self.subscribe = self.subscribe.buffer_bytes(bytes);
        self
    }

    /// What becomes of QoS 0 messages when the buffer is full; the oldest is dropped by default.
    pub fn on_full_qos0(mut self, on_full: OnFullQos0) -> Self {
        self.subscribe = self.subscribe.on_full_qos0(on_full);
        self
    }

    /// What becomes of QoS 1 and QoS 2 messages when the buffer is full; the server is held back
    /// by default.
    pub fn on_full(mut self, on_full: OnFull) -> Self {
        self.subscribe = self.subscribe.on_full(on_full);
        self
    }

    /// Leaves it to the application to acknowledge QoS 1 and QoS 2 messages, with
    /// [`Message::ack`]. By default a message is acknowledged when it is received from the
    /// subscription.
    pub fn manual_ack(mut self) -> Self {
        self.subscribe = self.subscribe.manual_ack();
        self
    }

    /// Subscribes, and returns when the server has granted every filter.
    ///
    /// # Errors
    ///
    /// [`CallError::Failed`] with a [`SubscribeError`], and [`CallError::InsideRuntime`].
    pub fn wait(self) -> Result<Subscription, CallError<SubscribeError>> {
        may_wait()?;
        let subscription = block_on(self.subscribe.into_future()).map_err(CallError::Failed)?;
        Ok(Subscription {
            granted: subscription.granted().to_vec(),
            receiver: Receiver::new(subscription, self.client.states()),
            connection: self.client.connection(),
        })
    }
}

/// The messages of a subscription.
///
/// It may be read by many threads; each message goes to one of them. It ends when the connection
/// has ended and everything that had come was received. Dropping it unsubscribes from those of its
/// filters that no other subscription of this client holds.
///
/// ```no_run
/// # fn example(client: &mqtt_client_blocking::Client) -> Result<(), Box<dyn std::error::Error>> {
/// let jobs = client.subscribe("$share/workers/job/#").wait()?;
/// std::thread::scope(|scope| {
///     for worker in 0..4 {
///         let jobs = &jobs;
///         scope.spawn(move || {
///             while let Ok(job) = jobs.recv() {
///                 println!("{worker}: {}", job.topic());
///             }
///         });
///     }
/// });
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping a subscription unsubscribes"]
#[derive(Debug)]
pub struct Subscription {
    granted: Vec<(String, QoS)>,
    // Before the connection, which waits for the goodbye that the last handle says.
    receiver: Receiver<mqtt_client_async::Subscription>,
    connection: Arc<Connection>,
}

impl Subscription {
    /// Waits for the next message.
    ///
    /// A QoS 1 or QoS 2 message is acknowledged by being received, unless the subscription was
    /// made with [`manual_ack`](Subscribe::manual_ack).
    ///
    /// # Errors
    ///
    /// [`CallError::Failed`] after the last message, with why the connection has ended, and
    /// [`CallError::InsideRuntime`].
    pub fn recv(&self) -> Result<Message, CallError<ConnectionError>> {
        self.receiver.recv()
    }

    /// Waits for the next message, and no longer than this.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use mqtt_client_blocking::{CallError, Subscription};
    /// # fn example(sensors: &Subscription) -> Result<(), Box<dyn std::error::Error>> {
    /// match sensors.recv_timeout(Duration::from_secs(60)) {
    ///     Ok(message) => println!("{}", message.payload_str()?),
    ///     Err(CallError::Timeout) => println!("silent for a minute"),
    ///     Err(error) => return Err(error.into()),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`CallError::Timeout`] if none comes in time; a message that comes later is received by
    /// the next call. Otherwise as [`recv`](Self::recv).
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Message, CallError<ConnectionError>> {
        self.receiver.recv_timeout(timeout)
    }

    /// The next message if one has come already, without waiting; `None` if there is none yet.
    /// This may be called anywhere, also inside an async runtime.
    ///
    /// # Errors
    ///
    /// Why the connection has ended, after the last message.
    pub fn try_recv(&self) -> Result<Option<Message>, ConnectionError> {
        self.receiver.try_recv()
    }

    /// Ends the subscription, as dropping it does, with an answer: [`wait`](Unsubscribe::wait) for
    /// it. What had come and was not received is acknowledged and dropped.
    pub fn unsubscribe(self) -> Unsubscribe {
        Unsubscribe::new(self.receiver.into_stream().unsubscribe(), self.connection)
    }

    /// Goes through the messages, waiting for each.
    pub fn iter(&self) -> Messages<'_> {
        Messages::of(&self.receiver)
    }

    /// The filters with the QoS that the server granted for each.
    #[must_use]
    pub fn granted(&self) -> &[(String, QoS)] {
        &self.granted
    }

    /// How many messages were dropped or refused because the buffer was full.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.receiver.with(mqtt_client_async::Subscription::dropped)
    }
}

impl<'a> IntoIterator for &'a Subscription {
    type Item = Result<Message, CallError<ConnectionError>>;
    type IntoIter = Messages<'a>;

    fn into_iter(self) -> Messages<'a> {
        self.iter()
    }
}

/// The messages that no subscription takes, made by [`Client::unmatched`].
#[must_use = "messages come only while this is held"]
#[derive(Debug)]
pub struct Unmatched {
    // Before the connection, which waits for the goodbye that the last handle says.
    receiver: Receiver<mqtt_client_async::Unmatched>,
    _connection: Arc<Connection>,
}

impl Unmatched {
    pub(crate) fn new(unmatched: mqtt_client_async::Unmatched, client: &Client) -> Self {
        Self {
            receiver: Receiver::new(unmatched, client.states()),
            _connection: client.connection(),
        }
    }

    /// Waits for the next message. QoS 1 and QoS 2 messages are acknowledged by being received.
    ///
    /// # Errors
    ///
    /// [`CallError::Failed`] after the last message, with why the connection has ended, and
    /// [`CallError::InsideRuntime`].
    pub fn recv(&self) -> Result<Message, CallError<ConnectionError>> {
        self.receiver.recv()
    }

    /// Waits for the next message, and no longer than this.
    ///
    /// # Errors
    ///
    /// [`CallError::Timeout`] if none comes in time; a message that comes later is received by
    /// the next call. Otherwise as [`recv`](Self::recv).
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Message, CallError<ConnectionError>> {
        self.receiver.recv_timeout(timeout)
    }

    /// The next message if one has come already, without waiting; `None` if there is none yet.
    ///
    /// # Errors
    ///
    /// Why the connection has ended, after the last message.
    pub fn try_recv(&self) -> Result<Option<Message>, ConnectionError> {
        self.receiver.try_recv()
    }

    /// Goes through the messages, waiting for each.
    pub fn iter(&self) -> Messages<'_> {
        Messages::of_unmatched(&self.receiver)
    }

    /// How many messages were dropped because the buffer was full.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.receiver.with(mqtt_client_async::Unmatched::dropped)
    }
}

impl<'a> IntoIterator for &'a Unmatched {
    type Item = Result<Message, CallError<ConnectionError>>;
    type IntoIter = Messages<'a>;

    fn into_iter(self) -> Messages<'a> {
        self.iter()
    }
}
