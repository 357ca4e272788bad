//! `mqtt-broker-lite healthcheck`: asks a running broker for a sign of life.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::Path;
use std::time::Duration;

use mqtt_broker_lite::{Config, Listen, Transport};

/// How long connecting and the answer may take, each.
const PATIENCE: Duration = Duration::from_secs(5);

/// A CONNECT of a protocol version that does not exist. The broker's own loop has to answer it,
/// and nobody is asked who we are.
const QUESTION: &[u8] = b"\x10\x0d\x00\x04MQTT\x63\x02\x00\x05\x00\x00\x00";
/// CONNACK 0x84: unsupported protocol version.
const ANSWER: &[u8] = &[0x20, 0x03, 0x00, 0x84, 0x00];

/// Asks the broker at `url` or, without one, at the first listener of `config` that it can speak
/// to without certificates.
pub(crate) fn run(url: Option<&Listen>, config: &Config) -> Result<(), Box<dyn Error>> {
    let listen = match url {
        Some(url) => url,
        None => config
            .listeners
            .iter()
            .filter(|listener| listener.proxy_protocol.is_empty())
            .map(|listener| &listener.url)
            .find(|url| is_plain(url))
            .ok_or("no listener of the configuration is mqtt or unix, and without a balancer")?,
    };
    let asked = match listen {
        Listen::Host { transport: Transport::Tcp, host, port, .. } => ask_tcp(host, *port),
        Listen::Unix { path } => ask_unix(path),
        Listen::Host { .. } | _ => {
            return Err("a health check needs an mqtt or unix listener".into());
        }
    };
    let answer = asked.map_err(|error| format!("no broker answers at {listen}: {error}"))?;
    if answer != ANSWER {
        return Err(format!("what answers at {listen} is no broker of ours").into());
    }
    Ok(())
}

const fn is_plain(url: &Listen) -> bool {
    matches!(url, Listen::Host { transport: Transport::Tcp, .. } | Listen::Unix { .. })
}

/// Asks at every address of the host until one answers. A listener on all addresses is asked on
/// its own machine.
fn ask_tcp(host: &str, port: u16) -> io::Result<Vec<u8>> {
    let host = match host {
        "0.0.0.0" => "127.0.0.1",
        "::" => "::1",
        host => host,
    };
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in (host, port).to_socket_addrs()? {
        let asked = TcpStream::connect_timeout(&address, PATIENCE).and_then(|mut stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            ask(&mut stream)
        });
        match asked {
            Ok(answer) => return Ok(answer),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(unix)]
fn ask_unix(path: &Path) -> io::Result<Vec<u8>> {
    let mut stream = std::os::unix::net::UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    ask(&mut stream)
}

#[cfg(not(unix))]
fn ask_unix(_: &Path) -> io::Result<Vec<u8>> {
    Err(io::ErrorKind::Unsupported.into())
}

fn ask(stream: &mut (impl Read + Write)) -> io::Result<Vec<u8>> {
    stream.write_all(QUESTION)?;
    let mut answer = Vec::new();
    stream.take(64).read_to_end(&mut answer)?;
    Ok(answer)
}
