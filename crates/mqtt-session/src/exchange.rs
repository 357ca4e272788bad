//! The rule book of acknowledged exchanges: packet identifiers, QoS 1 and QoS 2 in both
//! directions, quotas and topic aliases.
//!
//! This code does not know which side it is on. [`Client`](crate::Client) and
//! [`Broker`](crate::Broker) both send through an `Outgoing` and receive through an `Incoming`,
//! so that one set of rules, proved once, binds both. What outlives a network connection (which
//! exchanges are open) and what does not (quotas, what was sent on this connection) live in the
//! same tables and are told apart by `start_connection`.

mod alias;
mod incoming;
mod outgoing;

pub(crate) use alias::{AliasFault, IncomingAliases, OutgoingAlias, OutgoingAliases};
pub(crate) use incoming::{Incoming, Received, Rejected};
pub(crate) use outgoing::{Acknowledged, Exchange, Outgoing, Recorded, Resend};

#[cfg(test)]
mod transitions;
