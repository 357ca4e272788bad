//! From bytes to packets: framing, and who may send what when.

use bytes::Bytes;
use mqtt_codec::{
    ConnectReason, DecodeError, DecodeRule, Decoded, DisconnectReason, EncodeError, Limits, Packet,
    PacketType, PubAck, PubComp, PubRec, PubRel, decode, decode_publish,
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
        self.now = self.now.max(now);
        let Some(connection) = self.connections.current_mut(id.0) else { return };
        self.statistics.bytes_received += input.len() as u64;
        self.work = 0;
        if connection.tail.is_some() {
            self.take_behind_tail(id.0.slot, input);
            return;
        }
        // Mostly it is one whole packet.
        match self.process_first(id.0.slot, input, None) {
            Step::Over => {}
            Step::Next(rest) => self.take_packets(id.0.slot, rest),
            Step::Wait { rest, needs } => self.keep_tail(id.0.slot, rest, needs),
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

    /// Handles input that begins with a packet.
    #[inline(never)]
    fn take_packets(&mut self, slot: u32, input: &[u8]) {
        let (rest, needs) = self.process(slot, input, None);
        self.keep_tail(slot, rest, needs);
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
                self.take_packets(slot, input);
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
            let (rest, needs) = self.process(slot, &bytes, Some(&bytes));
            self.keep_tail(slot, rest, needs);
            return;
        }
        let (rest, needs) = self.process(slot, &tail.bytes, None);
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
    fn process<'a>(
        &mut self,
        slot: u32,
        mut input: &'a [u8],
        shared: Option<&Bytes>,
    ) -> (&'a [u8], usize) {
        loop {
            match self.process_next(slot, input, shared) {
                Step::Next(rest) => input = rest,
                Step::Wait { rest, needs } => return (rest, needs),
                Step::Over => return (&[], 0),
            }
        }
    }

    #[inline(never)]
    fn process_next<'a>(&mut self, slot: u32, input: &'a [u8], shared: Option<&Bytes>) -> Step<'a> {
        self.process_first(slot, input, shared)
    }

    /// Handles the packet that `input` begins with, if it is complete.
    // Inlined where input comes in; all that comes behind goes through one call more.
    #[inline(always)]
    fn process_first<'a>(
        &mut self,
        slot: u32,
        input: &'a [u8],
        shared: Option<&Bytes>,
    ) -> Step<'a> {
        let [first, ..] = input else { return Step::Over };
        let Some(mut connection) = self.connections.get_mut(slot) else { return Step::Over };
        if connection.paused.any() {
            return Step::Wait { rest: input, needs: 0 };
        }
        let is_open = matches!(connection.phase, Phase::Open);
        let session = connection.session;
        let mut limit = self.config.limits.packet_size;
        if !is_open {
            match self.judge_opening(slot, *first) {
                Opening::Read => {}
                Opening::Wait => return Step::Wait { rest: input, needs: 0 },
                Opening::Ignore => return Step::Over,
            }
            let Some(still_there) = self.connections.get_mut(slot) else { return Step::Over };
            connection = still_there;
            limit = self.config.limits.connect_packet_size;
        }
        // [MQTT5-U-3.2.2.3.6-2]
        let limits = Limits::new().max_packet_size(limit);
        // Most packets are messages.
        if is_open
            && let Some(session) = session
            && let Some((publish, length)) = decode_publish(input, &limits)
        {
            connection.last_packet = self.now;
            self.statistics.packets_received += 1;
            self.begin_changes();
            let handled = self.on_publish(slot, session, &publish, shared);
            return self.handled(slot, handled, input.get(length..));
        }
        // Looked at where it is: a packet is large enough for a move to count.
        match &decode(input, &limits) {
            Ok(Decoded::NeedMore(need)) => {
                // A header whose length is not known yet is looked at byte by byte.
                Step::Wait { rest: input, needs: need.packet_len().unwrap_or(input.len() + 1) }
            }
            Ok(Decoded::Packet(packet, length)) => {
                connection.last_packet = self.now;
                self.statistics.packets_received += 1;
                self.begin_changes();
                let handled = if is_open {
                    self.on_packet(slot, session, packet, shared)
                } else {
                    self.on_first_packet(slot, packet)
                };
                self.handled(slot, handled, input.get(*length..))
            }
            Err(error) => {
                self.on_undecodable(slot, error, is_open);
                Step::Over
            }
        }
    }

    /// A packet was handled, and `rest` comes behind it.
    #[inline(always)]
    fn handled<'a>(&mut self, slot: u32, handled: Handled, rest: Option<&'a [u8]>) -> Step<'a> {
        if let Err(reason) = handled {
            self.fault(slot, reason);
        }
        if self.is_pressed {
            self.pause_for_backlog(slot);
        }
        if self.store.is_some() {
            self.pause_for_store(slot);
        }
        match rest {
            Some(rest) if !rest.is_empty() => Step::Next(rest),
            _ => Step::Over,
        }
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

    #[inline(never)]
    fn on_packet(
        &mut self,
        slot: u32,
        session: Option<u32>,
        packet: &Packet<'_>,
        shared: Option<&Bytes>,
    ) -> Handled {
        match packet {
            Packet::Publish(publish) => match session {
                Some(session) => self.on_any_publish(slot, session, publish, shared),
                // An open connection has a session.
                None => Ok(()),
            },
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
        self.answer_with(slot, packet);
    }

    /// [`answer`](Self::answer) with a packet whose type is known. Acknowledgements come by the
    /// message: they are not worth a look at all fifteen types, nor at properties they never have.
    #[inline(always)]
    pub(super) fn answer_with<'p>(&mut self, slot: u32, packet: impl Answer<'p>) {
        if self.store.is_some() && self.hold_answer(slot, &packet.into()) {
            return;
        }
        let limit = self.config.limits.unread_answers;
        let Some(connection) = self.connections.get_mut(slot) else { return };
        if connection.is_closing() {
            return;
        }
        let Some(answers) = self.answers.of(&mut connection.answers) else { return };
        // What does not fit the client's Maximum Packet Size is not sent [MQTT-3.1.2-24]
        // [MQTT-3.1.2-25]; the codec has left out before what may be left out. A client that waits
        // for an answer it cannot take, such as a long SUBACK, is not left waiting.
        if packet.encode(answers, connection.packet_size).is_err() {
            if !matches!(packet.into(), Packet::ConnAck(_) | Packet::Disconnect(_)) {
                self.end(slot, DisconnectReason::PacketTooLarge);
            }
            return;
        }
        if answers.len() > limit && !connection.paused.for_answers {
            connection.paused.for_answers = true;
            self.statistics.held_back.for_answers += 1;
        }
        if let Some(armed) = connection.become_ready(self.now) {
            self.queue_ready(slot, armed);
        }
    }

    /// Queues bytes that are no packet of this version.
    fn answer_bytes(&mut self, slot: u32, bytes: &[u8]) {
        if let Some(connection) = self.connections.get_mut(slot)
            && let Some(answers) = self.answers.of(&mut connection.answers)
        {
            answers.extend_from_slice(bytes);
            self.mark_ready(slot);
        }
    }
}

/// A packet that a client is answered with.
pub(super) trait Answer<'a>: Copy + Into<Packet<'a>> {
    fn encode(&self, out: &mut Vec<u8>, max_packet_size: u32) -> Result<(), EncodeError>;
}

macro_rules! answers {
    ($($packet:ident),+) => {
        $(impl<'a> Answer<'a> for $packet<'a> {
            #[inline(always)]
            fn encode(&self, out: &mut Vec<u8>, max_packet_size: u32) -> Result<(), EncodeError> {
                $packet::encode(self, out, max_packet_size)
            }
        })+
    };
}
answers!(Packet, PubAck, PubComp, PubRec, PubRel);

/// How input goes on.
enum Step<'a> {
    /// A packet was handled, and this comes behind it.
    Next(&'a [u8]),
    /// This is not looked at before there are so many bytes of it.
    Wait { rest: &'a [u8], needs: usize },
    /// Nothing is left.
    Over,
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
