//! The configuration file, as the program takes it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::binary::Program;
use crate::client::{Client, subscribe};

/// A file that goes with the test.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Writes a file with this text.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

/// Runs the program with this configuration and more arguments.
pub(crate) fn start(config: &Path, arguments: &[&str]) -> Program {
    let mut all = vec!["--config", config.to_str().unwrap()];
    all.extend_from_slice(arguments);
    Program::start(&all)
}

#[test]
fn what_the_file_says_holds() {
    let folder = Folder::new();
    let config = folder.write(
        "broker.toml",
        "[[listener]]\nurl = 'mqtt://127.0.0.1:0'\n[limits]\nsubscriptions = 1\n",
    );
    let mut program = start(&config, &[]);
    let mut client = Client::connect(program.ready(), "a");
    client.subscribe("one");
    client.send(&subscribe("two", 0));
    assert_eq!(client.receive().body.last(), Some(&0x97), "one subscription and no more");
}

#[test]
fn ten_thousand_subscriptions_can_be_allowed() {
    let folder = Folder::new();
    let config = folder.write("broker.toml", "[limits]\nsubscriptions = 10_000\n");
    let mut program = start(&config, &["--listen", "mqtt://127.0.0.1:0"]);
    let mut client = Client::connect(program.ready(), "a");
    for number in 0..10_000 {
        client.send(&subscribe(&format!("{number}"), 0));
        assert_eq!(client.receive().body.last(), Some(&0x00));
    }
    client.send(&subscribe("one more", 0));
    assert_eq!(client.receive().body.last(), Some(&0x97));
}

#[test]
fn a_flag_stands_above_the_file() {
    let folder = Folder::new();
    let config = folder.write("broker.toml", "[[listener]]\nurl = 'mqtt://0.0.0.0:0'\n");
    let (status, text) = start(&config, &[]).end();
    assert_eq!(status.code(), Some(1));
    assert!(text.contains("allow_anonymous"), "{text}");
    start(&config, &["--listen", "mqtt://127.0.0.1:0"]).ready();
    start(&config, &["--allow-anonymous"]).ready();
}

#[test]
fn the_printed_default_is_a_file_that_is_in_order() {
    let mut program = Program::start(&["--print-default-config"]);
    let text = program.rest_of_output();
    assert_eq!(program.end().0.code(), Some(0));
    let folder = Folder::new();
    let config = folder.write("broker.toml", &text);
    let mut check = start(&config, &["--check"]);
    assert_eq!(check.rest_of_output(), "the configuration is in order\n");
    assert_eq!(check.end().0.code(), Some(0));
}

#[test]
fn a_wrong_file_is_refused_with_every_problem_and_its_line() {
    let folder = Folder::new();
    let config = folder.write("broker.toml", "[limits]\nconections = 1\npacket_size = true\n");
    for arguments in [&["--check"][..], &[][..]] {
        let (status, text) = start(&config, arguments).end();
        assert_eq!(status.code(), Some(1));
        let path = config.display();
        for expected in [
            format!(
                "{path}:2: unknown key `limits.conections`; did you mean `limits.connections`?"
            ),
            format!("{path}:3: `limits.packet_size`: expected bytes"),
        ] {
            assert!(text.contains(&expected), "{text}");
        }
    }
}

#[test]
fn check_tells_what_a_start_would_tell() {
    let (status, text) = Program::start(&["--check", "--listen", "mqtt://0.0.0.0"]).end();
    assert_eq!(status.code(), Some(1));
    assert!(text.contains("--allow-anonymous"), "{text}");
}
