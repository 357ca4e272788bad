//! What the handles and the driver of one connection share, behind one short lock.
//!
//! A call of the application goes straight into the state machine and wakes the driver once, if it
//! sleeps: there is no channel between them. Results come back the other way: the driver puts them
//! where the waiting future finds them and wakes it, after the lock is released.

use std::io;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use bytes::Bytes;
use mqtt_session::{
    Attempt, Client as Session, ClientCloseCause, ClientEvent, DialFault, DisconnectOptions,
    Outage, Publication, PublishError as Refusal, PublishOutcome, Time, TransmitBuf, UnsentMessage,
};
use tokio::time::Instant;

use crate::authentication::{Authentication, Challenge};
use crate::dial::{Credentials, DialFailure};
use crate::error::{AuthenticationError, ConnectionError, StoreError};
use crate::keeper::{Change, Due, Ledger};
use crate::readers::{Answer, Readers};
use crate::request::Requests;
use crate::room::Room;
use crate::slab::Slab;
use crate::unsubscribe::{Unsubscribed, Unsubscribes};

/// The driver takes no more out of the state machine while so many bytes wait to be written.
const OUT_HIGH: usize = 64 * 1024;

/// What handles and driver share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The origin of the state machine's time.
    origin: Instant,
    /// The state machine's time then.
    start: Time,
    state: Mutex<State>,
}

/// Everything behind the lock.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) session: Session,
    /// The time of the driver's last turn.
    pub(crate) now: Time,
    /// The driver, while it sleeps.
    driver: Option<Waker>,
    /// Whether something was asked for since the driver's last turn.
    pub(crate) has_work: bool,
    pub(crate) status: Status,
    /// Counts changes of the status.
    version: u64,
    watchers: Vec<Waker>,
    publishes: Slab<Waiter>,
    /// The place in `publishes` for each slot of the session.
    publish_of_slot: Vec<usize>,
    room: Room,
    pub(crate) readers: Readers,
    pub(crate) requests: Requests,
    pub(crate) unsubscribes: Unsubscribes,
    /// Clients and subscriptions that the application holds.
    handles: usize,
    /// Whether the session decides when there is a connection.
    is_managed: bool,
    /// The transport that the session asked for.
    attempt: Option<Attempt>,
    /// The session waits for no transport any more.
    drops_dial: bool,
    /// The connection has ended, and the driver does not know yet.
    has_ended: bool,
    /// Why the transport failed.
    failure: Option<Arc<io::Error>>,
    /// Why the last attempt to open one failed.
    dial_failure: Option<DialFailure>,
    /// Why the last connection has ended.
    last_cause: Option<ConnectionError>,
    pub(crate) authentication: Authentication,
    /// What is stored of the session, while there is a store and a driver that writes to it.
    pub(crate) ledger: Option<Ledger>,
    /// Whether what is left of the session is in a store.
    pub(crate) is_kept: bool,
    /// Nothing may leave any more.
    has_store_failed: bool,
    /// Those to wake once the lock is released.
    pub(crate) wakers: Vec<Waker>,
}

/// How the connection is.
#[derive(Clone, Debug)]
pub(crate) enum Status {
    Connecting,
    Connected { session_present: bool },
    Waiting { until: Instant, cause: ConnectionError },
    Closed(ConnectionError),
}

/// A message whose fate a future waits for.
#[derive(Debug)]
enum Waiter {
    Waiting(Option<Waker>),
    Done(Result<PublishOutcome, ConnectionError>),
    /// The future was dropped.
    Abandoned,
}

/// What came from the transport.
#[derive(Debug)]
pub(crate) enum Input<'a> {
    Nothing,
    Bytes(&'a [u8]),
    End,
    Failure(io::Error),
    /// A transport stands, to log in on with these credentials if there are any.
    Dialled(Option<Credentials>),
    DialFailed(DialFailure),
}

