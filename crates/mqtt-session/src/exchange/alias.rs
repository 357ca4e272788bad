//! Topic aliases, one table for each direction.
//!
//! Both tables belong to one network connection and go with it [MQTT-3.3.2-7].

use core::num::NonZeroU16;

/// The aliases that the peer has set on this connection.
#[derive(Debug, Default)]
pub(crate) struct IncomingAliases {
    /// The topic of alias `n` stands at `n - 1`; no longer than the highest alias in use.
    topics: Vec<Box<str>>,
}

/// Why a topic alias cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AliasFault {
    /// Above the Topic Alias Maximum: DISCONNECT 0x94.
    AboveMaximum,
    /// No topic was set for it on this connection: DISCONNECT 0x82.
    Unknown,
}

impl IncomingAliases {
    /// The topic of a PUBLISH that carries `alias`, and `topic` unless that was empty.
    ///
    /// A topic replaces the one that the alias stood for. Every alias up to `maximum`, the one
    /// that this side announced, is accepted [MQTT-3.3.2-10] [MQTT-3.3.2-12].
    pub(crate) fn resolve(
        &mut self,
        alias: NonZeroU16,
        topic: Option<&str>,
        maximum: u16,
    ) -> Result<&str, AliasFault> {
        // [MQTT5-U-3.3.4-1]
        if alias.get() > maximum {
            return Err(AliasFault::AboveMaximum);
        }
        let at = usize::from(alias.get()) - 1;
        if let Some(topic) = topic {
            if self.topics.len() <= at {
                self.topics.resize_with(at + 1, || "".into());
            }
            if let Some(known) = self.topics.get_mut(at)
                && **known != *topic
            {
                *known = topic.into();
            }
        }
        match self.topics.get(at) {
            Some(topic) if !topic.is_empty() => Ok(topic),
            // [MQTT5-U-3.3.4-2]
            _ => Err(AliasFault::Unknown),
        }
    }
}

/// The aliases that this side has set on this connection.
///
/// The first topics that are sent get the aliases there are, and keep them; a topic that comes
/// later is sent in full, or takes the alias that was not used for longest. Looking one up compares
/// against each, so the number is capped.
#[derive(Debug)]
pub(crate) struct OutgoingAliases {
    topics: Vec<Assigned>,
    maximum: u16,
    /// Whether a new topic takes the alias of another one when there is none left.
    replaces: bool,
    /// Counts uses.
    clock: u64,
}

/// What an alias stands for.
#[derive(Debug)]
struct Assigned {
    /// Empty for nothing that the peer knows of.
    topic: Box<str>,
    /// When it was used last.
    used: u64,
}

/// How a topic is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutgoingAlias {
    /// In full, without an alias.
    None,
    /// In full, and the alias stands for it from now on.
    Set(NonZeroU16),
    /// As the alias alone.
    Known(NonZeroU16),
}

impl OutgoingAliases {
    /// The most aliases that are ever assigned on a connection, whatever the peer allows.
    pub(crate) const CEILING: u16 = 64;

    /// A table for a peer that announced `peer_maximum`, on a side that assigns `own_maximum` at
    /// most [MQTT-3.2.2-17] [MQTT-3.2.2-18] [MQTT-3.1.2-26] [MQTT-3.1.2-27].
    pub(crate) fn new(peer_maximum: u16, own_maximum: u16) -> Self {
        let maximum = peer_maximum.min(own_maximum).min(Self::CEILING);
        Self { topics: Vec::new(), maximum, replaces: false, clock: 0 }
    }

    /// The same table with new topics taking the alias that was not used for longest.
    pub(crate) const fn replacing(mut self) -> Self {
        self.replaces = true;
        self
    }

    /// Whether any alias can be assigned.
    pub(crate) const fn is_enabled(&self) -> bool {
        self.maximum > 0
    }

    /// How to send `topic` in a packet that leaves now. What `Set` promises must be sent.
    ///
    /// An alias costs three bytes: topics that are hardly longer go without.
    pub(crate) fn assign(&mut self, topic: &str) -> OutgoingAlias {
        if self.maximum == 0 || topic.len() < 5 {
            return OutgoingAlias::None;
        }
        let known = self.topics.iter().position(|known| *known.topic == *topic);
        // One that was withdrawn is free.
        let free = || self.topics.iter().position(|known| known.topic.is_empty());
        let place = match known.or_else(free) {
            Some(place) => place,
            None if self.topics.len() < usize::from(self.maximum) => self.topics.len(),
            None if self.replaces => {
                let oldest = self.topics.iter().enumerate().min_by_key(|(_, it)| it.used);
                oldest.map_or(0, |(at, _)| at)
            }
            None => return OutgoingAlias::None,
        };
        // [MQTT-3.3.2-8] [MQTT-3.3.2-9] [MQTT-3.3.2-11]
        let number = u16::try_from(place + 1).ok().and_then(NonZeroU16::new);
        let Some(alias) = number else { return OutgoingAlias::None };
        self.clock += 1;
        let used = self.clock;
        match self.topics.get_mut(place) {
            Some(assigned) if known.is_some() => {
                assigned.used = used;
                return OutgoingAlias::Known(alias);
            }
            Some(assigned) => *assigned = Assigned { topic: topic.into(), used },
            None => self.topics.push(Assigned { topic: topic.into(), used }),
        }
        OutgoingAlias::Set(alias)
    }

