//! From bytes to packets: framing, and who may send what when.

use bytes::Bytes;
use mqtt_codec::{
    ConnectReason, DecodeError, DecodeRule, Decoded, DisconnectReason, Limits, Packet, PacketType,
    decode,
};

use super::connection::Phase;
use super::store::is_behind;
use super::{Broker, CloseCause, ConnectionId, OWN_BUFFER_FROM};
use crate::Time;

/// What a packet that cannot be handled does to its connection.
pub(super) type Handled = Result<(), DisconnectReason>;

impl Broker {
    /// Bytes came on a connection, in any pieces.
    ///
    /// Every complete packet is handled before the call returns; the beginning of an incomplete
    /// one is kept, and no more memory is taken than bytes came. A connection that is over is
    /// left alone.
    pub fn handle_input(&mut self, id: ConnectionId, now: Time, input: &[u8]) {
        self.advance(now);
        if self.connections.is_current(id.0) {
            self.statistics.bytes_received += input.len() as u64;
            self.work = 0;
            self.take_input(id.0.slot, input);
        }
    }

    /// The peer has closed the connection, or it failed. Nothing more is sent on it.
    ///
    /// A Will Message is published unless a DISCONNECT came first [MQTT-3.1.2-8].
    pub fn handle_eof(&mut self, id: ConnectionId, now: Time) {
        self.advance(now);
        if self.connections.is_current(id.0) {
            self.lose(id.0.slot);
        }
    }

    fn take_input(&mut self, slot: u32, mut input: &[u8]) {
        while !input.is_empty() {
            let Some(connection) = self.connections.get_mut(slot) else { return };
            if connection.is_closing() {
                return;
            }
            if connection.paused.any() {
                connection.tail.get_or_insert_default().bytes.extend_from_slice(input);
                return;
            }
            let Some(tail) = &mut connection.tail else {
                let (used, needs) = self.process(slot, input, None);
                let rest = input.get(used..).unwrap_or_default();
                self.keep_tail(slot, rest, needs);
                return;
            };
            // A packet began in earlier input: only its own bytes are copied behind it.
            let missing = tail.needs.saturating_sub(tail.bytes.len()).max(1);
            let (own, rest) = input.split_at(missing.min(input.len()));
            if tail.bytes.len() >= tail.needs / 2 {
                // At least half of the packet is here: the rest may be reserved for.
                tail.bytes.reserve_exact(missing);
            }
            tail.bytes.extend_from_slice(own);
            input = rest;
            if tail.bytes.len() >= tail.needs {
                self.process_tail(slot);
            }
        }
    }

    /// Handles what waits in the tail, as far as it goes.
    pub(super) fn process_tail(&mut self, slot: u32) {
        let Some(mut tail) = self.connections.get_mut(slot).and_then(|c| c.tail.take()) else {
            return;
        };
        if tail.bytes.len() >= OWN_BUFFER_FROM {
            let bytes = Bytes::from(tail.bytes);
            let (used, needs) = self.process(slot, &bytes, Some(&bytes));
            let rest = bytes.get(used..).unwrap_or_default();
            self.keep_tail(slot, rest, needs);
            return;
        }
        let (used, needs) = self.process(slot, &tail.bytes, None);
        if used < tail.bytes.len()
            && let Some(connection) = self.connections.get_mut(slot)
        {
            tail.bytes.drain(..used);
            tail.needs = needs;
            connection.tail = Some(tail);
        }
    }

    fn keep_tail(&mut self, slot: u32, rest: &[u8], needs: usize) {
        if let Some(connection) = self.connections.get_mut(slot)
            && !rest.is_empty()
        {
            let tail = connection.tail.get_or_insert_default();
            tail.bytes.extend_from_slice(rest);
            tail.needs = needs;
        }
    }

    /// Handles every complete packet of `input`. Returns how many bytes were used, and how many
    /// the rest needs to be a packet.
    ///
    /// `shared` is the owner of `input`, if large payloads may be shared with it.
    fn process(&mut self, slot: u32, input: &[u8], shared: Option<&Bytes>) -> (usize, usize) {
        let now = self.now;
        let mut used = 0;
        loop {
            let rest = input.get(used..).unwrap_or_default();
            let (Some(connection), Some(&first)) = (self.connections.get_mut(slot), rest.first())
            else {
                return (input.len(), 0);
            };
            if connection.paused.any() {
                return (used, 0);
            }
            let is_open = match connection.phase {
                Phase::Open => true,
                Phase::Opened if first != CONNECT => {
                    // [MQTT-3.1.0-1]: nothing is said to what does not begin with a CONNECT.
                    self.close(slot, CloseCause::NotMqtt);
                    return (input.len(), 0);
                }
                // A session would add to what is not committed.
                Phase::Opened if is_behind(self.store.as_deref(), &self.config.limits) => {
                    self.pause_for_room(slot);
                    return (used, 0);
                }
                Phase::Opened | Phase::Deciding(_) | Phase::Challenged(_) => false,
                // [MQTT-3.1.4-6]: what comes behind a refused CONNECT is not looked at.
                Phase::Closing(_) => return (input.len(), 0),
            };
            let limit = if is_open {
                self.config.limits.packet_size
            } else {
                self.config.limits.connect_packet_size
            };
            match decode(rest, &Limits::new().max_packet_size(limit)) {
                Ok(Decoded::NeedMore(need)) => {
                    // A header whose length is not known yet is looked at byte by byte.
                    return (used, need.packet_len().unwrap_or(rest.len() + 1));
                }
                Ok(Decoded::Packet(packet, length)) => {
                    used += length;
                    connection.last_packet = now;
                    self.statistics.packets_received += 1;
                    self.begin_changes();
                    let handled = if is_open {
                        self.on_packet(slot, &packet, shared)
                    } else {
                        self.on_first_packet(slot, &packet)
                    };
                    if let Err(reason) = handled {
                        self.fault(slot, reason);
                    }
                    if core::mem::take(&mut self.is_pressed)
                        && let Some(connection) = self.connections.get_mut(slot)
                    {
                        connection.paused.for_backlog = true;
                        self.statistics.held_back.for_backlog += 1;
                        self.backlog.push_back(slot);
                    }
                    if self.store.is_some() {
                        self.pause_for_store(slot);
                    }
                }
                Err(error) => {
                    self.on_undecodable(slot, &error, is_open);
                    return (input.len(), 0);
                }
            }
        }
    }

