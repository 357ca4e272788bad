//! What can go wrong when a server starts, and what can end one.

use std::io;
use std::net::SocketAddr;

use thiserror::Error;

use crate::listen::Listen;

/// Why a server did not start. Nothing stays open behind it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BindError {
    /// The configuration names no listener.
    #[error("no listener is configured")]
    NoListener,
    /// A listener's host name has no address.
    #[error("cannot resolve the host of {listen}: {source}")]
    Resolve {
        /// The listener as configured.
        listen: Listen,
        /// What the resolver said.
        source: io::Error,
    },
    /// The operating system does not let us listen there: the address is in use, is not one of
    /// this machine, or needs a privilege.
    #[error("cannot listen on {listen}: {source}")]
    Listen {
        /// The listener as configured.
        listen: Listen,
        /// What the operating system said.
        source: io::Error,
    },
    /// Machines beyond this one would reach the listener without proving who they are, and the
    /// configuration does not say that this is wanted
    /// ([`Config::allow_anonymous`](crate::Config::allow_anonymous)).
    #[error(
        "{listen} is reachable from other machines ({address}), and its clients would be \
         anonymous, which has to be allowed explicitly"
    )]
    AnonymousBeyondLoopback {
        /// The listener as configured.
        listen: Listen,
        /// The address of it that is not a loopback address.
        address: SocketAddr,
    },
    /// The settings of a listener do not fit together, or its certificate and key do not.
    #[error("{listen}: {reason}")]
    Listener {
        /// The listener as configured.
        listen: Listen,
        /// What is wrong.
        reason: String,
    },
    /// The operating system does not let us serve metrics there.
    #[error("cannot serve metrics on {address}: {source}")]
    Metrics {
        /// The address as configured.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// The library was built without what a listener needs.
    #[error("{listen} needs the feature `{feature}`, which this build does not have")]
    Feature {
        /// The listener as configured.
        listen: Listen,
        /// The feature of the crate.
        feature: &'static str,
    },
    /// The configuration asks for decisions ([`Decisions`](crate::Decisions)), but has nobody who
    /// takes them. Leave them as they are: registering hooks, or naming files, asks for them.
    #[error("decisions about clients are asked for, but there is nobody to ask")]
    Decisions,
    /// The password file or the access control list is not what it should be.
    #[error(transparent)]
    File(#[from] crate::FileError),
    /// The operating system has no random numbers for us.
    #[error("cannot get random numbers from the operating system: {0}")]
    Entropy(io::Error),
    /// The operating system has no thread or no event queue for us.
    #[error("cannot start the broker's thread: {0}")]
    Start(io::Error),
    /// The broker's thread ended before it was ready.
    #[error(transparent)]
    Server(ServerError),
}

/// What ended a server that had started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The operating system's event queue failed.
    #[error("waiting for events failed: {0}")]
    Poll(io::Error),
    /// The broker's thread panicked: a defect of this library. Every connection is closed.
    #[error("the broker's thread panicked: {message}")]
    Panicked {
        /// What the panic said, if it said anything.
        message: String,
    },
}

/// The broker has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the broker has stopped")]
pub struct Stopped;