    /// The packet that carried the alias set last was not sent after all.
    pub(crate) fn withdraw(&mut self, alias: NonZeroU16) {
        // The peer may know it for another topic, which nobody sends by it any more.
        if let Some(assigned) = self.topics.get_mut(usize::from(alias.get()) - 1) {
            *assigned = Assigned { topic: "".into(), used: 0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alias(number: u16) -> NonZeroU16 {
        NonZeroU16::new(number).unwrap()
    }

    /// Proves: [MQTT-3.3.2-10], [MQTT-3.3.2-12]
    #[test]
    fn every_alias_up_to_the_maximum_is_accepted_and_none_above() {
        let mut aliases = IncomingAliases::default();
        for number in (1..=16).rev() {
            let topic = format!("topic/{number}");
            assert_eq!(aliases.resolve(alias(number), Some(&topic), 16), Ok(topic.as_str()));
        }
        for number in 1..=16 {
            let topic = format!("topic/{number}");
            assert_eq!(aliases.resolve(alias(number), None, 16), Ok(topic.as_str()));
        }
        let above = aliases.resolve(alias(17), Some("t"), 16);
        assert_eq!(above, Err(AliasFault::AboveMaximum));
        assert_eq!(aliases.resolve(alias(1), Some("t"), 0), Err(AliasFault::AboveMaximum));
    }

    #[test]
    fn a_topic_replaces_the_one_the_alias_stood_for() {
        let mut aliases = IncomingAliases::default();
        assert_eq!(aliases.resolve(alias(3), Some("a"), 16), Ok("a"));
        assert_eq!(aliases.resolve(alias(3), Some("b"), 16), Ok("b"));
        assert_eq!(aliases.resolve(alias(3), None, 16), Ok("b"));
        assert_eq!(aliases.resolve(alias(2), None, 16), Err(AliasFault::Unknown));
    }

    /// Proves: [MQTT-3.3.2-8], [MQTT-3.3.2-9], [MQTT-3.3.2-11], [MQTT-3.1.2-26], [MQTT-3.2.2-17]
    #[test]
    fn aliases_are_assigned_from_one_up_to_what_the_peer_allows() {
        let mut aliases = OutgoingAliases::new(2, 16);
        assert_eq!(aliases.assign("topic/1"), OutgoingAlias::Set(alias(1)));
        assert_eq!(aliases.assign("topic/2"), OutgoingAlias::Set(alias(2)));
        assert_eq!(aliases.assign("topic/3"), OutgoingAlias::None);
        assert_eq!(aliases.assign("topic/1"), OutgoingAlias::Known(alias(1)));
    }

    /// Proves: [MQTT-3.1.2-27], [MQTT-3.2.2-18]
    #[test]
    fn a_peer_that_allows_none_gets_none() {
        let mut aliases = OutgoingAliases::new(0, 16);
        assert!(!aliases.is_enabled());
        assert_eq!(aliases.assign("topic/1"), OutgoingAlias::None);
    }

    #[test]
    fn an_alias_whose_packet_was_not_sent_is_not_known() {
        let mut aliases = OutgoingAliases::new(2, 16);
        assert_eq!(aliases.assign("topic/1"), OutgoingAlias::Set(alias(1)));
        aliases.withdraw(alias(1));
        // It is free for the next topic, which sets it anew.
        assert_eq!(aliases.assign("topic/2"), OutgoingAlias::Set(alias(1)));
        assert_eq!(aliases.assign("topic/1"), OutgoingAlias::Set(alias(2)));
        assert_eq!(aliases.assign("topic/2"), OutgoingAlias::Known(alias(1)));
        assert_eq!(aliases.assign("topic/3"), OutgoingAlias::None);
    }

    /// Proves: [MQTT-3.3.2-8], [MQTT-3.3.2-9], [MQTT-3.1.2-26]
    #[test]
    fn a_new_topic_takes_the_alias_that_was_not_used_for_longest() {
        let mut aliases = OutgoingAliases::new(2, 16).replacing();
        assert_eq!(aliases.assign("topic/1"), OutgoingAlias::Set(alias(1)));
        assert_eq!(aliases.assign("topic/2"), OutgoingAlias::Set(alias(2)));
        assert_eq!(aliases.assign("topic/1"), OutgoingAlias::Known(alias(1)));
        assert_eq!(aliases.assign("topic/3"), OutgoingAlias::Set(alias(2)));
        assert_eq!(aliases.assign("topic/1"), OutgoingAlias::Known(alias(1)));
        assert_eq!(aliases.assign("topic/2"), OutgoingAlias::Set(alias(2)));
    }
}
