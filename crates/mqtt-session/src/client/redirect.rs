//! Server References: where a server sends its clients.

use core::fmt;
use core::net::Ipv6Addr;

/// A server that another one named, in the Server Reference of CONNACK or DISCONNECT.
///
/// The standard leaves the form open and gives host names and addresses with and without port as
/// examples; an IPv6 address may stand in brackets, and must with a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerReference {
    host: Box<str>,
    port: Option<u16>,
}

/// So many references of one list are looked at.
const MOST: usize = 16;

impl ServerReference {
    /// The references of a list with spaces between them, in order; those that name no host are
    /// left out.
    ///
    /// ```
    /// use mqtt_session::ServerReference;
    ///
    /// let servers = ServerReference::list("myserver.xyz.org [fe80::9610:3eff:fe1c]:1883");
    /// assert_eq!(servers.len(), 2);
    /// assert_eq!((servers[0].host(), servers[0].port()), ("myserver.xyz.org", None));
    /// assert_eq!((servers[1].host(), servers[1].port()), ("fe80::9610:3eff:fe1c", Some(1883)));
    /// ```
    #[must_use]
    pub fn list(text: &str) -> Vec<Self> {
        text.split(' ').filter_map(Self::parse).take(MOST).collect()
    }

    /// A host name or an IP address, without brackets.
    #[must_use]
    pub const fn host(&self) -> &str {
        &self.host
    }

    /// The port, if one was named; otherwise the usual one of the transport in use.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(inner) => {
                let (host, rest) = inner.split_once(']')?;
                host.parse::<Ipv6Addr>().ok()?;
                (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
            }
            None if text.parse::<Ipv6Addr>().is_ok() => (text, None),
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let is_known = |byte: u8| {
            byte.is_ascii_alphanumeric()
                || matches!(byte, b'.' | b'-' | b'_' | b':')
                || byte >= 0x80
        };
        if host.is_empty() || !host.bytes().all(is_known) {
            return None;
        }
        let port = match port {
            // `parse` would take a sign as well.
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(port.parse().ok().filter(|port| *port != 0)?)
            }
            Some(_) => return None,
            None => None,
        };
        Some(Self { host: host.into(), port })
    }
}

impl fmt::Display for ServerReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?;
        } else {
            f.write_str(&self.host)?;
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Vec<String> {
        ServerReference::list(text).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_forms_that_the_standard_shows_are_understood() {
        assert_eq!(list("myserver.xyz.org"), ["myserver.xyz.org"]);
        assert_eq!(list("myserver.xyz.org:8883"), ["myserver.xyz.org:8883"]);
        assert_eq!(
            list("10.10.151.22:8883 [fe80::9610:3eff:fe1c]:1883"),
            ["10.10.151.22:8883", "[fe80::9610:3eff:fe1c]:1883"]
        );
    }

    #[test]
    fn an_ipv6_address_needs_brackets_only_for_its_port() {
        assert_eq!(list("::1 [::1] [::1]:1"), ["[::1]", "[::1]", "[::1]:1"]);
    }

    #[test]
    fn what_names_no_host_is_left_out_and_the_rest_is_kept() {
        for text in [
            "", " ", ":1", "h:", "h:0", "h:65536", "h:+1", "h:1:2", "[::1", "[x]:1", "[::1]1",
            "mqtt://h", "h/path", "u@h", "h\u{7}", "a;b",
        ] {
            assert_eq!(list(text), [""; 0], "{text:?}");
            assert_eq!(list(&format!("a {text} b:1")), ["a", "b:1"], "{text:?}");
        }
    }

    #[test]
    fn a_long_list_costs_no_more_than_its_beginning() {
        assert_eq!(list(&"a ".repeat(10_000)).len(), MOST);
    }
}
