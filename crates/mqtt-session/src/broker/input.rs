//! From bytes to packets: framing, and who may send what when.

use bytes::Bytes;
use mqtt_codec::{
    ConnectReason, DecodeError, DecodeRule, Decoded, DisconnectReason, EncodeError, Limits, Packet,
    PacketType, decode,
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
        let Some(connection) = self.connections.current_mut(id.0) else { return };
        self.statistics.bytes_received += input.len() as u64;
        self.work = 0;
        if connection.tail.is_none() {
            let (rest, needs) = self.process(id.0.slot, input, None);
            if !rest.is_empty() {
                self.keep_tail(id.0.slot, rest, needs);
            }
        } else {
            self.take_behind_tail(id.0.slot, input);
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

    /// Handles input behind the beginning of a packet, or behind input that waits.
    #[inline(never)]
    fn take_behind_tail(&mut self, slot: u32, mut input: &[u8]) {
        while !input.is_empty() {
            let Some(connection) = self.connections.get_mut(slot) else { return };
            if connection.is_closing() {
                return;
            }
            let is_paused = connection.paused.any();
            let Some(tail) = &mut connection.tail else {
                let (rest, needs) = self.process_apart(slot, input, None);
                self.keep_tail(slot, rest, needs);
                return;
            };
            if is_paused {
                tail.bytes.extend_from_slice(input);
                return;
            }
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
            let (rest, needs) = self.process_apart(slot, &bytes, Some(&bytes));
            self.keep_tail(slot, rest, needs);
            return;
        }
        let (rest, needs) = self.process_apart(slot, &tail.bytes, None);
        let used = tail.bytes.len() - rest.len();
        if !rest.is_empty()
            && let Some(connection) = self.connections.get_mut(slot)
        {
            tail.bytes.drain(..used);
            tail.needs = needs;
            connection.tail = Some(tail);
        }
    }

    #[inline(never)]
    fn keep_tail(&mut self, slot: u32, rest: &[u8], needs: usize) {
        if !rest.is_empty()
            && let Some(connection) = self.connections.get_mut(slot)
        {
            let tail = connection.tail.get_or_insert_default();
            tail.bytes.extend_from_slice(rest);
            tail.needs = needs;
        }
    }

    /// Handles every complete packet of `input`. Returns the rest, and how many bytes it needs to
    /// be a packet. A connection that is paused leaves everything, one that is closing nothing.
    ///
    /// `shared` is the owner of `input`, if large payloads may be shared with it.
    // Inlined where input mostly comes in, whole packets.
    #[inline(always)]
    fn process<'a>(
        &mut self,
        slot: u32,
        input: &'a [u8],
        shared: Option<&Bytes>,
    ) -> (&'a [u8], usize) {
        let mut rest = input;
        while let [first, ..] = rest {
            let Some(mut connection) = self.connections.get_mut(slot) else { break };
            if connection.paused.any() {
                return (rest, 0);
            }
            let is_open = matches!(connection.phase, Phase::Open);
            let mut limit = self.config.limits.packet_size;
            if !is_open {
                match self.judge_opening(slot, *first) {
                    Opening::Read => {}
                    Opening::Wait => return (rest, 0),
                    Opening::Ignore => break,
                }
                let Some(still_there) = self.connections.get_mut(slot) else { break };
                connection = still_there;
                limit = self.config.limits.connect_packet_size;
            }
            // [MQTT5-U-3.2.2.3.6-2]. Looked at where it is: a packet is large enough for a move to
            // count.
            match &decode(rest, &Limits::new().max_packet_size(limit)) {
                Ok(Decoded::NeedMore(need)) => {
                    // A header whose length is not known yet is looked at byte by byte.
                    return (rest, need.packet_len().unwrap_or(rest.len() + 1));
                }
                Ok(Decoded::Packet(packet, length)) => {
                    rest = rest.get(*length..).unwrap_or_default();
                    connection.last_packet = self.now;
                    self.statistics.packets_received += 1;
                    self.begin_changes();
                    let handled = if is_open {
                        self.on_packet(slot, packet, shared)
                    } else {
                        self.on_first_packet(slot, packet)
                    };
                    if let Err(reason) = handled {
                        self.fault(slot, reason);
                    }
                    if self.is_pressed {
                        self.pause_for_backlog(slot);
                    }
                    if self.store.is_some() {
                        self.pause_for_store(slot);
                    }
                }
                Err(error) => {
                    self.on_undecodable(slot, error, is_open);
                    break;
                }
            }
        }
        (&[], 0)
    }

    #[inline(never)]
    fn process_apart<'a>(
        &mut self,
        slot: u32,
        input: &'a [u8],
        shared: Option<&Bytes>,
    ) -> (&'a [u8], usize) {
        self.process(slot, input, shared)
    }

    /// What a packet brought about has to be sent before the next one is handled.
    #[inline(never)]
    fn pause_for_backlog(&mut self, slot: u32) {
        self.is_pressed = false;
        if let Some(connection) = self.connections.get_mut(slot) {
            connection.paused.for_backlog = true;
            self.statistics.held_back.for_backlog += 1;
            self.backlog.push_back(slot);
        }
    }

    /// What is done with a packet that begins with this byte on a connection that is not open.
    #[cold]
    fn judge_opening(&mut self, slot: u32, first: u8) -> Opening {
        match self.connections.get(slot).map(|connection| &connection.phase) {
            Some(Phase::Opened) if first != CONNECT => {
                // [MQTT-3.1.0-1]: nothing is said to what does not begin with a CONNECT.
                self.close(slot, CloseCause::NotMqtt);
                Opening::Ignore
            }
            // A session would add to what is not committed.
            Some(Phase::Opened) if is_behind(self.store.as_deref(), &self.config.limits) => {
                self.pause_for_room(slot);
                Opening::Wait
            }
            // [MQTT-3.1.4-6]: what comes behind a refused CONNECT is not looked at.
            Some(Phase::Closing(_)) | None => Opening::Ignore,
            Some(Phase::Opened | Phase::Deciding(_) | Phase::Challenged(_) | Phase::Open) => {
                Opening::Read
            }
        }
    }

    #[cold]
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

    #[inline(always)]
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
    #[cold]
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
    #[cold]
    fn fault(&mut self, slot: u32, reason: DisconnectReason) {
        self.statistics.protocol_faults += 1;
        self.end(slot, reason);
    }

    /// Queues a packet other than PUBLISH for a connection that is open.
    pub(super) fn answer(&mut self, slot: u32, packet: Packet<'_>) {
        self.answer_with(slot, packet, Packet::encode);
    }

    /// [`answer`](Self::answer) with a packet whose type is known. Acknowledgements come by the
    /// message: they are not worth a look at all fifteen types, nor at properties they never have.
    #[inline(always)]
    pub(super) fn answer_with<'p, P: Copy + Into<Packet<'p>>>(
        &mut self,
        slot: u32,
        packet: P,
        encode: impl FnOnce(&P, &mut Vec<u8>, u32) -> Result<(), EncodeError>,
    ) {
        if self.store.is_some() && self.hold_answer(slot, &packet.into()) {
            return;
        }
        let limit = self.config.limits.unread_answers;
        let Some(connection) = self.connections.get_mut(slot) else { return };
        if connection.is_closing() {
            return;
        }
        if connection.answers.capacity() == 0 {
            connection.answers = self.spare_answers.pop().unwrap_or_default();
        }
        // What does not fit the client's Maximum Packet Size is not sent [MQTT-3.1.2-24]
        // [MQTT-3.1.2-25]; the codec has left out before what may be left out. A client that waits
        // for an answer it cannot take, such as a long SUBACK, is not left waiting.
        if encode(&packet, &mut connection.answers, connection.packet_size).is_err() {
            if !matches!(packet.into(), Packet::ConnAck(_) | Packet::Disconnect(_)) {
                self.end(slot, DisconnectReason::PacketTooLarge);
            }
            return;
        }
        if connection.answers.len() > limit && !connection.paused.for_answers {
            connection.paused.for_answers = true;
            self.statistics.held_back.for_answers += 1;
        }
        if let Some(armed) = connection.become_ready(self.now) {
            self.queue_ready(slot, armed);
        }
    }

    /// Queues bytes that are no packet of this version.
    fn answer_bytes(&mut self, slot: u32, bytes: &[u8]) {
        if let Some(connection) = self.connections.get_mut(slot) {
            connection.answers.extend_from_slice(bytes);
            self.mark_ready(slot);
        }
    }
}

/// What is done with input of a connection that is not open.
enum Opening {
    /// It is read, to the size that a CONNECT may have.
    Read,
    /// It waits.
    Wait,
    /// It is never looked at.
    Ignore,
}

/// The first byte of a CONNECT packet.
const CONNECT: u8 = 0x10;
