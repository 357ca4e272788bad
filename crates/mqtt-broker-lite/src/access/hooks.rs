//! Decisions that the embedding program takes: the two traits, and their form without generics.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use mqtt_session::{
    AuthenticateAnswer, AuthenticateRequest, ConnectGrant, ConnectRefusal, ConnectRequest,
    PublishRequest, ReadRequest, SubscribeRequest,
};

/// Says who a client is.
///
/// Register one with [`Config::authenticate_with`](crate::Config::authenticate_with). Several are
/// asked in the order of their registration, after client certificates and the password file,
/// until one does not abstain. Where all abstain, a client without a user name is anonymous if
/// the configuration allows that, and every other one is refused.
///
/// Methods run as tasks on a small runtime of the server's own
/// ([`Config::hook_threads`](crate::Config::hook_threads)), never on the broker's thread. One
/// that waits holds nobody up but its own client, and is given up after
/// [`Decisions::timeout`](crate::Decisions::timeout): the client is refused. One that panics has
/// its client refused with 0x83. One that blocks its thread, instead of awaiting, keeps that
/// thread from other hooks: put such work into `tokio::task::spawn_blocking`.
///
/// ```
/// use mqtt_broker_lite::{Authenticator, Config, ConnectRequest, ConnectVerdict};
///
/// struct Meters;
///
/// impl Authenticator for Meters {
///     async fn connect(&self, request: &ConnectRequest) -> ConnectVerdict {
///         match request.user_name() {
///             Some(name) if name.starts_with("meter-") => ConnectVerdict::accept(name),
///             _ => ConnectVerdict::Abstain,
///         }
///     }
/// }
///
/// let mut config = Config::free_port();
/// config.authenticate_with(Meters);
/// ```
pub trait Authenticator: Send + Sync + 'static {
    /// A client wants to connect, or has answered a challenge: then
    /// [`authentication_round`](ConnectRequest::authentication_round) is above 0.
    fn connect(&self, request: &ConnectRequest) -> impl Future<Output = ConnectVerdict> + Send;

    /// A client that is connected authenticates again. Unless this is overridden it abstains, and
    /// a client about which all abstain is disconnected with 0x8C (Bad authentication method).
    fn authenticate(
        &self,
        request: &AuthenticateRequest,
    ) -> impl Future<Output = Option<AuthenticateAnswer>> + Send {
        let _ = request;
        async { None }
    }
}

/// What an [`Authenticator`] says of a client that wants to connect.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectVerdict {
    /// The client is who the grant says.
    Accept(ConnectGrant),
    /// The client may not connect.
    Refuse(ConnectRefusal),
    /// The client has to prove more: it is sent AUTH with this Authentication Data, and its answer
    /// comes back as the next request.
    Challenge(Bytes),
    /// The next one decides.
    Abstain,
}

impl ConnectVerdict {
    /// The client is known by this name.
    pub fn accept(identity: impl Into<Box<str>>) -> Self {
        Self::Accept(ConnectGrant::to(identity))
    }
}

/// Says what a client may do.
///
/// Register one with [`Config::authorize_with`](crate::Config::authorize_with). Several are asked
/// in the order of their registration, after the access control list, until one does not abstain.
/// Where all abstain, the answer is no. Each method abstains unless it is overridden.
///
/// Where and for how long methods run is said at [`Authenticator`]; what fails here is denied,
/// with 0x83 where the method panicked.
///
/// ```
/// use mqtt_broker_lite::{Authorizer, Config, Permission, PublishRequest};
///
/// struct OwnTopicsOnly;
///
/// impl Authorizer for OwnTopicsOnly {
///     async fn publish(&self, request: &PublishRequest) -> Permission {
///         let own = request.topic().split('/').next() == request.identity();
///         if own { Permission::Allow } else { Permission::Abstain }
///     }
/// }
///
/// let mut config = Config::free_port();
/// config.authorize_with(OwnTopicsOnly);
/// ```
pub trait Authorizer: Send + Sync + 'static {
    /// Whether a client may publish this message, or its Will Message that is due.
    fn publish(&self, request: &PublishRequest) -> impl Future<Output = Permission> + Send {
        let _ = request;
        async { Permission::Abstain }
    }

    /// Whether a client may subscribe to `filter`, one of those of `request`.
    fn subscribe(
        &self,
        request: &SubscribeRequest,
        filter: &str,
    ) -> impl Future<Output = Permission> + Send {
        let _ = (request, filter);
        async { Permission::Abstain }
    }

    /// Whether a client may get messages of this topic: live, retained, queued and sent again.
    /// The answer is remembered for the session and the topic until
    /// [`Server::rights_changed`](crate::Server::rights_changed).
    fn read(&self, request: &ReadRequest) -> impl Future<Output = Permission> + Send {
        let _ = request;
        async { Permission::Abstain }
    }
}

/// What an [`Authorizer`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Permission {
    /// Yes.
    Allow,
    /// No.
    Deny,
    /// The next one decides.
    Abstain,
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// [`Authenticator`] without generics.
pub(crate) trait DynAuthenticator: Send + Sync {
    fn connect<'a>(&'a self, request: &'a ConnectRequest) -> Boxed<'a, ConnectVerdict>;
    fn authenticate<'a>(
        &'a self,
        request: &'a AuthenticateRequest,
    ) -> Boxed<'a, Option<AuthenticateAnswer>>;
}

impl<T: Authenticator> DynAuthenticator for T {
    fn connect<'a>(&'a self, request: &'a ConnectRequest) -> Boxed<'a, ConnectVerdict> {
        Box::pin(Authenticator::connect(self, request))
    }

    fn authenticate<'a>(
        &'a self,
        request: &'a AuthenticateRequest,
    ) -> Boxed<'a, Option<AuthenticateAnswer>> {
        Box::pin(Authenticator::authenticate(self, request))
    }
}

/// [`Authorizer`] without generics.
pub(crate) trait DynAuthorizer: Send + Sync {
    fn publish<'a>(&'a self, request: &'a PublishRequest) -> Boxed<'a, Permission>;
    fn subscribe<'a>(
        &'a self,
        request: &'a SubscribeRequest,
        filter: &'a str,
    ) -> Boxed<'a, Permission>;
    fn read<'a>(&'a self, request: &'a ReadRequest) -> Boxed<'a, Permission>;
}

impl<T: Authorizer> DynAuthorizer for T {
    fn publish<'a>(&'a self, request: &'a PublishRequest) -> Boxed<'a, Permission> {
        Box::pin(Authorizer::publish(self, request))
    }

    fn subscribe<'a>(
        &'a self,
        request: &'a SubscribeRequest,
        filter: &'a str,
    ) -> Boxed<'a, Permission> {
        Box::pin(Authorizer::subscribe(self, request, filter))
    }

    fn read<'a>(&'a self, request: &'a ReadRequest) -> Boxed<'a, Permission> {
        Box::pin(Authorizer::read(self, request))
    }
}
