//! What was sent, what came, and what that adds up to.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Instant;

/// How a message was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The broker has acknowledged it.
    Acknowledged,
    /// The broker had lost the session when the client came back, so nobody knows.
    SessionLost,
}

/// The messages of one QoS, by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) published: u64,
    /// When each was published.
    pub(crate) begun: BTreeMap<u64, Instant>,
    pub(crate) fates: BTreeMap<u64, (Fate, Instant)>,
    /// What came, in order, and when.
    pub(crate) came: Vec<(u64, Instant)>,
}

/// What a ledger adds up to.
#[derive(Debug, Default)]
pub(crate) struct Sum {
    published: u64,
    acknowledged: u64,
    /// Acknowledged and never delivered, though the broker lived.
    lost: u64,
    /// Under way, or acknowledged just before, when the broker was killed, and never delivered.
    lost_by_broker: u64,
    /// Neither acknowledged nor given up.
    unanswered: u64,
    /// Acknowledged and never delivered, when the broker came back without the subscriber's session.
    lost_with_session: u64,
    /// Of unknown fate, since the broker came back without the session.
    session_lost: u64,
    /// Delivered more than once, though the broker lived.
    twice: u64,
    /// Delivered before the broker was killed and once more by what it read from its file.
    twice_by_broker: u64,
    /// First deliveries behind one with a higher number, though the broker lived.
    out_of_order: u64,
    /// The same, because the broker went back to an older state.
    out_of_order_by_broker: u64,
}

/// Longer than a broker needs to write its state after a change.
const UNSAVED: std::time::Duration = std::time::Duration::from_secs(3);

/// The longest time that messages wait for a subscriber that cannot be reached, and that it takes to
/// come back.
const QUEUED: std::time::Duration = std::time::Duration::from_secs(12);

impl Ledger {
    /// `kills` tells when the broker was killed, and `renewals` when the subscriber found that it had
    /// lost its session.
    pub(crate) fn sum(&self, kills: &[Instant], renewals: &[Instant]) -> Sum {
        let mut sum = Sum { published: self.published, ..Sum::default() };
        let mut first: BTreeMap<u64, Instant> = BTreeMap::new();
        let mut highest: Option<(u64, Instant)> = None;
        let killed_between =
            |from: Instant, to: Instant| kills.iter().any(|kill| (from..=to).contains(kill));
        for (number, at) in &self.came {
            if let Some(before) = first.get(number) {
                if killed_between(*before, *at) {
                    sum.twice_by_broker += 1;
                } else {
                    sum.twice += 1;
                }
                continue;
            }
            first.insert(*number, *at);
            match highest {
                Some((higher, before)) if higher > *number => {
                    if killed_between(before.checked_sub(UNSAVED).unwrap_or(before), *at) {
                        sum.out_of_order_by_broker += 1;
                    } else {
                        sum.out_of_order += 1;
                    }
                }
                _ => highest = Some((*number, *at)),
            }
        }
        for number in 0..self.published {
            match self.fates.get(&number) {
                Some((Fate::Acknowledged, at)) => {
                    sum.acknowledged += 1;
                    if first.contains_key(&number) {
                        continue;
                    }
                    let found_lost =
                        |renewal: &Instant| *renewal + UNSAVED >= *at && *at + QUEUED >= *renewal;
                    if renewals.iter().any(found_lost) {
                        sum.lost_with_session += 1;
                    } else if killed_between(*self.begun.get(&number).unwrap_or(at), *at + UNSAVED)
                    {
                        sum.lost_by_broker += 1;
                    } else {
                        sum.lost += 1;
                    }
                }
                Some((Fate::SessionLost, _)) => sum.session_lost += 1,
                None => sum.unanswered += 1,
            }
        }
        sum
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "published: {}  acknowledged: {}  unanswered: {}  lost: {}  twice: {}  out of order: {}",
            self.published,
            self.acknowledged,
            self.unanswered,
            self.lost,
            self.twice,
            self.out_of_order
        )?;
        let broken = [
            ("acknowledged by the broker and lost with it", self.lost_by_broker),
            ("acknowledged while it had lost the subscriber's session", self.lost_with_session),
            ("delivered again from its older state", self.twice_by_broker),
            ("out of order from its older state", self.out_of_order_by_broker),
            ("of unknown fate, since it lost the session", self.session_lost),
        ];
        for (what, count) in broken.iter().filter(|(_, count)| *count > 0) {
            write!(f, "\n    {what}: {count}")?;
        }
        Ok(())
    }
}

/// Everything that is told of one broker.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) broker: &'static str,
    pub(crate) kills: usize,
    /// How often each fault was made, by name.
    pub(crate) faults: BTreeMap<&'static str, u64>,
    pub(crate) connections: u64,
    pub(crate) qos1: Sum,
    pub(crate) qos2: Sum,
    /// Whether a message still came by each subscription at the end.
    pub(crate) is_subscribed: bool,
    /// Messages that the publisher still held, and places that were not free again.
    pub(crate) left: usize,
    pub(crate) seconds_to_settle: f64,
}

impl Account {
    pub(crate) fn violations(&self) -> u64 {
        let (qos1, qos2) = (&self.qos1, &self.qos2);
        let none_lost = [qos1, qos2].iter().map(|sum| sum.lost + sum.unanswered).sum::<u64>();
        let in_order = qos1.out_of_order + qos2.out_of_order;
        // A session that is lost although nobody was killed is the broker's fault or ours.
        let of_sessions = |sum: &Sum| sum.session_lost + sum.lost_with_session;
        let kept = if self.kills == 0 { of_sessions(qos1) + of_sessions(qos2) } else { 0 };
        none_lost + in_order + kept + qos2.twice + self.left as u64 + u64::from(!self.is_subscribed)
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  killed: {}", self.broker, self.kills)?;
        for (name, count) in &self.faults {
            write!(f, "  {name}: {count}")?;
        }
        writeln!(f, "  connections: {}", self.connections)?;
        writeln!(f, "  QoS 1  {}", self.qos1)?;
        writeln!(f, "  QoS 2  {}", self.qos2)?;
        writeln!(
            f,
            "  subscriptions alive: {}  places left taken: {}  settled after {:.1} s",
            self.is_subscribed, self.left, self.seconds_to_settle
        )
    }
}
