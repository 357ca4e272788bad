//! Subscribing: a builder, and the stream of messages that it makes.

use std::future::{Future, IntoFuture, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use mqtt_codec::{
    EncodeError, PropertyBuf, QoS, RetainHandling, SubAckReason, SubscriptionOptions, TopicFilter,
};
use mqtt_session::{BufferOptions, OnFull, OnFullQos0};

use crate::Client;
use crate::error::SubscribeError;
use crate::message::Message;
use crate::shared::Shared;
use crate::unsubscribe::Unsubscribe;

/// One topic filter or several: a string, or an array, slice or `Vec` of strings.
pub trait IntoFilters {
    /// The filters as texts; they are checked when the subscription is made.
    fn into_filters(self) -> Vec<String>;
}

impl IntoFilters for &str {
    fn into_filters(self) -> Vec<String> {
        vec![self.to_owned()]
    }
}

impl IntoFilters for String {
    fn into_filters(self) -> Vec<String> {
        vec![self]
    }
}

impl IntoFilters for &String {
    fn into_filters(self) -> Vec<String> {
        vec![self.clone()]
    }
}

impl<T: Into<String>, const N: usize> IntoFilters for [T; N] {
    fn into_filters(self) -> Vec<String> {
        self.into_iter().map(Into::into).collect()
    }
}

impl<T: Into<String>> IntoFilters for Vec<T> {
    fn into_filters(self) -> Vec<String> {
        self.into_iter().map(Into::into).collect()
    }
}

impl<T: AsRef<str>> IntoFilters for &[T] {
    fn into_filters(self) -> Vec<String> {
        self.iter().map(|filter| filter.as_ref().to_owned()).collect()
    }
}

/// A subscription to be made, by awaiting it. Made by [`Client::subscribe`].
#[must_use = "nothing is subscribed to unless this is awaited"]
#[derive(Clone, Debug)]
pub struct Subscribe<'a> {
    client: &'a Client,
    filters: Vec<String>,
    options: SubscriptionOptions,
    properties: PropertyBuf,
    buffer: BufferOptions,
    fault: Option<EncodeError>,
}

impl<'a> Subscribe<'a> {
    pub(crate) fn new(client: &'a Client, filters: Vec<String>) -> Self {
        Self {
            client,
            filters,
            options: SubscriptionOptions::default(),
            properties: PropertyBuf::new(),
            buffer: BufferOptions::new(),
            fault: None,
        }
    }

    /// The highest QoS at which messages are to be sent; QoS 0 by default.
    pub fn qos(mut self, qos: QoS) -> Self {
        self.options.qos = qos;
        self
    }

    /// Whether messages that this client publishes are left out; no by default. Not for shared
    /// subscriptions.
    pub fn no_local(mut self, no_local: bool) -> Self {
        self.options.no_local = no_local;
        self
    }

    /// Whether messages keep the RETAIN flag that they were published with; no by default.
    pub fn retain_as_published(mut self, keep: bool) -> Self {
        self.options.retain_as_published = keep;
        self
    }

    /// Whether retained messages are sent; always by default.
    pub fn retain_handling(mut self, handling: RetainHandling) -> Self {
        self.options.retain_handling = handling;
        self
    }

    /// Adds a User Property to SUBSCRIBE.
    pub fn user_property(mut self, name: &str, value: &str) -> Self {
        if let Err(fault) = self.properties.user_property(name, value) {
            self.fault.get_or_insert(fault);
        }
        self
    }

    /// How many messages wait for the reader; 8,192 by default, at least 1. A reader that lags
    /// behind has a moment (20 ms) to catch up, during which nothing is read for anybody; what
    /// happens then say [`on_full_qos0`](Self::on_full_qos0) and [`on_full`](Self::on_full).
    pub fn buffer(mut self, messages: usize) -> Self {
        self.buffer = self.buffer.messages(messages);
        self
    }

    /// How many bytes of messages wait for the reader; 8 MiB by default. A message that is larger
    /// alone waits when no other does.
    pub fn buffer_bytes(mut self, bytes: usize) -> Self {
        self.buffer = self.buffer.bytes(bytes);
        self
    }

