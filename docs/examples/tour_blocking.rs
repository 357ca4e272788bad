//! The samples of the pages about the clients, for threads. `docs/tests/tour_blocking.rs` runs each
//! of them against a broker; `tour_async.rs` has the same in async Rust.

#![allow(clippy::print_stdout, reason = "a sample shows one thing")]

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use mqtt_client_blocking::{
    Backoff, CallError, Client, ClientBuilder, Closed, ConnectError, Credentials, EnqueueError,
    FileStore, Jitter, Message, Offline, Overflow, PubAckReason, PublishError, QoS, Republish,
    RequestError, Scram, SessionPolicy, State, SubscribeError, Subscription, Will,
};

/// Whatever goes wrong.
pub type Anything = Box<dyn Error + Send + Sync>;

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Connects with the options that many applications set.
pub fn connect(url: &str) -> Result<Client, Anything> {
    // ANCHOR: connect
    let client = Client::builder(url) // "mqtts://broker.example:8883", or mqtt, ws, wss, unix
        .client_id("meter-17")
        .session(SessionPolicy::resume(secs(3600)))
        .keep_alive(secs(30))
        .credentials_fn(|attempt| token(attempt.number))
        .backoff(Backoff::exponential(secs(1)..=secs(60)).jitter(Jitter::Full))
        .offline(Offline::queue(1_000, Overflow::DropOldestQos0))
        .will(Will::new("meter/17/up", "0").qos(QoS::AtLeastOnce).delay(secs(5)))
        .connect()?;
    // ANCHOR_END: connect
    Ok(client)
}

// ANCHOR: token
/// Asked anew for every attempt to connect, on a thread of its own: it may wait.
fn token(attempt: u32) -> Result<Credentials, Anything> {
    println!("a token for attempt {attempt}");
    Ok(Credentials::new("meter-17", "fetched from somewhere"))
}
// ANCHOR_END: token

/// Tells apart why there is no connection.
pub fn refused(url: &str) -> Result<Client, String> {
    // ANCHOR: refused
    match Client::builder(url).connect() {
        Ok(client) => Ok(client),
        Err(CallError::Failed(ConnectError::Refused { reason, .. })) => {
            Err(format!("the server says: {reason}"))
        }
        Err(CallError::Failed(error)) if error.is_retryable() => {
            Err(format!("may work later: {error}"))
        }
        Err(error) => Err(format!("never works like this: {error}")),
    }
    // ANCHOR_END: refused
}

/// Logs in without sending the password, and does so again.
pub fn scram(url: &str, password: &str) -> Result<Client, Anything> {
    // ANCHOR: scram
    let client = Client::builder(url)
        .client_id("meter-17")
        .authentication_method(Scram::sha256("meter", password)?)
        .connect()?; // both have proved that they know the password
    client.reauthenticate()?; // once more, while messages come and go
    // ANCHOR_END: scram
    Ok(client)
}

/// Publishes, and looks at the server's word.
pub fn publish(client: &Client) -> Result<PubAckReason, Anything> {
    // ANCHOR: publish
    let word = client
        .publish("meter/17/kwh", "1234.5")
        .qos(QoS::AtLeastOnce)
        .expiry(secs(60))
        .user_property("unit", "kWh")
        .send()?; // waits for PUBACK; a reason of 0x80 or above is an error
    if word.reason() == PubAckReason::NoMatchingSubscribers {
        println!("nobody listens");
    }
    // ANCHOR_END: publish
    Ok(word.reason())
}

