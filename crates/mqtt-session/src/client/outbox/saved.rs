//! The outbox as it is saved and restored.

use mqtt_codec::{PacketType, Properties, PubAckReason, QoS, TopicName};

use super::super::publication::Publication;
use super::super::saved::SavedMessage;
use super::{Outbox, PublishId, Slot};
use crate::Time;
use crate::deadlines::Deadlines;

impl Outbox {
    /// The same messages in the same places; what of them expires is not watched.
    pub(in super::super) fn copy(&self) -> Self {
        let copy = |slot: &Slot| Slot {
            generation: slot.generation,
            expiry: None,
            order: slot.order,
            message: slot.message.clone(),
        };
        Self {
            slots: self.slots.iter().map(copy).collect(),
            free: self.free.clone(),
            unacknowledged: self.unacknowledged.clone(),
            acknowledged: self.acknowledged.clone(),
            bytes: self.bytes,
            queued: self.queued,
            max_messages: self.max_messages,
            max_bytes: self.max_bytes,
            expiries: Deadlines::new(),
        }
    }

    /// The generation of every place, and the places that are free.
    pub(in super::super) fn places(&self) -> (Vec<u32>, Vec<u32>) {
        (self.slots.iter().map(|slot| slot.generation).collect(), self.free.clone())
    }

    /// The queues, and how many messages were queued.
    pub(in super::super) fn queues(&self) -> (Vec<u32>, Vec<u32>, u64) {
        let list = |queue: &std::collections::VecDeque<u32>| queue.iter().copied().collect();
        (list(&self.unacknowledged), list(&self.acknowledged), self.queued)
    }

    /// Every message, with its topic, that a QoS 1 or QoS 2 outcome is still to be told of.
    pub(in super::super) fn outgoing(&self) -> impl Iterator<Item = (PublishId, &str)> {
        self.occupied().filter(|(_, slot)| slot.message.qos != QoS::AtMostOnce).map(
            |(number, slot)| {
                let id = PublishId { slot: number, generation: slot.generation };
                (id, slot.message.topic())
            },
        )
    }

    pub(in super::super) fn save(&self, now: Time) -> Vec<SavedMessage> {
        let save = |(number, slot): (u32, &Slot)| {
            let message = &slot.message;
            let expiry = message.expires_at().map(|at| {
                let left = at.duration_since(now).as_nanos();
                u64::try_from(left).unwrap_or(u64::MAX)
            });
            SavedMessage {
                slot: number,
                order: slot.order,
                topic: message.topic().into(),
                properties: bytes::Bytes::copy_from_slice(message.forwardable()),
                payload: message.payload().clone(),
                qos: message.qos.into(),
                retain: message.retain,
                expiry,
                recorded: message.recorded.into(),
                only_online: message.only_online,
                is_republished: message.is_republished,
            }
        };
        self.occupied().map(save).collect()
    }

    fn occupied(&self) -> impl Iterator<Item = (u32, &Slot)> {
        let mut is_free = vec![false; self.slots.len()];
        for slot in &self.free {
            if let Some(is_free) = is_free.get_mut(*slot as usize) {
                *is_free = true;
            }
        }
        (0..).zip(&self.slots).zip(is_free).filter(|(_, is_free)| !is_free).map(|(slot, _)| slot)
    }

    pub(in super::super) fn restore_places(&mut self, generations: Vec<u32>, free: Vec<u32>) {
        let slot = |generation| Slot { generation, ..Slot::default() };
        self.slots = generations.into_iter().map(slot).collect();
        self.free = free;
    }

    /// Puts a message into its place. It was looked at when it was read.
    pub(in super::super) fn restore(&mut self, now: Time, saved: SavedMessage) {
        let properties = Properties::from_wire(&saved.properties, PacketType::Publish);
        let Ok(topic) = TopicName::new(&saved.topic) else { return };
        let mut publication = Publication::new(topic, saved.payload);
        publication.qos = QoS::try_from(saved.qos).unwrap_or_default();
        publication.retain = saved.retain;
        publication.properties = properties.unwrap_or(Properties::EMPTY);
        publication.only_online = saved.only_online;
        let Some(place) = self.slots.get_mut(saved.slot as usize) else { return };
        // It was sent, or was to be sent, by a client that had no limit but this.
        let _fits = place.message.accept(now, &mut publication, u32::MAX);
        place.order = saved.order;
        let message = &mut place.message;
        message.set_expiry(saved.expiry.map(|left| now + core::time::Duration::from_nanos(left)));
        message.recorded = PubAckReason::try_from(saved.recorded).unwrap_or(PubAckReason::Success);
        message.is_republished = saved.is_republished;
        self.bytes += message.size();
    }

    pub(in super::super) fn restore_queues(
        &mut self,
        unacknowledged: Vec<u32>,
        acknowledged: Vec<u32>,
        queued: u64,
    ) {
        for slot in unacknowledged.iter().chain(&acknowledged) {
            if let Some(place) = self.slots.get_mut(*slot as usize)
                && let Some(at) = place.message.expires_at()
            {
                place.expiry = Some(self.expiries.insert(at.as_nanos(), *slot));
            }
        }
        self.unacknowledged = unacknowledged.into();
        self.acknowledged = acknowledged.into();
        self.queued = queued;
    }
}