    /// What becomes of QoS 0 messages when the buffer is full; the oldest is dropped by default.
    pub fn on_full_qos0(mut self, on_full: OnFullQos0) -> Self {
        self.buffer = self.buffer.on_full_qos0(on_full);
        self
    }

    /// What becomes of QoS 1 and QoS 2 messages when the buffer is full; the server is held back
    /// by default.
    pub fn on_full(mut self, on_full: OnFull) -> Self {
        self.buffer = self.buffer.on_full(on_full);
        self
    }

    /// Leaves it to the application to acknowledge QoS 1 and QoS 2 messages, with
    /// [`Message::ack`](crate::Message::ack). By default a message is acknowledged when it is read
    /// from the stream.
    ///
    /// ```no_run
    /// # async fn example(client: &mqtt_client_async::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use mqtt_client_async::{PubAckReason, QoS};
    ///
    /// let mut jobs = client.subscribe("jobs/#").qos(QoS::AtLeastOnce).manual_ack().await?;
    /// while let Some(job) = jobs.next().await {
    ///     match job.payload_str() {
    ///         Ok(what) => {
    ///             println!("done: {what}");
    ///             job.ack();
    ///         }
    ///         Err(_) => job.refuse(PubAckReason::PayloadFormatInvalid),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn manual_ack(mut self) -> Self {
        self.buffer = self.buffer.manual_acknowledgement(true);
        self
    }
}

impl<'a> IntoFuture for Subscribe<'a> {
    type Output = Result<Subscription, SubscribeError>;
    type IntoFuture = Subscribing<'a>;

    fn into_future(self) -> Subscribing<'a> {
        Subscribing { subscribe: self, subscription: None }
    }
}

/// The future of [`Subscribe`]: resolves with the stream of messages once the server has granted
/// every filter.
///
/// # Cancel safety
///
/// Dropped before it resolves, the subscription is undone.
#[must_use = "nothing is subscribed to unless this is awaited"]
#[derive(Debug)]
pub struct Subscribing<'a> {
    subscribe: Subscribe<'a>,
    /// The subscription whose SUBACK is awaited.
    subscription: Option<Subscription>,
}

impl Future for Subscribing<'_> {
    type Output = Result<Subscription, SubscribeError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { subscribe, subscription } = &mut *self;
        let made = match subscription.take() {
            Some(made) => made,
            None => begin(subscribe)?,
        };
        let shared = Arc::clone(&made.reader.shared);
        let answer = shared.call(|state| {
            let answer = state.poll_subscribe(made.reader.number, cx.waker());
            answer.map(|answer| answer.map_err(|limit| (limit, state.closed())))
        });
        let Some(answer) = answer else {
            *subscription = Some(made);
            return Poll::Pending;
        };
        Poll::Ready(match answer {
            Ok(results) => granted(made, subscribe, &results),
            Err((Some(limit), _)) => Err(limit.into()),
            Err((None, error)) => Err(error.into()),
        })
    }
}

/// Sends SUBSCRIBE.
fn begin(subscribe: &Subscribe<'_>) -> Result<Subscription, SubscribeError> {
    let mut filters = Vec::with_capacity(subscribe.filters.len());
    for filter in &subscribe.filters {
        match TopicFilter::new(filter) {
            Ok(filter) => filters.push((filter, subscribe.options)),
            Err(error) => {
                return Err(SubscribeError::Filter { filter: filter.clone(), error });
            }
        }
    }
    if let Some(fault) = subscribe.fault {
        return Err(SubscribeError::Property(fault));
    }
    let shared = subscribe.client.shared();
    let number = shared.call(|state| {
        if let crate::shared::Status::Closed(error) = state.status() {
            return Err(error.clone().into());
        }
        let properties = subscribe.properties.as_properties();
        let number = state.subscribe(&filters, properties, subscribe.buffer)?;
        state.add_handle();
        Ok::<_, SubscribeError>(number)
    })?;
    let reader = Reader { shared: Arc::clone(shared), number };
    Ok(Subscription { reader, granted: Vec::new() })
}

