//! Where a server is: `mqtt://[user[:password]@]host[:port]`.

use core::fmt;

/// The port of MQTT over plain TCP.
pub(crate) const PORT: u16 = 1883;

/// Why a text is not the address of a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// There is no `://`.
    #[error("`{address}` has no scheme; write `mqtt://host` or `mqtt://host:port`")]
    NoScheme {
        /// What was given.
        address: String,
    },
    /// The scheme is one that this crate does not know.
    #[error("the scheme `{scheme}` is not supported; use `mqtt` (plain TCP)")]
    UnknownScheme {
        /// What stands before `://`.
        scheme: String,
    },
    /// There is no host name.
    #[error("`{address}` names no host; write `mqtt://host` or `mqtt://host:port`")]
    NoHost {
        /// What was given.
        address: String,
    },
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
    /// Something stands behind the host and port.
    #[error("`{rest}` may not stand behind the host; an MQTT address has no path")]
    Path {
        /// What stands there.
        rest: String,
    },
}

/// The address of a server, and what it says of the login.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user_name: Option<String>,
    pub(crate) password: Option<String>,
}

impl Address {
    pub(crate) fn parse(address: &str) -> Result<Self, AddressError> {
        let Some((scheme, rest)) = address.split_once("://") else {
            return Err(AddressError::NoScheme { address: address.into() });
        };
        if !scheme.eq_ignore_ascii_case("mqtt") {
            return Err(AddressError::UnknownScheme { scheme: scheme.into() });
        }
        let (login, rest) = match rest.rsplit_once('@') {
            Some((login, rest)) => (Some(login), rest),
            None => (None, rest),
        };
        let (host, rest) = split_host(rest);
        if host.is_empty() {
            return Err(AddressError::NoHost { address: address.into() });
        }
        let (port, rest) = match rest.strip_prefix(':') {
            Some(rest) => {
                let end = rest.find('/').unwrap_or(rest.len());
                let (port, rest) = rest.split_at(end);
                let number = port.parse().ok().filter(|number| *number != 0);
                let number = number.ok_or_else(|| AddressError::Port { port: port.into() })?;
                (number, rest)
            }
            None => (PORT, rest),
        };
        if !matches!(rest, "" | "/") {
            return Err(AddressError::Path { rest: rest.into() });
        }
        let (user_name, password) = match login.map(|login| login.split_once(':').ok_or(login)) {
            None => (None, None),
            Some(Ok((user_name, password))) => (Some(user_name), Some(password)),
            Some(Err(user_name)) => (Some(user_name), None),
        };
        Ok(Self {
            host: host.into(),
            port,
            user_name: user_name.map(percent_decode).transpose()?,
            password: password.map(percent_decode).transpose()?,
        })
    }
}

impl fmt::Display for Address {
    /// Leaves out the login.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
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
    let end = text.find([':', '/']).unwrap_or(text.len());
    text.split_at(end)
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

    #[test]
    fn what_is_wrong_is_told_with_what_to_write_instead() {
        for (address, part) in [
            ("localhost:1883", "write `mqtt://host`"),
            ("mqtts://h", "use `mqtt`"),
            ("mqtt://", "names no host"),
            ("mqtt://:1883", "names no host"),
            ("mqtt://h:0", "from 1 to 65535"),
            ("mqtt://h:70000", "from 1 to 65535"),
            ("mqtt://h:1883/path", "no path"),
            ("mqtt://a%4:b@h", "%25"),
            ("mqtt://%ff@h", "%25"),
        ] {
            let error = Address::parse(address).err().unwrap().to_string();
            assert!(error.contains(part), "{address}: {error}");
        }
    }
}
