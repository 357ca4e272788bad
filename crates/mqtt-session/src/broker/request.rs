//! Decisions that the broker asks of its driver: owned values, answered exactly once.
//!
//! A request names its connection and carries a ticket. An answer that comes after the connection
//! is over, or after the decision's time, finds the ticket gone and does nothing.

mod authenticate;
mod connect;
mod publish;
mod read;
mod subscribe;

pub use authenticate::{AuthenticateAnswer, AuthenticateRequest};
pub use connect::{ConnectAnswer, ConnectGrant, ConnectRefusal, ConnectRequest};
pub use publish::{PublishAnswer, PublishRequest};
pub use read::ReadRequest;
pub use subscribe::SubscribeRequest;

pub(super) use connect::WillRequest;
pub(super) use subscribe::AskedFilter;

use mqtt_codec::{Properties, PropertyBuf, PropertyId};

/// Names one decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(pub(super) u64);

/// What of an answer's properties a client is told: Reason String, User Properties and, where
/// `reference` allows it, the Server Reference.
pub(super) fn told(answer: &PropertyBuf, reference: bool) -> PropertyBuf {
    let mut told = PropertyBuf::new();
    let answer: Properties<'_> = answer.as_properties();
    // Each of these was checked when it was put into the answer.
    if let Some(reason) = answer.reason_string() {
        let _ = told.reason_string(reason);
    }
    if reference
        && answer.contains(PropertyId::ServerReference)
        && let Some(server) = answer.server_reference()
    {
        let _ = told.server_reference(server);
    }
    for (name, value) in answer.user_properties() {
        let _ = told.user_property(name, value);
    }
    told
}
