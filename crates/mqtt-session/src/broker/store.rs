//! Durability: what has to be stored before an acknowledgement may leave.
//!
//! With [`BrokerConfig::durable`](super::BrokerConfig::durable) every change of what a restart has
//! to find again is recorded as a [`Change`]. Changes gather in the *open* batch; the driver takes
//! it with [`Broker::poll_store`], and the next one gathers while it is *out*. One batch is out at
//! a time, so batches are committed in their order, and the slower the store is, the more each of
//! its commits carries. A batch is taken between two calls, never in the middle of one: all that a
//! packet changes is committed together.
//!
//! What leaves when:
//!
//! | packet | leaves after the commit of |
//! |---|---|
//! | PUBACK, PUBREC | what the PUBLISH changed: queued, retained, the identifier received |
//! | PUBREL | `Released`: otherwise the PUBLISH would be sent again after a crash |
//! | PUBCOMP | `Forgotten`: otherwise a new message would be taken for a duplicate |
//! | PUBLISH of QoS 2 | `Sent`, and so all before it, the publisher's identifier included |
//! | SUBACK, UNSUBACK | the subscriptions |
//! | CONNACK | the session; until then no input of the connection is handled |
//! | PUBLISH of QoS 0 and 1 | nothing: sending QoS 1 again is allowed, QoS 0 promises nothing |
//! | PINGRESP | nothing: a store that is slow must not look like a network that is dead |
//! | DISCONNECT | nothing; answers that wait are dropped, as if the network had failed before |
//!
//! An answer that changed nothing leaves at once, unless one before it on the same connection
//! waits: answers keep their order.

mod answer;
mod batch;
mod change;
mod commit;
mod error;
mod held;
mod image;
mod keys;
mod ledger;
mod record;
mod refused;
mod restore;
mod snapshot;
mod waits;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

pub use batch::{CommitToken, StoreBatch, StoreError};
pub use change::{Change, MessageKey, STORE_FORMAT, SessionKey, StoredMessage};
pub(super) use commit::is_behind;
pub use error::{RestoreError, RestoreFault};
pub(super) use keys::MessageKeys;
pub(super) use ledger::Ledger;
pub(super) use waits::Waits;

use held::{Held, Reached, Undo};

use super::slots::Key;
use crate::Time;

/// What a durable broker keeps to talk to its store.
#[derive(Debug)]
pub(super) struct Store {
    /// The changes of the open batch.
    changes: Vec<Change>,
    /// Bytes of `changes`.
    bytes: usize,
    /// The number of the open batch.
    open: u64,
    /// The number of the last batch that was committed.
    committed: u64,
    /// The batch that is out.
    out: Option<Out>,
    /// The moment up to which [`Change::Elapsed`] has told the time.
    recorded_at: Option<Time>,
    /// Before this moment a batch that failed is not tried again.
    retry_at: Option<Time>,
    /// Whether the packet or the call at hand has changed something.
    has_changed: bool,
    /// Whether it has found something as it should be, which may not be committed.
    relies_on_earlier: bool,
    /// The filters of the SUBSCRIBE at hand.
    undo: Vec<Undo>,
    /// To whom the message at hand goes at QoS 2.
    reached: Vec<Reached>,
    /// Whether the PUBREL at hand ends an exchange that counts towards the Receive Maximum.
    is_counted: bool,
    /// Stored sessions by the slots of the table of sessions.
    sessions: Vec<Option<StoredSession>>,
    /// The number of the next session.
    next_session: u64,
    /// Sessions whose end is not committed, by the keyed hashes of their client identifiers, each
    /// with the batch that has it. A client that is told of a new session must not find the old
    /// one after a crash.
    ended: BTreeMap<u64, u64>,
    /// Answers that wait, by the slots of the table of connections.
    held: Vec<Option<Box<Held>>>,
    /// Connections with answers that wait, by the batch that they wait for.
    holding: VecDeque<(u64, Key)>,
    /// Sessions with QoS 2 messages that wait, by the batch that they wait for.
    waiting: VecDeque<(u64, Key)>,
    /// Connections whose input waits.
    paused: VecDeque<Key>,
    /// Spare lists of answers.
    #[expect(clippy::vec_box, reason = "they move to `held` and back as they are")]
    spare: Vec<Box<Held>>,
}

