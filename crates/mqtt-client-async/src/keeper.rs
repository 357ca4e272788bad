//! Keeping the session in a store: what is written when, and what waits for it.
//!
//! The rule is that nothing leaves that the store does not know of. What the state machine hands
//! out is held back until the session is stored as it was then, or later; meanwhile input is read
//! and handled as always, and what it gives rise to waits in the state machine, which takes no more
//! input once that is much. One write covers all that has changed since the one before.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use mqtt_session::{Client as Session, ClientConfig, SavedSession, SavedSessionError, Time};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::error::{ConnectError, ConnectionError, StoreError};
use crate::shared::{Shared, State, Status};
use crate::store::{SessionStore, StoredName, StoredSession};

/// How long after a write the next one may wait if nothing waits for it.
const REST: Duration = Duration::from_millis(20);

/// What stands before the session in the store: a name, and the version of the form. The time
/// follows, in milliseconds since 1970, and once more with every bit turned.
const MARK: [u8; 4] = *b"MQC\x01";

/// The store of a client's options.
#[derive(Clone)]
pub(crate) struct Store(pub(crate) Arc<dyn SessionStore>);

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionStore")
    }
}

/// A change of the store.
#[derive(Debug)]
pub(crate) enum Change {
    Save(Box<SavedSession>),
    /// Nothing of the session is worth keeping.
    Remove,
}

/// How far the store is behind the session; part of what handles and driver share.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// The revision of the session that is stored.
    stored: u64,
    /// The one that is being written.
    writing: Option<u64>,
    /// When that, or the last one, was begun.
    begun: Option<Time>,
    /// The revision that must be stored before what was handed out may leave.
    needed: u64,
    /// Those who wait until something is stored.
    waiters: Vec<Waker>,
}

impl Ledger {
    /// The store holds this revision.
    pub(crate) const fn new(stored: u64) -> Self {
        Self { stored, writing: None, begun: None, needed: stored, waiters: Vec::new() }
    }

    /// What was handed out depends on this revision.
    pub(crate) const fn needs(&mut self, revision: u64) {
        self.needed = revision;
    }

    /// Whether what was handed out may leave.
    pub(crate) const fn lets_through(&self) -> bool {
        self.stored >= self.needed
    }
}

/// What is to be done about the store now.
#[derive(Debug, Default)]
pub(crate) struct Due {
    pub(crate) change: Option<Change>,
    /// When to ask again.
    pub(crate) at: Option<Time>,
}

impl State {
    /// The session is in the store as it is now, and is kept there from now on.
    pub(crate) fn keep(&mut self) {
        self.ledger = Some(Ledger::new(self.session.revision()));
        self.is_kept = true;
    }

    /// What is to be written now. `is_last`: nothing else comes, so nothing is put off.
    pub(crate) fn store_due(&mut self, now: Time, is_last: bool) -> Due {
        let Some(ledger) = &mut self.ledger else { return Due::default() };
        let revision = self.session.revision();
        if ledger.writing.is_some() || ledger.stored == revision {
            return Due::default();
        }
        let is_awaited = is_last || !ledger.lets_through() || !ledger.waiters.is_empty();
        let rests_until = ledger.begun.map(|begun| begun + REST).filter(|until| *until > now);
        if let Some(until) = rests_until.filter(|_| !is_awaited) {
            return Due { change: None, at: Some(until) };
        }
        ledger.writing = Some(revision);
        ledger.begun = Some(now);
        let saved = self.session.save(now);
        let change = if saved.is_spent() { Change::Remove } else { Change::Save(Box::new(saved)) };
        Due { change: Some(change), at: None }
    }

