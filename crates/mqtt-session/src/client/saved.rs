//! A session that outlives the program.

mod form;

use core::fmt;
use std::collections::VecDeque;

use bytes::Bytes;
use mqtt_codec::{
    PacketId, PacketType, Properties, PubAckReason, QoS, SubscriptionId, SubscriptionOptions,
    TopicFilter, TopicName,
};

use self::form::{Form, Input, form};
use super::Client;
use super::buffer::{BufferOptions, OnFull, OnFullQos0};
use super::config::ClientConfig;
use super::deliveries::Deliveries;
use super::error::ConfigError;
use super::link::Link;
use super::outbox::PublishId;
use super::redirect::ServerReference;
use super::session::Session;
use super::subscriptions::{SubscriptionKey, Subscriptions};
use crate::Time;
use crate::entropy::hash;
use crate::exchange::Exchange;

/// What stands in front of a saved session: a name, and the version of the form.
const HEADER: [u8; 4] = *b"MQS\x01";

/// Bytes of the sum at the end.
const SUM: usize = 8;

/// The session of a client, to go on with in another run of the program: subscriptions, messages
/// that wait or are not acknowledged, and the packet identifiers of QoS 2 messages that were
/// received.
///
/// Times in it are what is left of them; how long the program did not run does not count, unless
/// the driver says so by a later `now`. It knows nothing of credentials.
///
/// # Keeping it
///
/// A driver that writes [`to_bytes`](Self::to_bytes) to a file
///
/// - *after every call that changes the client, before it sends what
///   [`Client::poll_transmit`] hands out next*, keeps every promise across a crash: no QoS 2 message is
///   delivered twice or lost, and no packet identifier means two things;
/// - *at intervals*, keeps what was there at the last one: messages published since then are lost
///   in a crash, messages acknowledged since then are sent once more with DUP (which a server
///   takes for new at QoS 1), and a QoS 2 message received since then may be delivered once more;
/// - *when the program ends in an orderly way*, loses nothing then, and everything in a crash.
///
/// The file is best replaced as a whole: written under another name, synced, and renamed. Messages
/// that were received and not yet acknowledged are not in it: the server sends them again.
#[derive(Clone, PartialEq, Eq)]
pub struct SavedSession(Image);

impl fmt::Debug for SavedSession {
    /// Tells how much it holds, never what is in the messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SavedSession")
            .field("client_id", &self.0.client_id)
            .field("messages", &self.0.messages.len())
            .field("subscriptions", &self.0.subscriptions.len())
            .finish_non_exhaustive()
    }
}

/// Why bytes are no saved session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SavedSessionError {
    /// They are something else.
    #[error("this is not a saved session")]
    NotASession,
    /// They were written by another version of this library, which this one cannot read.
    #[error("the saved session has version {0} of the form, and this library reads version 1")]
    Version(u8),
    /// They were changed, or cut off.
    #[error("the saved session is damaged")]
    Damaged,
}

/// All that is saved.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Image {
    client_id: Box<str>,
    is_held: bool,
    is_vouched_for: bool,
    moved_to: Vec<Box<str>>,
    exchanges: Vec<SavedExchange>,
    free_ids: Vec<u16>,
    received: Vec<u16>,
    generations: Vec<u32>,
    free_slots: Vec<u32>,
    messages: Vec<SavedMessage>,
    /// Slots of the messages that wait, QoS 0 and others.
    unacknowledged: Vec<u32>,
    acknowledged: Vec<u32>,
    queued: u64,
    filters: Vec<SavedFilter>,
    subscriptions: Vec<SavedSubscription>,
    free_subscriptions: Vec<u32>,
    /// For each Subscription Identifier whether it was given before.
    identifiers: Vec<bool>,
    unsubscribes: Vec<SavedUnsubscribe>,
}
form!(Image {
    client_id: Box<str>, is_held: bool, is_vouched_for: bool, moved_to: Vec<Box<str>>,
    exchanges: Vec<SavedExchange>, free_ids: Vec<u16>, received: Vec<u16>,
    generations: Vec<u32>, free_slots: Vec<u32>, messages: Vec<SavedMessage>,
    unacknowledged: Vec<u32>, acknowledged: Vec<u32>, queued: u64, filters: Vec<SavedFilter>,
    subscriptions: Vec<SavedSubscription>, free_subscriptions: Vec<u32>, identifiers: Vec<bool>,
    unsubscribes: Vec<SavedUnsubscribe>,
});

