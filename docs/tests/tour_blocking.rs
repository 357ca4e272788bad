//! The samples of the pages about the clients, for threads, against a broker.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod common;
#[path = "../examples/tour_blocking.rs"]
#[allow(unreachable_pub, reason = "it is a crate of its own elsewhere")]
mod tour;

use std::thread;
use std::time::Duration;

use mqtt_client_blocking::{
    Backoff, Client, PubAckReason, QoS, SessionPolicy, State, Subscription,
};

use self::common::{broker, broker_at, closed_broker, discreet_broker, scram_broker};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

fn quick() -> Backoff {
    Backoff::exponential(Duration::from_millis(10)..=Duration::from_millis(20))
}

fn client(url: &str) -> Client {
    Client::builder(url).connect().unwrap()
}

fn next(messages: &Subscription) -> String {
    messages.recv_timeout(PATIENCE).unwrap().payload_str().unwrap().to_owned()
}

/// Publishes until somebody has subscribed.
fn publish_to_somebody(client: &Client, topic: &str, payload: impl Into<Vec<u8>>) {
    let payload = payload.into();
    loop {
        let message = client.publish(topic, payload.clone()).qos(QoS::AtLeastOnce);
        if message.send().unwrap().reason() == PubAckReason::Success {
            return;
        }
    }
}

/// Waits until `reader` was sent all that was published, and closes it.
fn close(reader: &Client, publisher: &Client) {
    let mark = reader.subscribe("mark").qos(QoS::AtLeastOnce).wait().unwrap();
    publish_to_somebody(publisher, "mark", "");
    next(&mark);
    let closed = reader.close().drain(PATIENCE).wait().unwrap();
    assert!(closed.cause.is_disconnected());
}

#[test]
fn everything_that_was_configured_is_in_force() {
    let (_broker, url) = broker();
    let client = tour::connect(&url).unwrap();
    let terms = client.negotiated().unwrap();
    assert_eq!((&*terms.client_id, terms.keep_alive), ("meter-17", 30));
    assert_eq!(terms.session_expiry_interval, 3600);

    // The will waits for its delay, or for the end of the session.
    let other = self::client(&url);
    let wills = other.subscribe("meter/+/up").wait().unwrap();
    client.close().with_will().wait().unwrap();
    Client::builder(&url).client_id("meter-17").connect().unwrap();
    assert_eq!(next(&wills), "0");
}

#[test]
fn what_refuses_a_connection_is_told_apart() {
    let (_broker, url) = closed_broker();
    let error = tour::refused(&url).unwrap_err();
    assert!(error.starts_with("the server says: "), "{error}");
    let (broker, url) = broker();
    broker.shutdown_blocking().unwrap();
    let error = tour::refused(&url).unwrap_err();
    assert!(error.starts_with("may work later: no connection to 127.0.0.1:"), "{error}");
    let error = tour::refused("localhost").unwrap_err();
    assert!(error.starts_with("never works like this: `localhost` has no scheme"), "{error}");
}

#[test]
fn both_sides_prove_that_they_know_the_password() {
    let (_broker, url) = scram_broker("pencil");
    let client = tour::scram(&url, "pencil").unwrap();
    client.publish("meter/17/kwh", "1").qos(QoS::AtLeastOnce).send().unwrap();
    let error = tour::scram(&url, "pen").unwrap_err().to_string();
    assert!(error.contains("Not authorized"), "{error}");
}

#[test]
fn publishing_ends_with_the_servers_word() {
    let (_broker, url) = broker();
    let client = client(&url);
    assert_eq!(tour::publish(&client).unwrap(), PubAckReason::NoMatchingSubscribers);
    let readings = client.subscribe("meter/17/#").qos(QoS::ExactlyOnce).wait().unwrap();
    assert_eq!(tour::publish(&client).unwrap(), PubAckReason::Success);
    assert_eq!(next(&readings), "1234.5");
    assert_eq!(tour::enqueue(&client).unwrap(), PubAckReason::Success);
    assert_eq!(next(&readings), "on");
}

#[test]
fn a_subscription_ends_with_its_client() {
    let (_broker, url) = broker();
    let (reader, publisher) = (client(&url), client(&url));
    let total = thread::scope(|scope| {
        let total = scope.spawn(|| tour::subscribe(&reader).unwrap());
        publish_to_somebody(&publisher, "meter/1/kwh", "1.5");
        publish_to_somebody(&publisher, "spare/7/kwh", "2");
        close(&reader, &publisher);
        total.join().unwrap()
    });
    assert_eq!(total.to_bits(), 3.5_f64.to_bits());
}

#[test]
fn receiving_waits_looks_or_waits_for_so_long() {
    let (_broker, url) = broker();
    let client = client(&url);
    let readings = client.subscribe("meter/17/kwh").wait().unwrap();
    tour::publish(&client).unwrap();
    assert!(tour::receive(&readings).unwrap().is_none(), "there was one");
}

#[test]
fn a_filter_that_was_refused_is_named() {
    let (_broker, url) = discreet_broker();
    let refused = tour::not_granted(&client(&url));
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].starts_with("secret/#: "), "{refused:?}");
}

