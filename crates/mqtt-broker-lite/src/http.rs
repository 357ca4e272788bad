//! The optional HTTP listener: metrics for Prometheus, and whether the broker is alive.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{sleep, timeout};

use crate::inbox::{Command, Inbox};
use crate::status::metrics;

/// Requests that are served at once; more wait.
const AT_ONCE: usize = 16;
/// Bytes of a request's head.
const LONGEST_HEAD: usize = 8 * 1024;
/// How long a request may take, from its first byte to its answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long accepting rests after it failed.
const REST: Duration = Duration::from_millis(100);

/// Binds `address`.
///
/// # Errors
///
/// When the operating system does not let us listen there.
pub(crate) fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Serves requests until the runtime is shut down.
pub(crate) async fn serve(listener: std::net::TcpListener, inbox: Arc<Inbox>) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "cannot serve metrics");
            return;
        }
    };
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let inbox = Arc::clone(&inbox);
                tokio::spawn(async move {
                    let answered = timeout(PATIENCE, answer(stream, &inbox)).await;
                    if let Ok(Err(error)) = answered {
                        tracing::debug!(%error, "a request for metrics failed");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "cannot accept a request for metrics");
                sleep(REST).await;
            }
        }
    }
}

async fn answer(mut stream: TcpStream, inbox: &Inbox) -> io::Result<()> {
    let mut head = Vec::new();
    let (status, body) = loop {
        if stream.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(&head) {
            Ok(httparse::Status::Complete(_)) => break respond(&request, inbox).await,
            Ok(httparse::Status::Partial) if head.len() < LONGEST_HEAD => {}
            Ok(httparse::Status::Partial) | Err(_) => break ("400 Bad Request", String::new()),
        }
    };
    let response = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(response.as_bytes()).await?;
    stream.shutdown().await
}

async fn respond(request: &httparse::Request<'_, '_>, inbox: &Inbox) -> (&'static str, String) {
    if request.method != Some("GET") {
        return ("405 Method Not Allowed", String::new());
    }
    let path = request.path.unwrap_or_default().split('?').next().unwrap_or_default();
    if !matches!(path, "/metrics" | "/healthz") {
        return ("404 Not Found", String::new());
    }
    // The broker's thread answers itself: this is the proof that it lives.
    let (reply, status) = oneshot::channel();
    inbox.send(Command::Status(reply));
    match status.await {
        Ok(status) if path == "/metrics" => ("200 OK", metrics(&status)),
        Ok(_) => ("200 OK", "alive\n".to_owned()),
        Err(_) => ("503 Service Unavailable", String::new()),
    }
}
