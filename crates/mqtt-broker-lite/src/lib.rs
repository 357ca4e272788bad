//! A light, embeddable MQTT 5 broker.
//!
//! [`Server`] is a broker that runs inside a process, on a thread of its own: several may run
//! side by side, each starts and stops on its own, and no task of an async runtime can stall
//! one. The binary `mqtt-broker-lite` is a thin shell on it.
//!
//! In a test, a broker on a free port takes a few lines:
//!
//! ```
//! use mqtt_broker_lite::{Config, Server};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::bind_blocking(Config::free_port())?; // or: Server::bind(..).await?
//! let url = server.addresses()[0].to_string(); // such as mqtt://127.0.0.1:40817
//! // ... connect clients to `url`, or to `server.local_addr()` ...
//! server.shutdown_blocking()?; // or: server.shutdown().await?
//! # assert!(url.starts_with("mqtt://127.0.0.1:"));
//! # Ok(())
//! # }
//! ```
//!
//! # What it does and what it leaves to others
//!
//! The protocol lives in [`mqtt_session::Broker`], which knows neither sockets nor clocks. This
//! crate moves the bytes: one thread owns the broker and a loop over all sockets, reads what
//! comes, and writes what the broker has, with one call for all packets that wait for a
//! connection. It listens on TCP.
//!
//! # Features
//!
//! - `cli` (default): the binary. A library on this crate needs none of it:
//!   `default-features = false`.
//! - `config-file` (part of `cli`): [`Config::from_file`], [`Config::from_toml`] and
//!   [`Config::commented`].

mod config;
mod driver;
mod error;
mod inbox;
mod listen;
mod server;
#[cfg(feature = "config-file")]
mod settings;

pub use mqtt_session::{BrokerConfig, BrokerLimits, Decisions};

pub use config::{Config, Listener};
pub use error::{BindError, ServerError};
pub use listen::{Address, DEFAULT_PORT, Listen, ListenError};
pub use server::Server;
#[cfg(feature = "config-file")]
pub use settings::{ConfigFileError, Problem};
