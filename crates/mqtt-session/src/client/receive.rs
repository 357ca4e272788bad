//! What arrives: from bytes to the packet's meaning for the session.

use bytes::Bytes;
use mqtt_codec::{
    Decoded, Disconnect, Limits, Need, Packet, PacketId, PacketType, Properties, PropertyBuf,
    PropertyId, PubAck, PubAckReason, PubComp, PubRec, PubRel, PubRelReason, Publish, PublishQos,
    QoS, TopicName, decode, decode_puback,
};

use super::Client;
use super::error::{ClientCloseCause, Violation};
use super::event::{Acknowledgement, ClientEvent, PublishOutcome};
use super::input::{OWN_FROM, Source};
use super::link::Link;
use super::message::Message;
use super::outbox::Released;
use crate::Time;
use crate::exchange::{Acknowledged, AliasFault, Received, Recorded, Rejected};

impl Client {
    /// Bytes came from the server, in any fragmentation. Whole packets are handled at once; the
    /// beginning of one whose rest is missing is kept.
    pub fn handle_input(&mut self, now: Time, input: &[u8]) {
        let now = self.advance(now);
        if input.is_empty() {
            return;
        }
        if let Link::Open(open) = &mut self.link {
            open.keep_alive.on_received(now);
        } else if !self.link.is_read() {
            return;
        }
        let handled = if self.tail.is_empty() {
            // Mostly it is one whole packet.
            match self.handle_first(now, input) {
                Ok(None) => Ok(()),
                Ok(Some(rest)) => self.handle_all(now, rest),
                Err(violation) => Err(violation),
            }
        } else {
            self.handle_behind_tail(now, input)
        };
        if let Err(violation) = handled {
            self.violated(now, violation);
        }
    }

    /// Handles input behind the beginning of a packet.
    #[inline(never)]
    fn handle_behind_tail(&mut self, now: Time, mut input: &[u8]) -> Result<(), Violation> {
        while !self.tail.is_empty() {
            if !self.tail.fill(&mut input) {
                return Ok(());
            }
            self.handle_tail(now)?;
            if !self.link.is_read() {
                return Ok(());
            }
        }
        if input.is_empty() { Ok(()) } else { self.handle_all(now, input) }
    }

    /// Handles every packet of `input`, and keeps the beginning of one at its end.
    #[inline(never)]
    fn handle_all(&mut self, now: Time, mut input: &[u8]) -> Result<(), Violation> {
        while let Some(rest) = self.handle_next(now, input)? {
            input = rest;
        }
        Ok(())
    }

