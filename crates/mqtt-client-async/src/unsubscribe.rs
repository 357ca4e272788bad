//! Ending a subscription with an answer.

use std::collections::BTreeMap;
use std::future::{Future, IntoFuture};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use mqtt_codec::{EncodeError, Properties, PropertyBuf, UnsubAckReason};
use mqtt_session::SubscriptionKey;

use crate::error::{ConnectionError, UnsubscribeError};
use crate::shared::{State, Status};
use crate::subscribe::Reader;

/// A subscription to be ended, by awaiting it. Made by
/// [`Subscription::unsubscribe`](crate::Subscription::unsubscribe).
///
/// Dropped without being awaited it ends the subscription as well, without its User Properties.
#[must_use = "the server's answer, and the User Properties, need this to be awaited"]
#[derive(Debug)]
pub struct Unsubscribe {
    reader: Reader,
    properties: PropertyBuf,
    fault: Option<EncodeError>,
}

impl Unsubscribe {
    pub(crate) const fn new(reader: Reader) -> Self {
        Self { reader, properties: PropertyBuf::new(), fault: None }
    }

    /// Adds a User Property to UNSUBSCRIBE. They keep the order in which they are added, and are
    /// left out if the server takes no packet that large.
    pub fn user_property(mut self, name: &str, value: &str) -> Self {
        if let Err(fault) = self.properties.user_property(name, value) {
            self.fault.get_or_insert(fault);
        }
        self
    }
}

impl IntoFuture for Unsubscribe {
    type Output = Result<Unsubscribed, UnsubscribeError>;
    type IntoFuture = Unsubscribing;

    fn into_future(self) -> Unsubscribing {
        Unsubscribing { unsubscribe: self, key: None }
    }
}

/// The future of [`Unsubscribe`]: resolves with the server's answer. Without a connection it waits
/// for the next one.
///
/// # Cancel safety
///
/// Dropped at any time, the subscription ends all the same; only the answer is lost, and before it
/// was polled the User Properties.
#[must_use = "the server's answer, and the User Properties, need this to be awaited"]
#[derive(Debug)]
pub struct Unsubscribing {
    unsubscribe: Unsubscribe,
    /// What waits for its answer.
    key: Option<SubscriptionKey>,
}

/// The server's answer to an UNSUBSCRIBE.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unsubscribed {
    /// One for each filter that the server was told of: those that no other subscription of this
    /// client holds. Empty if there were none, or if the server had lost the session.
    pub results: Box<[UnsubAckReason]>,
    /// What else the server said: a Reason String, User Properties.
    pub properties: PropertyBuf,
}

impl Future for Unsubscribing {
    type Output = Result<Unsubscribed, UnsubscribeError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { unsubscribe, key } = &mut *self;
        if let Some(fault) = unsubscribe.fault {
            return Poll::Ready(Err(UnsubscribeError::Property(fault)));
        }
        let Unsubscribe { reader, properties, .. } = unsubscribe;
        let polled = reader.shared.call(|state| {
            if key.is_none() {
                if let Status::Closed(error) = state.status() {
                    return Poll::Ready(Err(error.clone()));
                }
                *key = state.unsubscribe(reader.number, properties.as_properties());
            }
            match *key {
                Some(key) => state.poll_unsubscribe(key, cx.waker()),
                None => Poll::Ready(Ok(Unsubscribed::default())),
            }
        });
        if polled.is_ready() {
            *key = None;
        }
        polled.map_err(UnsubscribeError::Connection)
    }
}

impl Drop for Unsubscribing {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let shared = Arc::clone(&self.unsubscribe.reader.shared);
            shared.call(|state| state.unsubscribes.waiting.remove(&key));
        }
    }
}

/// The UNSUBSCRIBEs whose futures wait.
#[derive(Debug)]
pub(crate) struct Unsubscribes {
    waiting: BTreeMap<SubscriptionKey, Answer>,
}

#[derive(Debug)]
enum Answer {
    Waiting(Option<Waker>),
    Given(Unsubscribed),
    Closed(ConnectionError),
}

impl Unsubscribes {
    pub(crate) const fn new() -> Self {
        Self { waiting: BTreeMap::new() }
    }

    /// The server has answered.
    pub(crate) fn ended(
        &mut self,
        subscription: SubscriptionKey,
        answer: Unsubscribed,
        wakers: &mut Vec<Waker>,
    ) {
        if let Some(waiting) = self.waiting.get_mut(&subscription)
            && let Answer::Waiting(waker) = mem::replace(waiting, Answer::Given(answer))
        {
            wakers.extend(waker);
        }
    }

    /// There will be no answer any more.
    pub(crate) fn close(&mut self, error: &ConnectionError, wakers: &mut Vec<Waker>) {
        for answer in self.waiting.values_mut() {
            if let Answer::Waiting(waker) = answer {
                wakers.extend(waker.take());
                *answer = Answer::Closed(error.clone());
            }
        }
    }
}

impl State {
    /// Ends the subscription of a reader, and waits for the answer; `None` if none comes because
    /// it has ended already.
    fn unsubscribe(
        &mut self,
        reader: usize,
        properties: Properties<'_>,
    ) -> Option<SubscriptionKey> {
        let key = self.key_of_open_reader(reader)?;
        self.unsubscribes.waiting.insert(key, Answer::Waiting(None));
        // Only User Properties were set.
        if self.session.unsubscribe_with(key, properties).is_err() {
            self.session.unsubscribe(key);
        }
        self.has_work = true;
        Some(key)
    }

    fn poll_unsubscribe(
        &mut self,
        key: SubscriptionKey,
        waker: &Waker,
    ) -> Poll<Result<Unsubscribed, ConnectionError>> {
        if let Some(Answer::Waiting(waiting)) = self.unsubscribes.waiting.get_mut(&key) {
            match waiting {
                Some(waiting) => waiting.clone_from(waker),
                None => *waiting = Some(waker.clone()),
            }
            return Poll::Pending;
        }
        Poll::Ready(match self.unsubscribes.waiting.remove(&key) {
            Some(Answer::Given(answer)) => Ok(answer),
            Some(Answer::Closed(error)) => Err(error),
            Some(Answer::Waiting(_)) | None => Ok(Unsubscribed::default()),
        })
    }
}
