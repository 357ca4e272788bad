//! Where a broker listens, as a URL says it, and where it does listen in the end.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use thiserror::Error;

/// The port of MQTT over plain TCP, taken when a URL names none.
pub const DEFAULT_PORT: u16 = 1883;

/// A place to listen on, before names are resolved and port 0 is replaced by a free one.
///
/// It is parsed from a URL, `mqtt://HOST:PORT`, or made from a socket address. IPv6 addresses
/// stand in brackets; the port may be left out and is [`DEFAULT_PORT`] then. A host name listens
/// on every address that it resolves to. `[::]` takes IPv6 connections alone: name `0.0.0.0` in
/// a second listener to take both.
///
/// ```
/// use mqtt_broker_lite::Listen;
///
/// let listen: Listen = "mqtt://localhost".parse()?;
/// assert_eq!(listen.to_string(), "mqtt://localhost:1883");
/// let listen: Listen = "mqtt://[::1]:0".parse()?;
/// assert_eq!(listen.to_string(), "mqtt://[::1]:0");
/// assert!("amqp://localhost".parse::<Listen>().is_err());
/// # Ok::<(), mqtt_broker_lite::ListenError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Listen {
    /// MQTT over plain TCP.
    Tcp {
        /// A host name or an address; an IPv6 address stands here without brackets.
        host: String,
        /// The port; 0 lets the operating system choose a free one.
        port: u16,
    },
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp { host: address.ip().to_string(), port: address.port() }
    }
}

impl FromStr for Listen {
    type Err = ListenError;

    fn from_str(url: &str) -> Result<Self, ListenError> {
        let (scheme, rest) = url.split_once("://").ok_or(ListenError::NoScheme)?;
        if !scheme.eq_ignore_ascii_case("mqtt") {
            return Err(ListenError::Scheme { scheme: scheme.to_owned() });
        }
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#', '@']) || authority.contains(char::is_whitespace) {
            return Err(ListenError::Trailing);
        }
        let (host, port) = split_port(authority)?;
        if host.is_empty() {
            return Err(ListenError::Host);
        }
        let port = match port {
            None => DEFAULT_PORT,
            // `parse` takes a leading plus sign, a URL does not.
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map_err(|_| ListenError::Port)?
            }
            Some(_) => return Err(ListenError::Port),
        };
        Ok(Self::Tcp { host: host.to_owned(), port })
    }
}

/// The host, without brackets, and the port if there is one.
fn split_port(authority: &str) -> Result<(&str, Option<&str>), ListenError> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or(ListenError::Host)?;
        host.parse::<std::net::Ipv6Addr>().map_err(|_| ListenError::Host)?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(ListenError::Host),
        };
    }
    match authority.split_once(':') {
        Some((_, port)) if port.contains(':') => Err(ListenError::Host),
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((authority, None)),
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "mqtt://[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "mqtt://{host}:{port}"),
        }
    }
}

/// Why a text is not a place to listen on.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ListenError {
    /// No `scheme://` in front.
    #[error("a listener is a URL such as mqtt://127.0.0.1:1883")]
    NoScheme,
    /// A scheme that this broker does not listen with.
    #[error("the scheme {scheme:?} is not supported; supported: mqtt (MQTT over TCP)")]
    Scheme {
        /// The scheme as it was written.
        scheme: String,
    },
    /// No host, or one that is not written as a URL writes it.
    #[error("the host is missing or malformed; an IPv6 address stands in brackets: mqtt://[::1]")]
    Host,
    /// A port that is not a number up to 65535.
    #[error("the port is not a number from 0 to 65535")]
    Port,
    /// User, path, query or fragment, none of which a listener has.
    #[error("a listener has a host and a port only: mqtt://HOST:PORT")]
    Trailing,
}

/// An address that a running broker listens on; it displays as the URL that clients use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// MQTT over plain TCP.
    Tcp(SocketAddr),
}

impl Address {
    /// The socket address, where the listener has one.
    pub const fn socket_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "mqtt://{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Result<Listen, ListenError> {
        Ok(Listen::Tcp { host: host.to_owned(), port })
    }

    #[test]
    fn host_and_port_are_taken_from_a_url() {
        for (url, expected) in [
            ("mqtt://127.0.0.1:1883", tcp("127.0.0.1", 1883)),
            ("mqtt://127.0.0.1:0/", tcp("127.0.0.1", 0)),
            ("MQTT://broker.example", tcp("broker.example", 1883)),
            ("mqtt://[::1]:65535", tcp("::1", 65535)),
            ("mqtt://[::]", tcp("::", 1883)),
        ] {
            assert_eq!(url.parse(), expected, "{url}");
        }
    }

    #[test]
    fn what_is_not_a_listener_is_refused_with_its_reason() {
        let scheme = |scheme: &str| ListenError::Scheme { scheme: scheme.to_owned() };
        for (url, expected) in [
            ("", ListenError::NoScheme),
            ("127.0.0.1:1883", ListenError::NoScheme),
            ("mqtts://127.0.0.1", scheme("mqtts")),
            ("unix:///run/broker", scheme("unix")),
            ("mqtt://", ListenError::Host),
            ("mqtt://:1883", ListenError::Host),
            ("mqtt://::1", ListenError::Host),
            ("mqtt://[::1", ListenError::Host),
            ("mqtt://[localhost]:1883", ListenError::Host),
            ("mqtt://[::1]1883", ListenError::Host),
            ("mqtt://localhost:", ListenError::Port),
            ("mqtt://localhost:+1", ListenError::Port),
            ("mqtt://localhost:65536", ListenError::Port),
            ("mqtt://user@localhost", ListenError::Trailing),
            ("mqtt://localhost/path", ListenError::Trailing),
        ] {
            let expected: Result<Listen, _> = Err(expected);
            assert_eq!(url.parse::<Listen>(), expected, "{url}");
        }
    }

    #[test]
    fn a_listener_from_a_socket_address_is_written_as_its_url() {
        for url in ["mqtt://127.0.0.1:80", "mqtt://[::1]:80"] {
            let listen: Listen = url.parse().unwrap();
            let address: SocketAddr = url.trim_start_matches("mqtt://").parse().unwrap();
            assert_eq!(Listen::from(address), listen);
            assert_eq!(listen.to_string(), url);
            assert_eq!(Address::Tcp(address).to_string(), url);
        }
    }
}