    #[inline(never)]
    fn handle_next<'a>(
        &mut self,
        now: Time,
        input: &'a [u8],
    ) -> Result<Option<&'a [u8]>, Violation> {
        self.handle_first(now, input)
    }

    /// Handles the packet that `input` begins with, or keeps its beginning. Returns what comes
    /// behind it, if that is to be handled.
    // Inlined where input comes in; all that comes behind goes through one call more.
    #[inline(always)]
    fn handle_first<'a>(
        &mut self,
        now: Time,
        input: &'a [u8],
    ) -> Result<Option<&'a [u8]>, Violation> {
        let limits = self.limits();
        if matches!(self.link, Link::Open(_))
            && let Some((puback, len)) = decode_puback(input, &limits)
        {
            self.changed();
            self.on_puback(&puback)?;
            return Ok(self.behind(input, len));
        }
        // Looked at where it is: a packet is large enough for a move to count.
        match &decode(input, &limits) {
            Ok(Decoded::Packet(packet, len)) => {
                self.handle_packet(now, packet, Source::Borrowed)?;
                Ok(self.behind(input, *len))
            }
            Ok(Decoded::NeedMore(need)) => {
                self.tail.begin(input, needed(*need, input.len()));
                Ok(None)
            }
            Err(error) => Err((*error).into()),
        }
    }

    /// What comes behind a packet of so many bytes, if that is to be handled.
    #[inline(always)]
    fn behind<'a>(&self, input: &'a [u8], len: usize) -> Option<&'a [u8]> {
        let rest = input.get(len..).filter(|rest| !rest.is_empty());
        rest.filter(|_| self.link.is_read())
    }

    /// What is accepted from the server.
    #[inline]
    fn limits(&self) -> Limits {
        // [MQTT5-U-3.1.2.11.4-2]
        Limits::new().max_packet_size(self.config.accepted_packet_size())
    }

    /// The packet that began in an earlier read has all the bytes that it asked for.
    #[inline(never)]
    fn handle_tail(&mut self, now: Time) -> Result<(), Violation> {
        let bytes = self.tail.take();
        let limits = self.limits();
        if bytes.len() >= OWN_FROM {
            let bytes = Bytes::from(bytes);
            if let Decoded::Packet(packet, _) = decode(&bytes, &limits)? {
                return self.handle_packet(now, &packet, Source::Owned(&bytes));
            }
            return Ok(());
        }
        match decode(&bytes, &limits)? {
            Decoded::Packet(packet, _) => {
                self.handle_packet(now, &packet, Source::Borrowed)?;
                self.tail.restore(bytes);
            }
            Decoded::NeedMore(need) => {
                let needed = needed(need, bytes.len());
                self.tail.resume(bytes, needed);
            }
        }
        Ok(())
    }

    #[inline(never)]
    fn handle_packet(
        &mut self,
        now: Time,
        packet: &Packet<'_>,
        source: Source<'_>,
    ) -> Result<(), Violation> {
        if !matches!(self.link, Link::Open(_)) {
            self.changed();
            return self.handle_before_connack(now, packet);
        }
        // What comes at QoS 0 or QoS 1 leaves no trace in the session.
        let is_traceless = if let Packet::Publish(publish) = packet {
            publish.qos.qos() < QoS::ExactlyOnce
        } else {
            matches!(packet, Packet::PingResp)
        };
        if !is_traceless {
            self.changed();
        }
        match packet {
            Packet::Publish(publish) => self.on_publish(publish, source),
            Packet::PubAck(puback) => self.on_puback(puback),
            Packet::PubRec(pubrec) => self.on_pubrec(pubrec),
            Packet::PubRel(pubrel) => self.on_pubrel(pubrel),
            Packet::PubComp(pubcomp) => self.on_pubcomp(pubcomp),
            Packet::SubAck(suback) => self.on_suback(suback),
            Packet::UnsubAck(unsuback) => self.on_unsuback(unsuback),
            // Its arrival alone is what counts.
            Packet::PingResp => Ok(()),
            Packet::Disconnect(disconnect) => self.on_disconnect(disconnect),
            Packet::Auth(auth) => self.on_auth(now, auth),
            Packet::Connect(_)
            | Packet::ConnAck(_)
            | Packet::Subscribe(_)
            | Packet::Unsubscribe(_)
            | Packet::PingReq => Err(Violation::UnexpectedPacket(packet.packet_type())),
        }
    }

    #[cold]
    fn handle_before_connack(&mut self, now: Time, packet: &Packet<'_>) -> Result<(), Violation> {
        // Nobody can answer a CONNECT that was not sent.
        if let Link::Connecting(connecting) = &self.link
            && connecting.is_connect_sent
        {
            if let Packet::ConnAck(connack) = packet {
                return self.on_connack(now, connack);
            }
            // It may not come before CONNACK either, but what it says is worth more to the
            // application than that.
            if let Packet::Disconnect(disconnect) = packet {
                return self.on_disconnect(disconnect);
            }
            if let Packet::Auth(auth) = packet {
                return self.on_auth(now, auth);
            }
        }
        Err(Violation::UnexpectedPacket(packet.packet_type()))
    }

    #[inline(never)]
    fn on_publish(&mut self, publish: &Publish<'_>, source: Source<'_>) -> Result<(), Violation> {
        let Link::Open(open) = &mut self.link else { return Ok(()) };
        let session = &mut self.session;
        let properties = &publish.properties;
        let topic = match (properties.topic_alias(), publish.topic) {
            (None, Some(topic)) => topic,
            (Some(alias), topic) => {
                let maximum = self.config.topic_alias_maximum;
                let topic = topic.map(|topic| topic.as_str());
                let fault = |fault| match fault {
                    AliasFault::AboveMaximum => {
                        Violation::TopicAliasInvalid { alias: alias.get(), maximum }
                    }
                    AliasFault::Unknown => Violation::TopicAliasUnknown(alias.get()),
                };
                // [MQTT-3.3.2-10] [MQTT-3.3.2-7]
                let topic = open.incoming_aliases.resolve(alias, topic, maximum).map_err(fault)?;
                TopicName::new(topic).map_err(|_| Violation::TopicAliasUnknown(alias.get()))?
            }
            // The decoder lets no such packet through [MQTT5-U-3.3.2.1-1].
            (None, None) => return Err(Violation::UnexpectedPacket(PacketType::Publish)),
        };
        let rejected = |rejected| match rejected {
            Rejected::ReceiveMaximumExceeded => {
                Violation::ReceiveMaximumExceeded { maximum: self.config.receive_maximum.get() }
            }
            Rejected::PacketIdentifierInUse => Violation::AcknowledgementMismatch {
                packet: PacketType::Publish,
                id: publish.qos.packet_id().map_or(0, PacketId::get),
            },
        };
        // [MQTT-3.3.4-1] [MQTT-4.3.2-4] [MQTT-4.3.3-8] [MQTT-4.5.0-2]
        let id = match publish.qos {
            PublishQos::AtMostOnce => None,
            PublishQos::AtLeastOnce { id, .. } => {
                match session.incoming.on_publish_qos1(id) {
                    Err(Rejected::PacketIdentifierInUse) => {
                        self.refuse_identifier(id);
                        return Ok(());
                    }
                    taken => taken.map_err(rejected)?,
                }
                Some(id)
            }
            PublishQos::ExactlyOnce { id, .. } => {
                match session.incoming.on_publish_qos2(id).map_err(rejected)? {
                    Received::New => Some(id),
                    Received::Duplicate => {
                        // [MQTT-4.3.3-10]
                        self.statistics.duplicates += 1;
                        session.qos2.arrived_again(id);
                        self.acknowledge_ready();
                        return Ok(());
                    }
                }
            }
        };
        // [MQTT5-U-3.3.4-3]
        session
            .subscriptions
            .route(topic, properties.subscription_ids(), session.is_vouched_for)
            .map_err(Violation::SubscriptionIdUnknown)?;
        if id.is_some() && session.incoming.unfinished() > self.config.receive_maximum.get() {
            self.statistics.above_receive_maximum += 1;
        }
        let message = match source {
            Source::Borrowed => Message::copied(publish, topic.as_str()),
            Source::Owned(packet) => Message::shared(packet, publish, topic.as_str()),
        };
        self.deliver(message, id);
        Ok(())
    }

    /// A QoS 1 message came under an identifier whose QoS 2 exchange this side believes open. That
    /// is what is left when the server has lost the session and the CONNACK that said so was lost
    /// too: closing the connection would bring the same message again and again.
    fn refuse_identifier(&mut self, id: PacketId) {
        self.session.incoming.answer_waits();
        self.session.qos1.decide(id, PubAckReason::PacketIdentifierInUse);
        self.acknowledge_ready();
    }

    /// Sends the acknowledgements whose turn it is.
    pub(super) fn acknowledge_ready(&mut self) {
        while let Some((id, reason)) = self.session.qos1.next_ready() {
            self.send_acknowledgement(QoS::AtLeastOnce, id, reason);
        }
        while let Some((id, reason)) = self.session.qos2.next_ready() {
            self.send_acknowledgement(QoS::ExactlyOnce, id, reason);
        }
    }

    pub(super) fn send_acknowledgement(
        &mut self,
        qos: QoS,
        packet_id: PacketId,
        reason: PubAckReason,
    ) {
        let properties = Properties::EMPTY;
        if qos == QoS::AtLeastOnce {
            self.answer(&PubAck { packet_id, reason, properties }.into());
        } else {
            self.answer(&PubRec { packet_id, reason, properties }.into());
            if reason.is_error() {
                self.session.incoming.refused(packet_id);
            }
        }
    }

    #[inline(always)]
    fn on_puback(&mut self, puback: &PubAck<'_>) -> Result<(), Violation> {
        self.check_problem_information(PacketType::PubAck, &puback.properties)?;
        let id = puback.packet_id;
        match self.session.exchanges.on_puback(id) {
            Acknowledged::Done(slot) => {
                self.published(slot, puback.reason, &puback.properties);
                Ok(())
            }
            Acknowledged::Unknown => {
                self.statistics.unknown_acknowledgements += 1;
                Ok(())
            }
            Acknowledged::Mismatch => Err(mismatch(PacketType::PubAck, id)),
        }
    }

    #[inline(never)]
    fn on_pubrec(&mut self, pubrec: &PubRec<'_>) -> Result<(), Violation> {
        self.check_problem_information(PacketType::PubRec, &pubrec.properties)?;
        let id = pubrec.packet_id;
        let reason = match self.session.exchanges.on_pubrec(id, pubrec.reason.is_error()) {
            Recorded::Release(slot) => {
                let slot = *slot;
                // Only the PUBREL is sent from here on [MQTT-4.3.3-6].
                self.session.outbox.release_payload(slot);
                if let Some(message) = self.session.outbox.get_mut(slot) {
                    message.recorded = pubrec.reason;
                }
                PubRelReason::Success
            }
            Recorded::ReleaseAgain => PubRelReason::Success,
            Recorded::Refused(slot) => {
                self.published(slot, pubrec.reason, &pubrec.properties);
                return Ok(());
            }
            Recorded::Unknown => {
                self.statistics.unknown_acknowledgements += 1;
                // [MQTT-4.3.3-4]: an error is not answered.
                if pubrec.reason.is_error() {
                    return Ok(());
                }
                PubRelReason::PacketIdentifierNotFound
            }
            Recorded::Mismatch => return Err(mismatch(PacketType::PubRec, id)),
        };
        // [MQTT-4.3.3-4] [MQTT-4.6.0-4]: at once, so in the order of the PUBRECs.
        let properties = Properties::EMPTY;
        self.answer(&PubRel { packet_id: id, reason, properties }.into());
        Ok(())
    }

    #[inline(never)]
    fn on_pubcomp(&mut self, pubcomp: &PubComp<'_>) -> Result<(), Violation> {
        self.check_problem_information(PacketType::PubComp, &pubcomp.properties)?;
        let id = pubcomp.packet_id;
        match self.session.exchanges.on_pubcomp(id) {
            Acknowledged::Done(slot) => {
                let recorded = self.session.outbox.get(slot).map(|message| message.recorded);
                let reason = recorded.unwrap_or(PubAckReason::Success);
                self.published(slot, reason, &pubcomp.properties);
                Ok(())
            }
            Acknowledged::Unknown => {
                self.statistics.unknown_acknowledgements += 1;
                Ok(())
            }
            Acknowledged::Mismatch => Err(mismatch(PacketType::PubComp, id)),
        }
    }

    #[inline(never)]
    fn on_pubrel(&mut self, pubrel: &PubRel<'_>) -> Result<(), Violation> {
        self.check_problem_information(PacketType::PubRel, &pubrel.properties)?;
        let packet_id = pubrel.packet_id;
        // [MQTT-4.3.3-11] [MQTT-2.2.1-5], and whether the message has expired since does not matter
        // [MQTT-4.3.3-13].
        let reason = if self.session.incoming.on_pubrel(packet_id) {
            // A server that may not send a message again ends its exchange without the answer.
            if self.session.qos2.waiting() > 0 {
                self.session.qos2.forget(packet_id);
                self.acknowledge_ready();
            }
            PubRelReason::Success
        } else {
            PubRelReason::PacketIdentifierNotFound
        };
        self.answer(&PubComp { packet_id, reason, properties: Properties::EMPTY }.into());
        Ok(())
    }

    #[inline(never)]
    fn on_disconnect(&mut self, disconnect: &Disconnect<'_>) -> Result<(), Violation> {
        if disconnect.properties.contains(PropertyId::SessionExpiryInterval) {
            return Err(Violation::SessionExpiryInDisconnect);
        }
        // [MQTT-3.14.2-1]
        if !disconnect.reason.is_from_server() {
            return Err(Violation::DisconnectReason(disconnect.reason));
        }
        self.connection_ended(ClientCloseCause::DisconnectedByServer {
            reason: disconnect.reason,
            properties: disconnect.properties.into(),
        });
        Ok(())
    }

    /// The server has said its last word about a message.
    #[inline(always)]
    fn published(&mut self, slot: u32, reason: PubAckReason, properties: &Properties<'_>) {
        let Some(message) = self.session.outbox.release(slot) else { return };
        if message.is_forgotten {
            return;
        }
        if properties.is_empty() {
            self.events.push_back(message.ended(reason, PropertyBuf::new()));
        } else {
            self.published_with(message, reason, properties);
        }
    }

    #[cold]
    fn published_with(
        &mut self,
        message: Released,
        reason: PubAckReason,
        properties: &Properties<'_>,
    ) {
        self.events.push_back(message.ended(reason, (*properties).into()));
    }

    /// Appends an answer to those that wait to be sent.
    pub(super) fn answer(&mut self, packet: &Packet<'_>) {
        let Some(open) = self.link.open_mut() else { return };
        open.ready.push(packet, open.negotiated.maximum_packet_size);
    }

    /// Having asked for no problem information, the client takes none except in CONNACK, PUBLISH
    /// and DISCONNECT.
    pub(super) fn check_problem_information(
        &self,
        packet: PacketType,
        properties: &Properties<'_>,
    ) -> Result<(), Violation> {
        // [MQTT5-U-3.1.2.11.7-2]
        if !self.config.request_problem_information && !properties.is_empty() {
            return Err(Violation::ProblemInformation(packet));
        }
        Ok(())
    }
}

impl Released {
    /// Tells that the server has said its last word about it.
    #[inline(always)]
    fn ended(self, reason: PubAckReason, properties: PropertyBuf) -> ClientEvent {
        let acknowledgement =
            Acknowledgement { reason, properties, republished: self.is_republished };
        let outcome = if reason.is_error() {
            PublishOutcome::Refused(acknowledgement)
        } else {
            PublishOutcome::Acknowledged(acknowledgement)
        };
        ClientEvent::Published { id: self.id, outcome }
    }
}

/// How many bytes to wait for: the packet's length, or one more as long as that is not known.
fn needed(need: Need, present: usize) -> usize {
    need.packet_len().unwrap_or(present + 1)
}

fn mismatch(packet: PacketType, id: PacketId) -> Violation {
    Violation::AcknowledgementMismatch { packet, id: id.get() }
}
