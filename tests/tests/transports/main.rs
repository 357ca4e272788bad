//! The transports of both clients: the same exchanges over each of them, and what only TLS and
//! WebSocket can get wrong.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot go on has failed"
)]

mod exchanges;
mod mosquitto;
mod pki;
mod secure;
mod server;
mod websocket;

use std::time::Duration;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);
