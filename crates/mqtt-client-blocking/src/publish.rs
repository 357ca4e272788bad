//! Publishing: a builder, and what waits for the server's word.

use std::time::{Duration, Instant};

use crate::error::{CallError, EnqueueError};
use crate::inside::may_wait;
use crate::wait::{block_on, deadline, wait_for};
use crate::{PublishError, Published, QoS};

/// A message to be published, made by [`Client::publish`].
///
/// [`Client::publish`]: crate::Client::publish
#[must_use = "a message is published by `send` or `enqueue`"]
#[derive(Clone, Debug)]
pub struct Publish<'a>(mqtt_client_async::Publish<'a>);

impl<'a> Publish<'a> {
    pub(crate) fn new(publish: mqtt_client_async::Publish<'a>) -> Self {
        Self(publish)
    }

    /// How surely it reaches the server; QoS 0 by default.
    pub fn qos(self, qos: QoS) -> Self {
        Self(self.0.qos(qos))
    }

    /// Whether the server keeps it for later subscribers; no by default.
    pub fn retain(self, retain: bool) -> Self {
        Self(self.0.retain(retain))
    }

    /// How long it is worth delivering, in whole seconds (rounded up). It counts down from now.
    pub fn expiry(self, expiry: Duration) -> Self {
        Self(self.0.expiry(expiry))
    }

    /// Does not let it wait for another connection: without one it fails at once, and if it could
    /// not be sent before the connection ended it is dropped.
    pub fn only_online(self) -> Self {
        Self(self.0.only_online())
    }

    /// What the payload contains, as a MIME type for example.
    pub fn content_type(self, content_type: &str) -> Self {
        Self(self.0.content_type(content_type))
    }

    /// Says that the payload is text in UTF-8.
    pub fn text(self) -> Self {
        Self(self.0.text())
    }

    /// Where an answer is to be published to.
    pub fn response_topic(self, topic: &str) -> Self {
        Self(self.0.response_topic(topic))
    }

    /// What an answer is to carry, so that it is known which message it is for.
    pub fn correlation_data(self, data: &[u8]) -> Self {
        Self(self.0.correlation_data(data))
    }

    /// Adds a User Property. They keep the order in which they are added.
    pub fn user_property(self, name: &str, value: &str) -> Self {
        Self(self.0.user_property(name, value))
    }

    /// Publishes the message, and waits for the server's final word on it: PUBACK at QoS 1,
    /// PUBCOMP (or a refusing PUBREC) at QoS 2. At QoS 0 there is no such word: it returns when
    /// the message is on its way. If as many messages wait as the options allow, it waits first.
    ///
    /// ```no_run
    /// # fn example(client: &mqtt_client_blocking::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use mqtt_client_blocking::{PubAckReason, QoS};
    ///
    /// let word = client.publish("meter/17/kwh", "1234.5").qos(QoS::AtLeastOnce).send()?;
    /// if word.reason() == PubAckReason::NoMatchingSubscribers {
    ///     println!("nobody listens");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`CallError::Failed`] with a [`PublishError`], and [`CallError::InsideRuntime`]. A reason
    /// of 0x80 or above is an error;
    /// [`NoMatchingSubscribers`](crate::PubAckReason::NoMatchingSubscribers) is not.
    pub fn send(self) -> Result<Published, CallError<PublishError>> {
        may_wait()?;
        block_on(self.0.send()).map_err(CallError::Failed)
    }

    /// Publishes the message at once, or not at all, and never waits:
    /// [`EnqueueError::Full`] gives it back if as many messages wait as the options allow. What
    /// is returned knows what [`send`](Self::send) would have returned; it may be dropped.
    ///
    /// ```no_run
    /// # fn example(client: &mqtt_client_blocking::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use mqtt_client_blocking::{EnqueueError, QoS};
    ///
    /// let mut pending = Vec::new();
    /// for reading in ["20.9", "21.0", "21.2"] {
    ///     match client.publish("sensor/7", reading).qos(QoS::AtLeastOnce).enqueue() {
    ///         Ok(word) => pending.push(word),
    ///         Err(EnqueueError::Full(message)) => drop(message.send()?),
    ///         Err(EnqueueError::Failed(error)) => return Err(error.into()),
    ///     }
    /// }
    /// for word in pending {
    ///     word.wait()?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`EnqueueError`].
    pub fn enqueue(self) -> Result<Pending, EnqueueError<'a>> {
        match self.0.enqueue() {
            Ok(pending) => Ok(Pending { pending, word: None }),
            Err(mqtt_client_async::EnqueueError::Full(publish)) => {
                Err(EnqueueError::Full(Box::new(Self(*publish))))
            }
            Err(mqtt_client_async::EnqueueError::Failed(error)) => Err(EnqueueError::Failed(error)),
        }
    }
}

/// A message that was published by [`Publish::enqueue`], and the server's word on it to come.
///
/// Dropping it loses the server's word and nothing else.
#[derive(Debug)]
pub struct Pending {
    pending: mqtt_client_async::Pending,
    /// The server's word, once it is known.
    word: Option<Result<Published, PublishError>>,
}

impl Pending {
    /// Waits for the server's final word, as [`Publish::send`] does.
    ///
    /// # Errors
    ///
    /// As [`Publish::send`].
    pub fn wait(mut self) -> Result<Published, CallError<PublishError>> {
        self.wait_by(None)
    }

    /// Waits for the server's final word, and no longer than this. It can be waited for again: a
    /// word that has come stays.
    ///
    /// # Errors
    ///
    /// [`CallError::Timeout`] if it does not come in time; otherwise as [`Publish::send`].
    pub fn wait_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<Published, CallError<PublishError>> {
        self.wait_by(deadline(timeout))
    }

    fn wait_by(&mut self, deadline: Option<Instant>) -> Result<Published, CallError<PublishError>> {
        may_wait()?;
        if self.word.is_none() {
            self.word = wait_for(&mut self.pending, deadline);
        }
        match &self.word {
            Some(word) => word.clone().map_err(CallError::Failed),
            None => Err(CallError::Timeout),
        }
    }
}