/// What SUBACK makes of a subscription.
fn granted(
    mut made: Subscription,
    subscribe: &mut Subscribe<'_>,
    results: &[SubAckReason],
) -> Result<Subscription, SubscribeError> {
    let filters = std::mem::take(&mut subscribe.filters);
    if results.iter().any(|reason| reason.is_error()) {
        // The filters that were granted are undone when `made` is dropped.
        let results = filters.into_iter().zip(results.iter().copied()).collect();
        return Err(SubscribeError::Refused { results });
    }
    // The codes of what is granted are the numbers of the QoS.
    let qos = |reason: &SubAckReason| QoS::try_from(u8::from(*reason)).unwrap_or_default();
    made.granted = filters.into_iter().zip(results.iter().map(qos)).collect();
    Ok(made)
}

/// Reads messages from behind the lock.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) shared: Arc<Shared>,
    pub(crate) number: usize,
}

impl Reader {
    fn poll_next(&self, cx: &Context<'_>) -> Poll<Option<Message>> {
        match self.shared.call(|state| state.poll_message(self.number, Some(cx.waker()))) {
            Some(message) => Poll::Ready(
                message.map(|(message, owed)| Message::new(&self.shared, message, owed)),
            ),
            None => Poll::Pending,
        }
    }

    fn try_next(&self) -> Option<Message> {
        let message = self.shared.call(|state| state.poll_message(self.number, None));
        message.flatten().map(|(message, owed)| Message::new(&self.shared, message, owed))
    }

    fn dropped(&self) -> u64 {
        let buffer = self.shared.call(|state| state.buffer(self.number));
        buffer.dropped + buffer.refused
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.shared.call(|state| {
            state.drop_reader(self.number);
            state.drop_handle();
        });
    }
}

/// The messages of a subscription, as a [`Stream`] and with [`next`](Self::next).
///
/// It ends (`None`) when the connection has ended and everything that had come was read. Dropping
/// it unsubscribes from those of its filters that no other subscription of this client holds.
#[must_use = "dropping a subscription unsubscribes"]
#[derive(Debug)]
pub struct Subscription {
    reader: Reader,
    granted: Vec<(String, QoS)>,
}

impl Subscription {
    /// The next message; `None` after the last one.
    ///
    /// A QoS 1 or QoS 2 message is acknowledged by being read, unless the subscription was made
    /// with [`manual_ack`](Subscribe::manual_ack).
    ///
    /// # Cancel safety
    ///
    /// No message is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Message> {
        poll_fn(|cx| self.reader.poll_next(cx)).await
    }

    /// The next message if one has come already.
    pub fn try_next(&mut self) -> Option<Message> {
        self.reader.try_next()
    }

    /// Ends the subscription, as dropping it does, with an answer: await it. What had come and was
    /// not read is acknowledged and dropped.
    pub fn unsubscribe(self) -> Unsubscribe {
        Unsubscribe::new(self.reader)
    }

    /// The filters with the QoS that the server granted for each.
    #[must_use]
    pub fn granted(&self) -> &[(String, QoS)] {
        &self.granted
    }

    /// How many messages were dropped or refused because the buffer was full.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.reader.dropped()
    }
}

impl Stream for Subscription {
    type Item = Message;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.reader.poll_next(cx)
    }
}

/// The messages that no subscription takes, made by [`Client::unmatched`].
#[must_use = "messages come only while this is held"]
#[derive(Debug)]
pub struct Unmatched {
    reader: Reader,
}

impl Unmatched {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        let number = shared.call(|state| {
            state.add_handle();
            state.add_unmatched(BufferOptions::new())
        });
        Self { reader: Reader { shared: Arc::clone(shared), number } }
    }

    /// The next message; `None` after the last one. QoS 1 and QoS 2 messages are acknowledged by
    /// being read.
    ///
    /// # Cancel safety
    ///
    /// No message is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Message> {
        poll_fn(|cx| self.reader.poll_next(cx)).await
    }

    /// The next message if one has come already.
    pub fn try_next(&mut self) -> Option<Message> {
        self.reader.try_next()
    }

    /// How many messages were dropped because the buffer was full.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.reader.dropped()
    }
}

impl Stream for Unmatched {
    type Item = Message;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.reader.poll_next(cx)
    }
}
