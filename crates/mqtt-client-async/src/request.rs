//! Requests: a message that waits for its response.

use std::collections::BTreeMap;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use mqtt_codec::QoS;
use mqtt_session::{PublishError as Refusal, RequestId, RequestOutcome};

use crate::error::{ConnectionError, PublishError, RequestError};
use crate::message::Message;
use crate::publish::{Publish, final_word};
use crate::shared::{State, Status};

/// A request to be made, by awaiting it. Made by [`Client::request`](crate::Client::request).
#[must_use = "nothing is requested unless this is awaited"]
#[derive(Clone, Debug)]
pub struct Request<'a> {
    publish: Publish<'a>,
    timeout: Duration,
}

impl<'a> Request<'a> {
    pub(crate) fn new(publish: Publish<'a>) -> Self {
        Self { publish, timeout: Duration::from_secs(10) }
    }

    fn with(mut self, set: impl FnOnce(Publish<'a>) -> Publish<'a>) -> Self {
        self.publish = set(self.publish);
        self
    }

    /// How long the response may take; 10 seconds by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How surely the request reaches the server; QoS 0 by default.
    pub fn qos(self, qos: QoS) -> Self {
        self.with(|publish| publish.qos(qos))
    }

    /// How long the request is worth delivering, in whole seconds (rounded up).
    pub fn expiry(self, expiry: Duration) -> Self {
        self.with(|publish| publish.expiry(expiry))
    }

    /// What the payload contains, as a MIME type for example.
    pub fn content_type(self, content_type: &str) -> Self {
        self.with(|publish| publish.content_type(content_type))
    }

    /// Says that the payload is text in UTF-8.
    pub fn text(self) -> Self {
        self.with(Publish::text)
    }

    /// Adds a User Property. They keep the order in which they are added.
    pub fn user_property(self, name: &str, value: &str) -> Self {
        self.with(|publish| publish.user_property(name, value))
    }
}

impl<'a> IntoFuture for Request<'a> {
    type Output = Result<Message, RequestError>;
    type IntoFuture = Requesting<'a>;

    fn into_future(self) -> Requesting<'a> {
        Requesting { request: self, step: Step::New }
    }
}

/// The future of [`Request`]: resolves with the response.
///
/// # Cancel safety
///
/// Dropped before it resolves, nobody waits for the response any more; a request that was published
/// stays so.
#[must_use = "nothing is requested unless this is awaited"]
#[derive(Debug)]
pub struct Requesting<'a> {
    request: Request<'a>,
    step: Step,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    New,
    Waiting(RequestId),
    Done,
}

impl Future for Requesting<'_> {
    type Output = Result<Message, RequestError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { request, step } = &mut *self;
        let shared = Arc::clone(request.publish.client().shared());
        let id = match *step {
            Step::New => match begin(request) {
                Ok(id) => id,
                Err(error) => {
                    *step = Step::Done;
                    return Poll::Ready(Err(error));
                }
            },
            Step::Waiting(id) => id,
            Step::Done => return Poll::Pending,
        };
        *step = Step::Waiting(id);
        let Some(ended) = shared.call(|state| state.poll_request(id, cx.waker())) else {
            return Poll::Pending;
        };
        *step = Step::Done;
        Poll::Ready(ended.map(|message| Message::new(&shared, message, None)))
    }
}

impl Drop for Requesting<'_> {
    fn drop(&mut self) {
        if let Step::Waiting(id) = self.step {
            self.request.publish.client().shared().call(|state| state.abandon_request(id));
        }
    }
}

/// Hands the request over.
fn begin(request: &mut Request<'_>) -> Result<RequestId, RequestError> {
    let shared = Arc::clone(request.publish.client().shared());
    let timeout = request.timeout;
    let publication = request.publish.publication()?;
    let now = shared.now();
    shared.call(|state| {
        if let Status::Closed(error) = state.status() {
            return Err(error.clone().into());
        }
        let id = state.session.request(now, publication, timeout)?;
        state.requests.waiting.insert(id, Answer::Waiting(None));
        state.has_work = true;
        Ok(id)
    })
}

/// The requests whose futures wait.
#[derive(Debug)]
pub(crate) struct Requests {
    waiting: BTreeMap<RequestId, Answer>,
}

#[derive(Debug)]
enum Answer {
    Waiting(Option<Waker>),
    Told(RequestOutcome),
    Closed(ConnectionError),
}

impl Requests {
    pub(crate) const fn new() -> Self {
        Self { waiting: BTreeMap::new() }
    }

    /// A request has ended.
    pub(crate) fn ended(
        &mut self,
        request: RequestId,
        outcome: RequestOutcome,
        wakers: &mut Vec<Waker>,
    ) {
        if let Some(answer) = self.waiting.get_mut(&request)
            && let Answer::Waiting(waker) = std::mem::replace(answer, Answer::Told(outcome))
        {
            wakers.extend(waker);
        }
    }

    /// There will be no response any more.
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
    /// How a request ended, or `None` if it has not.
    fn poll_request(
        &mut self,
        id: RequestId,
        waker: &Waker,
    ) -> Option<Result<mqtt_session::Message, RequestError>> {
        if let Some(Answer::Waiting(waiting)) = self.requests.waiting.get_mut(&id) {
            match waiting {
                Some(waiting) => waiting.clone_from(waker),
                None => *waiting = Some(waker.clone()),
            }
            return None;
        }
        Some(match self.requests.waiting.remove(&id)? {
            Answer::Told(outcome) => self.response(outcome),
            Answer::Closed(error) => Err(error.into()),
            Answer::Waiting(_) => return None,
        })
    }

    fn response(&self, outcome: RequestOutcome) -> Result<mqtt_session::Message, RequestError> {
        Err(match outcome {
            RequestOutcome::Response(message) => return Ok(message),
            RequestOutcome::TimedOut => RequestError::TimedOut,
            RequestOutcome::NoResponder => RequestError::NoResponder,
            RequestOutcome::NotPublished(outcome) => match final_word(Ok(outcome)) {
                // Only what was not acknowledged ends a request.
                Ok(_) => RequestError::NoResponder,
                Err(error) => error.into(),
            },
            RequestOutcome::NotSent(Refusal::NotAllowed(limit)) => {
                PublishError::NotAllowed(limit).into()
            }
            RequestOutcome::NoResponseTopic(error) => RequestError::ResponseTopic(error),
            RequestOutcome::ResponseTopicRefused(reason) => {
                RequestError::ResponseTopicRefused(reason)
            }
            RequestOutcome::NotSent(_) | _ => self.closed().into(),
        })
    }

    /// Nobody waits for the response to a request any more.
    fn abandon_request(&mut self, id: RequestId) {
        self.requests.waiting.remove(&id);
        self.session.abandon_request(id);
        self.has_work = true;
    }
}
