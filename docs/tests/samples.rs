//! The samples of the book that are whole programs, run as they are.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::path::Path;
use std::process::Command;

/// Runs a sample, which brings its own broker; what it prints.
fn run(name: &str) -> String {
    // Where cargo puts it: beside the folder that this test is in.
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap().join("examples");
    let output = Command::new(folder.join(name))
        .output()
        .expect("`cargo test -p mqtt-book` builds the samples, `--test samples` does not");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} ended with {}\n{said}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_introduction_publishes_and_prints() {
    assert_eq!(run("client"), "sensor/7/temperature 21.5\n");
}

#[test]
fn receiving_drops_acknowledges_and_answers() {
    let printed = run("receiving");
    let lines: Vec<&str> = printed.lines().collect();
    assert!(matches!(lines[..], [_, "done: sweep", "42"]), "{printed}");
}

#[test]
fn the_codec_the_core_and_a_broker_in_a_program_work() {
    for name in ["codec", "broker_core", "broker_embedding"] {
        run(name);
    }
}
