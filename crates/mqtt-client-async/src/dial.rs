//! Opening the transport of a connection, and what it logs in with.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use mqtt_session::{Attempt, DialFault};

/// What one connection logs in with, from [`ClientBuilder::credentials_fn`].
///
/// [`ClientBuilder::credentials_fn`]: crate::ClientBuilder::credentials_fn
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    pub(crate) user_name: Option<String>,
    pub(crate) password: Option<Bytes>,
    pub(crate) authentication_data: Option<Bytes>,
}

impl Credentials {
    /// A user name and a password.
    #[must_use]
    pub fn new(user_name: impl Into<String>, password: impl Into<Bytes>) -> Self {
        Self {
            user_name: Some(user_name.into()),
            password: Some(password.into()),
            authentication_data: None,
        }
    }

    /// A password alone, as some servers want a token.
    #[must_use]
    pub fn token(password: impl Into<Bytes>) -> Self {
        Self { password: Some(password.into()), ..Self::default() }
    }
}

impl fmt::Debug for Credentials {
    /// Never shows the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user_name", &self.user_name).finish_non_exhaustive()
    }
}

/// A transport that could not be opened.
#[derive(Debug)]
pub(crate) struct DialFailure {
    pub(crate) fault: DialFault,
    pub(crate) error: io::Error,
    /// Where it was to lead to.
    pub(crate) address: String,
}

/// A transport that stands, and what to log in with on it if that is not in the configuration.
#[derive(Debug)]
pub(crate) struct Dialled<S> {
    pub(crate) transport: S,
    pub(crate) credentials: Option<Credentials>,
}

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A transport that is being opened.
pub(crate) type Dialling<S> = BoxFuture<Result<Dialled<S>, DialFailure>>;

/// Opens the transport that an attempt asks for.
pub(crate) type Dialler<S> = Box<dyn FnMut(Attempt) -> Dialling<S> + Send + Sync>;

/// Gets the credentials for an attempt.
#[derive(Clone)]
pub(crate) struct CredentialsFn(
    Arc<dyn Fn(Attempt) -> BoxFuture<io::Result<Credentials>> + Send + Sync>,
);

impl CredentialsFn {
    pub(crate) fn new<F, Fut, E>(credentials: F) -> Self
    where
        F: Fn(Attempt) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Credentials, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Self(Arc::new(move |attempt| {
            let credentials = credentials(attempt);
            Box::pin(async move { credentials.await.map_err(io::Error::other) })
        }))
    }
}

impl fmt::Debug for CredentialsFn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialsFn")
    }
}

/// Dials with `open`, and gets credentials for each attempt first if that is wanted.
pub(crate) fn dialler<S, F, Fut>(mut open: F, credentials: Option<CredentialsFn>) -> Dialler<S>
where
    S: Send + 'static,
    F: FnMut(Attempt) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<S, DialFailure>> + Send + 'static,
{
    Box::new(move |attempt| {
        let address = attempt.target.to_string();
        let login = credentials.as_ref().map(|credentials| (credentials.0)(attempt.clone()));
        let opening = open(attempt);
        Box::pin(async move {
            let credentials = match login {
                Some(login) => Some(login.await.map_err(|error| DialFailure {
                    fault: DialFault::NoCredentials,
                    error,
                    address,
                })?),
                None => None,
            };
            Ok(Dialled { transport: opening.await?, credentials })
        })
    })
}

/// What kind of fault an error of the system is.
pub(crate) fn fault(error: &io::Error) -> DialFault {
    // Too many open files, of the process and of the system, which have no kind of their own.
    if cfg!(unix) && matches!(error.raw_os_error(), Some(23 | 24)) {
        return DialFault::SystemLimit;
    }
    const TABLE: [(io::ErrorKind, DialFault); 6] = [
        (io::ErrorKind::TimedOut, DialFault::TimedOut),
        (io::ErrorKind::OutOfMemory, DialFault::SystemLimit),
        (io::ErrorKind::QuotaExceeded, DialFault::SystemLimit),
        (io::ErrorKind::InvalidInput, DialFault::BadAddress),
        (io::ErrorKind::Unsupported, DialFault::BadAddress),
        (io::ErrorKind::InvalidData, DialFault::ProtocolRefused),
    ];
    let known = TABLE.iter().find(|(kind, _)| *kind == error.kind());
    known.map_or(DialFault::Unreachable, |(_, fault)| *fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_system_are_told_apart() {
        for (error, expected) in [
            (io::ErrorKind::ConnectionRefused.into(), DialFault::Unreachable),
            (io::ErrorKind::TimedOut.into(), DialFault::TimedOut),
            (io::ErrorKind::InvalidInput.into(), DialFault::BadAddress),
            (io::Error::other("odd"), DialFault::Unreachable),
        ] {
            assert_eq!(fault(&error), expected, "{error}");
        }
        #[cfg(unix)]
        assert_eq!(fault(&io::Error::from_raw_os_error(24)), DialFault::SystemLimit);
    }

    #[test]
    fn credentials_never_show_what_is_secret() {
        let shown = format!("{:?}", Credentials::new("user", "secret"));
        assert!(shown.contains("user") && !shown.contains("secret"), "{shown}");
    }
}
