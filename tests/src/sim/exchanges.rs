//! Both ends of the exchanges of QoS 1 and 2, as the wire shows them. Which side is a client and
//! which is a broker makes no difference here.

use super::invariants::{self, Check};
use super::note::{Kind, Outcome, PublishNote};

/// What one side has sent and the other has not answered for good.
#[derive(Clone, Debug, Default)]
pub(super) struct Sender {
    pub(super) open: Vec<Exchange>,
    /// Identifiers of SUBSCRIBE and UNSUBSCRIBE.
    pub(super) requests: Vec<(Kind, u16)>,
    /// PUBLISHes of this connection that count towards the receiver's maximum.
    pub(super) in_flight: u16,
    /// The most that were ever open.
    pub(super) peak: usize,
    /// Counts PUBRECs.
    recorded: u32,
}

/// What has to keep its order when it is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Everything: the sender is a client [MQTT-4.6.0-1].
    All,
    /// What has the same topic and QoS: the sender is a broker [MQTT-4.6.0-6].
    Topic,
}

impl Order {
    fn concerns(self, other: &Exchange, note: &PublishNote) -> bool {
        self == Self::All || (other.topic == note.topic && other.qos == note.qos)
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange {
    pub(super) pid: u16,
    pub(super) number: u32,
    pub(super) topic: u8,
    pub(super) qos: u8,
    pub(super) is_large: bool,
    pub(super) stage: Stage,
    /// It has to be sent again on this connection.
    pub(super) again: bool,
    /// It may not be sent again after all.
    pub(super) optional: bool,
    charged: bool,
    /// The number of its PUBREC.
    recorded: u32,
}

/// In place of the number of a PUBREC: it was given up, and its PUBREL keeps to no order of PUBRECs
/// [MQTT-4.6.0-4].
const NO_PUBREC: u32 = u32::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Published,
    /// PUBREC has come.
    Recorded,
}

impl Sender {
    /// Another connection carries the session.
    pub(super) fn resume(&mut self) {
        self.in_flight = 0;
        self.requests.clear();
        for exchange in &mut self.open {
            exchange.again = true;
            exchange.charged = false;
        }
    }

    /// The session is over.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn find(&mut self, pid: u16) -> Option<&mut Exchange> {
        self.open.iter_mut().find(|exchange| exchange.pid == pid)
    }

    /// What may not have been sent again was not, once something new is sent.
    pub(super) fn forget_given_up(&mut self) {
        self.open.retain(|other| !(other.again && other.optional));
    }

    /// The same for one identifier.
    pub(super) fn forget_given_up_of(&mut self, pid: u16) {
        self.open.retain(|other| !(other.pid == pid && other.again && other.optional));
    }

    fn is_owed(exchange: &Exchange) -> bool {
        exchange.again && !exchange.optional
    }

    /// A PUBLISH leaves for the first time.
    pub(super) fn published(&mut self, note: &PublishNote, maximum: u16, order: Order) -> Check {
        if note.qos == 0 {
            return Ok(());
        }
        // All that was owed again has left, or was given up.
        let owed = self.open.iter().filter(|other| Self::is_owed(other));
        invariants::i3_order(owed.filter(|other| order.concerns(other, note)), note)?;
        self.forget_given_up();
        invariants::i4_identifiers(&self.open, &self.requests, note.pid, usize::MAX)?;
        self.adopt(note, maximum)
    }

    /// A PUBLISH leaves whose exchange the wire has not shown before.
    pub(super) fn adopt(&mut self, note: &PublishNote, maximum: u16) -> Check {
        self.in_flight += 1;
        invariants::i5_quota(self.in_flight, maximum)?;
        self.open.push(Exchange {
            pid: note.pid,
            number: note.number,
            topic: note.topic,
            qos: note.qos,
            is_large: note.is_large,
            stage: Stage::Published,
            again: false,
            optional: false,
            charged: true,
            recorded: 0,
        });
        self.peak = self.peak.max(self.open.len() + self.requests.len());
        Ok(())
    }

    /// A PUBLISH leaves again. False if nothing like it is owed.
    pub(super) fn published_again(
        &mut self,
        note: &PublishNote,
        maximum: u16,
        order: Order,
    ) -> Result<bool, invariants::Fault> {
        let is_it = |other: &Exchange| {
            other.pid == note.pid
                && other.number == note.number
                && other.qos == note.qos
                && other.topic == note.topic
                && other.again
                && other.stage == Stage::Published
        };
        let Some(at) = self.open.iter().position(is_it) else { return Ok(false) };
        let ahead = self.open[..at].iter().filter(|other| Self::is_owed(other));
        let ahead = ahead.filter(|other| other.stage == Stage::Published);
        invariants::i3_order(ahead.filter(|other| order.concerns(other, note)), note)?;
        self.in_flight += 1;
        invariants::i5_quota(self.in_flight, maximum)?;
        let exchange = &mut self.open[at];
        exchange.again = false;
        exchange.optional = false;
        exchange.charged = true;
        Ok(true)
    }