#[derive(Clone, Debug, PartialEq, Eq)]
struct SavedExchange {
    id: u16,
    state: u8,
    order: u64,
    slot: u32,
}
form!(SavedExchange { id: u16, state: u8, order: u64, slot: u32 });

/// A message of the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SavedMessage {
    pub(super) slot: u32,
    pub(super) order: u64,
    pub(super) topic: Box<str>,
    pub(super) properties: Bytes,
    pub(super) payload: Bytes,
    pub(super) qos: u8,
    pub(super) retain: bool,
    /// Nanoseconds until it expires.
    pub(super) expiry: Option<u64>,
    pub(super) recorded: u8,
    pub(super) only_online: bool,
    pub(super) is_republished: bool,
}
form!(SavedMessage {
    slot: u32, order: u64, topic: Box<str>, properties: Bytes, payload: Bytes, qos: u8,
    retain: bool, expiry: Option<u64>, recorded: u8, only_online: bool, is_republished: bool,
});

/// A Topic Filter that somebody holds, with the Subscription Identifiers that stand for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SavedFilter {
    pub(super) text: Box<str>,
    pub(super) identifiers: Vec<u32>,
}
form!(SavedFilter { text: Box<str>, identifiers: Vec<u32> });

/// A place for a subscription, and the one in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SavedSubscription {
    pub(super) generation: u32,
    pub(super) held: Vec<SavedHeld>,
    pub(super) properties: Bytes,
    pub(super) confirmed: bool,
    pub(super) reported: bool,
    pub(super) buffer: BufferOptions,
}
form!(SavedSubscription {
    generation: u32, held: Vec<SavedHeld>, properties: Bytes, confirmed: bool, reported: bool,
    buffer: BufferOptions,
});

/// That a subscription holds a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SavedHeld {
    /// Which of the filters.
    pub(super) filter: u32,
    pub(super) options: u8,
}
form!(SavedHeld { filter: u32, options: u8 });

impl Form for BufferOptions {
    const LEAST: usize = 19;

    fn write(&self, out: &mut Vec<u8>) {
        let number = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
        number(self.messages).write(out);
        number(self.bytes).write(out);
        (self.on_full_qos0 == OnFullQos0::DropNewest).write(out);
        (self.on_full == OnFull::Refuse).write(out);
        self.manual.write(out);
    }

    fn read(input: &mut Input<'_>) -> Option<Self> {
        let number = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        Some(Self {
            messages: number(u64::read(input)?),
            bytes: number(u64::read(input)?),
            on_full_qos0: if bool::read(input)? {
                OnFullQos0::DropNewest
            } else {
                OnFullQos0::DropOldest
            },
            on_full: if bool::read(input)? { OnFull::Refuse } else { OnFull::HoldBack },
            manual: bool::read(input)?,
        })
    }
}

/// Filters that the server is to be told to unsubscribe from.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SavedUnsubscribe {
    slot: u32,
    generation: u32,
    filters: Vec<Box<str>>,
    properties: Bytes,
}
form!(SavedUnsubscribe {
    slot: u32, generation: u32, filters: Vec<Box<str>>, properties: Bytes,
});

