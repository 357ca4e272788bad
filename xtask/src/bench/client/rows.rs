//! What is measured: the rows of the table, and the libraries that run them.

/// One row: what a client does.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) direction: Direction,
    pub(super) qos: u8,
    /// Bytes of each payload.
    pub(super) size: usize,
    /// Messages of a run; a run of `--quick` has a tenth.
    pub(super) count: usize,
    /// Microseconds a message that are the goal of this project's client; 0 for none.
    pub(super) to_reach: f64,
}

/// Which way the messages go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// The client publishes to a sink.
    Publish,
    /// The client receives from a source.
    Receive,
}

impl Direction {
    /// The word that the programs know it by.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Receive => "receive",
        }
    }
}

const fn row(
    name: &'static str,
    direction: Direction,
    qos: u8,
    size: usize,
    count: usize,
    to_reach: f64,
) -> Row {
    Row { name, direction, qos, size, count, to_reach }
}

pub(super) const ROWS: &[Row] = &[
    row("publish-q0-64", Direction::Publish, 0, 64, 400_000, 0.30),
    row("publish-q0-1k", Direction::Publish, 0, 1024, 200_000, 0.8),
    row("publish-q1-64", Direction::Publish, 1, 64, 200_000, 1.2),
    row("publish-q1-1k", Direction::Publish, 1, 1024, 100_000, 1.8),
    row("publish-q2-64", Direction::Publish, 2, 64, 100_000, 2.0),
    row("publish-q2-1k", Direction::Publish, 2, 1024, 100_000, 0.0),
    row("receive-q0-64", Direction::Receive, 0, 64, 400_000, 0.35),
    row("receive-q0-1k", Direction::Receive, 0, 1024, 200_000, 0.8),
    row("receive-q1-64", Direction::Receive, 1, 64, 200_000, 1.0),
    row("receive-q1-1k", Direction::Receive, 1, 1024, 100_000, 0.0),
    row("receive-q2-64", Direction::Receive, 2, 64, 100_000, 1.8),
    row("receive-q2-1k", Direction::Receive, 2, 1024, 100_000, 0.0),
];

/// A library with a program that runs its client.
#[derive(Debug)]
pub(super) struct Library {
    pub(super) name: &'static str,
    /// The workspace under `xtask/peers` that it is in.
    pub(super) workspace: &'static str,
    /// The program.
    pub(super) program: &'static str,
}

/// This project's.
pub(super) const OURS: &str = "mqtt-client-async";

/// The one that ratios are taken to.
pub(super) const REFERENCE: &str = "rumqttc";

/// The library without any: prepared frames over a socket.
pub(super) const FLOOR: &str = "floor";

pub(super) const LIBRARIES: &[Library] = &[
    Library { name: FLOOR, workspace: "client", program: "client-bench" },
    Library { name: OURS, workspace: "client", program: "client-bench" },
    Library { name: REFERENCE, workspace: "client", program: "client-bench" },
    Library { name: "rumqttc-next", workspace: "client", program: "client-bench" },
    Library { name: "flowsdk", workspace: "client", program: "client-bench" },
    Library { name: "mqtt5", workspace: "client", program: "client-bench" },
    Library { name: "ntex-mqtt", workspace: "client-ntex", program: "client-bench-ntex" },
];