/// What the driver does after a turn.
#[derive(Debug)]
pub(crate) struct Turn {
    /// Whether more should be read.
    pub(crate) accepts_input: bool,
    /// Whether the state machine may have more to send once this is written.
    pub(crate) has_more: bool,
    pub(crate) deadline: Option<Time>,
    /// The connection has ended.
    pub(crate) has_ended: bool,
    /// It has ended because its transport failed.
    pub(crate) has_failed: bool,
    /// What is being dialled is not wanted any more.
    pub(crate) drops_dial: bool,
    /// The client has ended.
    pub(crate) is_closed: bool,
    /// Whether what is to be sent may be written: the store knows of it.
    pub(crate) may_write: bool,
    /// What is to be written to the store.
    pub(crate) change: Option<Change>,
    /// What the server is to be answered.
    pub(crate) challenge: Option<Challenge>,
}

impl Shared {
    /// `start` is the time that the state machine has reached.
    pub(crate) fn new(session: Session, start: Time) -> Self {
        let state = State {
            session,
            now: start,
            driver: None,
            has_work: false,
            status: Status::Connecting,
            version: 0,
            watchers: Vec::new(),
            publishes: Slab::new(),
            publish_of_slot: Vec::new(),
            room: Room::new(),
            readers: Readers::new(),
            requests: Requests::new(),
            unsubscribes: Unsubscribes::new(),
            handles: 0,
            is_managed: false,
            attempt: None,
            drops_dial: false,
            has_ended: false,
            failure: None,
            dial_failure: None,
            last_cause: None,
            authentication: Authentication::default(),
            ledger: None,
            is_kept: false,
            has_store_failed: false,
            wakers: Vec::new(),
        };
        Self { origin: Instant::now(), start, state: Mutex::new(state) }
    }

    /// The time, as the state machine counts it.
    pub(crate) fn now(&self) -> Time {
        self.start + self.origin.elapsed()
    }

    /// When `time` is on tokio's clock.
    pub(crate) fn instant(&self, time: Time) -> Instant {
        self.origin + time.duration_since(self.start)
    }

    /// Does something with the state, and wakes the driver if that gave it work.
    pub(crate) fn call<R>(&self, call: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.lock();
        let result = call(&mut state);
        let driver = if state.has_work { state.driver.take() } else { None };
        let wakers = mem::take(&mut state.wakers);
        drop(state);
        if let Some(driver) = driver {
            driver.wake();
        }
        for waker in wakers {
            waker.wake();
        }
        result
    }

    /// A turn of the driver: what came goes in, what is to be sent comes out.
    pub(crate) fn turn(
        &self,
        input: Input<'_>,
        is_due: bool,
        driver: &Waker,
        out: &mut TransmitBuf,
        wakers: &mut Vec<Waker>,
    ) -> Turn {
        let now = self.now();
        let mut state = self.lock();
        let turn = state.turn(now, input, is_due, driver, out, wakers);
        drop(state);
        for waker in wakers.drain(..) {
            waker.wake();
        }
        turn
    }

    /// The transport that the session asks for.
    pub(crate) fn take_attempt(&self) -> Option<Attempt> {
        self.lock().attempt.take()
    }

    /// How the client has ended.
    pub(crate) fn result(&self) -> Result<(), ConnectionError> {
        let error = self.lock().closed();
        if error.is_disconnected() { Ok(()) } else { Err(error) }
    }

    /// Nothing can be written any more.
    pub(crate) fn transport_failed(&self, error: io::Error) {
        let now = self.now();
        self.call(|state| {
            state.failure = Some(Arc::new(error));
            state.session.handle_eof(now);
            let mut wakers = mem::take(&mut state.wakers);
            state.take_events(&mut wakers);
            state.wakers = wakers;
        });
    }

    /// The store does not take the session: nothing that depends on it may leave, so nothing goes
    /// on.
    pub(crate) fn store_failed(&self, error: StoreError) {
        tracing::error!(%error, "the client ends");
        let error = ConnectionError::Store(Arc::new(error));
        self.call(|state| {
            state.is_kept = false;
            state.has_store_failed = true;
            let mut wakers = mem::take(&mut state.wakers);
            state.close(error.clone(), &mut wakers);
            // That the application has left is not the whole truth any more.
            state.set_status(Status::Closed(error), &mut wakers);
            state.end_store(&mut wakers);
            state.wakers = wakers;
        });
    }

