//! Where a server is: `scheme://[user[:password]@]host[:port][/path]`.

use core::fmt;

use mqtt_session::ServerReference;

/// The path of a WebSocket whose address names none: what most servers listen on, and what is
/// used by convention.
const WEBSOCKET_PATH: &str = "/mqtt";

/// Why a text is not the address of a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// There is no `://`.
    #[error("`{address}` has no scheme; write `mqtt://host` or `mqtts://host:port`")]
    NoScheme {
        /// What was given.
        address: String,
    },
    /// The scheme is one that this crate does not know.
    #[error("the scheme `{scheme}` is not known; use `mqtt`, `mqtts`, `ws`, `wss` or `unix`")]
    UnknownScheme {
        /// What stands before `://`.
        scheme: String,
    },
    /// The scheme needs a feature of this crate that was not built in.
    #[error("`{scheme}` addresses need the feature `{feature}` of this crate, which is off")]
    FeatureOff {
        /// What stands before `://`.
        scheme: String,
        /// The feature to enable.
        feature: &'static str,
    },
    /// This system has no Unix sockets.
    #[error("this system has no Unix sockets; use `mqtt` or `mqtts`")]
    NoUnixSockets,
    /// There is no host name.
    #[error("`{address}` names no host; write `mqtt://host` or `mqtts://host:port`")]
    NoHost {
        /// What was given.
        address: String,
    },
    /// There is no path of a Unix socket.
    #[error("the address names no socket; write `unix:///run/mqtt.sock`")]
    NoSocket,
    /// The port is not a number from 1 to 65,535.
    #[error("`{port}` is not a port; use a number from 1 to 65535")]
    Port {
        /// What stands behind the host.
        port: String,
    },
    /// A `%` in the user name or password is not followed by two hexadecimal digits that make
    /// UTF-8 text.
    #[error("the user name or password is not percent-encoded UTF-8; write `%25` for `%`")]
    PercentEncoding,
    /// Something stands behind the host and port that does not belong there.
    #[error("`{rest}` may not stand in such an address; only `ws` and `wss` have a path")]
    Path {
        /// What stands there.
        rest: String,
    },
}

/// What carries the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Tcp,
    Tls,
    WebSocket,
    SecureWebSocket,
    Unix,
}

impl Scheme {
    fn parse(scheme: &str) -> Result<Self, AddressError> {
        const TABLE: [(&str, Scheme); 5] = [
            ("mqtt", Scheme::Tcp),
            ("mqtts", Scheme::Tls),
            ("ws", Scheme::WebSocket),
            ("wss", Scheme::SecureWebSocket),
            ("unix", Scheme::Unix),
        ];
        let known = TABLE.iter().find(|(name, _)| scheme.eq_ignore_ascii_case(name));
        let Some((_, known)) = known else {
            return Err(AddressError::UnknownScheme { scheme: scheme.into() });
        };
        let feature_off = |feature| AddressError::FeatureOff { scheme: scheme.into(), feature };
        if known.is_secure() && !cfg!(feature = "rustls") {
            return Err(feature_off("tls"));
        }
        if known.is_websocket() && !cfg!(feature = "websocket") {
            return Err(feature_off("websocket"));
        }
        if *known == Self::Unix && !cfg!(unix) {
            return Err(AddressError::NoUnixSockets);
        }
        Ok(*known)
    }

    pub(crate) const fn is_secure(self) -> bool {
        matches!(self, Self::Tls | Self::SecureWebSocket)
    }

    pub(crate) const fn is_websocket(self) -> bool {
        matches!(self, Self::WebSocket | Self::SecureWebSocket)
    }

    /// The port of addresses that name none.
    const fn port(self) -> u16 {
        match self {
            Self::Tcp | Self::Unix => 1883,
            Self::Tls => 8883,
            Self::WebSocket => 80,
            Self::SecureWebSocket => 443,
        }
    }
}

/// The address of a server, and what it says of the login.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) scheme: Scheme,
    /// Empty with a Unix socket.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// What a WebSocket asks for, or where a Unix socket is; otherwise empty.
    pub(crate) path: String,
    pub(crate) user_name: Option<String>,
    pub(crate) password: Option<String>,
}

impl Address {
    pub(crate) fn parse(address: &str) -> Result<Self, AddressError> {
        let Some((scheme, rest)) = address.split_once("://") else {
            return Err(AddressError::NoScheme { address: address.into() });
        };
        let scheme = Scheme::parse(scheme)?;
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (login, place) = match authority.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, authority),
        };
        let (user_name, password) = match login.map(|login| login.split_once(':').ok_or(login)) {
            None => (None, None),
            Some(Ok((user_name, password))) => (Some(user_name), Some(password)),
            Some(Err(user_name)) => (Some(user_name), None),
        };
        let mut parsed = Self {
            scheme,
            host: String::new(),
            port: scheme.port(),
            path: String::new(),
            user_name: user_name.map(percent_decode).transpose()?,
            password: password.map(percent_decode).transpose()?,
        };
        if scheme == Scheme::Unix {
            parsed.path = format!("{place}{path}");
            return if parsed.path.is_empty() { Err(AddressError::NoSocket) } else { Ok(parsed) };
        }
        let (host, port) = split_host(place);
        if host.is_empty() {
            return Err(AddressError::NoHost { address: address.into() });
        }
        parsed.host = host.into();
        if !port.is_empty() {
            let wrong = || AddressError::Port { port: port.trim_start_matches(':').into() };
            let digits = port.strip_prefix(':').ok_or_else(wrong)?;
            let number = digits.parse().ok().filter(|number| *number != 0);
            parsed.port = number.ok_or_else(wrong)?;
        }
        if path.contains('#') || !(scheme.is_websocket() || matches!(path, "" | "/")) {
            return Err(AddressError::Path { rest: path.into() });
        }
        if scheme.is_websocket() {
            parsed.path = match path {
                "" => WEBSOCKET_PATH.into(),
                query if query.starts_with('?') => format!("{WEBSOCKET_PATH}{query}"),
                path => path.into(),
            };
        }
        Ok(parsed)
    }

    /// Another server, to be reached as this one; `None` if this one is a socket of this machine.
    pub(crate) fn redirected(&self, server: &ServerReference) -> Option<Self> {
        if self.scheme == Scheme::Unix {
            return None;
        }
        let port = server.port().unwrap_or_else(|| self.scheme.port());
        Some(Self { host: server.host().to_owned(), port, ..self.clone() })
    }

    /// Host and port as HTTP wants them told: without the port that the scheme has anyhow.
    #[cfg(feature = "websocket")]
    pub(crate) fn authority(&self) -> String {
        let text = self.to_string();
        let usual = format!(":{}", self.scheme.port());
        text.strip_suffix(&usual).map_or_else(|| text.clone(), str::to_owned)
    }
}

