//! The README's subscriber: it is the sample that is compiled here, and it works.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

#[allow(dead_code, reason = "other tests use the rest of it")]
mod common;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use mqtt_client_blocking::{Client, PubAckReason, QoS};

/// The sample, without what a file of this workspace begins with.
fn sample() -> &'static str {
    let source = include_str!("../examples/subscriber.rs");
    let begin = source.find("use mqtt_client_async").unwrap();
    source.get(begin..).unwrap()
}

/// Where cargo puts the sample: beside the folder that this test is in.
fn example() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().join("examples").join("subscriber")
}

#[test]
fn the_readme_has_the_sample_and_it_is_short() {
    let readme = include_str!("../../README.md");
    assert!(readme.contains(&format!("```rust\n{}```\n", sample())), "copy the sample there");
    assert!(sample().lines().count() < 15);
}

#[test]
fn the_subscriber_prints_what_is_published() {
    let (_broker, url) = common::broker();
    let mut subscriber = Command::new(example())
        .arg(&url)
        .stdout(Stdio::piped())
        .spawn()
        .expect("`cargo test -p mqtt-book` builds the samples, `--test readme` does not");
    let publisher = Client::builder(&url).connect().unwrap();
    loop {
        let message = publisher.publish("sensor/7", "21.5").qos(QoS::AtLeastOnce);
        if message.send().unwrap().reason() == PubAckReason::Success {
            break;
        }
        // It has not subscribed yet.
        assert!(subscriber.try_wait().unwrap().is_none(), "it has ended");
    }
    let mut line = String::new();
    BufReader::new(subscriber.stdout.take().unwrap()).read_line(&mut line).unwrap();
    subscriber.kill().unwrap();
    subscriber.wait().unwrap();
    assert_eq!(line, "sensor/7 21.5\n");
}