    /// Resolves once the session is stored as it was at the first call, which sets `wanted`.
    pub(crate) fn poll_stored(
        &mut self,
        wanted: &mut Option<u64>,
        waker: &Waker,
    ) -> Poll<Result<(), ConnectionError>> {
        let revision = *wanted.get_or_insert(self.session.revision());
        if let Status::Closed(
            error @ (ConnectionError::Store(_) | ConnectionError::DriverDropped),
        ) = &self.status
        {
            return Poll::Ready(Err(error.clone()));
        }
        match &mut self.ledger {
            Some(ledger) if ledger.stored < revision => {
                if !ledger.waiters.iter().any(|waiter| waiter.will_wake(waker)) {
                    ledger.waiters.push(waker.clone());
                }
                self.has_work = true;
                Poll::Pending
            }
            Some(_) | None => Poll::Ready(Ok(())),
        }
    }

    /// Nothing is written any more.
    pub(crate) fn end_store(&mut self, wakers: &mut Vec<Waker>) {
        if let Some(ledger) = self.ledger.take() {
            wakers.extend(ledger.waiters);
            self.wake_watchers(wakers);
        }
    }
}

impl Shared {
    /// What the driver began to write is stored.
    fn stored(&self) {
        self.call(|state| {
            if let Some(ledger) = &mut state.ledger
                && let Some(revision) = ledger.writing.take()
            {
                ledger.stored = revision;
                state.wakers.append(&mut ledger.waiters);
            }
        });
    }
}

/// The place of the session, from the driver's side.
pub(crate) struct Keeper {
    runtime: Handle,
    location: String,
    /// Locked by nobody, but so the driver can be shared.
    place: Mutex<Place>,
}

enum Place {
    Idle(Box<dyn StoredSession>),
    Busy(JoinHandle<(Box<dyn StoredSession>, io::Result<()>)>),
    /// Writing has failed for good.
    Gone,
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Keeper").field(&self.location).finish()
    }
}

impl Keeper {
    fn place(&mut self) -> &mut Place {
        self.place.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether something is being written.
    pub(crate) fn is_busy(&mut self) -> bool {
        matches!(self.place(), Place::Busy(_))
    }

    /// Begins to write; only when nothing is being written.
    fn begin(&mut self, change: Change) {
        let runtime = self.runtime.clone();
        let place = self.place();
        match std::mem::replace(place, Place::Gone) {
            Place::Idle(mut session) => {
                *place = Place::Busy(runtime.spawn_blocking(move || {
                    let written = match change {
                        Change::Save(saved) => session.save(&encode(&saved, SystemTime::now())),
                        Change::Remove => session.remove(),
                    };
                    (session, written)
                }));
            }
            busy @ (Place::Busy(_) | Place::Gone) => *place = busy,
        }
    }

    /// Ready when what is being written is written; pending if nothing is.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StoreError>> {
        let place = self.place();
        let Place::Busy(writing) = place else { return Poll::Pending };
        let Poll::Ready(written) = Pin::new(writing).poll(cx) else { return Poll::Pending };
        let written = match written {
            Ok((session, written)) => {
                *place = Place::Idle(session);
                written
            }
            Err(error) => {
                *place = Place::Gone;
                Err(io::Error::other(error))
            }
        };
        Poll::Ready(written.map_err(|source| {
            *self.place() = Place::Gone;
            StoreError::NotSaved { location: self.location.clone(), source }
        }))
    }

    /// Writes what is due. True if something has been written, so that there may be more to do. A
    /// store that fails ends the client.
    pub(crate) fn advance(
        &mut self,
        shared: &Shared,
        change: Option<Change>,
        cx: &mut Context<'_>,
    ) -> bool {
        if let Some(change) = change {
            self.begin(change);
        }
        match self.poll(cx) {
            Poll::Pending => false,
            Poll::Ready(Ok(())) => {
                shared.stored();
                true
            }
            Poll::Ready(Err(error)) => {
                shared.store_failed(error);
                true
            }
        }
    }
}

/// A client's state machine, and where it is kept.
pub(crate) struct Opened {
    pub(crate) session: Session,
    /// The time that has passed since it was saved.
    pub(crate) now: Time,
    pub(crate) keeper: Option<Keeper>,
}

