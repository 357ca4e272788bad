//! One module for each pair of state machines.

pub mod floor;
pub mod ours;
pub mod protocol_core;

/// A client and a server that are connected to each other.
pub trait Library: Sized {
    /// Brings both into the state after CONNECT and CONNACK.
    ///
    /// # Errors
    ///
    /// The text of the library's own error.
    fn connect() -> Result<Self, String>;

    /// Sends one message from the client to the server and hands packets to and fro until nobody
    /// has anything more to say.
    ///
    /// # Errors
    ///
    /// The text of the library's own error.
    fn exchange(&mut self, qos: u8) -> Result<(), String>;

    /// How many messages the server took, and the client, where it is told, knows that it did.
    fn completed(&self) -> u64;
}
