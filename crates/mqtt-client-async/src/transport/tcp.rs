//! TCP, which the others but Unix sockets stand on.

use mqtt_session::DialFault;
use tokio::net::{TcpStream, lookup_host};

use super::{Fault, Transport};
use crate::address::Address;

pub(super) async fn connect(address: &Address) -> Result<Transport, Fault> {
    let found = lookup_host((address.host.as_str(), address.port)).await;
    let found = found.map_err(|error| Fault::new(DialFault::NameNotFound, error))?;
    // [MQTT-4.2.0-1]
    let stream = TcpStream::connect(&*found.collect::<Vec<_>>()).await?;
    // Small packets leave at once; the driver gathers what can leave together.
    stream.set_nodelay(true)?;
    Ok(Transport::new("tcp", stream))
}
