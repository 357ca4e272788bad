//! Schedules that once broke an invariant. Each was found by the simulator, shortened, and holds
//! since.

use mqtt_tests::sim::Event::*;
use mqtt_tests::sim::swarm::replay;
use mqtt_tests::sim::{Body, BrokerSetup, Event, Publish, Setup, StoreSetup, Subscribe};

fn holds(setup: &Setup, events: &[Event]) {
    let fault = replay(setup, events).err();
    assert!(fault.is_none(), "{}", fault.map(|fault| fault.to_string()).unwrap_or_default());
}

const fn publish(topic: u8, qos: u8) -> Publish {
    Publish { topic, qos, retain: false, body: Body::Number, expiry: 0 }
}

const fn subscribe(filter: u8, qos: u8) -> Subscribe {
    Subscribe { filter, qos, no_local: false, retain_as_published: false, retain_handling: 0 }
}

/// I3, I9: what was retained while the client was away was queued for it, and was sent in front of
/// that as a retained message too.
#[test]
fn a_message_that_is_queued_for_a_client_that_is_away_does_not_come_as_a_retained_one_too() {
    let retained = |topic, qos| Publish { retain: true, ..publish(topic, qos) };
    holds(
        &Setup::default(),
        &[
            Connect(1),
            Up(1, 0),
            Down(1, 0),
            Connect(0),
            Up(0, 0),
            Down(0, 0),
            StallDown(1, true),
            Publish(1, retained(3, 1)),
            Subscribe(1, subscribe(5, 2)),
            Up(1, 0),
            Wait(100_000),
            Publish(0, retained(0, 2)),
        ],
    );
}

/// I9: a QoS 2 message that waited for the store was sent although it had expired meanwhile.
#[test]
fn a_message_that_expires_while_it_waits_for_the_store_is_not_sent() {
    let broker = BrokerSetup { store: StoreSetup::Slow, ..BrokerSetup::default() };
    holds(
        &Setup { broker, ..Setup::default() },
        &[
            Connect(0),
            Up(0, 0),
            Commit,
            Down(0, 0),
            Subscribe(0, subscribe(0, 2)),
            Up(0, 0),
            Commit,
            Connect(1),
            Up(1, 0),
            Commit,
            Down(1, 0),
            Publish(1, Publish { expiry: 1, ..publish(0, 2) }),
            Up(1, 0),
            Wait(5_000),
        ],
    );
}

/// I11: the question about a message that was gone with its connection was not answered, and the
/// next message was dropped for it.
#[test]
fn an_unanswered_question_about_a_message_that_is_gone_costs_no_other_message() {
    let broker = BrokerSetup { asks_read: true, slow_replies: true, ..BrokerSetup::default() };
    holds(
        &Setup { broker, ..Setup::default() },
        &[
            Connect(1),
            Up(1, 0),
            Down(1, 0),
            Subscribe(1, subscribe(4, 0)),
            Up(1, 0),
            Connect(0),
            Up(0, 0),
            Down(0, 0),
            Publish(0, publish(3, 0)),
            Up(0, 0),
            Cut(1),
            Wait(16_000),
            Connect(1),
            Up(1, 0),
            Down(1, 0),
            Publish(0, publish(3, 1)),
        ],
    );
}

/// I4: the identifier of a QoS 2 message that could not be sent again was free at once, and the
/// client, which had recorded it, took the next message under it for a duplicate.
#[test]
fn the_identifier_of_a_message_that_is_given_up_is_released_before_it_is_used_again() {
    let broker = BrokerSetup { asks_read: true, ..BrokerSetup::default() };
    holds(
        &Setup { broker, ..Setup::default() },
        &[
            Connect(1),
            Up(1, 0),
            Down(1, 0),
            Subscribe(1, subscribe(6, 2)),
            Subscribe(1, subscribe(0, 2)),
            Up(1, 0),
            Connect(0),
            Up(0, 0),
            Down(0, 0),
            Publish(0, publish(2, 2)),
            Up(0, 0),
            Down(1, 0),
            Cut(1),
            Right(1, 2, false),
            Connect(1),
            Up(1, 0),
            Down(1, 0),
            Publish(0, publish(0, 2)),
        ],
    );
}

/// I12: the broker had lost the session, the CONNACK that said so was lost too, and the client
/// closed every connection on which the first message of the new session came.
#[test]
fn a_client_that_could_not_know_that_its_session_was_lost_gets_over_it() {
    let mut setup = Setup::default();
    setup.clients[0].manual = true;
    holds(
        &setup,
        &[
            Connect(0),
            Up(0, 0),
            Down(0, 0),
            Subscribe(0, subscribe(8, 2)),
            Up(0, 0),
            Connect(1),
            Up(1, 0),
            Down(1, 0),
            Publish(1, publish(3, 2)),
            Up(1, 0),
            Down(0, 0),
            Crash(false),
            Connect(0),
            Up(0, 0),
            Connect(0),
            Subscribe(0, subscribe(8, 1)),
            Up(0, 0),
            Down(0, 0),
            Up(0, 0),
            Connect(1),
            Up(1, 0),
            Down(1, 0),
            Publish(1, publish(3, 1)),
        ],
    );
}