impl SavedSession {
    /// The Client Identifier of the session.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.0.client_id
    }

    /// Whether nothing is lost if it is not kept: the server holds no session that could be resumed,
    /// and no message waits. Subscriptions alone do not count.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        !self.0.is_held && self.0.messages.is_empty() && self.0.received.is_empty()
    }

    /// The session as bytes, to be read by [`from_bytes`](Self::from_bytes).
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = HEADER.to_vec();
        self.0.write(&mut bytes);
        let sum = hash([0, 0], &bytes);
        sum.write(&mut bytes);
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote. Everything in it is looked at here: what is
    /// returned can be restored.
    ///
    /// # Errors
    ///
    /// See [`SavedSessionError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SavedSessionError> {
        let [name @ .., version] = HEADER;
        let Some((&[found @ .., given], _)) = bytes.split_first_chunk::<4>() else {
            return Err(SavedSessionError::NotASession);
        };
        if found != name {
            return Err(SavedSessionError::NotASession);
        }
        if given != version {
            return Err(SavedSessionError::Version(given));
        }
        let damaged = SavedSessionError::Damaged;
        let body = bytes.len().checked_sub(SUM).and_then(|len| bytes.split_at_checked(len));
        let (body, sum) = body.ok_or(damaged)?;
        if sum != hash([0, 0], body).to_le_bytes() {
            return Err(damaged);
        }
        let mut input = Input(body.get(HEADER.len()..).ok_or(damaged)?);
        let image = Image::read(&mut input).ok_or(damaged)?;
        if !input.0.is_empty() || !image.is_sound() {
            return Err(damaged);
        }
        Ok(Self(image))
    }
}

/// Whether `numbers` are all below `end`, each once.
fn are_distinct(numbers: impl Iterator<Item = u32>, end: usize) -> bool {
    let mut seen = vec![false; end];
    for number in numbers {
        match seen.get_mut(number as usize) {
            Some(seen) if !*seen => *seen = true,
            _ => return false,
        }
    }
    true
}

impl Image {
    /// Whether it describes a session: texts are what they stand for, and every place is used
    /// once.
    fn is_sound(&self) -> bool {
        let waiting = self.unacknowledged.iter().chain(&self.acknowledged).copied();
        let under_way = self.exchanges.iter().filter(|it| it.state != 2).map(|it| it.slot);
        let released = self.exchanges.iter().filter(|it| it.state == 2).map(|it| it.slot);
        let places = waiting.chain(under_way).chain(released);
        let slots = self.generations.len();
        let is_whole = places.clone().count() == self.messages.len()
            && self.messages.len() + self.free_slots.len() == slots;
        let has_message = |slot: u32| self.messages.iter().any(|message| message.slot == slot);
        is_whole
            && are_distinct(places.clone(), slots)
            && are_distinct(
                self.messages.iter().map(|it| it.slot).chain(self.free_slots.iter().copied()),
                slots,
            )
            && places.clone().count() <= slots
            && places.clone().all(has_message)
            && self.messages.iter().all(SavedMessage::is_sound)
            && self.exchanges.iter().all(|it| it.state <= 2)
            && are_distinct(self.ids(), 65_536)
            && self.ids().all(|id| id != 0)
            && are_distinct(self.received.iter().map(|id| u32::from(*id)), 65_536)
            && !self.received.contains(&0)
            && self.is_subscription_sound()
    }

    fn ids(&self) -> impl Iterator<Item = u32> {
        let used = self.exchanges.iter().map(|it| it.id);
        used.chain(self.free_ids.iter().copied()).map(u32::from)
    }

    fn is_subscription_sound(&self) -> bool {
        let slots = self.subscriptions.len();
        let filters = self.filters.len();
        let are_filters = |texts: &[Box<str>]| {
            !texts.is_empty() && texts.iter().all(|text| TopicFilter::new(text).is_ok())
        };
        are_distinct(self.free_subscriptions.iter().copied(), slots)
            && self.filters.iter().all(|filter| {
                TopicFilter::new(&filter.text).is_ok()
                    && filter.identifiers.iter().all(|id| {
                        SubscriptionId::new(*id).is_some() && *id as usize <= self.identifiers.len()
                    })
            })
            && self.subscriptions.iter().all(|it| {
                are_distinct(it.held.iter().map(|held| held.filter), filters)
                    && it
                        .held
                        .iter()
                        .all(|held| SubscriptionOptions::try_from(held.options).is_ok())
                    && Properties::from_wire(&it.properties, PacketType::Subscribe).is_ok()
            })
            && self.free_subscriptions.iter().all(|slot| {
                self.subscriptions.get(*slot as usize).is_some_and(|it| it.held.is_empty())
            })
            && self.unsubscribes.iter().all(|it| {
                are_filters(&it.filters)
                    && Properties::from_wire(&it.properties, PacketType::Unsubscribe).is_ok()
            })
    }
}

