//! Whether the simulator finds faults that were made on purpose.

use mqtt_session::Sabotage;

use super::exhaustive::{self, Share};
use super::invariants::Invariant;
use super::swarm::run;
use super::totals::Totals;

/// How a sabotage was found.
#[derive(Clone, Copy, Debug)]
pub struct Finding {
    /// The fault.
    pub sabotage: Sabotage,
    /// The invariant that it breaks.
    pub expected: Invariant,
    /// The first schedule, from 1, that broke any invariant.
    pub first: Option<u64>,
    /// The first schedule that broke the one that was expected.
    pub found: Option<u64>,
}

/// Runs schedules with one fault after the other, each until the invariant is broken that it is
/// made for, or `most` have been run.
pub fn find_all(most: u64) -> impl Iterator<Item = Finding> {
    Sabotage::ALL.iter().map(move |&sabotage| {
        let expected = expected(sabotage);
        let mut first = None;
        Sabotage::switch(Some(sabotage));
        let found = (1..=most).find(|&schedule| match run(schedule) {
            Ok(_) => false,
            Err(failure) => {
                first = first.or(Some(schedule));
                failure.fault.invariant == expected
            }
        });
        Sabotage::switch(None);
        Finding { sabotage, expected, first, found }
    })
}

/// Runs a share of the exhaustive set with one fault after the other. Returns the sums of each part.
pub fn find_in_parts(
    share: Share,
) -> impl Iterator<Item = (Sabotage, Vec<(&'static str, Totals)>)> {
    Sabotage::ALL.iter().map(move |&sabotage| {
        let mut parts = Vec::new();
        Sabotage::switch(Some(sabotage));
        exhaustive::run(share, |_, _| {}, |part, totals| parts.push((part, *totals)));
        Sabotage::switch(None);
        (sabotage, parts)
    })
}

/// The invariant that a sabotage breaks.
fn expected(sabotage: Sabotage) -> Invariant {
    match sabotage {
        Sabotage::OverflowNotCounted | Sabotage::QueueShorter => Invariant::I1,
        Sabotage::DuplicateIsNew | Sabotage::ReceivedForgotten | Sabotage::ReceivedNotSaved => {
            Invariant::I2
        }
        Sabotage::QueueSwapped | Sabotage::ResendReversed => Invariant::I3,
        Sabotage::IdentifierLeaked | Sabotage::IdentifierFreedEarly => Invariant::I4,
        Sabotage::QuotaTooLarge | Sabotage::QuotaNotCharged => Invariant::I5,
        Sabotage::MessageNotFreed | Sabotage::BytesNotFreed => Invariant::I6,
        Sabotage::SessionPresentAlways | Sabotage::UnsubscribeIgnored => Invariant::I7,
        Sabotage::WillAfterDisconnect | Sabotage::WillTooEarly => Invariant::I8,
        Sabotage::RetainedNotReplaced | Sabotage::RetainedNotExpired => Invariant::I9,
        Sabotage::SharedToAll | Sabotage::SharedToNobody => Invariant::I10,
        Sabotage::WakeUpLost
        | Sabotage::StuckAfterAck
        | Sabotage::NothingSentAgain
        | Sabotage::PubRelForgotten => Invariant::I11,
        Sabotage::PacketTooLarge | Sabotage::AcknowledgedTwice => Invariant::I12,
        Sabotage::ReadCheckSkipped | Sabotage::RightsRemembered => Invariant::I13,
        Sabotage::AcknowledgedEarly
        | Sabotage::RetainedNotStored
        | Sabotage::EndNotStored
        | Sabotage::AnswerNotCounted
        | Sabotage::SubscriptionNotSaved => Invariant::I14,
    }
}
