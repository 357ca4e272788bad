//! The samples of the pages about the clients, in async Rust, against a broker.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod common;
#[path = "../examples/tour_async.rs"]
#[allow(unreachable_pub, reason = "it is a crate of its own elsewhere")]
mod tour;

use std::time::Duration;

use mqtt_client_async::{
    Backoff, Client, PubAckReason, Published, QoS, SessionPolicy, State, Subscription,
};

use self::common::{broker, broker_at, closed_broker, discreet_broker, scram_broker};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

fn quick() -> Backoff {
    Backoff::exponential(Duration::from_millis(10)..=Duration::from_millis(20))
}

async fn client(url: &str) -> Client {
    Client::builder(url).connect().await.unwrap()
}

async fn next(messages: &mut Subscription) -> String {
    let next = tokio::time::timeout(PATIENCE, messages.next()).await;
    next.unwrap().unwrap().payload_str().unwrap().to_owned()
}

/// Publishes until somebody has subscribed.
async fn publish_to_somebody(client: &Client, topic: &str, payload: impl Into<Vec<u8>>) {
    let payload = payload.into();
    loop {
        let message = client.publish(topic, payload.clone()).qos(QoS::AtLeastOnce);
        if message.send().await.unwrap().reason() == PubAckReason::Success {
            return;
        }
    }
}

/// Waits until `reader` was sent all that was published, and closes it.
async fn close(reader: &Client, publisher: &Client) {
    let mut mark = reader.subscribe("mark").qos(QoS::AtLeastOnce).await.unwrap();
    publish_to_somebody(publisher, "mark", "").await;
    next(&mut mark).await;
    let closed = reader.close().drain(PATIENCE).await;
    assert!(closed.cause.is_disconnected());
}

#[tokio::test]
async fn everything_that_was_configured_is_in_force() {
    let (_broker, url) = broker();
    let client = tour::connect(&url).await.unwrap();
    let terms = client.negotiated().unwrap();
    assert_eq!((&*terms.client_id, terms.keep_alive), ("meter-17", 30));
    assert_eq!(terms.session_expiry_interval, 3600);

    // The will waits for its delay, or for the end of the session.
    let other = self::client(&url).await;
    let mut wills = other.subscribe("meter/+/up").await.unwrap();
    client.close().with_will().await;
    Client::builder(&url).client_id("meter-17").connect().await.unwrap();
    assert_eq!(next(&mut wills).await, "0");
}

#[tokio::test]
async fn what_refuses_a_connection_is_told_apart() {
    let (_broker, url) = closed_broker();
    let error = tour::refused(&url).await.unwrap_err();
    assert!(error.starts_with("the server says: "), "{error}");
    let (broker, url) = broker();
    broker.shutdown().await.unwrap();
    let error = tour::refused(&url).await.unwrap_err();
    assert!(error.starts_with("may work later: no connection to 127.0.0.1:"), "{error}");
    let error = tour::refused("localhost").await.unwrap_err();
    assert!(error.starts_with("never works like this: `localhost` has no scheme"), "{error}");
}

#[tokio::test]
async fn both_sides_prove_that_they_know_the_password() {
    let (_broker, url) = scram_broker("pencil");
    let client = tour::scram(&url, "pencil").await.unwrap();
    client.publish("meter/17/kwh", "1").qos(QoS::AtLeastOnce).send().await.unwrap();
    let error = tour::scram(&url, "pen").await.unwrap_err().to_string();
    assert!(error.contains("Not authorized"), "{error}");
}

#[tokio::test]
async fn publishing_ends_with_the_servers_word() {
    let (_broker, url) = broker();
    let client = client(&url).await;
    assert_eq!(tour::publish(&client).await.unwrap(), PubAckReason::NoMatchingSubscribers);
    let mut readings = client.subscribe("meter/17/#").qos(QoS::ExactlyOnce).await.unwrap();
    assert_eq!(tour::publish(&client).await.unwrap(), PubAckReason::Success);
    assert_eq!(next(&mut readings).await, "1234.5");
    assert_eq!(tour::enqueue(&client).await.unwrap(), PubAckReason::Success);
    assert_eq!(next(&mut readings).await, "on");
}

#[tokio::test]
async fn a_subscription_ends_with_its_client() {
    let (_broker, url) = broker();
    let (reader, publisher) = (client(&url).await, client(&url).await);
    let publish = async {
        publish_to_somebody(&publisher, "meter/1/kwh", "1.5").await;
        publish_to_somebody(&publisher, "spare/7/kwh", "2").await;
        close(&reader, &publisher).await;
    };
    let (total, ()) = tokio::join!(tour::subscribe(&reader), publish);
    assert_eq!(total.unwrap().to_bits(), 3.5_f64.to_bits());
}

#[tokio::test]
async fn a_filter_that_was_refused_is_named() {
    let (_broker, url) = discreet_broker();
    let refused = tour::not_granted(&client(&url).await).await;
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].starts_with("secret/#: "), "{refused:?}");
}

#[tokio::test]
async fn jobs_are_acknowledged_or_refused() {
    let (_broker, url) = broker();
    let (reader, publisher) = (client(&url).await, client(&url).await);
    let publish = async {
        publish_to_somebody(&publisher, "jobs/1", "sweep").await;
        publish_to_somebody(&publisher, "jobs/2", [0xFF]).await;
        publish_to_somebody(&publisher, "jobs/3", "mop").await;
        close(&reader, &publisher).await;
    };
    let (done, ()) = tokio::join!(tour::manual_ack(&reader), publish);
    assert_eq!(done.unwrap(), ["sweep", "mop"]);
    assert_eq!(reader.statistics().abandoned, 0);
}

