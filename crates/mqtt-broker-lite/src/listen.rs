//! Where a broker listens, as a URL says it, and where it does listen in the end.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ipnet::IpNet;
use thiserror::Error;

/// The port of MQTT over plain TCP, taken when a URL names none.
pub const DEFAULT_PORT: u16 = 1883;

/// A place to listen on, before names are resolved and port 0 is replaced by a free one.
///
/// It is parsed from a URL, or made from a socket address, which means MQTT over plain TCP:
///
/// | URL | what | port if it names none |
/// |---|---|---|
/// | `mqtt://HOST:PORT` | MQTT over TCP | 1883 |
/// | `mqtts://HOST:PORT` | MQTT over TLS | 8883 |
/// | `ws://HOST:PORT/PATH` | MQTT over WebSocket | 80 |
/// | `wss://HOST:PORT/PATH` | MQTT over WebSocket over TLS | 443 |
/// | `unix:///PATH` | MQTT over a Unix socket | |
///
/// IPv6 addresses stand in brackets. A host name listens on every address that it resolves to.
/// `[::]` takes IPv6 connections alone: name `0.0.0.0` in a second listener to take both. A
/// WebSocket listener without a path takes requests for any.
///
/// ```
/// use mqtt_broker_lite::Listen;
///
/// let listen: Listen = "mqtt://localhost".parse()?;
/// assert_eq!(listen.to_string(), "mqtt://localhost:1883");
/// let listen: Listen = "wss://[::1]:0/mqtt".parse()?;
/// assert_eq!(listen.to_string(), "wss://[::1]:0/mqtt");
/// assert!("amqp://localhost".parse::<Listen>().is_err());
/// # Ok::<(), mqtt_broker_lite::ListenError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Listen {
    /// A host and a port.
    Host {
        /// What is spoken there.
        transport: Transport,
        /// A host name or an address; an IPv6 address stands here without brackets.
        host: String,
        /// The port; 0 lets the operating system choose a free one.
        port: u16,
        /// The path of WebSocket requests, with the slash that it begins with; empty for any.
        path: String,
    },
    /// MQTT over a Unix socket.
    Unix {
        /// The path of the socket in the file system.
        path: PathBuf,
    },
}

/// What carries MQTT to a host and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transport {
    /// TCP, `mqtt`.
    Tcp,
    /// TLS, `mqtts`.
    Tls,
    /// WebSocket, `ws`.
    WebSocket,
    /// WebSocket over TLS, `wss`.
    SecureWebSocket,
}

impl Transport {
    const ALL: [Self; 4] = [Self::Tcp, Self::Tls, Self::WebSocket, Self::SecureWebSocket];

    /// The scheme of its URLs.
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::Tcp => "mqtt",
            Self::Tls => "mqtts",
            Self::WebSocket => "ws",
            Self::SecureWebSocket => "wss",
        }
    }

    /// The port of a URL that names none.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Tcp => DEFAULT_PORT,
            Self::Tls => 8883,
            Self::WebSocket => 80,
            Self::SecureWebSocket => 443,
        }
    }

    const fn is_websocket(self) -> bool {
        matches!(self, Self::WebSocket | Self::SecureWebSocket)
    }
}

impl Listen {
    /// Whether connections are encrypted.
    pub const fn is_tls(&self) -> bool {
        let Self::Host { transport, .. } = self else { return false };
        matches!(transport, Transport::Tls | Transport::SecureWebSocket)
    }

    /// Whether connections are WebSockets.
    pub const fn is_websocket(&self) -> bool {
        matches!(self, Self::Host { transport, .. } if transport.is_websocket())
    }

    /// The path of WebSocket requests; empty for any, and for other listeners.
    #[cfg(feature = "websocket")]
    pub(crate) fn path(&self) -> &str {
        match self {
            Self::Host { path, .. } => path,
            Self::Unix { .. } => "",
        }
    }
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Self {
        Self::Host {
            transport: Transport::Tcp,
            host: address.ip().to_string(),
            port: address.port(),
            path: String::new(),
        }
    }
}

