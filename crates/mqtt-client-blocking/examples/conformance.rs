//! Acts out the scenarios of the conformance suite: `conformance PORT SCENARIO`.
//!
//! The book's page on conformance says what a client does in each. Exit code 77 says that a
//! scenario is not known here.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is what a command does")]

use std::error::Error;
use std::io::{self, Read};
use std::num::NonZeroU32;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use mqtt_client_blocking::{
    Backoff, Client, ClientBuilder, ConnectionError, Pending, QoS, Reconnect, SessionPolicy, State,
    Subscription, Will,
};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// The exit code for a scenario that is not known.
const UNKNOWN: u8 = 77;

const SCENARIOS: &[&str] = &[
    "connect",
    "login",
    "publish0",
    "publish1",
    "publish2",
    "retain",
    "subscribe",
    "shared",
    "unsubscribe",
    "resume",
];

fn builder(port: &str, scenario: &str) -> ClientBuilder {
    let builder = Client::builder(&format!("mqtt://127.0.0.1:{port}"))
        .client_id("conformance")
        .keep_alive(Duration::from_secs(3))
        .topic_alias_maximum(4)
        .outgoing_topic_aliases(4)
        .maximum_packet_size(NonZeroU32::new(16 * 1024).unwrap_or(NonZeroU32::MAX));
    match scenario {
        "login" => builder
            .reconnect(Reconnect::Never)
            .credentials("user", "password")
            .will(Will::new("conformance/will", "farewell").qos(QoS::AtLeastOnce)),
        "shared" => builder.reconnect(Reconnect::Never).request_problem_information(false),
        "resume" => builder
            .session(SessionPolicy::resume(Duration::from_secs(60)))
            .backoff(Backoff::exponential(Duration::from_millis(10)..=Duration::from_millis(50))),
        _ => builder.reconnect(Reconnect::Never),
    }
}

/// Waits for the end of the input and leaves; a connection that ends before is an error.
fn stay(client: &Client) -> Result {
    let (sender, ends) = mpsc::channel::<Option<ConnectionError>>();
    let input = sender.clone();
    thread::spawn(move || {
        // However the input ends, it is over.
        let _read = io::stdin().read_to_end(&mut Vec::new());
        let _told = input.send(None);
    });
    let states = client.state();
    thread::spawn(move || {
        while let Ok(state) = states.recv() {
            if let State::Closed { cause } = state {
                let _told = sender.send(Some(cause));
            }
        }
    });
    match ends.recv()? {
        Some(cause) => Err(cause.into()),
        None => {
            client.close().drain(Duration::from_secs(5)).wait()?;
            Ok(())
        }
    }
}

/// Publishes at once what may be published; what the server does not take is left out.
fn publish(client: &Client, messages: impl Iterator<Item = (usize, QoS)>) -> Vec<Pending> {
    let mut pending = Vec::new();
    for (number, qos) in messages {
        let topic = format!("conformance/{number}");
        let message = client.publish(&topic, format!("{number:.<64}")).qos(qos);
        match message.enqueue() {
            Ok(word) => pending.push(word),
            Err(error) => eprintln!("{error}"),
        }
    }
    pending
}

fn subscribe(client: &Client, filter: &str) -> Result<Subscription> {
    Ok(client.subscribe(filter).qos(QoS::ExactlyOnce).wait()?)
}

fn print(messages: Subscription) {
    thread::spawn(move || {
        while let Ok(message) = messages.recv() {
            println!("{} {}", message.topic(), String::from_utf8_lossy(message.payload()));
        }
    });
}

fn act(port: &str, scenario: &str) -> Result<ExitCode> {
    if !SCENARIOS.contains(&scenario) {
        return Ok(ExitCode::from(UNKNOWN));
    }
    let client = builder(port, scenario).connect()?;
    // The words of the server are not waited for: leaving waits until all is acknowledged.
    let mut pending = Vec::new();
    match scenario {
        "publish0" => pending = publish(&client, (1..=5).map(|n| (n, QoS::AtMostOnce))),
        "publish1" => pending = publish(&client, (1..=5).map(|n| (n, QoS::AtLeastOnce))),
        "publish2" => pending = publish(&client, (1..=5).map(|n| (n, QoS::ExactlyOnce))),
        "resume" => {
            let qos = [QoS::AtLeastOnce, QoS::AtLeastOnce, QoS::ExactlyOnce, QoS::ExactlyOnce];
            pending = publish(&client, (1..).zip(qos));
        }
        "retain" => {
            client.publish("conformance/retained", "retained").retain(true).send()?;
        }
        "unsubscribe" => drop(subscribe(&client, "conformance/#")?),
        "subscribe" => print(subscribe(&client, "conformance/#")?),
        "shared" => print(subscribe(&client, "$share/group/conformance/+")?),
        _ => {}
    }
    let ended = stay(&client);
    drop(pending);
    ended.map(|()| ExitCode::SUCCESS)
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (Some(port), Some(scenario)) = (args.next(), args.next()) else {
        eprintln!("usage: conformance PORT SCENARIO");
        return ExitCode::from(2);
    };
    act(&port, &scenario).unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}
