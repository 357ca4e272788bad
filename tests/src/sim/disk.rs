//! The store of a simulated broker: what was committed, what is out, and the model as it was when
//! each was made.

use std::time::Duration;

use mqtt_session::{Broker, Change, CommitToken, StoreBatch, Time};

use super::invariants::{Check, Fault, Invariant, i14_durable};
use super::model::Model;
use super::setup::StoreSetup;
use crate::disk::disconnected;

#[derive(Debug, Default)]
pub(super) struct Disk {
    /// All that was committed, in order.
    committed: Vec<Change>,
    /// When the last batch that was committed was made, and the model then. Without a model
    /// everything is committed, so that it is the present one.
    made_at: Time,
    model: Option<Box<Model>>,
    out: Option<Out>,
    /// What the broker had when the last batch that was committed was made, if restarts are
    /// compared with it change by change.
    state: Option<Vec<Change>>,
}

#[derive(Debug)]
struct Out {
    batch: StoreBatch,
    made_at: Time,
    model: Box<Model>,
    state: Option<Vec<Change>>,
}

impl Disk {
    /// Takes what the broker wants stored. Returns whether anything happened.
    pub(super) fn turn(
        &mut self,
        setup: StoreSetup,
        broker: &mut Broker,
        model: &Model,
        now: Time,
    ) -> bool {
        if setup == StoreSetup::None || self.out.is_some() {
            return false;
        }
        let Some(batch) = broker.poll_store(now) else { return false };
        if setup == StoreSetup::Fast {
            self.committed.extend_from_slice(batch.changes());
            self.made_at = now;
            self.model = None;
            broker.handle_committed(now, batch.token());
        } else {
            self.put_out(batch, broker, model, now);
        }
        true
    }

    fn put_out(&mut self, batch: StoreBatch, broker: &Broker, model: &Model, now: Time) {
        self.model.get_or_insert_with(|| Box::new(Model::empty_like(model)));
        let state = self.state.is_some().then(|| broker.snapshot());
        self.out = Some(Out { batch, made_at: now, model: Box::new(model.clone()), state });
    }

    /// From here on what a restart finds is compared with what the broker had, change by change.
    /// Before anything is committed, and with a store that commits when it is told to.
    pub(super) fn compare(&mut self) {
        self.state = Some(Vec::new());
    }

    /// A broker that is made of what was committed has what the one before had when the last batch
    /// was made.
    pub(super) fn check_restart(&self, broker: &Broker) -> Check {
        let Some(state) = self.state.clone() else { return Ok(()) };
        let changes = self.committed.iter().cloned();
        let restarted = Broker::restore(broker.config().clone(), [9; 32], self.made_at, changes)
            .map_err(|error| Fault::new(Invariant::I14, || format!("no restart: {error}")))?;
        i14_durable(restarted.snapshot(), disconnected(state))
    }

    fn write(&mut self, out: Out) {
        if out.batch.is_snapshot() {
            self.committed.clear();
        }
        self.committed.extend_from_slice(out.batch.changes());
        self.made_at = out.made_at;
        self.model = Some(out.model);
        self.state = out.state;
    }

    /// The batch that is out is committed, if one is.
    pub(super) fn commit(&mut self, broker: &mut Broker, now: Time) {
        if let Some(out) = self.out.take() {
            let token = out.batch.token();
            self.write(out);
            broker.handle_committed(now, token);
        }
    }

    /// The batch that is out is not committed, if one is.
    pub(super) fn fail(&mut self) -> Option<CommitToken> {
        self.out.take().map(|out| out.batch.token())
    }

    pub(super) fn is_out(&self) -> bool {
        self.out.is_some()
    }

    /// Has everything stored anew, if nothing is out.
    pub(super) fn compact(&mut self, broker: &mut Broker, model: &Model, now: Time) {
        if self.out.is_none()
            && let Some(batch) = broker.poll_snapshot(now)
        {
            self.put_out(batch, broker, model, now);
        }
    }

    /// Whether the batch that is out was written becomes known.
    pub(super) fn end(&mut self, is_kept: bool) {
        if let Some(out) = self.out.take().filter(|_| is_kept) {
            self.write(out);
        }
    }

    /// What a restart finds, and what it has to make of it.
    pub(super) fn crash(&mut self, present: &Model, now: Time) -> (Vec<Change>, Model) {
        let since = now.duration_since(self.made_at);
        if since > Duration::ZERO && !self.committed.is_empty() {
            self.committed.push(Change::Elapsed(since));
        }
        self.made_at = now;
        let model = self.model.as_deref().unwrap_or(present).clone();
        (self.committed.clone(), model)
    }
}
