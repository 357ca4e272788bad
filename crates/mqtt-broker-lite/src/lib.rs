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
//! connection. Bare sockets, TCP and Unix, are the loop's own; TLS and WebSocket connections are
//! tasks on a small runtime of the server's, which exchange plain bytes with the loop.
//!
//! # Features
//!
//! - `cli` (default): the binary. A library on this crate needs none of it:
//!   `default-features = false`.
//! - `tls` (default): `mqtts` and `wss`, with rustls and ring.
//! - `aws-lc-rs`: the same with the cryptography of aws-lc-rs in the place of ring.
//! - `websocket` (default): `ws` and `wss`.
//! - `files` (part of `cli`): what operators write: a configuration as a TOML file
//!   ([`Config::from_file`], [`Config::commented`]), password files and access control lists.

mod access;
mod config;
mod driver;
mod error;
mod files;
mod http;
mod inbox;
mod listen;
#[cfg(feature = "files")]
mod reload;
mod server;
#[cfg(feature = "files")]
mod settings;
mod status;
mod transport;

pub use mqtt_session::{
    AuthenticateAnswer, AuthenticateRequest, BrokerConfig, BrokerLimits, ConnectGrant,
    ConnectRefusal, ConnectRequest, ConnectionId, Decisions, Dropped, Gauges, PublishRequest,
    ReadRequest, Statistics, SubscribeRequest,
};

#[cfg(feature = "files")]
pub use access::set_password;
pub use access::{Authenticator, Authorizer, ConnectVerdict, Permission};

pub use config::{Config, Listener};
pub use error::{BindError, ServerError, Stopped};
pub use files::{FileError, Problem};
pub use listen::{Address, DEFAULT_PORT, Listen, ListenError, Network, NetworkError, Transport};
#[cfg(feature = "files")]
pub use reload::ReloadError;
#[cfg(feature = "tls")]
pub use rustls;
pub use server::Server;
pub use status::Status;
