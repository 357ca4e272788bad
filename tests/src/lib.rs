//! What the tests of several crates share: a broker and a client without sockets, under a clock
//! that only the test moves.
//!
//! - [`Wire`] is a broker with raw clients: whatever bytes a test wants to send, and everything
//!   that comes back, decoded and checked.
//! - [`Pair`] is a broker and one [`mqtt_session::Client`], joined by a link that can be cut.
//! - [`Siege`] is a [`Wire`] with two clients that no attack may disturb.
//! - [`scripted`] builds packets in one line, and [`transcript`] writes them as one line.
//!
//! ```
//! use mqtt_tests::Wire;
//! use mqtt_tests::scripted::{connect, publish, subscribe};
//!
//! let mut wire = Wire::new();
//! let a = wire.connect(connect("a"));
//! let b = wire.connect(connect("b"));
//! wire.send(b, subscribe(1, "news/#"));
//! wire.send(a, publish("news/today", "hello"));
//! assert_eq!(wire.receive(b), ["SUBACK id=1 [00]", r#"PUBLISH q0 "news/today" "hello""#]);
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot go on says so by panicking"
)]

pub mod scripted;
pub mod sim;
pub mod transcript;

mod disk;
mod link;
mod pair;
mod peer;
mod pieces;
mod referee;
mod siege;
mod wire;

pub use link::Cut;
pub use pair::Pair;
pub use peer::Peer;
pub use pieces::{Pieces, Random};
pub use siege::Siege;
pub use wire::Wire;
