//! What happened in one test: the transcript, and what the referee saw beside the test's own
//! question.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use mqtt_codec::{Decoded, Limits, Packet, decode};
use mqtt_tests::transcript;

/// The record of a test, shared by its connections.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    start: Instant,
    record: Arc<Mutex<Record>>,
}

/// What a test leaves.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Record {
    /// Every packet of every connection, decoded, in the order of time.
    pub transcript: Vec<String>,
    /// Statements that packets broke, with how.
    pub breaches: Vec<(&'static str, String)>,
    /// Statements that some packet could have broken and did not.
    pub observed: BTreeSet<&'static str>,
    /// What the standard recommends and the implementation did otherwise.
    pub weak: Vec<String>,
    /// Client identifiers whose sessions may outlive the test.
    pub sessions: BTreeSet<String>,
    /// Topics that may hold a retained message.
    pub retained: BTreeSet<String>,
    pub(crate) names: BTreeMap<String, usize>,
}

/// Who sent what a line of the transcript shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// The suite.
    Ours,
    /// The implementation under test.
    Theirs,
}

impl Journal {
    /// An empty record whose clock begins now.
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), record: Arc::default() }
    }

    /// A name for a connection that no other one of this test has.
    pub(crate) fn name(&self, wish: &str) -> String {
        let mut record = self.record();
        let count = record.names.entry(wish.to_owned()).or_default();
        *count += 1;
        if *count == 1 { wish.to_owned() } else { format!("{wish} ({count})") }
    }

    /// Adds bytes that were sent or received, packet by packet.
    pub(crate) fn bytes(&self, connection: &str, direction: Direction, bytes: &[u8]) {
        for line in lines(bytes) {
            self.line(connection, direction, &line);
        }
    }

    /// Adds a line.
    pub(crate) fn line(&self, connection: &str, direction: Direction, text: &str) {
        let seconds = self.start.elapsed().as_secs_f64();
        let arrow = match direction {
            Direction::Ours => "->",
            Direction::Theirs => "<-",
        };
        self.record().transcript.push(format!("{seconds:7.3} {connection} {arrow} {text}"));
    }

    pub(crate) fn breach(&self, id: &'static str, how: impl Into<String>) {
        self.record().breaches.push((id, how.into()));
    }

    pub(crate) fn observe(&self, ids: &[&'static str]) {
        self.record().observed.extend(ids);
    }

    pub(crate) fn weak(&self, what: impl Into<String>) {
        self.record().weak.push(what.into());
    }

    /// Notes what a packet of the suite may leave in a broker.
    pub(crate) fn residue(&self, packet: &Packet<'_>) {
        match packet {
            Packet::Connect(connect) => {
                let expiry = connect.properties().session_expiry_interval().unwrap_or(0);
                let mut record = self.record();
                if expiry > 0 && !connect.client_id().is_empty() {
                    record.sessions.insert(connect.client_id().to_owned());
                }
                if let Some(will) = connect.will().filter(|will| will.retain) {
                    record.retained.insert(will.topic.as_str().to_owned());
                }
            }
            Packet::Publish(publish) if publish.retain => {
                if let Some(topic) = publish.topic {
                    self.record().retained.insert(topic.as_str().to_owned());
                }
            }
            Packet::ConnAck(connack) => {
                if let Some(id) = connack.properties.assigned_client_id() {
                    self.record().sessions.insert(id.to_owned());
                }
            }
            _ => {}
        }
    }

    /// What there is so far.
    pub(crate) fn take(&self) -> Record {
        self.record().clone()
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        // A test that panics has still written whole lines.
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes as packets, a line each; what is none is shown in hexadecimal.
fn lines(mut bytes: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    while !bytes.is_empty() {
        match decode(bytes, &Limits::new()) {
            Ok(Decoded::Packet(packet, len)) => {
                lines.push(transcript::line(&packet));
                bytes = bytes.get(len..).unwrap_or_default();
            }
            Ok(Decoded::NeedMore(_)) => {
                lines.push(format!("{} (cut off)", transcript::hex(bytes)));
                break;
            }
            Err(error) => {
                lines.push(format!("{}: {error}", transcript::hex(bytes)));
                break;
            }
        }
    }
    lines
}