impl FromStr for Listen {
    type Err = ListenError;

    fn from_str(url: &str) -> Result<Self, ListenError> {
        let (scheme, rest) = url.split_once("://").ok_or(ListenError::NoScheme)?;
        if scheme.eq_ignore_ascii_case("unix") {
            return unix(rest);
        }
        let transport = Transport::ALL
            .into_iter()
            .find(|transport| scheme.eq_ignore_ascii_case(transport.scheme()))
            .ok_or_else(|| ListenError::Scheme { scheme: scheme.to_owned() })?;
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let path = if path == "/" { "" } else { path };
        let is_strange = |text: &str, more: &[char]| {
            text.contains(more) || text.contains(|c: char| c.is_whitespace() || c.is_control())
        };
        if is_strange(authority, &['?', '#', '@'])
            || is_strange(path, &['?', '#'])
            || (!path.is_empty() && !transport.is_websocket())
        {
            return Err(ListenError::Trailing);
        }
        let (host, port) = split_port(authority)?;
        if host.is_empty() {
            return Err(ListenError::Host);
        }
        let port = match port {
            None => transport.default_port(),
            // `parse` takes a leading plus sign, a URL does not.
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map_err(|_| ListenError::Port)?
            }
            Some(_) => return Err(ListenError::Port),
        };
        Ok(Self::Host { transport, host: host.to_owned(), port, path: path.to_owned() })
    }
}

fn unix(path: &str) -> Result<Listen, ListenError> {
    if !cfg!(unix) {
        return Err(ListenError::Scheme { scheme: "unix".to_owned() });
    }
    if !path.starts_with('/') || path.ends_with('/') || path.contains('\0') {
        return Err(ListenError::Path);
    }
    Ok(Listen::Unix { path: path.into() })
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
            Self::Host { transport, host, port, path } => {
                let scheme = transport.scheme();
                if host.contains(':') {
                    write!(f, "{scheme}://[{host}]:{port}{path}")
                } else {
                    write!(f, "{scheme}://{host}:{port}{path}")
                }
            }
            Self::Unix { path } => write_unix(f, path),
        }
    }
}

fn write_unix(f: &mut fmt::Formatter<'_>, path: &Path) -> fmt::Result {
    write!(f, "unix://{}", path.display())
}

/// Why a text is not a place to listen on.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ListenError {
    /// No `scheme://` in front.
    #[error("a listener is a URL such as mqtt://127.0.0.1:1883")]
    NoScheme,
    /// A scheme that this broker does not listen with.
    #[error("the scheme {scheme:?} is not supported; supported: mqtt, mqtts, ws, wss, unix")]
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
    /// User, query or fragment, none of which a listener has, or a path that is not of a
    /// WebSocket.
    #[error("a listener has a host and a port only, mqtt://HOST:PORT, and a WebSocket has a path")]
    Trailing,
    /// No path of a socket.
    #[error("a Unix socket has a path that begins with a slash: unix:///run/broker.socket")]
    Path,
}

/// A network of addresses, or a single address, such as `10.0.0.0/8` or `::1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network(IpNet);

impl Network {
    /// Whether `address` belongs to it. An IPv4 address is the same in its IPv6 form.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        Self(address.into())
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        match text.parse::<IpAddr>() {
            Ok(address) => Ok(address.into()),
            Err(_) => text.parse().map(Self).map_err(|_| NetworkError),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text is not a network of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("this is neither an address nor a network such as 10.0.0.0/8")]
pub struct NetworkError;

/// An address that a running broker listens on; it displays as the URL that clients use.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// A socket address.
    Socket {
        /// What is spoken there.
        transport: Transport,
        /// The address, with the port that was found.
        address: SocketAddr,
        /// The path of WebSocket requests; empty for any.
        path: String,
    },
    /// A Unix socket.
    Unix {
        /// The path of the socket in the file system.
        path: PathBuf,
    },
}