    /// What is to be written to the store, and whether what is to be sent may be written. After
    /// the end of the client, `is_last`, nothing is put off.
    pub(crate) fn store_due(&self, is_last: bool) -> (Option<Change>, bool) {
        let now = self.now();
        let mut state = self.lock();
        let Due { change, .. } = state.store_due(now, is_last);
        let lets_through = state.ledger.as_ref().is_none_or(Ledger::lets_through);
        (change, lets_through && !state.has_store_failed)
    }

    /// Nothing is written to the store any more.
    pub(crate) fn end_store(&self) {
        self.call(|state| {
            let mut wakers = mem::take(&mut state.wakers);
            state.end_store(&mut wakers);
            state.wakers = wakers;
        });
    }

    /// The driver is gone.
    pub(crate) fn driver_dropped(&self) {
        self.call(|state| {
            let mut wakers = mem::take(&mut state.wakers);
            state.close(ConnectionError::DriverDropped, &mut wakers);
            state.end_store(&mut wakers);
            state.wakers = wakers;
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock; if something did, the state machine is as sound
        // as its last complete step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn turn(
        &mut self,
        now: Time,
        input: Input<'_>,
        is_due: bool,
        driver: &Waker,
        out: &mut TransmitBuf,
        wakers: &mut Vec<Waker>,
    ) -> Turn {
        self.now = now;
        self.has_work = false;
        match &mut self.driver {
            Some(waker) => waker.clone_from(driver),
            None => self.driver = Some(driver.clone()),
        }
        match input {
            Input::Nothing => {}
            Input::Dialled(credentials) => self.dialled(now, credentials),
            Input::DialFailed(failure) => {
                let fault = failure.fault;
                self.dial_failure = Some(failure);
                self.session.handle_dial_failed(now, fault);
            }
            Input::Bytes(bytes) => self.session.handle_input(now, bytes),
            Input::End => self.session.handle_eof(now),
            Input::Failure(error) => {
                self.failure = Some(Arc::new(error));
                self.session.handle_eof(now);
            }
        }
        if is_due {
            self.session.handle_timeout(now);
        }
        self.take_events(wakers);
        // What the store does not know of yet stays as it is until it has left.
        let is_held = self.ledger.is_some() && !out.is_empty();
        let budget = OUT_HIGH.saturating_sub(out.len());
        if budget > 0 && !is_held {
            self.session.poll_transmit(now, out, budget);
            self.take_events(wakers);
            if let Some(ledger) = &mut self.ledger
                && !out.is_empty()
            {
                ledger.needs(self.session.revision());
            }
        }
        self.call_into_room(wakers);
        let Due { change, at } = self.store_due(now, false);
        let deadline = self.session.poll_timeout().map(|deadline| deadline.at);
        let deadline = deadline.into_iter().chain(at).min();
        Turn {
            accepts_input: self.session.accepts_input(),
            has_more: is_held || out.len() >= OUT_HIGH,
            deadline,
            has_ended: mem::take(&mut self.has_ended),
            has_failed: matches!(self.last_cause, Some(ConnectionError::Io(_)))
                || self.has_store_failed,
            drops_dial: mem::take(&mut self.drops_dial),
            is_closed: matches!(self.status, Status::Closed(_)),
            may_write: self.ledger.as_ref().is_none_or(Ledger::lets_through),
            change,
            challenge: self.take_challenge(),
        }
    }

    pub(crate) fn start(&mut self, now: Time) -> Result<(), AuthenticationError> {
        self.begin_authentication()?;
        self.session.handle_connected(now);
        self.has_work = true;
        Ok(())
    }

    /// Leaves it to the session when there is a connection.
    pub(crate) fn start_managed(&mut self, now: Time) {
        self.is_managed = true;
        self.session.start(now);
        self.has_work = true;
    }

    /// A transport stands.
    fn dialled(&mut self, now: Time, credentials: Option<Credentials>) {
        if let Some(Credentials { user_name, password, authentication_data }) = credentials {
            let mut set = self.session.set_credentials(user_name, password);
            if let Some(data) = authentication_data {
                set = set.and_then(|()| self.session.set_authentication_data(data));
            }
            if let Err(error) = set {
                return self.no_credentials(now, io::Error::other(error));
            }
        }
        if let Err(error) = self.begin_authentication() {
            return self.no_credentials(now, io::Error::other(error));
        }
        self.session.handle_connected(now);
    }

    /// A transport stands, and there is nothing to log in with.
    fn no_credentials(&mut self, now: Time, error: io::Error) {
        let fault = DialFault::NoCredentials;
        self.dial_failure = Some(DialFailure { fault, error, address: String::new() });
        self.session.handle_dial_failed(now, fault);
    }

    /// What an outage is for the application.
    fn outage(&mut self, outage: Outage) -> ConnectionError {
        match outage {
            Outage::Closed(cause) => match &self.last_cause {
                // The session knows no more than that.
                Some(error @ ConnectionError::Io(_)) if cause == ClientCloseCause::Lost => {
                    error.clone()
                }
                _ => ConnectionError::Closed(Arc::new(cause)),
            },
            Outage::Dial(fault) => {
                let failure = self.dial_failure.take();
                let (address, source) = failure.map_or((String::new(), None), |failure| {
                    (failure.address, Some(Arc::new(failure.error)))
                });
                ConnectionError::Unreachable { address, fault, source }
            }
        }
    }

    pub(crate) fn status(&self) -> &Status {
        &self.status
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Wakes `waker` at the next change of the status.
    pub(crate) fn watch(&mut self, waker: &Waker) {
        if !self.watchers.iter().any(|watcher| watcher.will_wake(waker)) {
            self.watchers.push(waker.clone());
        }
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Messages that were not sent, unless the next run of the program sends them.
    pub(crate) fn take_unsent(&mut self) -> Vec<UnsentMessage> {
        if self.is_kept {
            return Vec::new();
        }
        let unsent = self.session.take_unsent(self.now);
        unsent.into_iter().map(|(_, message)| message).collect()
    }

    pub(crate) fn add_handle(&mut self) {
        self.handles += 1;
    }

    /// The application lets go of a handle. With the last one it has left.
    pub(crate) fn drop_handle(&mut self) {
        self.handles -= 1;
        if self.handles == 0 {
            self.disconnect(&DisconnectOptions::default());
        }
    }

    /// Leaves, unless the connection has ended or is ending already.
    pub(crate) fn disconnect(&mut self, options: &DisconnectOptions) {
        if self.session.disconnect(self.now, options).is_ok() {
            self.has_work = true;
        }
    }

    /// Why nothing can be done any more.
    pub(crate) fn closed(&self) -> ConnectionError {
        match &self.status {
            Status::Closed(error) | Status::Waiting { cause: error, .. } => error.clone(),
            Status::Connecting | Status::Connected { .. } => match &self.last_cause {
                Some(error) if matches!(self.status, Status::Connecting) => error.clone(),
                // A client that is leaving takes nothing any more.
                _ => ConnectionError::Closed(Arc::new(ClientCloseCause::Disconnected)),
            },
        }
    }

    /// Publishes a message. For QoS 1 and QoS 2 the place is returned under which its fate will be
    /// found.
    pub(crate) fn publish(
        &mut self,
        now: Option<Time>,
        publication: Publication<'_>,
    ) -> Result<Option<usize>, (Bytes, Refusal)> {
        let now = now.unwrap_or(self.now);
        let taken = self.session.publish(now, publication);
        if !matches!(self.status, Status::Connected { .. }) {
            // An older message may have made room, and its place is the new one's.
            let mut wakers = mem::take(&mut self.wakers);
            self.take_events(&mut wakers);
            self.wakers = wakers;
        }
        match taken {
            Ok(None) => {
                self.has_work = true;
                Ok(None)
            }
            Ok(Some(id)) => {
                self.has_work = true;
                let waiter = self.publishes.insert(Waiter::Waiting(None));
                if self.publish_of_slot.len() <= id.slot() {
                    self.publish_of_slot.resize(id.slot() + 1, usize::MAX);
                }
                if let Some(place) = self.publish_of_slot.get_mut(id.slot()) {
                    *place = waiter;
                }
                Ok(Some(waiter))
            }
            Err(unsent) => Err((unsent.payload, unsent.error)),
        }
    }

    /// The fate of a message, or `None` if it is not known yet.
    pub(crate) fn poll_publish(
        &mut self,
        waiter: usize,
        waker: &Waker,
    ) -> Option<Result<PublishOutcome, ConnectionError>> {
        match self.publishes.get_mut(waiter)? {
            Waiter::Waiting(Some(waiting)) => {
                waiting.clone_from(waker);
                None
            }
            Waiter::Waiting(waiting @ None) => {
                *waiting = Some(waker.clone());
                None
            }
            Waiter::Done(_) | Waiter::Abandoned => match self.publishes.remove(waiter) {
                Some(Waiter::Done(outcome)) => Some(outcome),
                Some(Waiter::Waiting(_) | Waiter::Abandoned) | None => None,
            },
        }
    }

    /// Nobody waits for the fate of this message any more.
    pub(crate) fn abandon_publish(&mut self, waiter: usize) {
        match self.publishes.get_mut(waiter) {
            Some(state @ Waiter::Waiting(_)) => *state = Waiter::Abandoned,
            Some(Waiter::Done(_) | Waiter::Abandoned) => {
                self.publishes.remove(waiter);
            }
            None => {}
        }
    }

    /// Whether another message would be taken, or refused for good.
    fn has_room(&self) -> bool {
        matches!(self.status, Status::Closed(_)) || self.session.has_room_for(0)
    }

    /// Whether it is the turn of a sender: of one that was called, or of a new one if none waits.
    pub(crate) fn may_enter_room(&self, ticket: Option<u64>) -> bool {
        ticket.map_or(self.room.is_empty(), |ticket| self.room.is_called(ticket))
    }

    /// A sender waits for room. Returns its ticket.
    pub(crate) fn wait_for_room(&mut self, ticket: Option<u64>, waker: &Waker) -> u64 {
        self.room.wait(ticket, waker)
    }

    /// A sender waits for room no longer: the next one has its turn.
    pub(crate) fn leave_room(&mut self, ticket: u64) {
        self.room.leave(ticket);
        let mut wakers = mem::take(&mut self.wakers);
        self.call_into_room(&mut wakers);
        self.wakers = wakers;
    }

    /// Wakes one sender that waits for room, if there is any; it wakes the next.
    fn call_into_room(&mut self, wakers: &mut Vec<Waker>) {
        if !self.room.is_empty() && self.has_room() {
            wakers.extend(self.room.call());
        }
    }

    fn take_events(&mut self, wakers: &mut Vec<Waker>) {
        while let Some(event) = self.session.poll_event() {
            match event {
                ClientEvent::Connected(terms) => {
                    tracing::debug!(client_id = %terms.client_id, "connected");
                    if !self.finish_authentication(&terms.authentication_data) {
                        continue;
                    }
                    let session_present = terms.session_present;
                    self.set_status(Status::Connected { session_present }, wakers);
                }
                ClientEvent::Readable(subscription) => self.readable(subscription, wakers),
                ClientEvent::BufferFull { subscription, overflow } => {
                    self.buffer_full(subscription, overflow);
                }
                ClientEvent::Published { id, outcome } => {
                    let waiter = self.publish_of_slot.get(id.slot()).copied();
                    self.publish_ended(waiter.unwrap_or(usize::MAX), outcome, wakers);
                }
                ClientEvent::Responded { request, outcome } => {
                    self.requests.ended(request, outcome, wakers);
                }
                ClientEvent::Subscribed { subscription, results, .. } => {
                    let is_refused = results.iter().all(|reason| reason.is_error());
                    self.answer(subscription, Answer::Granted(results), is_refused, wakers);
                }
                ClientEvent::SubscribeFailed { subscription, error } => {
                    self.answer(subscription, Answer::NotAllowed(error), true, wakers);
                }
                ClientEvent::Closed(cause) => {
                    let error = match (*cause, self.failure.take()) {
                        (ClientCloseCause::Lost, Some(failure)) => ConnectionError::Io(failure),
                        (cause, _) => ConnectionError::Closed(Arc::new(cause)),
                    };
                    tracing::debug!(cause = %error, "connection closed");
                    self.has_ended = true;
                    let error = self.authentication_failure().unwrap_or(error);
                    self.authentication_ended(wakers);
                    self.last_cause = Some(error.clone());
                    if !self.is_managed {
                        self.close(error, wakers);
                    }
                }
                ClientEvent::Dial(attempt) => {
                    tracing::debug!(number = attempt.number, to = %attempt.target, "connecting");
                    self.attempt = Some(*attempt);
                    self.set_status(Status::Connecting, wakers);
                }
                ClientEvent::Waiting { until, cause } => {
                    self.drops_dial = true;
                    let cause = self.outage(*cause);
                    let wait = until.duration_since(self.now);
                    tracing::info!(%cause, ?wait, "no connection; trying again");
                    let until = Instant::now() + wait;
                    self.set_status(Status::Waiting { until, cause }, wakers);
                }
                ClientEvent::Ended { cause, .. } => {
                    self.drops_dial = true;
                    let outage = self.outage(*cause);
                    let error = self.authentication_failure().unwrap_or(outage);
                    self.close(error, wakers);
                }
                ClientEvent::Unsubscribed { subscription, results, properties } => {
                    let answer = Unsubscribed { results, properties };
                    self.unsubscribes.ended(subscription, answer, wakers);
                }
                ClientEvent::Challenged { data, .. } => self.challenged(data),
                ClientEvent::Authenticated { data, .. } => self.authenticated(&data, wakers),
                _ => {}
            }
        }
    }

    fn publish_ended(&mut self, waiter: usize, outcome: PublishOutcome, wakers: &mut Vec<Waker>) {
        let Some(state) = self.publishes.get_mut(waiter) else {
            if !matches!(outcome, PublishOutcome::Acknowledged(_)) {
                tracing::warn!(?outcome, "a message of an earlier run has ended");
            }
            return;
        };
        match mem::replace(state, Waiter::Done(Ok(outcome))) {
            Waiter::Waiting(waker) => wakers.extend(waker),
            Waiter::Done(_) | Waiter::Abandoned => {
                self.publishes.remove(waiter);
            }
        }
    }

    /// Wakes everybody who watches the connection.
    pub(crate) fn wake_watchers(&mut self, wakers: &mut Vec<Waker>) {
        wakers.append(&mut self.watchers);
    }

    fn set_status(&mut self, status: Status, wakers: &mut Vec<Waker>) {
        self.status = status;
        self.version += 1;
        wakers.append(&mut self.watchers);
    }

    /// The connection has ended: everybody who waits for it learns why.
    fn close(&mut self, error: ConnectionError, wakers: &mut Vec<Waker>) {
        if matches!(self.status, Status::Closed(_)) {
            return;
        }
        for waiter in self.publishes.iter_mut() {
            if let Waiter::Waiting(waker) = waiter {
                wakers.extend(waker.take());
                *waiter = Waiter::Done(Err(error.clone()));
            }
        }
        self.readers.end(wakers);
        self.requests.close(&error, wakers);
        self.unsubscribes.close(&error, wakers);
        self.set_status(Status::Closed(error), wakers);
        self.call_into_room(wakers);
    }
}
