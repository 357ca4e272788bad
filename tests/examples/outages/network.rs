//! A network between clients and broker, with weather.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

/// How bytes pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weather {
    Fair,
    /// Nothing passes.
    Stall,
    /// What passes takes so long.
    Delay(Duration),
    /// So many bytes pass at a time.
    Trickle(usize),
    /// Connections end and none is made.
    Down,
}

/// Carries connections to a broker.
pub(crate) struct Network {
    pub(crate) address: SocketAddr,
    weather: watch::Sender<Weather>,
    connections: Arc<AtomicU64>,
    accepting: JoinHandle<()>,
}

impl Network {
    pub(crate) async fn to(broker: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (weather, forecast) = watch::channel(Weather::Fair);
        let connections = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&connections);
        let accepting = tokio::spawn(async move {
            let mut carried = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                carried.spawn(carry(client, broker, forecast.clone()));
                while carried.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, weather, connections, accepting })
    }

    pub(crate) fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// How many connections were made so far.
    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Carries one connection until one side ends it or the network goes down.
async fn carry(client: TcpStream, broker: SocketAddr, mut forecast: watch::Receiver<Weather>) {
    if *forecast.borrow() == Weather::Down {
        return;
    }
    let Ok(server) = TcpStream::connect(broker).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let there = pass(from_client, to_server, forecast.clone());
    let back = pass(from_server, to_client, forecast.clone());
    // However it ends, both halves are dropped: that is an end of the connection for both.
    tokio::select! {
        _ended = there => {}
        _ended = back => {}
        _down = forecast.wait_for(|weather| *weather == Weather::Down) => {}
    }
}

/// Passes bytes in one direction, as the weather allows.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut forecast: watch::Receiver<Weather>,
) -> io::Result<()> {
    let mut buffer = vec![0; 4096];
    loop {
        let read = from.read(&mut buffer).await?;
        let Some(mut bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else {
            return Ok(());
        };
        while !bytes.is_empty() {
            let weather = *forecast.borrow_and_update();
            let at_once = match weather {
                Weather::Fair => bytes.len(),
                Weather::Stall | Weather::Down => {
                    forecast.changed().await.map_err(io::Error::other)?;
                    continue;
                }
                Weather::Delay(time) => {
                    sleep(time).await;
                    bytes.len()
                }
                Weather::Trickle(count) => {
                    sleep(Duration::from_millis(1)).await;
                    count.min(bytes.len())
                }
            };
            let (now, later) = bytes.split_at(at_once);
            to.write_all(now).await?;
            bytes = later;
        }
    }
}
