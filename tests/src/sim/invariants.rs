//! What must hold in every world at every moment, or whenever a world is at rest: one function for
//! each of the fourteen invariants.
//!
//! The functions are given what the simulator has seen and what the model says, and compare. They
//! know no machine. [`Invariant`] says in words what each one means.

use std::fmt;

use mqtt_session::{Gauges, Time};

use super::exchanges::{Exchange, Sender};
use super::groups::Shared;
use super::model::{Model, Session, seconds_left};
use super::note::{EMPTY, Kind, PublishNote};
use super::owed::Copy;

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// Whatever a publisher was told is taken reaches each subscriber at QoS 1 or 2 at least once,
    /// unless it was dropped and counted.
    I1,
    /// A message of QoS 2 comes to an application once.
    I2,
    /// Messages of one publisher, topic and QoS come in their order; what is sent again and what
    /// is answered keeps the order of the first time.
    I3,
    /// A packet identifier has one use at a time, and becomes free again.
    I4,
    /// No more messages are under way than the receiver takes, and as many as it takes if there
    /// are so many.
    I5,
    /// Memory is bounded, and nothing is held for what is over.
    I6,
    /// Session Present is true when it says so, and a session has the subscriptions that were
    /// granted.
    I7,
    /// A will is published once or not at all, and at its time.
    I8,
    /// The retained message of a topic is the last one, and nothing expired is delivered.
    I9,
    /// One member of a group gets a message.
    I10,
    /// Whatever can be done is done: no wake-up is lost, nothing waits for nothing.
    I11,
    /// Every packet is one that its receiver has to take, and neither side blames the other.
    I12,
    /// Nobody gets a message of a topic that he may not read when it is sent.
    I13,
    /// After a crash the broker is as it was when what was committed last was made, and a client as
    /// it was when its session was saved.
    I14,
}

/// All of them.
pub const ALL: [Invariant; 14] = {
    use Invariant::*;
    [I1, I2, I3, I4, I5, I6, I7, I8, I9, I10, I11, I12, I13, I14]
};

/// An invariant that does not hold, with what was found.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Which.
    pub invariant: Invariant,
    /// What was found, and where.
    pub what: String,
}

impl Fault {
    #[cold]
    #[inline(never)]
    pub(super) fn new(invariant: Invariant, what: impl FnOnce() -> String) -> Self {
        Self { invariant, what: what() }
    }

    /// The same, and where it was found.
    #[cold]
    pub(super) fn at(mut self, place: impl fmt::Display) -> Self {
        self.what = format!("{place}: {}", self.what);
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.invariant, self.what)
    }
}

/// Whether an invariant holds.
pub(super) type Check = Result<(), Fault>;

fn require(holds: bool, invariant: Invariant, what: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(Fault::new(invariant, what)) }
}

/// At rest, with everybody connected, nothing is left that a session is owed.
pub(super) fn i1_at_least_once(session: &Session, now: Time) -> Check {
    let lost = session.owed.iter().find(|copy| !copy.may_be_missing(session, now));
    require(lost.is_none(), Invariant::I1, || format!("never delivered: {lost:?}"))
}

/// A QoS 2 message that an application gets has not come to it before. `seen` has a bit for each.
pub(super) fn i2_exactly_once(seen: &mut Vec<u64>, number: u32) -> Check {
    let (word, bit) = (number as usize / 64, 1 << (number % 64));
    if seen.len() <= word {
        seen.resize(word + 1, 0);
    }
    let is_new = seen[word] & bit == 0;
    seen[word] |= bit;
    require(is_new, Invariant::I2, || format!("message {number} was delivered twice at QoS 2"))
}

/// Nothing that has to go first is still there when something is sent.
pub(super) fn i3_order<T: fmt::Debug>(
    mut ahead: impl Iterator<Item = T>,
    sent: &impl fmt::Debug,
) -> Check {
    let first = ahead.next();
    require(first.is_none(), Invariant::I3, || format!("{sent:?} was sent before {first:?}"))
}

/// A packet identifier that is taken is free, and not above what has ever been needed at once.
pub(super) fn i4_identifiers(
    open: &[Exchange],
    requests: &[(Kind, u16)],
    pid: u16,
    peak: usize,
) -> Check {
    let is_used = open.iter().any(|exchange| exchange.pid == pid)
        || requests.iter().any(|request| request.1 == pid);
    require(!is_used, Invariant::I4, || format!("identifier {pid} is in use: {open:?}"))?;
    require(usize::from(pid) <= peak, Invariant::I4, || {
        format!("identifier {pid} is taken though no more than {peak} were ever needed")
    })
}

/// An identifier is taken for something new only when its receiver has forgotten the old.
pub(super) fn i4_released(is_released: bool, note: &PublishNote) -> Check {
    require(is_released, Invariant::I4, || {
        format!("{note:?} is new, and its receiver still holds the identifier for another")
    })
}

