//! A client's process that ends and begins again with the session that it has saved: what the next
//! one has to know of it, and what the wire has shown of it by then.

use mqtt_session::{Client, PublishId, SavedSession, SubscriptionKey, Time};

use super::exchanges::{Receiver, Sender};
use super::invariants::{Check, Fault, Invariant, i14_durable};
use super::node::{Node, Owed};
use super::setup::SessionSetup;
use super::world::{Message, World};

/// What is left of a process.
#[derive(Debug)]
pub(super) struct Saved {
    session: SavedSession,
    /// The client's revision, and the time, when this was saved.
    revision: u64,
    at: Time,
    /// What the wire had shown then, and what the application knew.
    sender: Sender,
    receiver: Receiver,
    published: Vec<(PublishId, u32)>,
    subscriptions: Vec<SubscriptionKey>,
    seen: Vec<u64>,
    last_sent: [[u32; 3]; 8],
    has_torn: bool,
    /// Identifiers and numbers of the QoS 2 messages that the application had not answered: they
    /// come again as new ones.
    unanswered: Vec<(u16, u32)>,
    /// The client has heard since that the broker had no such session any more.
    pub(super) is_over: bool,
}

impl Node {
    /// The session is saved as it is now, unless its revision says that it is saved already.
    pub(super) fn save(&mut self, now: Time) -> Check {
        let revision = self.client.revision();
        let saved = match self.saved.take().filter(|saved| saved.revision == revision) {
            Some(saved) => {
                // Only time may have passed. Looking every time costs a fifth of all schedules.
                self.unchanged += 1;
                if !self.has_expiry && self.unchanged.is_multiple_of(4) {
                    i14_durable(&saved.session, &self.client.save(now))?;
                }
                self.save_as(saved.session, saved.at)
            }
            None => self.save_as(self.client.save(now), now),
        };
        self.saved = Some(Box::new(saved));
        Ok(())
    }

    fn save_as(&self, session: SavedSession, at: Time) -> Saved {
        let unanswered = |owed: &Owed| owed.pid.map(|pid| (pid, owed.number));
        Saved {
            session,
            revision: self.client.revision(),
            at,
            sender: self.sender.clone(),
            receiver: self.receiver.clone(),
            published: self.published.clone(),
            subscriptions: self.subscriptions.clone(),
            seen: self.seen.clone(),
            last_sent: self.last_sent,
            has_torn: self.has_torn,
            unanswered: self.deliveries.iter().filter_map(unanswered).collect(),
            is_over: false,
        }
    }
}

impl World {
    /// A client's process ends and begins again with what it has saved.
    pub(super) fn restart(&mut self, client: usize) -> Check {
        let Some(node) = self.nodes.get_mut(client) else { return Ok(()) };
        let seed = node.next_seed(&self.setup, client);
        let saved = match node.saved.take().filter(|_| node.setup.saves_late) {
            Some(saved) => *saved,
            None => node.save_as(node.client.save(self.now), self.now),
        };
        if let Some(link) = node.link {
            self.drop_client_end(link)?;
        }
        let node = &mut self.nodes[client];
        let config = node.setup.config(client);
        let unsaved = |error: String| Fault::new(Invariant::I14, || format!("c{client}: {error}"));
        let bytes = saved.session.to_bytes();
        let session =
            SavedSession::from_bytes(&bytes).map_err(|error| unsaved(error.to_string()))?;
        let restored = Client::restore(config, seed, session, saved.at);
        node.client = restored.map_err(|error| unsaved(error.to_string()))?;
        node.client.subscribe_unmatched(node.setup.buffer());
        let resumed = node.resume(saved, &mut self.messages, self.is_exact);
        node.client.handle_timeout(self.now);
        resumed.map_err(|fault| fault.at(format_args!("c{client}")))
    }
}

