//! A process that is killed in the middle of publishing: another goes on from its file.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that cannot go on has failed"
)]

mod broker;
mod child;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mqtt_client_async::{Client, QoS};
use tokio::time::timeout;

use crate::broker::Broker;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// After how many reports each process is killed.
const KILLED_AFTER: [usize; 6] = [1, 40, 3, 15, 8, 25];

/// A process that publishes until it is killed.
struct Publisher {
    process: Child,
    reports: BufReader<std::process::ChildStdout>,
}

impl Publisher {
    /// `run` is the number of the run, or 0 for the one that only finishes what others left.
    fn start(url: &str, directory: &Path, qos: QoS, run: usize) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child::publishes_if_it_is_told_to", "--nocapture"])
            .env(child::URL, url)
            .env(child::DIRECTORY, directory)
            .env(child::QOS, u8::from(qos).to_string())
            .env(child::RUN, run.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let reports = BufReader::new(process.stdout.take().unwrap());
        Self { process, reports }
    }

    /// The number up to which everything of this run is stored; `None` at the end of the process.
    fn report(&mut self) -> Option<u32> {
        loop {
            let mut line = String::new();
            if self.reports.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            // The report may stand behind what the test harness says.
            if let Some((_, number)) = line.trim_end().split_once(child::REPORT) {
                return Some(number.parse().unwrap());
            }
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _killed = self.process.kill();
        self.process.wait().unwrap();
    }
}

/// Kills one publisher after the other, lets a last one finish, and returns what was promised of
/// each run and what came of it.
async fn killed_again_and_again(
    broker: &Broker,
    qos: QoS,
) -> (BTreeMap<usize, u32>, BTreeMap<usize, Vec<u32>>) {
    let directory = tempfile::tempdir().unwrap();
    let watcher = Client::builder(&broker.url()).client_id("watcher").connect().await.unwrap();
    let mut messages = watcher.subscribe("run/#").qos(QoS::ExactlyOnce).await.unwrap();
    let reading = tokio::spawn(async move {
        let mut came: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        while let Some(message) = timeout(PATIENCE, messages.next()).await.unwrap() {
            let run = message.topic().strip_prefix("run/").unwrap();
            if run == "end" {
                break;
            }
            let number = message.payload_str().unwrap().parse().unwrap();
            came.entry(run.parse().unwrap()).or_default().push(number);
        }
        came
    });
    let (url, path) = (broker.url(), directory.path().to_owned());
    let promised = tokio::task::spawn_blocking(move || {
        let mut promised = BTreeMap::new();
        for (run, reports) in (1..).zip(KILLED_AFTER) {
            let mut publisher = Publisher::start(&url, &path, qos, run);
            for _ in 0..reports {
                promised.insert(run, publisher.report().expect("it publishes"));
            }
            // Killed with SIGKILL: nothing of it runs any more.
            drop(publisher);
        }
        let mut last = Publisher::start(&url, &path, qos, 0);
        assert_eq!(last.report(), Some(0), "it has finished");
        assert!(last.process.wait().unwrap().success());
        promised
    });
    let promised = promised.await.unwrap();
    watcher.publish("run/end", "").qos(QoS::ExactlyOnce).send().await.unwrap();
    let came = reading.await.unwrap();
    watcher.close().await;
    let left: Vec<_> = directory.path().read_dir().unwrap().map(|it| it.unwrap().path()).collect();
    assert!(
        left.iter().all(|file| file.extension().is_some_and(|it| it == "lock" || it == "new")),
        "a session that neither side holds any more leaves no file: {left:?}"
    );
    (promised, came)
}

/// None lost, and in order, though some may have come twice.
async fn at_least_once(broker: &Broker) {
    let (promised, came) = killed_again_and_again(broker, QoS::AtLeastOnce).await;
    for (run, last) in promised {
        let mut numbers = came[&run].clone();
        let mut seen = std::collections::BTreeSet::new();
        numbers.retain(|number| seen.insert(*number));
        assert!(numbers.is_sorted(), "run {run}: {numbers:?}");
        assert!(numbers.iter().copied().eq(0..numbers.len() as u32), "run {run} has a gap");
        assert!(numbers.len() as u32 > last, "run {run}: {} of {last} came", numbers.len());
    }
}

/// None lost, none twice, and in order.
async fn exactly_once(broker: &Broker) {
    let (promised, came) = killed_again_and_again(broker, QoS::ExactlyOnce).await;
    for (run, last) in promised {
        let numbers = &came[&run];
        assert!(numbers.iter().copied().eq(0..numbers.len() as u32), "run {run}: {numbers:?}");
        assert!(numbers.len() as u32 > last, "run {run}: {} of {last} came", numbers.len());
    }
}

/// Proves: [MQTT-4.3.2-1], [MQTT-4.4.0-1]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_publisher_loses_no_qos_1_message_at_our_broker() {
    at_least_once(&Broker::ours().await).await;
}

/// Proves: [MQTT-4.3.3-1], [MQTT-4.4.0-1]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_publisher_has_qos_2_messages_delivered_exactly_once_at_our_broker() {
    exactly_once(&Broker::ours().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_publisher_loses_no_qos_1_message_at_mosquitto() {
    let Some(mosquitto) = Broker::mosquitto() else { return };
    at_least_once(&mosquitto).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_publisher_has_qos_2_messages_delivered_exactly_once_at_mosquitto() {
    let Some(mosquitto) = Broker::mosquitto() else { return };
    exactly_once(&mosquitto).await;
}
