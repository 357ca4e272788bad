//! The store of a durable broker, as a list in memory: what it has committed, what it is still to
//! commit, and what a crash leaves.

use std::collections::BTreeSet;
use std::time::Duration;

use mqtt_session::{Broker, Change, CommitToken, MessageKey, StoreBatch, StoreError, Time};

use crate::Wire;

/// What a [`Wire`] does with the batches of a durable broker.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    /// All that was committed, in order.
    committed: Vec<Change>,
    /// When the last batch that was committed was made.
    made_at: Time,
    /// How many changes were committed after each commit.
    commits: Vec<usize>,
    /// The batch that is out.
    out: Option<Out>,
    /// Whether a batch stays out until the test says what becomes of it.
    is_slow: bool,
}

#[derive(Debug)]
struct Out {
    batch: StoreBatch,
    made_at: Time,
    /// What the broker had when the batch was made.
    state: Vec<Change>,
}

impl Disk {
    /// Takes what the broker wants stored. Returns whether anything happened.
    pub(crate) fn turn(&mut self, broker: &mut Broker, now: Time) -> bool {
        if self.out.is_some() {
            return false;
        }
        let Some(batch) = broker.poll_store(now) else { return false };
        assert!(!batch.changes().is_empty(), "a batch without changes");
        self.put_out(batch, broker, now);
        true
    }

    fn put_out(&mut self, batch: StoreBatch, broker: &mut Broker, now: Time) {
        self.out = Some(Out { batch, made_at: now, state: broker.snapshot() });
        if !self.is_slow {
            self.commit(broker, now);
        }
    }

    fn commit(&mut self, broker: &mut Broker, now: Time) {
        let Out { batch, made_at, state } = self.out.take().expect("a batch is out");
        if batch.is_snapshot() {
            self.committed.clear();
            self.commits.clear();
        }
        self.committed.extend_from_slice(batch.changes());
        self.commits.push(self.committed.len());
        self.made_at = made_at;
        self.check_restart(broker, state);
        broker.handle_committed(now, batch.token());
    }

    /// A broker that crashes now finds what it had when the batch was made, without connections.
    fn check_restart(&self, broker: &Broker, state: Vec<Change>) {
        let changes = self.committed.iter().cloned();
        let restarted = Broker::restore(broker.config().clone(), [9; 32], self.made_at, changes);
        let restarted = restarted.unwrap_or_else(|error| {
            let window = error.at.saturating_sub(20)..self.committed.len().min(error.at + 1);
            panic!("{error}, after {:#?}", &self.committed[window]);
        });
        assert_eq!(restarted.snapshot(), disconnected(state));
    }
}

/// A snapshot as it is once every connection has ended.
pub(crate) fn disconnected(snapshot: Vec<Change>) -> Vec<Change> {
    let mut left = Vec::new();
    // A retained message that waited for a decision about reading it, and was replaced meanwhile,
    // is nobody's any more.
    let needed: BTreeSet<MessageKey> = snapshot.iter().filter_map(needs).collect();
    let mut changes = snapshot.into_iter().peekable();
    while let Some(change) = changes.next() {
        if let Change::MessageStored(stored) = &change
            && !needed.contains(&stored.message)
        {
            continue;
        }
        left.push(change.clone());
        let next = changes.peek();
        if let Change::SessionBegun { session, expiry_interval, .. } = change
            && !matches!(next, Some(Change::SessionLeft { .. }))
        {
            let ends_in =
                (expiry_interval != u32::MAX).then(|| Duration::from_secs(expiry_interval.into()));
            left.push(Change::SessionLeft { session, ends_in });
        } else if let Change::WillStored { session, delay, .. } = change
            && !matches!(next, Some(Change::WillDue { .. }))
        {
            let due_in = Duration::from_secs(delay.into());
            left.push(Change::WillDue { session, due_in });
        }
    }
    left
}

/// The message that a change needs.
fn needs(change: &Change) -> Option<MessageKey> {
    match *change {
        Change::Retained { message }
        | Change::Queued { message, .. }
        | Change::WillStored { message, .. }
        | Change::WillAsked { message, .. } => Some(message),
        _ => None,
    }
}

impl Wire {
    /// From here on batches stay out until [`commit`](Self::commit) or
    /// [`fail_commit`](Self::fail_commit).
    pub fn hold_commits(&mut self) {
        self.disk.is_slow = true;
    }

    /// Whether a batch is out.
    pub fn is_committing(&self) -> bool {
        self.disk.out.is_some()
    }

    /// The changes of the batch that is out.
    pub fn uncommitted(&self) -> &[Change] {
        self.disk.out.as_ref().map_or(&[], |out| out.batch.changes())
    }

    /// The token of the batch that is out.
    ///
    /// # Panics
    ///
    /// If none is out.
    pub fn out_token(&self) -> CommitToken {
        self.disk.out.as_ref().expect("a batch is out").batch.token()
    }

    /// Commits the batch that is out; the next one goes out.
    ///
    /// # Panics
    ///
    /// If none is out.
    pub fn commit(&mut self) {
        self.note("committed");
        let now = self.now();
        let (disk, broker) = self.disk_and_broker();
        disk.commit(broker, now);
        self.settle();
    }

    /// Commits until nothing is out.
    pub fn commit_all(&mut self) {
        while self.is_committing() {
            self.commit();
        }
    }

    /// From here on batches are committed at once again, and those that wait are.
    pub fn commit_at_once(&mut self) {
        self.disk.is_slow = false;
        self.commit_all();
    }

    /// Does not commit the batch that is out.
    ///
    /// # Panics
    ///
    /// If none is out.
    pub fn fail_commit(&mut self, error: StoreError) {
        self.note("not committed");
        let now = self.now();
        let (disk, broker) = self.disk_and_broker();
        let Out { batch, .. } = disk.out.take().expect("a batch is out");
        broker.handle_commit_failed(now, batch.token(), error);
        self.settle();
    }

    /// Has everything stored anew as one snapshot. Returns whether the broker gave one.
    pub fn compact(&mut self) -> bool {
        let now = self.now();
        let (disk, broker) = self.disk_and_broker();
        let Some(batch) = broker.poll_snapshot(now) else { return false };
        disk.put_out(batch, broker, now);
        self.settle();
        true
    }

    /// Has this in the store instead of what was committed, for the next [`crash`](Self::crash).
    pub fn put_stored(&mut self, changes: Vec<Change>) {
        self.disk.committed = changes;
        self.disk.commits.clear();
    }

    /// All that was committed, in order.
    pub fn committed(&self) -> &[Change] {
        &self.disk.committed
    }

    /// How many changes were committed after each commit.
    pub fn commits(&self) -> &[usize] {
        &self.disk.commits
    }

    /// The broker crashes and starts again: what was not committed is gone, and so are all
    /// connections.
    ///
    /// # Panics
    ///
    /// If what was committed makes no broker.
    pub fn crash(&mut self) {
        self.note("crash");
        let now = self.now();
        self.disk.out = None;
        let since = now.duration_since(self.disk.made_at);
        if !since.is_zero() && !self.disk.committed.is_empty() {
            self.disk.committed.push(Change::Elapsed(since));
            self.disk.made_at = now;
        }
        let changes = self.disk.committed.clone();
        let config = self.broker().config().clone();
        let broker = Broker::restore(config, [8; 32], now, changes);
        self.replace_broker(broker.expect("what was committed makes a broker"));
        self.settle();
    }
}
