//! The protocol of MQTT 5 without I/O: client and broker state machines.

mod exchange;
mod time;
mod transmit;

pub use time::Time;
pub use transmit::TransmitBuf;
