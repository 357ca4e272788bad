//! The samples of the pages about the clients, in async Rust. `docs/tests/tour_async.rs` runs each
//! of them against a broker; `tour_blocking.rs` has the same for threads.

#![allow(clippy::print_stdout, clippy::unused_async, reason = "a sample shows one thing")]

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use mqtt_client_async::{
    Backoff, Client, ClientBuilder, Closed, ConnectError, Credentials, EnqueueError, FileStore,
    Jitter, Message, Offline, Overflow, PubAckReason, PublishError, QoS, Republish, RequestError,
    Scram, SessionPolicy, State, SubscribeError, Will,
};

/// Whatever goes wrong.
pub type Anything = Box<dyn Error + Send + Sync>;

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Connects with the options that many applications set.
pub async fn connect(url: &str) -> Result<Client, Anything> {
    // ANCHOR: connect
    let client = Client::builder(url) // "mqtts://broker.example:8883", or mqtt, ws, wss, unix
        .client_id("meter-17")
        .session(SessionPolicy::resume(secs(3600)))
        .keep_alive(secs(30))
        .credentials_fn(|attempt| token(attempt.number))
        .backoff(Backoff::exponential(secs(1)..=secs(60)).jitter(Jitter::Full))
        .offline(Offline::queue(1_000, Overflow::DropOldestQos0))
        .will(Will::new("meter/17/up", "0").qos(QoS::AtLeastOnce).delay(secs(5)))
        .connect()
        .await?;
    // ANCHOR_END: connect
    Ok(client)
}

// ANCHOR: token
/// Asked anew for every attempt to connect.
async fn token(attempt: u32) -> Result<Credentials, Anything> {
    println!("a token for attempt {attempt}");
    Ok(Credentials::new("meter-17", "fetched from somewhere"))
}
// ANCHOR_END: token

/// Tells apart why there is no connection.
pub async fn refused(url: &str) -> Result<Client, String> {
    // ANCHOR: refused
    match Client::builder(url).connect().await {
        Ok(client) => Ok(client),
        Err(ConnectError::Refused { reason, .. }) => Err(format!("the server says: {reason}")),
        Err(error) if error.is_retryable() => Err(format!("may work later: {error}")),
        Err(error) => Err(format!("never works like this: {error}")),
    }
    // ANCHOR_END: refused
}

/// Logs in without sending the password, and does so again.
pub async fn scram(url: &str, password: &str) -> Result<Client, Anything> {
    // ANCHOR: scram
    let client = Client::builder(url)
        .client_id("meter-17")
        .authentication_method(Scram::sha256("meter", password)?)
        .connect()
        .await?; // both have proved that they know the password
    client.reauthenticate().await?; // once more, while messages come and go
    // ANCHOR_END: scram
    Ok(client)
}

/// Publishes, and looks at the server's word.
pub async fn publish(client: &Client) -> Result<PubAckReason, Anything> {
    // ANCHOR: publish
    let word = client
        .publish("meter/17/kwh", "1234.5")
        .qos(QoS::AtLeastOnce)
        .expiry(secs(60))
        .user_property("unit", "kWh")
        .send()
        .await?; // PUBACK has come; a reason of 0x80 or above is an error
    if word.reason() == PubAckReason::NoMatchingSubscribers {
        println!("nobody listens");
    }
    // ANCHOR_END: publish
    Ok(word.reason())
}

/// Publishes without waiting for the server's word, which is fetched later.
pub async fn enqueue(client: &Client) -> Result<PubAckReason, Anything> {
    // ANCHOR: enqueue
    let pending = match client.publish("meter/17/log", "on").qos(QoS::ExactlyOnce).enqueue() {
        Ok(pending) => pending,
        // As many wait as the options allow. The message is here again: wait for room with it.
        Err(EnqueueError::Full(message)) => return Ok(message.send().await?.reason()),
        Err(EnqueueError::Failed(error)) => return Err(error.into()),
    };
    // Time for something else; then the exchange of four packets is over.
    match pending.await {
        Ok(word) => Ok(word.reason()),
        Err(PublishError::Refused(word)) => Ok(word.reason),
        Err(error) => Err(error.into()),
    }
    // ANCHOR_END: enqueue
}

/// Adds up what meters publish, until the client is closed.
pub async fn subscribe(client: &Client) -> Result<f64, Anything> {
    // ANCHOR: subscribe
    let mut readings = client
        .subscribe(["meter/+/kwh", "$share/group/spare/+/kwh"])
        .qos(QoS::AtLeastOnce)
        .buffer(64)
        .await?; // SUBACK has come, and every filter was granted
    let mut total = 0.0;
    while let Some(message) = readings.next().await {
        let kwh: f64 = message.payload_str()?.parse()?;
        println!("{}: {kwh}", message.topic());
        total += kwh;
    }
    // The connection has ended for good. Dropping `readings` earlier unsubscribes.
    // ANCHOR_END: subscribe
    Ok(total)
}

