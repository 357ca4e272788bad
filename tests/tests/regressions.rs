//! Schedules that once broke an invariant. Each was found by the simulator, shortened, and holds
//! since.

use mqtt_tests::sim::Event::*;
use mqtt_tests::sim::swarm::replay;
use mqtt_tests::sim::{
    Body, BrokerSetup, ClientSetup, Event, Publish, SessionSetup, Setup, StoreSetup, Subscribe,
    WillSetup,
};

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

/// I11: the client's socket was full when the time for the answer was over, the connection ended,
/// and the next message of the topic was dropped on another one.
#[test]
fn an_unanswered_question_of_a_connection_that_has_ended_costs_no_message_of_the_next() {
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
            StallDown(1, true),
            Wait(6_000),
            Connect(1),
            Up(1, 0),
            Down(1, 0),
            Publish(0, publish(3, 0)),
        ],
    );
}

/// I1, I3: a client came back with a smaller Receive Maximum. The message that waited for an answer
/// had no quota any more, and the next one of QoS 0 that had to wait took its place: it was lost.
#[test]
fn two_messages_wait_for_an_answer_and_neither_is_lost() {
    let mut setup = Setup::default();
    setup.broker.asks_read = true;
    setup.broker.slow_replies = true;
    setup.clients[0].session = SessionSetup::Rejoin;
    setup.clients[0].receive_maximum = 1;
    holds(
        &setup,
        &[
            Connect(1),
            Up(1, 0),
            Down(1, 0),
            Subscribe(1, subscribe(6, 1)),
            Subscribe(1, subscribe(4, 1)),
            Subscribe(1, subscribe(7, 0)),
            Up(1, 0),
            Connect(0),
            Up(0, 0),
            Down(0, 0),
            Publish(0, publish(2, 1)),
            Up(0, 0),
            Reply,
            Publish(0, publish(3, 1)),
            Up(0, 0),
            // It begins again with the configuration of the other client.
            Forget(1),
            Connect(1),
            Up(1, 0),
            Publish(0, publish(5, 0)),
            Up(0, 0),
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

/// I10: of two empty messages to a group, one member got the second and another the first.
#[test]
fn messages_to_a_group_that_look_alike_may_go_to_its_members_in_any_way() {
    let mut setup = Setup { clients: vec![ClientSetup::default(); 3], ..Setup::default() };
    setup.clients[1].receive_maximum = 1;
    let empty = |qos| Publish { body: Body::Empty, ..publish(6, qos) };
    holds(
        &setup,
        &[
            Connect(0),
            Up(0, 0),
            Down(0, 0),
            Subscribe(0, subscribe(9, 0)),
            Up(0, 0),
            Connect(1),
            Up(1, 0),
            Down(1, 0),
            Subscribe(1, subscribe(9, 2)),
            Up(1, 0),
            Connect(2),
            Up(2, 0),
            Down(2, 0),
            Publish(2, empty(2)),
            Publish(2, empty(2)),
            Publish(2, empty(0)),
            Publish(2, empty(2)),
            Up(2, 0),
        ],
    );
}

/// I9: a will became due while there was no broker, and its expiry began when it was published.
#[test]
fn a_will_that_a_restart_finds_overdue_begins_to_expire_when_it_is_published() {
    let mut setup = Setup::default();
    setup.broker.store = StoreSetup::Slow;
    setup.clients[0].will =
        Some(WillSetup { topic: 1, qos: 1, retain: false, delay: 3, expiry: 4 });
    holds(
        &setup,
        &[
            Connect(1),
            Up(1, 0),
            Commit,
            Down(1, 0),
            Subscribe(1, subscribe(1, 2)),
            Up(1, 0),
            Connect(0),
            Commit,
            Up(0, 0),
            Commit,
            Commit,
            Cut(0),
            Commit,
            Wait(16_000),
            Crash(false),
        ],
    );
}

/// I14: the broker gave up a connection whose CONNACK waited for its store, and stored that.
#[test]
fn a_connection_that_ends_before_its_connack_leaves_is_over_in_the_store_too() {
    let mut setup = Setup::default();
    setup.broker.store = StoreSetup::Slow;
    setup.clients[0].expiry = 10;
    holds(
        &setup,
        &[Connect(0), Up(0, 0), StallDown(0, true), Commit, Wait(6_000_000), Commit, Crash(false)],
    );
}

/// I14: a message came twice at QoS 1, and was for nobody any more the second time.
#[test]
fn an_acknowledgement_is_for_the_last_time_that_a_message_came() {
    let mut setup = Setup::default();
    setup.broker.store = StoreSetup::Slow;
    setup.clients[0].expiry = 100;
    setup.clients[1].expiry = 0;
    setup.clients[1].keep_alive = 60;
    holds(
        &setup,
        &[
            Connect(0),
            Up(0, 0),
            Commit,
            Down(0, 0),
            Subscribe(0, subscribe(2, 2)),
            Connect(1),
            Up(1, 0),
            CutClient(0),
            Down(1, 0),
            Late(0, 0),
            Publish(1, publish(0, 1)),
            Up(1, 0),
            Wait(110_000),
            Connect(1),
            Up(1, 0),
            Down(1, 0),
            Up(1, 0),
            Crash(false),
        ],
    );
}

/// I11: a retained message that waited for an answer was replaced, a snapshot forgot it, and its
/// Packet Identifier was never stored: it waited for that for ever.
#[test]
fn a_retained_message_that_waits_for_an_answer_outlives_a_snapshot() {
    let mut setup = Setup::default();
    setup.broker.store = StoreSetup::Slow;
    setup.broker.asks_read = true;
    setup.broker.slow_replies = true;
    setup.broker.send_maximum = 1;
    let retained = Publish { retain: true, ..publish(5, 2) };
    holds(
        &setup,
        &[
            Connect(0),
            Up(0, 0),
            Commit,
            Down(0, 0),
            Connect(1),
            Up(1, 0),
            Commit,
            Down(1, 0),
            Publish(0, retained),
            Up(0, 0),
            Commit,
            Down(0, 0),
            Up(0, 0),
            Commit,
            Down(0, 0),
            Subscribe(1, subscribe(7, 2)),
            Up(1, 0),
            Commit,
            Subscribe(1, subscribe(6, 1)),
            Up(1, 0),
            Commit,
            Publish(0, publish(2, 1)),
            Publish(0, Publish { body: Body::Empty, ..retained }),
            Up(0, 0),
            Commit,
            Commit,
            Compact,
            Commit,
        ],
    );
}

/// I2: a QoS 2 message was given up because nobody said whether the client may read it, its PUBREL
/// left, and a crash brought it back: the client had released it, and took it for a new one.
#[test]
fn the_pubrel_of_a_message_that_is_given_up_waits_for_the_store() {
    let mut setup = Setup::default();
    setup.broker.store = StoreSetup::Slow;
    setup.broker.asks_read = true;
    setup.broker.slow_replies = true;
    setup.clients[1].session = SessionSetup::Rejoin;
    holds(
        &setup,
        &[
            Connect(0),
            Up(0, 0),
            Commit,
            Down(0, 0),
            Connect(1),
            Up(1, 0),
            Commit,
            Down(1, 0),
            Subscribe(1, subscribe(8, 2)),
            Up(1, 0),
            Publish(0, publish(4, 2)),
            Up(0, 0),
            Commit,
            Commit,
            Reply,
            Crash(false),
            Down(1, 0),
            Connect(1),
            Commit,
            Up(1, 0),
            Commit,
            Wait(6_000),
            Crash(false),
        ],
    );
}

/// I9: a session was taken over and ended with its connection, so that nothing of it was stored any
/// more but the message of its will, without the expiry with which that was published and retained.
#[test]
fn a_retained_will_expires_after_a_restart_though_its_session_was_not_stored() {
    let mut setup = Setup::default();
    setup.broker.store = StoreSetup::Fast;
    setup.clients[0].session = SessionSetup::Rejoin;
    setup.clients[1] = ClientSetup {
        session: SessionSetup::Rejoin,
        expiry: 0,
        will: Some(WillSetup { topic: 1, qos: 1, retain: true, delay: 0, expiry: 4 }),
        ..setup.clients[1]
    };
    holds(
        &setup,
        &[
            Connect(0),
            Up(0, 0),
            // It begins again with the configuration of the other client.
            Forget(0),
            Connect(0),
            Up(0, 0),
            Cut(0),
            Crash(true),
        ],
    );
}

/// I3: what is retained at a topic and what is published there a little later, at one QoS: the later
/// one was sent first, as both took turns.
#[test]
fn a_message_waits_for_an_older_retained_one_of_its_topic() {
    let mut setup = Setup::default();
    setup.clients[0].receive_maximum = 1;
    let retained = |topic, qos| Publish { retain: true, ..publish(topic, qos) };
    holds(
        &setup,
        &[
            Connect(0),
            Up(0, 0),
            Down(0, 0),
            Connect(1),
            Up(1, 0),
            Down(1, 0),
            Publish(1, retained(0, 1)),
            Publish(1, retained(1, 0)),
            Up(1, 0),
            Subscribe(0, subscribe(2, 1)),
            Up(0, 0),
            // The second one waits behind the first, which nobody acknowledges yet.
            Publish(1, publish(1, 0)),
            Up(1, 0),
        ],
    );
}

/// I3: a subscription was sent a retained message before older ones of its topic that were queued
/// for another subscription of the client.
#[test]
fn a_retained_message_waits_for_what_was_queued_before_its_subscription() {
    let mut setup = Setup::default();
    setup.clients[0].receive_maximum = 1;
    holds(
        &setup,
        &[
            Connect(0),
            Subscribe(0, subscribe(2, 1)),
            Up(0, 0),
            Down(0, 0),
            Up(0, 0),
            Connect(1),
            Up(1, 0),
            Down(1, 0),
            Publish(1, publish(1, 1)),
            Publish(1, publish(1, 1)),
            Publish(1, publish(1, 1)),
            Publish(1, Publish { retain: true, ..publish(1, 1) }),
            Up(1, 0),
            Subscribe(0, subscribe(1, 1)),
            Up(0, 0),
        ],
    );
}

/// I3: a restart did not know which of the messages that were queued came before a subscription
/// whose retained messages were still being sent.
#[test]
fn a_restart_knows_the_place_of_retained_messages_in_the_queue() {
    let mut setup = Setup::default();
    setup.broker.store = StoreSetup::Fast;
    let retained = Publish { retain: true, ..publish(2, 1) };
    let both_connect = [Connect(0), Connect(1), Up(0, 0), Up(1, 0), Down(0, 0), Down(1, 0)];
    let restart_while = |events: &[Event]| {
        let mut events = [&both_connect, events].concat();
        events.push(Crash(true));
        holds(&setup, &events);
    };
    // In front of what is published behind the subscription.
    restart_while(&[
        Publish(0, retained),
        Up(0, 0),
        StallDown(1, true),
        Subscribe(1, subscribe(6, 1)),
        Up(1, 0),
        Publish(0, publish(2, 1)),
        Up(0, 0),
    ]);
    // Behind what was published before it.
    restart_while(&[
        Subscribe(1, subscribe(2, 1)),
        Up(1, 0),
        StallDown(1, true),
        Publish(0, publish(2, 1)),
        Publish(0, retained),
        Up(0, 0),
        Subscribe(1, subscribe(6, 1)),
        Up(1, 0),
    ]);
}
