//! The broker as its users meet it: over sockets, as a library and as a program.
//!
//! The clients here are sockets and bytes written by hand, so that nothing of this project but
//! the broker itself is under test.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test states what must hold; there a failed expectation is the point"
)]

mod access;
mod binary;
mod client;
mod config;
mod embedding;
mod hostile;
mod life;
mod mosquitto;
#[cfg(unix)]
mod operation;
#[cfg(unix)]
mod packaging;
mod proxy;
mod serving;
#[cfg(feature = "tls")]
mod tls;
#[cfg(unix)]
mod unix;
#[cfg(feature = "websocket")]
mod websocket;
