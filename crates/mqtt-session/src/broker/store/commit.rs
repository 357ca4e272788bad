//! Batches on their way to the store and back, and what waits for them.

use std::sync::Arc;

use super::super::{Broker, BrokerLimits};
use super::{CommitToken, Out, Store, StoreBatch, StoreError};
use crate::Time;

impl Broker {
    /// The next changes to store, if there are any.
    ///
    /// Nothing comes while a batch is out, nor within
    /// [`store_retry`](super::super::BrokerLimits::store_retry) after one has failed, nor without
    /// [`BrokerConfig::durable`](super::super::BrokerConfig::durable). Sending messages makes
    /// changes too: poll again after [`poll_transmit`](Self::poll_transmit).
    ///
    /// The durations in the batch are those that are left `now`: how much time passes until a
    /// restart is for the store to say, with a [`Change::Elapsed`](super::Change::Elapsed).
    ///
    /// A driver may commit at once, or hand the batch to another thread and go on: what has to
    /// wait for the commit waits inside. One that stores nothing answers at once:
    ///
    /// ```
    /// use mqtt_session::{Broker, BrokerConfig, Time};
    ///
    /// let mut config = BrokerConfig::default();
    /// config.durable = true;
    /// let mut broker = Broker::new(config, [7; 32]);
    /// // ... handle input, then:
    /// while let Some(batch) = broker.poll_store(Time::ZERO) {
    ///     // store.write(batch.changes())?;
    ///     broker.handle_committed(Time::ZERO, batch.token());
    /// }
    /// ```
    pub fn poll_store(&mut self, now: Time) -> Option<StoreBatch> {
        let now = self.advance(now);
        let store = self.store.as_deref_mut().filter(|store| store.can_write(now))?;
        if let Some(keys) = &mut self.messages.keys {
            store.take_forgotten(keys);
        }
        if store.changes.is_empty() {
            return None;
        }
        store.record_time(now);
        let (number, changes) = store.send_out();
        Some(StoreBatch { token: CommitToken(number), changes, is_snapshot: false })
    }

    /// All that is to be stored, as one batch that takes the place of everything stored before:
    /// once it is committed the driver forgets all earlier batches, so that the store does not
    /// grow for ever. Answer it like any other batch. What the open batch held is part of it.
    ///
    /// Nothing comes when [`poll_store`](Self::poll_store) would give nothing although there are
    /// changes. The durations in it are those that are left `now`. The work is in proportion to all
    /// that the broker holds.
    pub fn poll_snapshot(&mut self, now: Time) -> Option<StoreBatch> {
        let now = self.advance(now);
        let store = self.store.as_deref().filter(|store| store.can_write(now))?;
        let (held, snapshot) = self.changes_of_everything(store);
        let store = self.store.as_deref_mut()?;
        if let Some(keys) = &mut self.messages.keys {
            // What only QoS 0 still needs is not in the snapshot, and need not be forgotten later.
            keys.keep(|key| held.contains_key(&key));
            store.take_forgotten(keys);
        }
        store.record_time(now);
        // If it is not committed these are still missing in the store.
        let (number, _) = store.send_out();
        let changes = Arc::new(snapshot);
        Some(StoreBatch { token: CommitToken(number), changes, is_snapshot: true })
    }

    /// The batch with this token is committed: what waited for it leaves, once
    /// [`poll_ready`](Self::poll_ready) and [`poll_transmit`](Self::poll_transmit) are asked.
    ///
    /// A token that is not that of the batch which is out does nothing.
    pub fn handle_committed(&mut self, now: Time, token: CommitToken) {
        self.advance(now);
        let Some(store) = self.store.as_deref_mut() else { return };
        let Some(out) = store.out.take_if(|out| out.number == token.0) else { return };
        store.committed = out.number;
        store.ended.retain(|_, mark| *mark > out.number);
        self.statistics.batches_committed += 1;
        self.release_answers();
        self.release_messages();
        self.resume_publishers();
    }

    /// The batch with this token was not committed, and nothing of it is in the store.
    ///
    /// Its changes go to the front of the next batch, so that store and memory agree in the end;
    /// [`poll_store`](Self::poll_store) gives it after
    /// [`store_retry`](super::super::BrokerLimits::store_retry). Meanwhile nobody is told that
    /// something is safe which is not:
    ///
    /// - A PUBLISH in the batch is answered with PUBACK or PUBREC 0x83 (0x97 if the store is
    ///   [full](StoreError::Full)), and a QoS 2 identifier is forgotten: the client may publish
    ///   again. Nobody gets the refused message at QoS 2. At QoS 0 and 1 it may have gone out
    ///   already and stays queued, and it stays retained: there a refusal says that the broker
    ///   does not vouch for the message, not that nobody will see it.
    /// - A SUBSCRIBE is answered with 0x83 (0x97) for each filter; a subscription that was new is
    ///   deleted, and one that was replaced is there again as it was.
    /// - A CONNECT is refused with 0x83 (0x97); a session that was new ends, and one that was
    ///   resumed is what it was before, with its will and with what is left of its time. What a
    ///   Clean Start or a take-over ended does not come back.
    /// - UNSUBACK, PUBREL, PUBCOMP and QoS 2 messages wait for the next batch.
    /// - QoS 0 and QoS 1 messages go on to those who are there.
    pub fn handle_commit_failed(&mut self, now: Time, token: CommitToken, error: StoreError) {
        let now = self.advance(now);
        let retry_at = now + self.config.limits.store_retry;
        let Some(store) = self.store.as_deref_mut() else { return };
        let Some(out) = store.out.take_if(|out| out.number == token.0) else { return };
        self.statistics.batches_failed += 1;
        store.retry_at = Some(retry_at);
        store.take_back(out);
        self.refuse_answers(token.0, error);
        self.resume_publishers();
    }

