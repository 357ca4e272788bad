//! The simulator: whole worlds of clients and a broker in one thread, under a clock, a network and
//! a store that fail in every way that a seed chooses.
//!
//! A world ([`World`]) takes [`Event`]s. What every machine sends is read again byte by byte and
//! held against a model of what must happen, and against the fourteen [`invariants`]. The same
//! [`Setup`] and the same events give the same bytes.
//!
//! [`swarm`] draws setups and events from a seed; [`exhaustive`] goes through every case of a kind.

mod check;
mod disk;
mod drive;
mod event;
mod exchanges;
pub mod exhaustive;
mod groups;
pub mod invariants;
mod link;
mod model;
pub mod names;
mod node;
mod note;
mod owed;
mod saved;
mod setup;
mod totals;
mod watch;
mod world;

#[cfg(mqtt_sabotage)]
pub mod sabotage;
pub mod shrink;
pub mod swarm;

pub use event::{Body, Event, Publish, Subscribe};
pub use invariants::{Fault, Invariant};
pub use setup::{BrokerSetup, ClientSetup, SessionSetup, Setup, StoreSetup, WillSetup};
pub use totals::Totals;
pub use world::World;
