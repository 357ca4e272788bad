//! Enhanced authentication: the interface of its methods, and the exchange under way.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use mqtt_codec::DisconnectReason;
use mqtt_session::{AuthenticateError, AuthenticationData, DisconnectOptions};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::error::{AuthenticationError, ConnectionError, ReauthenticateError};
use crate::shared::{Shared, State, Status};

/// A way to prove who the client is that needs more than a password: it is named in CONNECT, and
/// AUTH packets go to and fro until both sides are convinced.
///
/// Given to a client with
/// [`ClientBuilder::authentication_method`](crate::ClientBuilder::authentication_method); `Scram`
/// is one.
pub trait AuthenticationMethod: Send + Sync + 'static {
    /// The name by which the server knows the method [MQTT-4.12.0-1].
    fn name(&self) -> &str;

    /// Begins an exchange: for each connection, and each time that the client is authenticated
    /// anew.
    ///
    /// # Errors
    ///
    /// Whatever speaks against it; there is no connection then.
    fn begin(&self) -> Result<Box<dyn AuthenticationExchange>, AuthenticationError>;
}

/// One exchange of an [`AuthenticationMethod`].
pub trait AuthenticationExchange: Send + 'static {
    /// The data that begin it; called once, before all else.
    ///
    /// # Errors
    ///
    /// Whatever speaks against it; there is no connection then.
    fn first(&mut self) -> Result<Vec<u8>, AuthenticationError>;

    /// The answer to a challenge of the server. It is called on a thread that may block, since
    /// deriving a key takes its time.
    ///
    /// # Errors
    ///
    /// That the challenge cannot be answered. The client ends.
    fn answer(&mut self, challenge: &[u8]) -> Result<Vec<u8>, AuthenticationError>;

    /// The server is convinced, and said this last, or nothing: whether the client is, too.
    ///
    /// # Errors
    ///
    /// That it is not. The client ends, without having sent anything else.
    fn finish(&mut self, last: &[u8]) -> Result<(), AuthenticationError>;
}

/// The method of a client's options.
#[derive(Clone)]
pub(crate) struct Method(pub(crate) Arc<dyn AuthenticationMethod>);

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AuthenticationMethod").field(&self.0.name()).finish()
    }
}

/// Enhanced authentication, behind the lock.
#[derive(Debug, Default)]
pub(crate) struct Authentication {
    pub(crate) method: Option<Method>,
    exchange: Option<Exchange>,
    /// A challenge to be answered.
    challenge: Option<AuthenticationData>,
    /// How often the client was authenticated anew.
    renewed: u64,
    is_renewing: bool,
    waiters: Vec<Waker>,
    /// Why the client is not convinced.
    failure: Option<Arc<AuthenticationError>>,
}

/// An exchange under way, which may hold secrets.
struct Exchange(Box<dyn AuthenticationExchange>);

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exchange")
    }
}

impl State {
    /// Begins an exchange for a connection, if there is a method.
    pub(crate) fn begin_authentication(&mut self) -> Result<(), AuthenticationError> {
        let Some(first) = self.begin_exchange()? else { return Ok(()) };
        self.session.begin_authentication(first).map_err(AuthenticationError::new)
    }

    fn begin_exchange(&mut self) -> Result<Option<Vec<u8>>, AuthenticationError> {
        let Some(Method(method)) = &self.authentication.method else { return Ok(None) };
        let mut exchange = method.begin()?;
        let first = exchange.first()?;
        self.authentication.exchange = Some(Exchange(exchange));
        self.authentication.challenge = None;
        Ok(Some(first))
    }

    /// The server wants an answer.
    pub(crate) fn challenged(&mut self, data: AuthenticationData) {
        if self.authentication.exchange.is_some() {
            self.authentication.challenge = Some(data);
        }
    }

    /// What is to be answered, if anything.
    pub(crate) fn take_challenge(&mut self) -> Option<Challenge> {
        let data = self.authentication.challenge.take()?;
        let exchange = self.authentication.exchange.take()?;
        Some(Challenge { exchange, data })
    }

    /// The server is convinced. True if the client is, too.
    pub(crate) fn finish_authentication(&mut self, last: &AuthenticationData) -> bool {
        let Some(Exchange(mut exchange)) = self.authentication.exchange.take() else { return true };
        let finished = exchange.finish(last.as_bytes());
        let is_convinced = finished.is_ok();
        if let Err(error) = finished {
            self.not_convinced(error);
        }
        is_convinced
    }

    /// The client does not go on with this server [MQTT-4.12.1-2].
    fn not_convinced(&mut self, error: AuthenticationError) {
        tracing::error!(%error, "the client is not convinced of the server");
        self.authentication.failure = Some(Arc::new(error));
        self.disconnect(&DisconnectOptions::new(DisconnectReason::UnspecifiedError));
    }