/// Publishes without waiting for the server's word, which is fetched later.
pub fn enqueue(client: &Client) -> Result<PubAckReason, Anything> {
    // ANCHOR: enqueue
    let mut pending = match client.publish("meter/17/log", "on").qos(QoS::ExactlyOnce).enqueue() {
        Ok(pending) => pending,
        // As many wait as the options allow. The message is here again: wait for room with it.
        Err(EnqueueError::Full(message)) => return Ok(message.send()?.reason()),
        Err(EnqueueError::Failed(error)) => return Err(error.into()),
    };
    // Time for something else; then the exchange of four packets is over.
    match pending.wait_timeout(secs(5)) {
        Ok(word) => Ok(word.reason()),
        Err(CallError::Failed(PublishError::Refused(word))) => Ok(word.reason),
        Err(error) => Err(error.into()), // `CallError::Timeout`: it can be waited for again
    }
    // ANCHOR_END: enqueue
}

/// Adds up what meters publish, until the client is closed.
pub fn subscribe(client: &Client) -> Result<f64, Anything> {
    // ANCHOR: subscribe
    let readings = client
        .subscribe(["meter/+/kwh", "$share/group/spare/+/kwh"])
        .qos(QoS::AtLeastOnce)
        .buffer(64)
        .wait()?; // SUBACK has come, and every filter was granted
    let mut total = 0.0;
    for message in &readings {
        let message = message?; // an error comes last, if the client did not end by itself
        let kwh: f64 = message.payload_str()?.parse()?;
        println!("{}: {kwh}", message.topic());
        total += kwh;
    }
    // The connection has ended for good. Dropping `readings` earlier unsubscribes.
    // ANCHOR_END: subscribe
    Ok(total)
}

/// The other ways to receive.
pub fn receive(readings: &Subscription) -> Result<Option<Message>, Anything> {
    // ANCHOR: receive
    let first = readings.recv()?; // waits
    let second = readings.try_recv()?; // looks
    let third = readings.recv_timeout(Duration::from_millis(10)); // waits for so long
    // ANCHOR_END: receive
    println!("{} {second:?} {third:?}", first.topic());
    Ok(third.ok())
}

/// Learns which filter was refused.
pub fn not_granted(client: &Client) -> Vec<String> {
    // ANCHOR: not_granted
    let mut refused = Vec::new();
    match client.subscribe(["news/#", "secret/#"]).wait() {
        Ok(news) => println!("granted: {:?}", news.granted()),
        Err(CallError::Failed(SubscribeError::Refused { results })) => {
            for (filter, reason) in results.into_iter().filter(|(_, reason)| reason.is_error()) {
                refused.push(format!("{filter}: {reason}"));
            }
        }
        Err(error) => println!("{error}"),
    }
    // ANCHOR_END: not_granted
    refused
}

/// Acknowledges a job once it is done.
pub fn manual_ack(client: &Client) -> Result<Vec<String>, Anything> {
    let mut done = Vec::new();
    // ANCHOR: manual_ack
    let jobs = client.subscribe("jobs/#").qos(QoS::AtLeastOnce).manual_ack().wait()?;
    for job in &jobs {
        let job = job?;
        match job.payload_str() {
            Ok(what) => {
                done.push(what.to_owned());
                job.ack(); // now, and in whatever order: the client sorts
            }
            Err(_) => job.refuse(PubAckReason::PayloadFormatInvalid),
        }
    }
    // ANCHOR_END: manual_ack
    Ok(done)
}

/// Takes what no subscription takes.
pub fn unmatched(client: &Client) -> Result<Message, Anything> {
    // ANCHOR: unmatched
    let rest = client.unmatched();
    let stray = rest.recv()?;
    // ANCHOR_END: unmatched
    Ok(stray)
}

/// Asks a service, and is told when nobody is there.
pub fn request(client: &Client) -> Result<String, Anything> {
    // ANCHOR: request
    let asked = client.request("service/double", "21").qos(QoS::AtLeastOnce).timeout(secs(5));
    match asked.wait() {
        Ok(answer) => Ok(answer.payload_str()?.to_owned()),
        Err(CallError::Failed(RequestError::NoResponder)) => Ok("nobody serves this".to_owned()),
        Err(error) => Err(error.into()),
    }
    // ANCHOR_END: request
}