#[test]
fn jobs_are_acknowledged_or_refused() {
    let (_broker, url) = broker();
    let (reader, publisher) = (client(&url), client(&url));
    let done = thread::scope(|scope| {
        let done = scope.spawn(|| tour::manual_ack(&reader).unwrap());
        publish_to_somebody(&publisher, "jobs/1", "sweep");
        publish_to_somebody(&publisher, "jobs/2", [0xFF]);
        publish_to_somebody(&publisher, "jobs/3", "mop");
        close(&reader, &publisher);
        done.join().unwrap()
    });
    assert_eq!(done, ["sweep", "mop"]);
    assert_eq!(reader.statistics().abandoned, 0);
}

#[test]
fn what_an_earlier_run_had_subscribed_to_is_unmatched() {
    let (_broker, url) = broker();
    let hour = Duration::from_secs(3600);
    let builder = Client::builder(&url).client_id("c");
    let earlier = builder.clone().session(SessionPolicy::resume(hour)).connect().unwrap();
    let left = earlier.subscribe("left/#").qos(QoS::AtLeastOnce).wait().unwrap();
    earlier.close().wait().unwrap();
    drop(left);
    publish_to_somebody(&client(&url), "left/1", "over");

    let later = builder.session(SessionPolicy::rejoin(hour)).connect().unwrap();
    let stray = tour::unmatched(&later).unwrap();
    assert_eq!((stray.topic(), stray.payload()), ("left/1", &b"over"[..]));
}

#[test]
fn a_request_is_answered_or_nobody_is_there() {
    let (_broker, url) = broker();
    let (asker, service) = (client(&url), client(&url));
    assert_eq!(tour::request(&asker).unwrap(), "nobody serves this");
    let answer = thread::scope(|scope| {
        scope.spawn(|| tour::respond(&service).unwrap());
        let answer = loop {
            let answer = tour::request(&asker).unwrap();
            if answer != "nobody serves this" {
                break answer;
            }
        };
        // Its own PUBLISH may wait for the acknowledgement still.
        service.close().drain(PATIENCE).wait().unwrap();
        answer
    });
    assert_eq!(answer, "42");
}

#[test]
fn what_waits_is_sent_by_the_next_run() {
    let directory = tempfile::tempdir().unwrap();
    let (broker, url) = broker();
    let builder = || Client::builder(&url).backoff(quick());
    let client = tour::outlive(builder(), directory.path()).unwrap();
    broker.shutdown_blocking().unwrap();
    let states = client.state();
    while !matches!(states.recv(), Ok(State::Waiting { .. })) {}
    let message = client.publish("meter/17/kwh", "2").qos(QoS::AtLeastOnce);
    drop(message.enqueue().unwrap());
    client.stored().unwrap();
    client.close().wait().unwrap();

    let _broker = broker_at(&url);
    let reader = self::client(&url);
    let readings = reader.subscribe("meter/17/kwh").wait().unwrap();
    tour::outlive(builder(), directory.path()).unwrap();
    assert_eq!(next(&readings), "2");
    assert_eq!(next(&readings), "1");
}

#[test]
fn an_outage_is_told_and_survived() {
    let (broker, url) = broker();
    broker.shutdown_blocking().unwrap();
    let builder = Client::builder(&url).backoff(quick());
    let (client, broker) = thread::scope(|scope| {
        let client = scope.spawn(|| tour::outages(builder).unwrap());
        let broker = broker_at(&url);
        (client.join().unwrap(), broker)
    });
    tour::only_online(&client).unwrap();

    let mut told = Vec::new();
    let _broker = thread::scope(|scope| {
        scope.spawn(|| tour::watch(&client, |state| told.push(state)));
        let states = client.state();
        assert!(matches!(states.recv(), Ok(State::Connected { resumed: false })));
        broker.shutdown_blocking().unwrap();
        while !matches!(states.recv(), Ok(State::Waiting { .. })) {}
        tour::only_online(&client).unwrap_err();
        let message = client.publish("a", "waits").qos(QoS::AtLeastOnce);
        let mut pending = message.enqueue().unwrap();
        let broker = broker_at(&url);
        let word = pending.wait_timeout(PATIENCE).unwrap();
        assert!(!word.republished(), "it was never sent before");
        let closed = tour::close(&client).unwrap();
        assert!(closed.unsent.is_empty());
        broker
    });
    assert!(told.iter().any(|state| state.contains("; next attempt in ")), "{told:?}");
    assert_eq!(told.last().unwrap(), "over: disconnected by the application");
}

#[test]
fn a_message_that_nobody_waits_for_any_more_arrives() {
    let (broker, url) = broker();
    let client = Client::builder(&url).backoff(quick()).connect().unwrap();
    let readings = client.subscribe("meter/17/kwh").qos(QoS::AtLeastOnce).wait().unwrap();
    assert!(tour::patience(&client, PATIENCE).unwrap());
    assert_eq!(next(&readings), "1");

    broker.shutdown_blocking().unwrap();
    let states = client.state();
    while !matches!(states.recv(), Ok(State::Waiting { .. })) {}
    assert!(!tour::patience(&client, Duration::ZERO).unwrap(), "nobody can have said so");
    let _broker = broker_at(&url);
    assert_eq!(next(&readings), "1");
}