#[tokio::test]
async fn what_an_earlier_run_had_subscribed_to_is_unmatched() {
    let (_broker, url) = broker();
    let hour = Duration::from_secs(3600);
    let builder = Client::builder(&url).client_id("c");
    let earlier = builder.clone().session(SessionPolicy::resume(hour)).connect().await.unwrap();
    let left = earlier.subscribe("left/#").qos(QoS::AtLeastOnce).await.unwrap();
    earlier.close().await;
    drop(left);
    publish_to_somebody(&client(&url).await, "left/1", "over").await;

    let later = builder.session(SessionPolicy::rejoin(hour)).connect().await.unwrap();
    let stray = tokio::time::timeout(PATIENCE, tour::unmatched(&later)).await.unwrap().unwrap();
    assert_eq!((stray.topic(), stray.payload()), ("left/1", &b"over"[..]));
}

#[tokio::test]
async fn a_request_is_answered_or_nobody_is_there() {
    let (_broker, url) = broker();
    let (asker, service) = (client(&url).await, client(&url).await);
    assert_eq!(tour::request(&asker).await.unwrap(), "nobody serves this");
    let ask = async {
        let answer = loop {
            let answer = tour::request(&asker).await.unwrap();
            if answer != "nobody serves this" {
                break answer;
            }
        };
        // Its own PUBLISH may wait for the acknowledgement still.
        service.close().drain(PATIENCE).await;
        answer
    };
    let (responded, answer) = tokio::join!(tour::respond(&service), ask);
    responded.unwrap();
    assert_eq!(answer, "42");
}

#[tokio::test]
async fn what_waits_is_sent_by_the_next_run() {
    let directory = tempfile::tempdir().unwrap();
    let (broker, url) = broker();
    let builder = || Client::builder(&url).backoff(quick());
    let client = tour::outlive(builder(), directory.path()).await.unwrap();
    broker.shutdown().await.unwrap();
    let mut states = client.state();
    while !matches!(states.next().await, Some(State::Waiting { .. })) {}
    let message = client.publish("meter/17/kwh", "2").qos(QoS::AtLeastOnce);
    drop(message.enqueue().unwrap());
    client.stored().await.unwrap();
    client.close().await;

    let _broker = broker_at(&url);
    let reader = self::client(&url).await;
    let mut readings = reader.subscribe("meter/17/kwh").await.unwrap();
    tour::outlive(builder(), directory.path()).await.unwrap();
    assert_eq!(next(&mut readings).await, "2");
    assert_eq!(next(&mut readings).await, "1");
}

#[tokio::test]
async fn an_outage_is_told_and_survived() {
    let (broker, url) = broker();
    broker.shutdown().await.unwrap();
    let builder = Client::builder(&url).backoff(quick());
    let (client, broker) = tokio::join!(tour::outages(builder), async { broker_at(&url) });
    let client = client.unwrap();
    tour::only_online(&client).await.unwrap();

    let mut told = Vec::new();
    let outage = async {
        let mut states = client.state();
        assert!(matches!(states.next().await, Some(State::Connected { resumed: false })));
        broker.shutdown().await.unwrap();
        while !matches!(states.next().await, Some(State::Waiting { .. })) {}
        tour::only_online(&client).await.unwrap_err();
        let pending = client.publish("a", "waits").qos(QoS::AtLeastOnce).enqueue().unwrap();
        let broker = broker_at(&url);
        let word: Published = tokio::time::timeout(PATIENCE, pending).await.unwrap().unwrap();
        assert!(!word.republished(), "it was never sent before");
        let closed = tour::close(client.clone()).await.unwrap();
        assert!(closed.unsent.is_empty());
        broker
    };
    let ((), _broker) = tokio::join!(tour::watch(&client, |state| told.push(state)), outage);
    assert_eq!(told.first().unwrap(), "connected, session there: false");
    assert!(told.iter().any(|state| state.contains("; next attempt in ")), "{told:?}");
    assert_eq!(told.last().unwrap(), "over: disconnected by the application");
}

#[tokio::test]
async fn reading_is_given_up_for_publishing_and_loses_nothing() {
    let (_broker, url) = broker();
    let (meter, other) = (client(&url).await, client(&url).await);
    let mut readings = other.subscribe("meter/17/kwh").await.unwrap();
    let command = async {
        for number in 0..20 {
            publish_to_somebody(&other, "meter/17/set", number.to_string()).await;
        }
        for reading in ["1", "2"] {
            assert_eq!(next(&mut readings).await, reading);
        }
        close(&meter, &other).await;
    };
    let (obeyed, ()) = tokio::join!(tour::select(&meter, &["1", "2"]), command);
    let expected: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    assert_eq!(obeyed.unwrap(), expected);
}

#[tokio::test]
async fn a_message_that_nobody_waits_for_any_more_arrives() {
    let (broker, url) = broker();
    let client = Client::builder(&url).backoff(quick()).connect().await.unwrap();
    let mut readings = client.subscribe("meter/17/kwh").qos(QoS::AtLeastOnce).await.unwrap();
    assert!(tour::patience(&client, PATIENCE).await.unwrap());
    assert_eq!(next(&mut readings).await, "1");

    broker.shutdown().await.unwrap();
    let mut states = client.state();
    while !matches!(states.next().await, Some(State::Waiting { .. })) {}
    assert!(!tour::patience(&client, Duration::ZERO).await.unwrap(), "nobody can have said so");
    let _broker = broker_at(&url);
    assert_eq!(next(&mut readings).await, "1");
}

#[tokio::test]
async fn the_driver_runs_beside_the_application() {
    let (_broker, url) = broker();
    let closed = tour::driver(&url).await.unwrap();
    assert!(closed.cause.is_disconnected());
    assert_eq!(closed.unacknowledged, 0);
}