    /// A batch that failed may be tried again, if it is time.
    pub(in crate::broker) fn end_store_retry(&mut self) {
        let now = self.now;
        if let Some(store) = &mut self.store
            && store.retry_at.is_some_and(|at| at <= now)
        {
            store.retry_at = None;
        }
    }

    /// Messages that waited for the last commit can be sent.
    fn release_messages(&mut self) {
        loop {
            let Some(store) = self.store.as_deref_mut() else { return };
            let committed = store.committed;
            let Some((_, key)) = store.waiting.pop_front_if(|&mut (mark, _)| mark <= committed)
            else {
                return;
            };
            if !self.sessions.is_current(key) {
                continue;
            }
            let Some(session) = self.sessions.get_mut(key.slot) else { continue };
            let waits = session.flow.as_mut().and_then(|flow| flow.waits.as_mut());
            if waits.is_some_and(|waits| waits.settle(committed))
                && let Some(connection) = session.connection
            {
                self.mark_ready(connection);
            }
        }
    }

    /// A packet was handled: if too much waits for the store, the connection waits too.
    pub(in crate::broker) fn pause_for_store(&mut self, slot: u32) {
        let store = self.store.as_deref();
        if store.is_some_and(|store| store.has_changed) && is_behind(store, &self.config.limits) {
            self.pause_for_room(slot);
        }
    }

    /// Reads nothing more from a connection because too much is not committed.
    pub(in crate::broker) fn pause_for_room(&mut self, slot: u32) {
        if self.pause_until_committed(slot) {
            self.statistics.held_back.for_store += 1;
        }
    }

    /// Reads nothing more from a connection until there was a commit. Returns whether it was read
    /// until now.
    pub(super) fn pause_until_committed(&mut self, slot: u32) -> bool {
        let Self { store, connections, .. } = self;
        let (Some(store), Some(key)) = (store.as_deref_mut(), connections.key(slot)) else {
            return false;
        };
        let open = connections.len();
        let Some(connection) = connections.get_mut(slot) else { return false };
        if connection.paused.for_store || connection.is_closing() {
            return false;
        }
        connection.paused.for_store = true;
        if store.paused.len() > 2 * open {
            // Most of them are over: who comes and goes while a store fails leaves nothing behind.
            store.paused.retain(|&key| connections.is_current(key));
        }
        store.paused.push_back(key);
        true
    }

    /// Input goes on where it waited for the store, as long as there is room.
    fn resume_publishers(&mut self) {
        let now = self.now;
        let waiting = self.store.as_ref().map_or(0, |store| store.paused.len());
        for _ in 0..waiting {
            if is_behind(self.store.as_deref(), &self.config.limits) {
                return;
            }
            let Some(store) = self.store.as_deref_mut() else { return };
            let Some(key) = store.paused.pop_front() else { return };
            if !self.connections.is_current(key) {
                continue;
            }
            if store.held(key.slot).is_some_and(|held| held.has_connack()) {
                store.paused.push_back(key);
                continue;
            }
            let Some(connection) = self.connections.get_mut(key.slot) else { continue };
            // Nothing was read meanwhile, so the client's silence begins now.
            connection.last_packet = now;
            self.work = 0;
            self.resume_input(key.slot, |paused| paused.for_store = false);
            if self.connections.is_current(key) {
                self.arm_connection(key.slot);
            }
        }
    }
}

/// Whether so much is not committed that nothing more is read from those who add to it.
#[inline]
pub(in crate::broker) fn is_behind(store: Option<&Store>, limits: &BrokerLimits) -> bool {
    store.is_some_and(|store| store.uncommitted_bytes() > limits.uncommitted_bytes)
}

impl Store {
    fn can_write(&self, now: Time) -> bool {
        self.out.is_none() && self.retry_at.is_none_or(|at| at <= now)
    }

    fn take_forgotten(&mut self, keys: &mut super::MessageKeys) {
        for message in keys.take_forgotten() {
            self.bytes += size_of::<super::Change>();
            self.changes.push(super::Change::MessageForgotten { message });
        }
    }

    /// The open batch goes out, and another one is open.
    fn send_out(&mut self) -> (u64, Arc<Vec<super::Change>>) {
        let number = self.open;
        self.open += 1;
        let changes = Arc::new(core::mem::take(&mut self.changes));
        let bytes = core::mem::take(&mut self.bytes);
        self.out = Some(Out { number, changes: Arc::clone(&changes), bytes });
        (number, changes)
    }

    /// The changes of a batch that failed go to the front of the open one.
    fn take_back(&mut self, out: Out) {
        let mut changes = Arc::unwrap_or_clone(out.changes);
        changes.append(&mut self.changes);
        self.changes = changes;
        self.bytes += out.bytes;
    }
}
