//! What outlives a network connection: the session of one client identifier.

use std::collections::VecDeque;

use mqtt_codec::{QoS, SubscriptionId};

use super::messages::{MessageId, NEVER};
use super::rates::Rate;
use super::read::Permissions;
use super::replay::Replay;
use super::statistics::SessionStatistics;
use super::store::Waits;
use crate::Time;
use crate::deadlines::DeadlineHandle;
use crate::exchange::{Incoming, Outgoing};
use crate::index::FilterId;

/// The state that a client identifier stands for [MQTT-3.1.3-2].
#[derive(Debug)]
pub(super) struct Session {
    pub(super) client_id: Box<str>,
    /// Who may resume it: the identity that policy gave to the connection that made it.
    pub(super) identity: Option<Box<str>>,
    /// The slot of its open connection.
    pub(super) connection: Option<u32>,
    /// Seconds that it lives on without a connection; `u32::MAX` for ever.
    pub(super) expiry_interval: u32,
    /// When it ends: never, while there is a connection.
    pub(super) ends_at: Time,
    /// Its timer, while something becomes due without a connection.
    pub(super) timer: Option<DeadlineHandle>,
    pub(super) will: Option<Box<StoredWill>>,
    /// What it subscribes to, if it does.
    pub(super) subscriptions: Option<Box<Subscriptions>>,
    /// What is under way; nothing until there is something.
    pub(super) flow: Option<Box<Flow>>,
    /// What it may read, as far as it was asked about.
    pub(super) permissions: Option<Box<Permissions>>,
    /// Marks the sessions that a message was routed to already: the number of the routing, and
    /// the place in its list of targets.
    pub(super) routed: (u32, u32),
    /// What was dropped and refused for this session, once something was.
    pub(super) losses: Option<Box<SessionStatistics>>,
    /// How often it did of late what is bounded, once it did.
    pub(super) rates: Option<Box<Rates>>,
}

/// What a session may do so many times a minute.
#[derive(Debug, Default)]
pub(super) struct Rates {
    /// Ending its connection by another one.
    pub(super) take_overs: Rate,
    /// Having retained messages sent for a subscription.
    pub(super) replays: Rate,
}

/// What a session subscribes to.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    /// Its filters, sorted.
    pub(super) filters: Vec<FilterId>,
    /// The groups of shared subscriptions that it is a member of.
    pub(super) groups: Vec<u32>,
}

impl Subscriptions {
    pub(super) const fn len(&self) -> usize {
        self.filters.len() + self.groups.len()
    }
}

/// A Will Message that waits for its connection to end, or for its delay.
#[derive(Debug)]
pub(super) struct StoredWill {
    pub(super) message: MessageId,
    /// Seconds between the end of the connection and the will.
    pub(super) delay: u32,
    /// Seconds from its publishing to its expiry; `None` for never.
    pub(super) expiry: Option<u32>,
    /// When it is published, once the connection has ended.
    pub(super) due_at: Option<Time>,
    /// Bytes it takes.
    pub(super) size: usize,
}

/// Messages under way in both directions.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) incoming: Incoming,
    pub(super) outgoing: Outgoing<Delivery>,
    /// QoS 0 messages that wait to be sent.
    pub(super) unacknowledged: VecDeque<Delivery>,
    /// QoS 1 and QoS 2 messages that wait to be sent.
    pub(super) acknowledged: VecDeque<Delivery>,
    /// The message that waits for the decision whether it may be read.
    pub(super) undecided: Option<Delivery>,
    /// QoS 2 messages that have to be stored before they are sent.
    pub(super) waits: Option<Box<Waits>>,
    /// Bytes of the messages that wait.
    pub(super) queued_bytes: usize,
    /// The order of the next message that is queued.
    pub(super) next_order: u32,
    /// Retained messages that new subscriptions are still to be sent.
    pub(super) replays: VecDeque<Replay>,
    /// Whether a retained message has the next turn, and not one that is queued.
    pub(super) replays_next: bool,
}