    /// The client has been authenticated anew.
    pub(crate) fn authenticated(&mut self, last: &AuthenticationData, wakers: &mut Vec<Waker>) {
        if self.finish_authentication(last) {
            self.authentication.renewed += 1;
            self.authentication.is_renewing = false;
            wakers.append(&mut self.authentication.waiters);
        }
    }

    /// A connection has ended, and what was under way with it.
    pub(crate) fn authentication_ended(&mut self, wakers: &mut Vec<Waker>) {
        let authentication = &mut self.authentication;
        authentication.exchange = None;
        authentication.challenge = None;
        authentication.is_renewing = false;
        wakers.append(&mut authentication.waiters);
    }

    /// Why the client has left, if it was not convinced of the server.
    pub(crate) fn authentication_failure(&self) -> Option<ConnectionError> {
        self.authentication.failure.clone().map(ConnectionError::Authentication)
    }

    /// Authenticates the client anew; `wanted` says for which time, once it has begun.
    pub(crate) fn poll_reauthenticate(
        &mut self,
        wanted: &mut Option<u64>,
        waker: &Waker,
    ) -> Poll<Result<(), ReauthenticateError>> {
        match *wanted {
            Some(number) if self.authentication.renewed >= number => return Poll::Ready(Ok(())),
            Some(_) if !self.authentication.is_renewing => {
                return Poll::Ready(Err(self.closed().into()));
            }
            Some(_) => {}
            None => {
                if self.authentication.method.is_none() {
                    return Poll::Ready(Err(ReauthenticateError::NoMethod));
                }
                if !matches!(self.status, Status::Connected { .. }) {
                    return Poll::Ready(Err(self.closed().into()));
                }
                *wanted = Some(self.authentication.renewed + 1);
                // Whoever asks while it is under way waits for the same end.
                if !self.authentication.is_renewing
                    && let Err(error) = self.reauthenticate()
                {
                    return Poll::Ready(Err(error));
                }
            }
        }
        if !self.authentication.waiters.iter().any(|waiter| waiter.will_wake(waker)) {
            self.authentication.waiters.push(waker.clone());
        }
        Poll::Pending
    }

    fn reauthenticate(&mut self) -> Result<(), ReauthenticateError> {
        let first = self.begin_exchange()?.unwrap_or_default();
        self.session.reauthenticate(self.now, &first).map_err(|error| match error {
            AuthenticateError::Data(error) => AuthenticationError::new(error).into(),
            // The connection is being left.
            AuthenticateError::NotPossible | AuthenticateError::NotChallenged | _ => {
                ReauthenticateError::Connection(self.closed())
            }
        })?;
        self.authentication.is_renewing = true;
        self.has_work = true;
        Ok(())
    }
}

/// A challenge, and the exchange that answers it.
#[derive(Debug)]
pub(crate) struct Challenge {
    exchange: Exchange,
    data: AuthenticationData,
}

type Answered = (Exchange, Result<Vec<u8>, AuthenticationError>);

/// An answer that is being worked out.
#[derive(Debug)]
pub(crate) struct Answering(Mutex<JoinHandle<Answered>>);

impl Answering {
    /// Works it out on a thread that may block.
    pub(crate) fn new(runtime: &Handle, challenge: Challenge) -> Self {
        let Challenge { mut exchange, data } = challenge;
        Self(Mutex::new(runtime.spawn_blocking(move || {
            let answer = exchange.0.answer(data.as_bytes());
            (exchange, answer)
        })))
    }

    /// Gives the answer to the server once it is there. True if it is.
    pub(crate) fn advance(&mut self, shared: &Shared, cx: &mut Context<'_>) -> bool {
        let answering = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        let Poll::Ready(answered) = Pin::new(answering).poll(cx) else { return false };
        shared.call(|state| state.answered(answered.map_err(io::Error::other)));
        true
    }
}

impl State {
    fn answered(&mut self, answered: io::Result<Answered>) {
        let answered = answered.map_err(AuthenticationError::new);
        let sent = answered.and_then(|(exchange, answer)| {
            let answer = answer?;
            match self.session.authenticate(self.now, &answer) {
                Ok(()) => self.authentication.exchange = Some(exchange),
                // The connection is not the one any more that asked.
                Err(AuthenticateError::NotChallenged) => {}
                Err(error) => return Err(AuthenticationError::new(error)),
            }
            Ok(())
        });
        if let Err(error) = sent {
            self.not_convinced(error);
        }
        self.has_work = true;
    }
}
