//! What to do about what went wrong.

use std::error::Error;
use std::fmt::Write as _;
use std::io;

use mqtt_broker_lite::{BindError, DEFAULT_PORT, Listen};

/// What went wrong and what to do about it.
pub(crate) fn describe(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    if let Some(hint) = error.downcast_ref().and_then(hint) {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n{hint}");
    }
    text
}

fn hint(error: &BindError) -> Option<String> {
    if let BindError::Resolve { .. } = error {
        return Some("Check the spelling of the host, or write its address".to_owned());
    }
    if let BindError::AnonymousBeyondLoopback { .. } = error {
        return Some(
            "Pass --allow-anonymous (access.allow_anonymous in the file) if every machine that reaches it may publish and subscribe, \
             or listen on 127.0.0.1 or [::1]"
                .to_owned(),
        );
    }
    let BindError::Listen { listen, source } = error else { return None };
    let kind = source.kind();
    if kind == io::ErrorKind::AddrInUse && matches!(listen, Listen::Unix { .. }) {
        return Some(
            "Another broker serves that socket: stop it, or choose another path".to_owned(),
        );
    }
    if kind == io::ErrorKind::AddrInUse {
        return Some(format!(
            "Another program listens there, maybe another broker: stop it, or choose another \
             port, such as --listen {}",
            with_next_port(listen)
        ));
    }
    if kind == io::ErrorKind::PermissionDenied && !matches!(listen, Listen::Unix { .. }) {
        return Some(
            "Ports below 1024 need a privilege: choose a higher one, or give the program \
             CAP_NET_BIND_SERVICE"
                .to_owned(),
        );
    }
    (kind == io::ErrorKind::AddrNotAvailable).then(|| {
        "This machine does not have that address: name one that it has, or 0.0.0.0 for all of them"
            .to_owned()
    })
}

fn with_next_port(listen: &Listen) -> Listen {
    let mut next = listen.clone();
    if let Listen::Host { port, .. } = &mut next {
        *port = port.checked_add(1).unwrap_or(DEFAULT_PORT);
    }
    next
}