/// Answers questions until the client is closed.
pub fn respond(client: &Client) -> Result<(), Anything> {
    // ANCHOR: respond
    let questions = client.subscribe("service/double").qos(QoS::AtLeastOnce).wait()?;
    for question in &questions {
        let question = question?;
        let number: i64 = question.payload_str()?.parse()?;
        if let Some(reply) = client.reply(&question, (2 * number).to_string()) {
            reply.send()?;
        }
    }
    // ANCHOR_END: respond
    Ok(())
}

/// Tells how the connection is, until it has ended.
pub fn watch(client: &Client, mut tell: impl FnMut(String)) {
    // ANCHOR: watch
    let states = client.state();
    while let Ok(state) = states.recv() {
        match state {
            State::Connected { resumed } => tell(format!("connected, session there: {resumed}")),
            State::Waiting { retry_at, cause } => {
                let wait = retry_at.saturating_duration_since(Instant::now());
                tell(format!("{cause}; next attempt in {wait:?}"));
            }
            State::Closed { cause } => tell(format!("over: {cause}")),
            State::Connecting | _ => {}
        }
    }
    // ANCHOR_END: watch
}

/// What may be said about outages.
pub fn outages(builder: ClientBuilder) -> Result<Client, Anything> {
    // ANCHOR: outages
    let client = builder
        .client_id("meter-17") // the server keeps the session under this name ...
        .session(SessionPolicy::resume(secs(24 * 3600))) // ... for a day without a connection
        .offline(Offline::queue(10_000, Overflow::DropOldestQos0)) // and what waits here
        .republish(Republish::Qos1) // when the server has lost the session all the same
        .keep_trying() // the first attempt may fail like any other
        .connect()?;
    // ANCHOR_END: outages
    Ok(client)
}

/// Keeps the session in a file, for the next run of the program.
pub fn outlive(builder: ClientBuilder, directory: &Path) -> Result<Client, Anything> {
    // ANCHOR: outlive
    let client = builder
        .client_id("meter-17") // the same in every run
        .session(SessionPolicy::resume(secs(24 * 3600)))
        .session_store(FileStore::new(directory))
        .connect()?;
    let message = client.publish("meter/17/kwh", "1").qos(QoS::AtLeastOnce);
    let word = message.enqueue().map_err(|error| error.to_string())?;
    client.stored()?; // killed from here on, the next run sends it
    word.wait()?;
    // ANCHOR_END: outlive
    Ok(client)
}

/// Publishes only if it can leave at once.
pub fn only_online(client: &Client) -> Result<(), Anything> {
    // ANCHOR: only_online
    client.publish("meter/17/now", "0.42").only_online().send()?;
    client.ready_timeout(secs(5))?; // waits for a connection for so long
    // ANCHOR_END: only_online
    Ok(())
}

/// Waits for the server's word no longer than this.
pub fn patience(client: &Client, patience: Duration) -> Result<bool, Anything> {
    // ANCHOR: patience
    let message = client.publish("meter/17/kwh", "1").qos(QoS::AtLeastOnce);
    let Ok(mut pending) = message.enqueue() else { return Ok(false) };
    match pending.wait_timeout(patience) {
        Ok(_) => Ok(true),
        // The message is not taken back: it is sent, and sent again, until the server has it.
        Err(CallError::Timeout) => Ok(false),
        Err(error) => Err(error.into()),
    }
    // ANCHOR_END: patience
}

/// Leaves when everything has arrived, or the time is over.
pub fn close(client: &Client) -> Result<Closed, Anything> {
    // ANCHOR: close
    let closed = client.close().drain(secs(5)).reason_string("maintenance")?.wait()?;
    if closed.unacknowledged > 0 {
        println!("{} messages may be lost: {}", closed.unacknowledged, closed.cause);
    }
    for message in &closed.unsent {
        println!("never sent: {}", message.topic);
    }
    // ANCHOR_END: close
    Ok(closed)
}