    fn on_first_packet(&mut self, slot: u32, packet: &Packet<'_>) -> Handled {
        if let Packet::Connect(connect) = packet
            && self.awaits_connect(slot)
        {
            self.on_connect(slot, connect);
        } else {
            self.on_packet_while_challenged(slot, packet);
        }
        Ok(())
    }

    fn awaits_connect(&self, slot: u32) -> bool {
        self.connections.get(slot).is_some_and(|c| matches!(c.phase, Phase::Opened))
    }

    fn on_packet(&mut self, slot: u32, packet: &Packet<'_>, shared: Option<&Bytes>) -> Handled {
        match packet {
            Packet::Publish(publish) => self.on_publish(slot, publish, shared),
            Packet::PubAck(ack) => self.on_puback(slot, ack),
            Packet::PubRec(ack) => self.on_pubrec(slot, ack),
            Packet::PubRel(ack) => self.on_pubrel(slot, ack),
            Packet::PubComp(ack) => self.on_pubcomp(slot, ack),
            Packet::Subscribe(subscribe) => self.on_subscribe(slot, subscribe),
            Packet::Unsubscribe(unsubscribe) => self.on_unsubscribe(slot, unsubscribe),
            Packet::PingReq => {
                // [MQTT-3.12.4-1]
                self.answer(slot, Packet::PingResp);
                Ok(())
            }
            Packet::Disconnect(disconnect) => self.on_disconnect(slot, disconnect),
            Packet::Auth(auth) => self.on_auth(slot, auth),
            // [MQTT-3.1.0-2]: a second CONNECT, and what only a server sends.
            Packet::Connect(_)
            | Packet::ConnAck(_)
            | Packet::SubAck(_)
            | Packet::UnsubAck(_)
            | Packet::PingResp => Err(DisconnectReason::ProtocolError),
        }
    }

    /// What came is no packet [MQTT-4.13.1-1].
    fn on_undecodable(&mut self, slot: u32, error: &DecodeError, is_open: bool) {
        self.statistics.protocol_faults += 1;
        let reason = error.reason_code();
        if is_open {
            let reason = DisconnectReason::try_from(u8::from(reason))
                .unwrap_or(DisconnectReason::MalformedPacket);
            self.end(slot, reason);
            return;
        }
        if matches!(error.rule(), DecodeRule::ProtocolVersion { level: 3 | 4 }) {
            // A client of an older version understands only its own form of CONNACK.
            self.answer_bytes(slot, &[0x20, 0x02, 0x00, 0x01]);
            self.close(slot, CloseCause::Refused(ConnectReason::UnsupportedProtocolVersion));
            return;
        }
        // A fixed header that no CONNECT has is not worth an answer.
        if error.packet_type() != Some(PacketType::Connect) || error.offset() == 0 {
            self.close(slot, CloseCause::NotMqtt);
            return;
        }
        // [MQTT-3.1.4-1] [MQTT-3.1.2-1] [MQTT-3.1.2-2] [MQTT-3.1.2-3]
        let reason = ConnectReason::try_from(u8::from(reason));
        self.refuse(slot, reason.unwrap_or(ConnectReason::MalformedPacket));
    }

    /// A packet broke a rule: DISCONNECT with the reason, and the connection is closed
    /// [MQTT-4.13.1-1].
    fn fault(&mut self, slot: u32, reason: DisconnectReason) {
        self.statistics.protocol_faults += 1;
        self.end(slot, reason);
    }

    /// Queues a packet other than PUBLISH for a connection that is open.
    pub(super) fn answer(&mut self, slot: u32, packet: Packet<'_>) {
        let limit = self.config.limits.unread_answers;
        let Some(connection) = self.connections.get_mut(slot) else { return };
        if connection.is_closing() || (self.store.is_some() && self.hold_answer(slot, &packet)) {
            return;
        }
        let Some(connection) = self.connections.get_mut(slot) else { return };
        if connection.answers.capacity() == 0 {
            connection.answers = self.spare_answers.pop().unwrap_or_default();
        }
        // What does not fit the client's Maximum Packet Size is not sent [MQTT-3.1.2-24]
        // [MQTT-3.1.2-25]; the codec has left out before what may be left out. A client that waits
        // for an answer it cannot take, such as a long SUBACK, is not left waiting.
        if packet.encode(&mut connection.answers, connection.packet_size).is_err() {
            if !matches!(packet, Packet::ConnAck(_) | Packet::Disconnect(_)) {
                self.end(slot, DisconnectReason::PacketTooLarge);
            }
            return;
        }
        if connection.answers.len() > limit && !connection.paused.for_answers {
            connection.paused.for_answers = true;
            self.statistics.held_back.for_answers += 1;
        }
        self.mark_ready(slot);
    }

    /// Queues bytes that are no packet of this version.
    fn answer_bytes(&mut self, slot: u32, bytes: &[u8]) {
        if let Some(connection) = self.connections.get_mut(slot) {
            connection.answers.extend_from_slice(bytes);
            self.mark_ready(slot);
        }
    }
}

/// The first byte of a CONNECT packet.
const CONNECT: u8 = 0x10;
