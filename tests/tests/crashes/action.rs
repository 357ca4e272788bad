//! What happens in a script, and how scripts are made at random.

use proptest::prelude::*;

use crate::CLIENTS;

/// What happens next in a script. Clients are named by their numbers.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// Connects, going on with its session, with or without a will of a QoS.
    Connect(usize, Option<u8>),
    /// Connects although it is connected, or although it was not told that it is not.
    TakeOver(usize),
    /// Connects with Clean Start 1: what was is forgotten on both sides.
    Clean(usize),
    /// Connects, going on with its session for as long as the connection lasts.
    Brief(usize),
    /// The network connection fails.
    Cut(usize),
    /// DISCONNECT with 0x00.
    Disconnect(usize),
    /// Subscribes to everything at a QoS.
    Subscribe(usize, u8),
    /// Subscribes to everything in a group, beside its other subscription.
    Share(usize),
    /// Unsubscribes from everything.
    Unsubscribe(usize),
    /// Publishes a message of its own at a QoS, retained or not.
    Publish(usize, u8, bool),
    /// Publishes a message that expires after so many seconds.
    Passing(usize, u8, u32),
    /// Publishes a message again that was refused.
    Again(usize),
    /// Publishes at a QoS that a topic has no retained message any more.
    Clear(usize, u8),
    /// Handles so many of the packets that have come.
    Handle(usize, usize),
    /// Stops reading, or reads again.
    Stall(usize, bool),
    /// The driver allows so much of what it is asked about.
    Decide(usize),
    /// A batch is committed.
    Commit,
    /// A batch is not committed.
    Fail,
    /// From here on commits are slow, or not.
    Slow(bool),
    /// The store is replaced by a snapshot.
    Compact,
    /// The broker crashes and starts again.
    Crash,
    /// Time passes.
    Wait(u64),
}

/// Any action.
pub(crate) fn action() -> impl Strategy<Value = Action> {
    let client = || 0..CLIENTS;
    let qos = || 0..3_u8;
    prop_oneof![
        4 => (client(), prop::option::of(qos())).prop_map(|(c, will)| Action::Connect(c, will)),
        1 => client().prop_map(Action::TakeOver),
        1 => client().prop_map(Action::Clean),
        1 => client().prop_map(Action::Brief),
        1 => client().prop_map(Action::Cut),
        1 => client().prop_map(Action::Disconnect),
        2 => (client(), qos()).prop_map(|(c, qos)| Action::Subscribe(c, qos)),
        1 => client().prop_map(Action::Share),
        1 => client().prop_map(Action::Unsubscribe),
        8 => (client(), qos(), prop::bool::weighted(0.2))
            .prop_map(|(c, qos, retain)| Action::Publish(c, qos, retain)),
        1 => (client(), qos(), 1..8_u32)
            .prop_map(|(c, qos, expiry)| Action::Passing(c, qos, expiry)),
        2 => client().prop_map(Action::Again),
        1 => (client(), qos()).prop_map(|(c, qos)| Action::Clear(c, qos)),
        8 => (client(), 1..8_usize).prop_map(|(c, count)| Action::Handle(c, count)),
        1 => (client(), any::<bool>()).prop_map(|(c, stops)| Action::Stall(c, stops)),
        3 => (1..4_usize).prop_map(Action::Decide),
        6 => Just(Action::Commit),
        2 => Just(Action::Fail),
        2 => any::<bool>().prop_map(Action::Slow),
        1 => Just(Action::Compact),
        2 => Just(Action::Crash),
        2 => (0..10_u64).prop_map(Action::Wait),
    ]
}