/// Makes a client, with the session that the store has for it if there is one.
pub(crate) async fn open(
    config: ClientConfig,
    seed: [u8; 32],
    store: Option<Store>,
    server: &str,
) -> Result<Opened, ConnectError> {
    let Some(Store(store)) = store else {
        let session = Session::new(config, seed)?;
        return Ok(Opened { session, now: Time::ZERO, keeper: None });
    };
    if config.client_identifier().is_empty() {
        return Err(StoreError::NoClientId.into());
    }
    if !config.session_policy().outlives_connections() {
        return Err(StoreError::ShortSession.into());
    }
    let name = StoredName::new(server, config.client_identifier());
    let runtime = Handle::current();
    let opening = runtime.spawn_blocking(move || {
        let unavailable = |source| StoreError::Unavailable { name: name.to_string(), source };
        let mut place = store.open(&name).map_err(unavailable)?;
        let bytes = place.load().map_err(unavailable)?;
        Ok::<_, StoreError>((place, bytes))
    });
    let (place, bytes) =
        opening.await.map_err(|error| ConnectError::Setup(io::Error::other(error)))??;
    let location = place.location();
    let saved = bytes.map(|bytes| decode(&bytes)).transpose();
    let saved =
        saved.map_err(|source| StoreError::Unusable { location: location.clone(), source })?;
    let (session, now) = match saved {
        None => (Session::new(config, seed)?, Time::ZERO),
        Some((saved, written_at)) => {
            let mut session = Session::restore(config, seed, saved, Time::ZERO)?;
            session.forget_subscriptions();
            let away = SystemTime::now().duration_since(written_at).unwrap_or_default();
            (session, Time::ZERO + away)
        }
    };
    let place = Mutex::new(Place::Idle(place));
    Ok(Opened { session, now, keeper: Some(Keeper { runtime, location, place }) })
}

fn encode(saved: &SavedSession, now: SystemTime) -> Vec<u8> {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    let session = saved.to_bytes();
    let mut bytes = Vec::with_capacity(MARK.len() + 16 + session.len());
    bytes.extend_from_slice(&MARK);
    bytes.extend_from_slice(&millis.to_le_bytes());
    bytes.extend_from_slice(&(!millis).to_le_bytes());
    bytes.extend_from_slice(&session);
    bytes
}

/// The session, and when it was saved.
fn decode(bytes: &[u8]) -> Result<(SavedSession, SystemTime), SavedSessionError> {
    let [name @ .., version] = MARK;
    let Some((&[found @ .., given], rest)) = bytes.split_first_chunk::<4>() else {
        return Err(SavedSessionError::NotASession);
    };
    if found != name {
        return Err(SavedSessionError::NotASession);
    }
    if given != version {
        return Err(SavedSessionError::Version(given));
    }
    let damaged = SavedSessionError::Damaged;
    let (millis, rest) = rest.split_first_chunk::<8>().ok_or(damaged)?;
    let (turned, session) = rest.split_first_chunk::<8>().ok_or(damaged)?;
    let millis = u64::from_le_bytes(*millis);
    if millis != !u64::from_le_bytes(*turned) {
        return Err(damaged);
    }
    let written_at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis));
    Ok((SavedSession::from_bytes(session)?, written_at.ok_or(damaged)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_encoded_is_read_and_every_changed_bit_is_noticed() {
        let session = Session::new(ClientConfig::new().client_id("c"), [7; 32]).unwrap();
        let saved = session.save(Time::ZERO);
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        let bytes = encode(&saved, at);
        assert_eq!(decode(&bytes), Ok((saved, at)));
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            decode(&changed).unwrap_err();
        }
        for end in 0..bytes.len() {
            decode(&bytes[..end]).unwrap_err();
        }
        let mut newer = bytes;
        newer[3] = 2;
        assert_eq!(decode(&newer), Err(SavedSessionError::Version(2)));
    }
}