impl Address {
    /// The socket address, where the listener has one.
    pub const fn socket_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Socket { address, .. } => Some(*address),
            Self::Unix { .. } => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket { transport, address, path } => {
                write!(f, "{}://{address}{path}", transport.scheme())
            }
            Self::Unix { path } => write_unix(f, path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(
        transport: Transport,
        host: &str,
        port: u16,
        path: &str,
    ) -> Result<Listen, ListenError> {
        Ok(Listen::Host { transport, host: host.to_owned(), port, path: path.to_owned() })
    }

    #[test]
    fn host_and_port_are_taken_from_a_url() {
        use Transport::{SecureWebSocket, Tcp, Tls, WebSocket};
        for (url, expected) in [
            ("mqtt://127.0.0.1:1883", host(Tcp, "127.0.0.1", 1883, "")),
            ("mqtt://127.0.0.1:0/", host(Tcp, "127.0.0.1", 0, "")),
            ("MQTT://broker.example", host(Tcp, "broker.example", 1883, "")),
            ("mqtt://[::1]:65535", host(Tcp, "::1", 65535, "")),
            ("mqtt://[::]", host(Tcp, "::", 1883, "")),
            ("mqtts://localhost", host(Tls, "localhost", 8883, "")),
            ("ws://localhost", host(WebSocket, "localhost", 80, "")),
            ("ws://localhost:8080/mqtt", host(WebSocket, "localhost", 8080, "/mqtt")),
            ("wss://[::1]/a/b", host(SecureWebSocket, "::1", 443, "/a/b")),
            ("wss://[::1]/", host(SecureWebSocket, "::1", 443, "")),
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
            ("amqp://127.0.0.1", scheme("amqp")),
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
            ("mqtts://localhost/path", ListenError::Trailing),
            ("ws://localhost/path?query", ListenError::Trailing),
            ("ws://localhost/a b", ListenError::Trailing),
        ] {
            let expected: Result<Listen, _> = Err(expected);
            assert_eq!(url.parse::<Listen>(), expected, "{url}");
        }
    }

    #[test]
    fn a_network_is_an_address_or_a_prefix() {
        let network: Network = "10.0.0.0/8".parse().unwrap();
        assert!(network.contains("10.1.2.3".parse().unwrap()));
        assert!(network.contains("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!network.contains("11.1.2.3".parse().unwrap()));
        let address: Network = "::1".parse().unwrap();
        assert!(address.contains("::1".parse().unwrap()));
        assert!(!address.contains("::2".parse().unwrap()));
        assert_eq!("10.0.0.0/33".parse::<Network>(), Err(NetworkError));
    }

    #[test]
    #[cfg(unix)]
    fn a_unix_socket_has_an_absolute_path() {
        let listen: Listen = "unix:///run/broker.socket".parse().unwrap();
        assert_eq!(listen, Listen::Unix { path: "/run/broker.socket".into() });
        assert_eq!(listen.to_string(), "unix:///run/broker.socket");
        for url in ["unix://", "unix://relative", "unix:///run/"] {
            assert_eq!(url.parse::<Listen>(), Err(ListenError::Path), "{url}");
        }
    }

    #[test]
    fn a_listener_from_a_socket_address_is_written_as_its_url() {
        for url in ["mqtt://127.0.0.1:80", "mqtt://[::1]:80"] {
            let listen: Listen = url.parse().unwrap();
            let address: SocketAddr = url.trim_start_matches("mqtt://").parse().unwrap();
            assert_eq!(Listen::from(address), listen);
            assert_eq!(listen.to_string(), url);
            let path = String::new();
            let bound = Address::Socket { transport: Transport::Tcp, address, path };
            assert_eq!(bound.to_string(), url);
        }
    }
}