/// Learns which filter was refused.
pub async fn not_granted(client: &Client) -> Vec<String> {
    // ANCHOR: not_granted
    let mut refused = Vec::new();
    match client.subscribe(["news/#", "secret/#"]).await {
        Ok(news) => println!("granted: {:?}", news.granted()),
        Err(SubscribeError::Refused { results }) => {
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
pub async fn manual_ack(client: &Client) -> Result<Vec<String>, Anything> {
    let mut done = Vec::new();
    // ANCHOR: manual_ack
    let mut jobs = client.subscribe("jobs/#").qos(QoS::AtLeastOnce).manual_ack().await?;
    while let Some(job) = jobs.next().await {
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
pub async fn unmatched(client: &Client) -> Option<Message> {
    // ANCHOR: unmatched
    let mut rest = client.unmatched();
    let stray = rest.next().await;
    // ANCHOR_END: unmatched
    stray
}

/// Asks a service, and is told when nobody is there.
pub async fn request(client: &Client) -> Result<String, Anything> {
    // ANCHOR: request
    let asked = client.request("service/double", "21").qos(QoS::AtLeastOnce).timeout(secs(5));
    match asked.await {
        Ok(answer) => Ok(answer.payload_str()?.to_owned()),
        Err(RequestError::NoResponder) => Ok("nobody serves this".to_owned()),
        Err(error) => Err(error.into()),
    }
    // ANCHOR_END: request
}

/// Answers questions until the client is closed.
pub async fn respond(client: &Client) -> Result<(), Anything> {
    // ANCHOR: respond
    let mut questions = client.subscribe("service/double").qos(QoS::AtLeastOnce).await?;
    while let Some(question) = questions.next().await {
        let number: i64 = question.payload_str()?.parse()?;
        if let Some(reply) = client.reply(&question, (2 * number).to_string()) {
            reply.send().await?;
        }
    }
    // ANCHOR_END: respond
    Ok(())
}

/// Tells how the connection is, until it has ended.
pub async fn watch(client: &Client, mut tell: impl FnMut(String)) {
    // ANCHOR: watch
    let mut states = client.state();
    while let Some(state) = states.next().await {
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
pub async fn outages(builder: ClientBuilder) -> Result<Client, Anything> {
    // ANCHOR: outages
    let client = builder
        .client_id("meter-17") // the server keeps the session under this name ...
        .session(SessionPolicy::resume(secs(24 * 3600))) // ... for a day without a connection
        .offline(Offline::queue(10_000, Overflow::DropOldestQos0)) // and what waits here
        .republish(Republish::Qos1) // when the server has lost the session all the same
        .keep_trying() // the first attempt may fail like any other
        .connect()
        .await?;
    // ANCHOR_END: outages
    Ok(client)
}

/// Keeps the session in a file, for the next run of the program.
pub async fn outlive(builder: ClientBuilder, directory: &Path) -> Result<Client, Anything> {
    // ANCHOR: outlive
    let client = builder
        .client_id("meter-17") // the same in every run
        .session(SessionPolicy::resume(secs(24 * 3600)))
        .session_store(FileStore::new(directory))
        .connect()
        .await?;
    let message = client.publish("meter/17/kwh", "1").qos(QoS::AtLeastOnce);
    let word = message.enqueue().map_err(|error| error.to_string())?;
    client.stored().await?; // killed from here on, the next run sends it
    word.await?;
    // ANCHOR_END: outlive
    Ok(client)
}

/// Publishes only if it can leave at once.
pub async fn only_online(client: &Client) -> Result<(), PublishError> {
    // ANCHOR: only_online
    client.publish("meter/17/now", "0.42").only_online().send().await?;
    client.ready().await?; // waits for a connection, whatever it takes
    // ANCHOR_END: only_online
    Ok(())
}

/// Reads commands, and publishes in between.
pub async fn select(client: &Client, readings: &[&'static str]) -> Result<Vec<String>, Anything> {
    let mut obeyed = Vec::new();
    let mut readings = readings.iter();
    // ANCHOR: select
    let mut commands = client.subscribe("meter/17/set").qos(QoS::AtLeastOnce).await?;
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    loop {
        tokio::select! {
            // Dropped when the other branch is quicker: no message is lost.
            command = commands.next() => match command {
                Some(command) => obeyed.push(command.payload_str()?.to_owned()),
                None => break,
            },
            _ = ticks.tick() => if let Some(reading) = readings.next() {
                client.publish("meter/17/kwh", *reading).send().await?;
            },
        }
    }
    // ANCHOR_END: select
    Ok(obeyed)
}

/// Waits for the server's word no longer than this.
pub async fn patience(client: &Client, patience: Duration) -> Result<bool, PublishError> {
    // ANCHOR: patience
    let sending = client.publish("meter/17/kwh", "1").qos(QoS::AtLeastOnce).send();
    match tokio::time::timeout(patience, sending).await {
        Ok(word) => word.map(|_| true),
        // The message is not taken back: it is sent, and sent again, until the server has it.
        Err(_) => Ok(false),
    }
    // ANCHOR_END: patience
}

/// Polls the driver beside the application.
pub async fn driver(url: &str) -> Result<Closed, Anything> {
    // ANCHOR: driver
    let (client, driver) = Client::builder(url).connect_with_driver().await?;
    let application = async {
        client.publish("meter/17/kwh", "1").qos(QoS::AtLeastOnce).send().await?;
        Ok::<_, PublishError>(client.close().await)
    };
    let (driven, closed) = tokio::join!(driver, application);
    driven?;
    // ANCHOR_END: driver
    Ok(closed?)
}

/// Leaves when everything has arrived, or the time is over.
pub async fn close(client: Client) -> Result<Closed, Anything> {
    // ANCHOR: close
    let closed = client.close().drain(secs(5)).reason_string("maintenance")?.await;
    if closed.unacknowledged > 0 {
        println!("{} messages may be lost: {}", closed.unacknowledged, closed.cause);
    }
    for message in &closed.unsent {
        println!("never sent: {}", message.topic);
    }
    // ANCHOR_END: close
    Ok(closed)
}
