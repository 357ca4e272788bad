//! Brokers for the samples.

#[path = "../../examples/scram.rs"]
#[allow(unreachable_pub, reason = "it is a crate of its own elsewhere")]
mod scram;

use mqtt_broker_lite::{
    Authenticator, Authorizer, Config, ConnectRequest, ConnectVerdict, Permission, PublishRequest,
    ReadRequest, Server, SubscribeRequest,
};

/// A broker, and its address.
pub(crate) fn broker() -> (Server, String) {
    start(Config::free_port())
}

/// A broker that lets nobody in.
pub(crate) fn closed_broker() -> (Server, String) {
    let mut config = Config::free_port();
    config.authenticate_with(Nobody);
    start(config)
}

/// A broker where nobody may subscribe to what is secret.
pub(crate) fn discreet_broker() -> (Server, String) {
    let mut config = Config::free_port();
    config.authorize_with(NoSecrets);
    start(config)
}

/// A broker where `meter` logs in by SCRAM with this password, and nobody else gets in.
pub(crate) fn scram_broker(password: &str) -> (Server, String) {
    let meter = scram::Verifier::new(password).unwrap();
    let mut config = Config::free_port();
    config.authenticate_with(scram::ScramServer::new([("meter".to_owned(), meter)].into()));
    start(config)
}

/// A broker at this address.
pub(crate) fn broker_at(url: &str) -> Server {
    let mut config = Config::free_port();
    config.listeners = vec![url.parse().unwrap()];
    start(config).0
}

fn start(config: Config) -> (Server, String) {
    let server = Server::bind_blocking(config).unwrap();
    let url = server.addresses()[0].to_string();
    (server, url)
}

struct Nobody;

impl Authenticator for Nobody {
    async fn connect(&self, _: &ConnectRequest) -> ConnectVerdict {
        ConnectVerdict::Abstain
    }
}

struct NoSecrets;

impl Authorizer for NoSecrets {
    async fn publish(&self, _: &PublishRequest) -> Permission {
        Permission::Allow
    }

    async fn subscribe(&self, _: &SubscribeRequest, filter: &str) -> Permission {
        if filter.starts_with("secret") { Permission::Deny } else { Permission::Allow }
    }

    async fn read(&self, _: &ReadRequest) -> Permission {
        Permission::Allow
    }
}