/// A message on its way to one session.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Delivery {
    /// `None` once the receiver has recorded it: only the exchange is left to finish.
    pub(super) message: Option<MessageId>,
    /// Where it stands among all that was queued for the session.
    pub(super) order: u32,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    /// Whether it was a retained message that a new subscription is sent.
    pub(super) is_replayed: bool,
    pub(super) subscription_ids: SubscriptionIds,
}

/// The Subscription Identifiers of the subscriptions that a delivery is owed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum SubscriptionIds {
    #[default]
    None,
    One(SubscriptionId),
    Many(Box<[SubscriptionId]>),
}

impl SubscriptionIds {
    pub(super) fn as_slice(&self) -> &[SubscriptionId] {
        match self {
            Self::None => &[],
            Self::One(id) => core::slice::from_ref(id),
            Self::Many(ids) => ids,
        }
    }

    /// Adds the identifier of one more subscription [MQTT-3.3.4-4].
    pub(super) fn push(&mut self, id: SubscriptionId) {
        *self = match core::mem::take(self) {
            Self::None => Self::One(id),
            Self::One(first) => Self::Many([first, id].into()),
            Self::Many(ids) => {
                let mut ids = ids.into_vec();
                ids.push(id);
                Self::Many(ids.into())
            }
        };
    }
}

impl Session {
    pub(super) fn new(client_id: Box<str>, identity: Option<Box<str>>) -> Self {
        Self {
            client_id,
            identity,
            connection: None,
            expiry_interval: 0,
            ends_at: NEVER,
            timer: None,
            will: None,
            subscriptions: None,
            flow: None,
            permissions: None,
            routed: (0, 0),
            losses: None,
            rates: None,
        }
    }

    /// The earliest moment at which something becomes due without a connection.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        let will = self.will.as_ref().and_then(|will| will.due_at);
        Some(will.map_or(self.ends_at, |will| will.min(self.ends_at))).filter(|&at| at != NEVER)
    }
}

/// The quotas with which a connection's exchanges begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct FlowStart {
    pub(super) receive_maximum: core::num::NonZeroU16,
    pub(super) send_maximum: core::num::NonZeroU16,
}

impl Flow {
    pub(super) fn new(start: FlowStart) -> Self {
        let mut flow = Self {
            incoming: Incoming::new(),
            outgoing: Outgoing::new(),
            unacknowledged: VecDeque::new(),
            acknowledged: VecDeque::new(),
            undecided: None,
            waits: None,
            queued_bytes: 0,
            next_order: 0,
            replays: VecDeque::new(),
            replays_next: true,
        };
        flow.start_connection(start);
        flow
    }

    /// A new connection carries what is under way from here on.
    pub(super) fn start_connection(&mut self, start: FlowStart) {
        self.incoming.start_connection(start.receive_maximum.get());
        self.outgoing.start_connection(start.send_maximum);
        // They are sent again with all the others.
        self.waits = None;
    }

    /// Messages that wait to be sent for the first time.
    pub(super) fn queued(&self) -> usize {
        self.unacknowledged.len() + self.acknowledged.len()
    }

    /// Whether something can be sent now.
    #[inline]
    pub(super) fn can_transmit(&self) -> bool {
        let waiting = self.queued() + self.replays.len() + self.outgoing.to_resend();
        if waiting == 0 && self.undecided.is_none() && self.waits.is_none() {
            return false;
        }
        self.undecided.is_some()
            || self.waits.as_ref().is_some_and(|waits| waits.can_send())
            || !self.unacknowledged.is_empty()
            || self.outgoing.must_resend()
            || (!self.acknowledged.is_empty() && self.outgoing.may_send())
            || self
                .replays
                .front()
                .is_some_and(|replay| replay.qos() == QoS::AtMostOnce || self.outgoing.may_send())
    }
}