/// No more is under way than the receiver takes.
pub(super) fn i5_quota(in_flight: u16, maximum: u16) -> Check {
    require(in_flight <= maximum, Invariant::I5, || {
        format!("{in_flight} messages are under way to a receiver of {maximum}")
    })
}

/// The broker holds no more messages than the world has use for.
pub(super) fn i6_memory(gauges: &Gauges, messages: usize, bytes: usize) -> Check {
    require(gauges.messages <= messages, Invariant::I6, || {
        format!("{} messages are held, of which {messages} are of use", gauges.messages)
    })?;
    require(gauges.message_bytes <= bytes, Invariant::I6, || {
        format!("{} bytes of messages are held, and {bytes} are enough", gauges.message_bytes)
    })
}

/// What the broker says and holds of sessions is what the model has.
pub(super) fn i7_sessions<T: PartialEq + fmt::Debug>(broker: T, model: T) -> Check {
    require(broker == model, Invariant::I7, || {
        format!("the broker has sessions {broker:?}, and should have {model:?}")
    })
}

/// As many wills were published as should have been.
pub(super) fn i8_wills(published: u64, model: u64) -> Check {
    require(published == model, Invariant::I8, || {
        format!("{published} wills were published, and should have been {model}")
    })
}

/// The broker retains as many messages as it should.
pub(super) fn i9_retained(held: usize, model: usize) -> Check {
    require(held == model, Invariant::I9, || {
        format!("{held} messages are retained, and should be {model}")
    })
}

/// A message that is sent has not expired, and tells what is left of its time.
pub(super) fn i9_expiry(note: &PublishNote, expires_at: Option<Time>, now: Time) -> Check {
    let left = expires_at.map(|at| seconds_left(at, now));
    let is_over = expires_at.is_some_and(|at| at <= now) && !note.dup;
    require(!is_over && note.expiry == left, Invariant::I9, || {
        format!("{note:?} is sent with {left:?} seconds left")
    })
}

/// At rest each message to a group has come to a member, or its member is gone.
pub(super) fn i10_one_member(lost: Option<Shared>) -> Check {
    require(lost.is_none(), Invariant::I10, || format!("no member of the group got {lost:?}"))
}

/// Nothing waits that could be sent: `room` says whether the receiver takes another message.
pub(super) fn i11_nothing_waits(session: &Session, room: bool, now: Time) -> Check {
    let free = session.free_of_quota();
    let waits = |(at, copy): &(usize, &Copy)| {
        !copy.may_be_missing(session, now) && (room || (!copy.needs_room() && *at < free))
    };
    let waiting = session.owed.iter().enumerate().find(waits);
    require(waiting.is_none(), Invariant::I11, || {
        format!("{waiting:?} waits though it could be sent")
    })?;
    let again = |other: &&Exchange| other.again && !other.optional && room;
    let waiting = session.sender.open.iter().find(again);
    require(waiting.is_none(), Invariant::I11, || {
        format!("{waiting:?} waits though it could be sent again")
    })
}

/// Something that is not to happen on a wire between two good machines.
pub(super) fn i12_wire(is_fine: bool, what: impl FnOnce() -> String) -> Check {
    require(is_fine, Invariant::I12, what)
}

/// The reader has the right to read.
pub(super) fn i13_rights(denied: u8, note: &PublishNote) -> Check {
    require(denied >> note.topic & 1 == 0, Invariant::I13, || {
        format!("{note:?} goes to somebody who may not read it")
    })
}

/// What a restart finds is what was committed.
pub(super) fn i14_durable<T: PartialEq + fmt::Debug>(found: T, committed: T) -> Check {
    require(found == committed, Invariant::I14, || {
        format!("a restart finds {found:?}, and {committed:?} was committed")
    })
}

/// At rest no exchange is open, on whichever side.
pub(super) fn i4_at_rest(sender: &Sender) -> Check {
    require(sender.open.is_empty() && sender.requests.is_empty(), Invariant::I4, || {
        format!("identifiers are in use at rest: {sender:?}")
    })?;
    require(sender.in_flight == 0, Invariant::I5, || {
        format!("{} messages count as under way at rest", sender.in_flight)
    })
}

/// A message was sent that nobody is owed: which invariant forbids it?
pub(super) fn unexpected(model: &Model, to: usize, note: &PublishNote) -> Fault {
    let invariant = if model.was_shared(note.number) {
        Invariant::I10
    } else if super::note::is_will(note.number) {
        Invariant::I8
    } else if note.retain || note.number == EMPTY {
        Invariant::I9
    } else if note.qos == 2 {
        Invariant::I2
    } else {
        Invariant::I7
    };
    Fault::new(invariant, || {
        let owed = model.sessions[to].as_ref().map(|session| &session.owed);
        format!("{note:?} goes to a client that is owed {owed:?}")
    })
}
