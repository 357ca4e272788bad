//! A message that a session is owed, as the model has it.

use mqtt_session::Time;

use super::model::{Session, seconds_left};
use super::note::{Ids, PublishNote};
use super::setup::LARGE;

/// A message that a session is owed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Copy {
    pub(super) publisher: usize,
    pub(super) number: u32,
    pub(super) topic: u8,
    pub(super) qos: u8,
    pub(super) retain: bool,
    pub(super) ids: Ids,
    pub(super) expires_at: Option<Time>,
    pub(super) is_large: bool,
    /// The filter for which a retained message is sent.
    pub(super) replay: Option<u8>,
    /// It may have been dropped, or may still be.
    pub(super) optional: bool,
    /// One that looked the same is taken to have come, and it may have been this one.
    pub(super) twin: Option<Twin>,
}

/// What the copy that is taken to have come was like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Twin {
    pub(super) expires_at: Option<Time>,
    pub(super) is_replay: bool,
}

impl Copy {
    pub(super) fn is_for(&self, note: &PublishNote) -> bool {
        self.number == note.number
            && self.topic == note.topic
            && self.qos == note.qos
            && self.retain == note.retain
            && self.ids == note.ids
    }

    /// Whether it is for a new subscription, or may be.
    pub(super) fn may_be_replay(&self) -> bool {
        self.replay.is_some() || self.twin.is_some_and(|twin| twin.is_replay)
    }

    /// When it expires if it is the one that a note tells of.
    pub(super) fn expiry_in(&self, note: &PublishNote, now: Time) -> Option<Time> {
        let is_it = |at: Option<Time>| at.map(|at| seconds_left(at, now)) == note.expiry;
        let other = self.twin.map(|twin| twin.expires_at);
        other.filter(|at| is_it(*at) && !is_it(self.expires_at)).unwrap_or(self.expires_at)
    }

    /// Whether this one has to come before `other` [MQTT-4.6.0-6]. What is retained has its place
    /// where its subscription was made; two subscriptions are sent theirs in any order.
    pub(super) fn goes_before(&self, other: &Self) -> bool {
        self.publisher == other.publisher
            && self.topic == other.topic
            && self.qos == other.qos
            && (self.replay.is_none() || other.replay.is_none())
    }

    /// Whether it may wait for quota. A retained message may even at QoS 0, behind others.
    pub(super) const fn needs_room(&self) -> bool {
        self.qos > 0 || self.replay.is_some()
    }

    /// Whether the broker may have dropped it, or must.
    pub(super) fn may_be_missing(&self, session: &Session, now: Time) -> bool {
        self.optional
            || self.expires_at.is_some_and(|at| at <= now)
            || (self.is_large && session.packet_size < LARGE as u32)
    }
}
