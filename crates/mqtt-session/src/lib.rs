//! The protocol of MQTT 5 without I/O: client and broker state machines.

mod deadlines;
mod exchange;
mod index;
mod retained;
mod time;
mod transmit;

pub use index::{FilterId, SubscriptionIndex};
pub use time::Time;
pub use transmit::TransmitBuf;