impl SavedMessage {
    fn is_sound(&self) -> bool {
        TopicName::new(&self.topic).is_ok()
            && Properties::from_wire(&self.properties, PacketType::Publish).is_ok()
            && QoS::try_from(self.qos).is_ok()
            && PubAckReason::try_from(self.recorded).is_ok()
    }
}

impl Client {
    /// The QoS 1 and QoS 2 messages that have not ended, with their topics.
    pub fn outgoing(&self) -> impl Iterator<Item = (PublishId, &str)> {
        self.session.outbox.outgoing()
    }

    /// The subscriptions, with their Topic Filters.
    pub fn subscriptions(&self) -> impl Iterator<Item = (SubscriptionKey, Vec<&str>)> {
        self.session.subscriptions.held_filters()
    }

    /// The session as it is now, for [`restore`](Self::restore) in another run of the program: as
    /// if a connection that stands were lost at this moment. Take the events before: what they
    /// tell is not in it.
    #[must_use]
    pub fn save(&self, now: Time) -> SavedSession {
        let now = self.now.max(now);
        let from = &self.session;
        // A copy without what is not saved, on which the connection ends.
        let mut session = Session {
            client_id: from.client_id.clone(),
            is_held: from.is_held,
            is_vouched_for: from.is_vouched_for,
            exchanges: from.exchanges.clone(),
            incoming: from.incoming.clone(),
            qos1: Deliveries::new(QoS::AtLeastOnce),
            qos2: Deliveries::new(QoS::ExactlyOnce),
            outbox: from.outbox.copy(),
            subscriptions: Subscriptions::new([0, 0]),
            requests: from.requests.clone(),
            unanswered: from.unanswered.clone(),
        };
        for id in from.qos2.unanswered() {
            session.incoming.refused(id);
        }
        let mut is_lost = false;
        if let Link::Open(open) = &self.link {
            session.take_back(open.ready.unsent());
            is_lost = open.negotiated.session_expiry_interval == 0;
        }
        if self.link.is_read() {
            session.connection_ended();
            let keeps_qos0 = self.reconnecting.wants_connection() && self.config.offline.keeps_qos0;
            for slot in session.outbox.take_transient(keeps_qos0) {
                session.outbox.release(slot);
            }
        }
        if is_lost {
            // Nobody hears how its messages end.
            session.end(self.republish(), &mut VecDeque::new());
        }
        SavedSession(self.image(now, &session, is_lost))
    }

    fn image(&self, now: Time, session: &Session, is_lost: bool) -> Image {
        let exchanges = session.exchanges.exchanges().map(|(id, state, order, slot)| {
            let state = match state {
                Exchange::Publish1 => 0,
                Exchange::Publish2 => 1,
                Exchange::Released => 2,
            };
            SavedExchange { id: id.get(), state, order, slot: *slot }
        });
        let unsubscribes = session.requests.iter().filter_map(|request| {
            let (subscription, filters, properties) = request.unsubscribes()?;
            let (slot, generation) = subscription.parts();
            let properties = properties.clone();
            Some(SavedUnsubscribe { slot, generation, filters: filters.to_vec(), properties })
        });
        let (generations, free_slots) = session.outbox.places();
        let (unacknowledged, acknowledged, queued) = session.outbox.queues();
        let subscriptions = self.session.subscriptions.save(is_lost);
        Image {
            client_id: session.client_id.clone(),
            is_held: session.is_held,
            is_vouched_for: session.is_vouched_for,
            moved_to: self.reconnecting.moved_to().iter().map(|it| it.to_string().into()).collect(),
            exchanges: exchanges.collect(),
            free_ids: session.exchanges.free_ids().collect(),
            received: match sabotaged!(ReceivedNotSaved) {
                true => Vec::new(),
                false => session.incoming.awaiting_ids().map(PacketId::get).collect(),
            },
            generations,
            free_slots,
            messages: session.outbox.save(now),
            unacknowledged,
            acknowledged,
            queued,
            filters: subscriptions.filters,
            subscriptions: subscriptions.places,
            free_subscriptions: subscriptions.free,
            identifiers: subscriptions.identifiers,
            unsubscribes: unsubscribes.collect(),
        }
    }