impl Node {
    /// What the next process has to know is what was saved.
    fn resume(&mut self, saved: Saved, messages: &mut [Message], is_exact: bool) -> Check {
        self.check_restored(&saved, is_exact)?;
        self.sender = saved.sender;
        self.receiver = saved.receiver;
        self.published = saved.published;
        self.subscriptions = saved.subscriptions;
        self.seen = saved.seen;
        self.last_sent = saved.last_sent;
        self.has_torn |= saved.has_torn;
        self.expected = None;
        self.deliveries.clear();
        for (pid, number) in saved.unanswered {
            self.receiver.released(pid);
            if let Some(word) = self.seen.get_mut(number as usize / 64) {
                *word &= !(1 << (number % 64));
            }
        }
        let outgoing: Vec<PublishId> = self.client.outgoing().map(|(id, _)| id).collect();
        self.published.retain(|(id, _)| outgoing.contains(id));
        if saved.is_over {
            self.is_in_doubt = true;
            // The session that the broker has taken up since knows nothing of these.
            for exchange in &self.sender.open {
                if let Some(message) = messages.get_mut(exchange.number as usize) {
                    message.may_repeat = true;
                }
            }
        }
        Ok(())
    }

    fn check_restored(&self, saved: &Saved, is_exact: bool) -> Check {
        let mut found: Vec<PublishId> = self.client.outgoing().map(|(id, _)| id).collect();
        let mut known: Vec<PublishId> = saved.published.iter().map(|(id, _)| *id).collect();
        // A session that ends with its connection ends for the messages that it has sent.
        if self.setup.expiry == 0 || self.setup.session == SessionSetup::Clean {
            let was_sent = |number: u32| saved.sender.open.iter().any(|it| it.number == number);
            let sent = saved.published.iter().filter(|(_, number)| was_sent(*number));
            let sent: Vec<PublishId> = sent.map(|(id, _)| *id).collect();
            found.retain(|id| !sent.contains(id));
            known.retain(|id| !sent.contains(id));
        }
        found.sort_unstable();
        known.sort_unstable();
        i14_durable(found, known)?;
        let held: Vec<SubscriptionKey> = self.client.subscriptions().map(|(key, _)| key).collect();
        // One whose SUBSCRIBE could not be stored was refused.
        let lost = saved.subscriptions.iter().find(|key| is_exact && !held.contains(key));
        i14_durable(lost, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::event::{Body, Event, Publish, Subscribe};
    use crate::sim::setup::Setup;

    /// What came to a client while nothing left it need not be saved, and comes once more then;
    /// what is saved does not.
    #[test]
    fn a_process_that_begins_again_knows_what_was_saved() {
        for saves_late in [false, true] {
            let mut setup = Setup::default();
            setup.clients[0].saves_late = saves_late;
            let mut world = World::new(setup);
            let publish =
                Publish { topic: 0, qos: 2, retain: false, body: Body::Number, expiry: 0 };
            let subscribe = Subscribe {
                filter: 0,
                qos: 2,
                no_local: false,
                retain_as_published: false,
                retain_handling: 0,
            };
            let mut events = vec![Event::Connect(0), Event::Connect(1)];
            let carried = [0, 1].map(|client| [Event::Up(client, 0), Event::Down(client, 0)]);
            events.extend(carried.into_iter().flatten());
            events.extend([Event::Subscribe(0, subscribe), Event::Up(0, 0), Event::Down(0, 0)]);
            events.extend([Event::StallUp(0, true), Event::Publish(1, publish), Event::Up(1, 0)]);
            events.push(Event::Down(0, 0));
            let outcome = events.iter().try_for_each(|event| world.apply(event));
            assert!(outcome.is_ok(), "{outcome:?}");
            assert_eq!(world.nodes[0].seen, [1], "the application has got it");
            let outcome = world.apply(&Event::Restart(0));
            assert!(outcome.is_ok(), "{outcome:?}");
            let is_known = world.nodes[0].seen.first().is_some_and(|word| *word == 1);
            assert_eq!(is_known, !saves_late);
            assert_eq!(world.nodes[0].receiver.awaits(1), !saves_late);
            let outcome = world.finish();
            assert!(outcome.is_ok(), "{outcome:?}");
            assert_eq!(world.nodes[0].seen, [1], "it has come to the process that it was lost for");
        }
    }
}
