//! Unix sockets: streams of this machine, named by a path.

use tokio::net::UnixStream;

use super::{Fault, Transport};

pub(super) async fn connect(path: &str) -> Result<Transport, Fault> {
    // [MQTT-4.2.0-1]
    Ok(Transport::new("unix", UnixStream::connect(path).await?))
}
