//! The libraries, each used as its documentation shows.

pub mod floor;
pub mod flowsdk;
pub mod mqtt5;
pub mod ours;
pub mod rumqttc;
pub mod rumqttc_next;