    /// Lets go of all subscriptions without telling the server, which goes on sending: for an
    /// application that has [restored](Self::restore) a session and makes its subscriptions
    /// anew. What comes meanwhile, and matches none, waits until a subscription claims it, as with
    /// [`SessionPolicy::rejoin`](super::SessionPolicy::rejoin).
    pub fn forget_subscriptions(&mut self) {
        self.changed();
        let held: Vec<_> = self.subscriptions().map(|(key, _)| key).collect();
        for key in held {
            if let Some((removed, _)) = self.session.subscriptions.remove(key) {
                self.discard(key, removed.buffer);
            }
        }
        self.session.is_vouched_for = self.session.is_held;
    }

    /// A client that goes on with a saved session: its first connection resumes it, as
    /// [`SessionPolicy`](super::SessionPolicy) allows, and says to the server what the one that
    /// was saved would have said. Subscriptions and messages keep their keys, which
    /// [`subscriptions`](Self::subscriptions) and [`outgoing`](Self::outgoing) tell.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if no CONNECT can be made from the configuration, or if it has another
    /// Client Identifier.
    pub fn restore(
        config: ClientConfig,
        seed: [u8; 32],
        saved: SavedSession,
        now: Time,
    ) -> Result<Self, ConfigError> {
        let SavedSession(image) = saved;
        if !config.client_id.is_empty() && *config.client_id != *image.client_id {
            return Err(ConfigError::ClientIdentifier);
        }
        let mut client = Self::new(config, seed)?;
        client.advance(now);
        let list = image.moved_to.iter().map(|it| &**it).collect::<Vec<_>>().join(" ");
        client.reconnecting.restore_moved_to(ServerReference::list(&list));
        let session = &mut client.session;
        session.client_id = image.client_id;
        session.is_held = image.is_held;
        session.is_vouched_for = image.is_vouched_for;
        let exchanges = image.exchanges.iter().filter_map(|it| {
            let state = match it.state {
                0 => Exchange::Publish1,
                1 => Exchange::Publish2,
                _ => Exchange::Released,
            };
            Some((PacketId::new(it.id)?, state, it.order, it.slot))
        });
        // Every identifier was looked at when the image was read.
        let _refused = session.exchanges.restore(exchanges);
        session.exchanges.order_free(&image.free_ids);
        for id in image.received.iter().filter_map(|id| PacketId::new(*id)) {
            session.incoming.restore(id);
        }
        session.outbox.restore_places(image.generations, image.free_slots);
        for message in image.messages {
            session.outbox.restore(now, message);
        }
        session.outbox.restore_queues(image.unacknowledged, image.acknowledged, image.queued);
        session.subscriptions.restore(
            image.filters,
            image.subscriptions,
            image.free_subscriptions,
            image.identifiers,
        );
        for it in image.unsubscribes {
            let subscription = SubscriptionKey::from_parts(it.slot, it.generation);
            session.requests.push_back(super::requests::Request::Unsubscribe {
                subscription,
                filters: it.filters,
                properties: it.properties,
            });
        }
        Ok(client)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for SavedSession {
    /// As the bytes of [`to_bytes`](SavedSession::to_bytes).
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_bytes().serialize(serializer)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for SavedSession {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = Vec::<u8>::deserialize(deserializer)?;
        Self::from_bytes(&bytes).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
impl SavedSession {
    /// The same, with nothing in it that passes with time.
    pub(super) fn without_times(mut self) -> Self {
        for message in &mut self.0.messages {
            message.expiry = None;
        }
        self
    }
}