impl fmt::Display for Address {
    /// Leaves out the login.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.scheme == Scheme::Unix {
            f.write_str(&self.path)
        } else if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// The host, without the brackets of an IPv6 address, and what follows it.
fn split_host(text: &str) -> (&str, &str) {
    if let Some(inner) = text.strip_prefix('[')
        && let Some((host, rest)) = inner.split_once(']')
    {
        return (host, rest);
    }
    text.split_at(text.find(':').unwrap_or(text.len()))
}

fn percent_decode(text: &str) -> Result<String, AddressError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err(AddressError::PercentEncoding);
        };
        bytes.push((high * 16 + low) as u8);
    }
    String::from_utf8(bytes).map_err(|_| AddressError::PercentEncoding)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(address: &str) -> (String, Option<String>, Option<String>) {
        let address = Address::parse(address).unwrap();
        (address.to_string(), address.user_name, address.password)
    }

    #[test]
    fn host_port_and_login_are_read() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(parts("mqtt://example.org"), ("example.org:1883".into(), None, None));
        assert_eq!(parts("MQTT://h:1/"), ("h:1".into(), None, None));
        assert_eq!(parts("mqtt://[::1]:1884"), ("[::1]:1884".into(), None, None));
        assert_eq!(parts("mqtt://[::1]"), ("[::1]:1883".into(), None, None));
        assert_eq!(parts("mqtt://u@h"), ("h:1883".into(), some("u"), None));
        assert_eq!(parts("mqtt://u:p%40%3a:@h:9"), ("h:9".into(), some("u"), some("p@::")));
    }

    #[cfg(unix)]
    #[test]
    fn a_unix_socket_is_named_by_its_path() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(parts("unix:///run/mqtt.sock"), ("/run/mqtt.sock".into(), None, None));
        assert_eq!(parts("unix://here.sock"), ("here.sock".into(), None, None));
        assert_eq!(parts("unix://u:p@/a@b"), ("/a@b".into(), some("u"), some("p")));
        assert_eq!(Address::parse("unix://").err(), Some(AddressError::NoSocket));
    }

    #[cfg(all(feature = "rustls", feature = "websocket"))]
    #[test]
    fn every_scheme_has_its_port_and_websockets_a_path() {
        for (text, address, path) in [
            ("mqtts://h", "h:8883", ""),
            ("mqtts://[::1]/", "[::1]:8883", ""),
            ("ws://h", "h:80", "/mqtt"),
            ("ws://h:8080?a=b", "h:8080", "/mqtt?a=b"),
            ("ws://u@h/", "h:80", "/"),
            ("wss://h", "h:443", "/mqtt"),
            ("wss://h:8084/$iothub/websocket?x=/@", "h:8084", "/$iothub/websocket?x=/@"),
        ] {
            let parsed = Address::parse(text).unwrap();
            assert_eq!((&*parsed.to_string(), &*parsed.path), (address, path), "{text}");
        }
        assert_eq!(Address::parse("ws://h").unwrap().authority(), "h");
        assert_eq!(Address::parse("ws://[::1]").unwrap().authority(), "[::1]");
        assert_eq!(Address::parse("wss://h:80").unwrap().authority(), "h:80");
    }

    #[test]
    fn a_scheme_whose_feature_is_off_names_it() {
        for (address, feature) in
            [("mqtts://h", "tls"), ("wss://h", "tls"), ("ws://h", "websocket")]
        {
            let off = match feature {
                "tls" => !cfg!(feature = "rustls"),
                _ => !cfg!(feature = "websocket"),
            };
            match Address::parse(address) {
                Ok(_) => assert!(!off, "{address}"),
                Err(AddressError::FeatureOff { feature: named, .. }) => {
                    assert!(named == feature && off || named == "websocket", "{address}: {named}");
                }
                Err(error) => panic!("{address}: {error}"),
            }
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_what_to_write_instead() {
        for (address, part) in [
            ("localhost:1883", "write `mqtt://host`"),
            ("http://h", "use `mqtt`, `mqtts`"),
            ("mqtt://", "names no host"),
            ("mqtt://:1883", "names no host"),
            ("mqtt://h:0", "from 1 to 65535"),
            ("mqtt://h:70000", "from 1 to 65535"),
            ("mqtt://[::1]1883", "from 1 to 65535"),
            ("mqtt://h:1883/path", "only `ws` and `wss`"),
            ("mqtt://h?x", "only `ws` and `wss`"),
            ("mqtt://a%4:b@h", "%25"),
            ("mqtt://%ff@h", "%25"),
        ] {
            let error = Address::parse(address).err().unwrap().to_string();
            assert!(error.contains(part), "{address}: {error}");
        }
    }
}
