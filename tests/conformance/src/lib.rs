//! A wire suite that judges MQTT 5 brokers and clients by the statements of the standard.
//!
//! [`broker::judge`] talks raw bytes to a broker and says of each statement whose breaking shows on
//! the wire whether it holds. What it needs to know of the broker it learns from the CONNACK; what
//! the broker does not offer is skipped. [`client::judge`] plays the broker, and does the same with a
//! client that acts out a few scenarios.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "whoever waits for a packet has no use for fourteen others, nor for new ones"
)]

pub mod broker;
pub mod client;
pub mod proxy;
pub mod report;

mod connection;
mod expected;
mod finding;
mod journal;
mod message;
mod referee;
mod statements;
mod suite;
mod target;
mod trial;

pub use expected::{Difference, Expected};
pub use finding::{Finding, Outcome};
pub use journal::Record;
pub use statements::{Statement, statement, statements};
pub use suite::{Report, StatementResult, TestResult, Verdict};
pub use target::{Offer, Profile, Target};
