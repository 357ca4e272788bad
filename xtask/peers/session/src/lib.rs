//! Exchanges between a client and a server in memory, and the subscription index.
//!
//! An exchange is what one message takes at its QoS: PUBLISH alone, PUBLISH and PUBACK, or the four
//! packets of QoS 2. Both ends encode and decode; nothing subscribes to the topic. One exchange
//! ends before the next begins.

pub mod index;
pub mod library;

use library::{Library, floor, ours, protocol_core};

/// The topic of every message; 20 bytes.
pub const TOPIC: &str = "sensor/bldg-07/temp1";

/// The payload of every message; 64 bytes.
pub const PAYLOAD: &[u8; 64] = &[b'x'; 64];

/// Runs `count` exchanges of the given QoS on the library with this name.
///
/// # Errors
///
/// A text that says what was wrong with the arguments, or with an exchange.
pub fn run(library: &str, qos: u8, count: usize) -> Result<(), String> {
    match library {
        "floor" => exchanges::<floor::Floor>(qos, count),
        "mqtt-session" => exchanges::<ours::Ours>(qos, count),
        "mqtt-protocol-core" => exchanges::<protocol_core::ProtocolCore>(qos, count),
        _ => Err(format!("there is no library {library}")),
    }
}

fn exchanges<L: Library>(qos: u8, count: usize) -> Result<(), String> {
    let mut pair = L::connect()?;
    for _ in 0..count {
        pair.exchange(qos)?;
    }
    if pair.completed() == count as u64 {
        Ok(())
    } else {
        Err(format!("{} of {count} exchanges were completed", pair.completed()))
    }
}