/// A batch that is out.
#[derive(Debug)]
struct Out {
    number: u64,
    changes: Arc<Vec<Change>>,
    bytes: usize,
}

/// What the store has of a session.
#[derive(Clone, Copy, Debug)]
struct StoredSession {
    key: SessionKey,
    expiry_interval: u32,
}

impl Store {
    pub(super) fn new() -> Self {
        Self {
            changes: Vec::new(),
            bytes: 0,
            open: 1,
            committed: 0,
            out: None,
            recorded_at: None,
            retry_at: None,
            has_changed: false,
            relies_on_earlier: false,
            undo: Vec::new(),
            reached: Vec::new(),
            is_counted: false,
            sessions: Vec::new(),
            next_session: 1,
            ended: BTreeMap::new(),
            held: Vec::new(),
            holding: VecDeque::new(),
            waiting: VecDeque::new(),
            paused: VecDeque::new(),
            spare: Vec::new(),
        }
    }

    /// Another packet, or another call of the driver, is handled.
    #[inline]
    pub(super) fn begin(&mut self) {
        self.has_changed = false;
        self.relies_on_earlier = false;
        self.is_counted = false;
        self.undo.clear();
        self.reached.clear();
    }

    /// Bytes of changes that are not committed.
    pub(super) fn uncommitted_bytes(&self) -> usize {
        self.bytes + self.out.as_ref().map_or(0, |out| out.bytes)
    }

    /// How many changes are not committed.
    pub(super) fn uncommitted_changes(&self) -> usize {
        self.changes.len() + self.out.as_ref().map_or(0, |out| out.changes.len())
    }

    /// When a batch that failed may be tried again.
    pub(super) const fn retry_at(&self) -> Option<Time> {
        self.retry_at
    }

    /// Adds a change to the open batch.
    fn record(&mut self, change: Change) {
        self.has_changed = true;
        self.bytes += change.size();
        self.changes.push(change);
    }

    /// Adds a change in front of those that were recorded since there were `at`.
    fn record_at(&mut self, at: usize, change: Change) {
        self.has_changed = true;
        self.bytes += change.size();
        self.changes.insert(at.min(self.changes.len()), change);
    }

    /// Tells how much time has passed, in front of a change with a duration and at the end of a
    /// batch.
    fn record_time(&mut self, now: Time) {
        let since = self.recorded_at.map_or_else(Default::default, |then| now.duration_since(then));
        self.recorded_at = Some(now);
        if let Some(Change::Elapsed(time)) = self.changes.last_mut() {
            // However often a batch is tried again, it does not grow.
            *time = time.saturating_add(since);
        } else if !since.is_zero() {
            let change = Change::Elapsed(since);
            self.bytes += change.size();
            self.changes.push(change);
        }
    }

    /// The batch that has to be committed for all that was recorded so far to be; 0 if it is.
    fn mark(&self) -> u64 {
        match &self.out {
            _ if !self.changes.is_empty() => self.open,
            Some(out) => out.number,
            None => 0,
        }
    }

    /// The answers of a connection that wait.
    fn held(&self, slot: u32) -> Option<&Held> {
        self.held.get(slot as usize)?.as_deref()
    }

    fn held_mut(&mut self, slot: u32) -> Option<&mut Held> {
        self.held.get_mut(slot as usize)?.as_deref_mut()
    }

    /// The list of a connection's answers that wait, begun now if there is none.
    fn held_or_new(&mut self, slot: u32) -> Option<&mut Held> {
        let at = slot as usize;
        if self.held.len() <= at {
            self.held.resize_with(at + 1, || None);
        }
        let spare = &mut self.spare;
        let place = self.held.get_mut(at)?;
        Some(place.get_or_insert_with(|| spare.pop().unwrap_or_default()))
    }

    fn session(&self, slot: u32) -> Option<StoredSession> {
        self.sessions.get(slot as usize).copied().flatten()
    }

    fn set_session(&mut self, slot: u32, session: Option<StoredSession>) {
        let at = slot as usize;
        if self.sessions.len() <= at {
            self.sessions.resize(at + 1, None);
        }
        if let Some(place) = self.sessions.get_mut(at) {
            *place = session;
        }
    }
}
