//! The store of a simulated broker: what was committed, what is out, and the model as it was when
//! each was made.

use std::time::Duration;

use mqtt_session::{Broker, Change, CommitToken, StoreBatch, Time};

use super::model::Model;
use super::setup::StoreSetup;

#[derive(Debug, Default)]
pub(super) struct Disk {
    /// All that was committed, in order.
    committed: Vec<Change>,
    /// When the last batch that was committed was made, and the model then. Without a model
    /// everything is committed, so that it is the present one.
    made_at: Time,
    model: Option<Box<Model>>,
    out: Option<Out>,
}

#[derive(Debug)]
struct Out {
    batch: StoreBatch,
    made_at: Time,
    model: Box<Model>,
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
            self.put_out(batch, model, now);
        }
        true
    }

    fn put_out(&mut self, batch: StoreBatch, model: &Model, now: Time) {
        self.model.get_or_insert_with(|| Box::new(Model::empty_like(model)));
        self.out = Some(Out { batch, made_at: now, model: Box::new(model.clone()) });
    }

    fn write(&mut self, out: Out) {
        if out.batch.is_snapshot() {
            self.committed.clear();
        }
        self.committed.extend_from_slice(out.batch.changes());
        self.made_at = out.made_at;
        self.model = Some(out.model);
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
            self.put_out(batch, model, now);
        }
    }

    /// What a restart finds, and what it has to make of it.
    pub(super) fn crash(
        &mut self,
        present: &Model,
        is_kept: bool,
        now: Time,
    ) -> (Vec<Change>, Model) {
        if let Some(out) = self.out.take().filter(|_| is_kept) {
            self.write(out);
        }
        let since = now.duration_since(self.made_at);
        if since > Duration::ZERO && !self.committed.is_empty() {
            self.committed.push(Change::Elapsed(since));
        }
        self.made_at = now;
        let model = self.model.as_deref().unwrap_or(present).clone();
        (self.committed.clone(), model)
    }
}
