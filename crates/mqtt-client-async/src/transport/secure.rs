//! TLS over another transport.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use mqtt_session::DialFault;
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Fault, Transport};

/// Agrees on TLS with the server, which has to prove that it is `host`.
pub(super) async fn handshake(
    connector: &TlsConnector,
    transport: Transport,
    host: &str,
) -> Result<Transport, Fault> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|error| Fault::new(DialFault::BadAddress, io::Error::other(error)))?;
    let stream = connector.connect(name, transport).await.map_err(explain)?;
    Ok(Transport::new("tls", Secure(stream)))
}

/// What kind of fault an error is if TLS is its cause. Otherwise the connection broke, and nobody
/// has refused anything.
pub(super) fn fault_of(error: &io::Error) -> Option<DialFault> {
    let explained = error.get_ref().and_then(|inner| inner.downcast_ref());
    let error = explained.map(|Explained { error, .. }| error).or_else(|| tls_error(error))?;
    // Either clock may be set, and the certificate replaced, before the next attempt.
    let is_out_of_time = is_out_of_time(error);
    Some(if is_out_of_time { DialFault::CertificateOutOfTime } else { DialFault::TlsRefused })
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn is_out_of_time(error: &rustls::Error) -> bool {
    const ALERT: rustls::Error = rustls::Error::AlertReceived(AlertDescription::CertificateExpired);
    if let rustls::Error::InvalidCertificate(error) = error {
        return matches!(
            error,
            CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. }
        );
    }
    *error == ALERT
}

/// What to do about an error of TLS.
#[expect(clippy::wildcard_enum_match_arm, reason = "few of another library's cases have advice")]
fn advice(error: &rustls::Error) -> Option<&'static str> {
    use rustls::Error::{AlertReceived, InvalidCertificate, InvalidMessage};
    if is_out_of_time(error) {
        return Some("is the clock of this machine right, and was the certificate renewed?");
    }
    Some(match error {
        InvalidCertificate(CertificateError::UnknownIssuer) => {
            "if its issuer is to be trusted, name it with `Tls::roots_file`"
        }
        InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "connect to a name that the certificate is for",
        AlertReceived(AlertDescription::CertificateRequired) => {
            "the server wants a client certificate: give one with `Tls::client_certificate_files`"
        }
        // What servers say that ask for one in TLS 1.2.
        AlertReceived(AlertDescription::HandshakeFailure) => {
            "does the server want a client certificate (`Tls::client_certificate_files`)?"
        }
        AlertReceived(
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown,
        ) => "the server does not trust the client certificate",
        InvalidMessage(_) => "does the server speak TLS on this port?",
        _ => return None,
    })
}

/// An error of TLS with what to do about it.
#[derive(Debug)]
struct Explained {
    error: rustls::Error,
    advice: &'static str,
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.error, self.advice)
    }
}

impl std::error::Error for Explained {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

fn explain(error: io::Error) -> io::Error {
    let explained = tls_error(&error)
        .and_then(|tls| advice(tls).map(|advice| Explained { error: tls.clone(), advice }));
    explained.map_or(error, |explained| io::Error::new(io::ErrorKind::InvalidData, explained))
}

/// A TLS connection whose ends are told as MQTT knows them.
struct Secure(TlsStream<Transport>);

impl AsyncRead for Secure {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer).map(|read| match read {
            // Without a close_notify. Packets tell their own ends, so a cut hides nothing.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            // In TLS 1.3 a server refuses the client's certificate after the handshake.
            read => read.map_err(explain),
        })
    }
}

impl AsyncWrite for Secure {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