    /// A PUBREL leaves that no PUBREC of this connection asked for. False if it is not owed.
    pub(super) fn released_again(&mut self, pid: u16) -> Result<bool, invariants::Fault> {
        let is_recorded = |other: &&Exchange| other.stage == Stage::Recorded && other.again;
        let Some(mine) = self.open.iter().filter(is_recorded).find(|other| other.pid == pid) else {
            return Ok(false);
        };
        let order = mine.recorded;
        let ahead = self.open.iter().filter(is_recorded);
        let ahead = ahead.filter(|other| order != NO_PUBREC && other.recorded < order);
        invariants::i3_order(ahead, &pid)?;
        if let Some(exchange) = self.find(pid) {
            exchange.again = false;
        }
        Ok(true)
    }

    /// A PUBREL leaves in place of a PUBLISH that may not be sent again. False if there is none.
    pub(super) fn given_up(&mut self, pid: u16) -> bool {
        let Some(exchange) = self.find(pid) else { return false };
        let is_given_up = exchange.again
            && exchange.optional
            && (exchange.qos, exchange.stage) == (2, Stage::Published);
        if is_given_up {
            exchange.stage = Stage::Recorded;
            exchange.again = false;
            exchange.optional = false;
            exchange.recorded = NO_PUBREC;
        }
        is_given_up
    }

    /// The same for a PUBLISH that had its identifier and never left.
    pub(super) fn given_up_unsent(&mut self, pid: u16) {
        self.open.push(Exchange {
            pid,
            number: 0,
            topic: 0,
            qos: 2,
            is_large: false,
            stage: Stage::Recorded,
            again: false,
            optional: false,
            charged: false,
            recorded: NO_PUBREC,
        });
    }

    /// An answer to a PUBLISH has come to its sender. Returns the exchange that it ended.
    pub(super) fn answered(&mut self, kind: Kind, pid: u16, outcome: Outcome) -> Option<Exchange> {
        let at = self.open.iter().position(|exchange| exchange.pid == pid)?;
        let exchange = &mut self.open[at];
        let ends = match (kind, exchange.qos, exchange.stage) {
            (Kind::PubAck, 1, _) | (Kind::PubComp, 2, Stage::Recorded) => true,
            (Kind::PubRec, 2, Stage::Published) => {
                if outcome == Outcome::Fine {
                    exchange.stage = Stage::Recorded;
                    exchange.again = false;
                    exchange.recorded = self.recorded;
                    self.recorded += 1;
                }
                outcome == Outcome::Error
            }
            _ => false,
        };
        if !ends {
            return None;
        }
        self.in_flight -= u16::from(exchange.charged);
        Some(self.open.remove(at))
    }
}

/// The QoS 2 identifiers that one side of a session has got and whose PUBREL has not come.
#[derive(Clone, Debug, Default)]
pub(super) struct Receiver {
    awaiting: Vec<u16>,
}

impl Receiver {
    /// Whether the PUBREL of an identifier is awaited.
    pub(super) fn awaits(&self, pid: u16) -> bool {
        self.awaiting.contains(&pid)
    }

    /// How many PUBRELs are awaited.
    pub(super) fn awaited(&self) -> usize {
        self.awaiting.len()
    }

    /// A PUBLISH came. Returns whether it is a message that has not come before.
    pub(super) fn published(&mut self, note: &PublishNote) -> bool {
        if note.qos < 2 {
            return true;
        }
        let is_new = !self.awaits(note.pid);
        if is_new {
            self.awaiting.push(note.pid);
        }
        is_new
    }

    /// A PUBREL came, or the PUBLISH was refused.
    pub(super) fn released(&mut self, pid: u16) {
        self.awaiting.retain(|other| *other != pid);
    }

    pub(super) fn clear(&mut self) {
        self.awaiting.clear();
    }
}

/// The answers that one side of a connection owes, in the order in which they were asked for.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// With the number of the message that a PUBACK or PUBREC is for.
    answers: Vec<(Kind, u16, u32)>,
    pub(super) pings: u32,
}

impl Due {
    pub(super) fn clear(&mut self) {
        self.answers.clear();
        self.pings = 0;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.answers.is_empty() && self.pings == 0
    }

    pub(super) fn push(&mut self, kind: Kind, pid: u16) {
        self.answers.push((kind, pid, 0));
    }

    /// The acknowledgement of a PUBLISH, if it wants one.
    pub(super) fn push_for(&mut self, note: &PublishNote) {
        match note.qos {
            0 => {}
            1 => self.answers.push((Kind::PubAck, note.pid, note.number)),
            _ => self.answers.push((Kind::PubRec, note.pid, note.number)),
        }
    }

    /// The message that the next answer of this kind is for.
    pub(super) fn message_of(&self, kind: Kind, pid: u16) -> Option<u32> {
        let is_it = |other: &&(Kind, u16, u32)| (other.0, other.1) == (kind, pid);
        self.answers.iter().find(is_it).map(|answer| answer.2)
    }

    /// An answer leaves. False if nobody asked for it.
    pub(super) fn answer(&mut self, kind: Kind, pid: u16) -> Result<bool, invariants::Fault> {
        let is_it = |other: &(Kind, u16, u32)| (other.0, other.1) == (kind, pid);
        let Some(at) = self.answers.iter().position(is_it) else { return Ok(false) };
        let ahead = self.answers[..at].iter().filter(|other| other.0 == kind);
        invariants::i3_order(ahead, &(kind, pid))?;
        self.answers.remove(at);
        Ok(true)
    }
}
