//! `front tls|ws BROKER_PORT [ROOT]`: takes plain connections, and carries each to the broker over
//! TLS or WebSocket. The load then needs neither, and what they cost the broker is in its process
//! alone. Prints the port that it listens on.

use std::{error::Error, net::Ipv4Addr, sync::Arc};

use futures_util::{SinkExt, StreamExt};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::{Bytes, Message, client::IntoClientRequest};

type Fault = Box<dyn Error + Send + Sync>;

/// The most that one read takes, and so the most of one WebSocket frame.
const PIECE: usize = 64 << 10;

#[derive(Clone)]
enum Over {
    Tls(TlsConnector),
    WebSocket,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fault> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (over, port) = match args.as_slice() {
        ["tls", port, root] => (Over::Tls(connector(root)?), port),
        ["ws", port] => (Over::WebSocket, port),
        _ => return Err("usage: front tls BROKER_PORT ROOT | front ws BROKER_PORT".into()),
    };
    let port: u16 = port.parse()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", listener.local_addr()?.port());
    loop {
        let (plain, _) = listener.accept().await?;
        let over = over.clone();
        tokio::spawn(async move {
            // However a connection ends, the load sees its end.
            if let Err(error) = carry(plain, over, port).await {
                eprintln!("{error}");
            }
        });
    }
}

fn connector(root: &str) -> Result<TlsConnector, Fault> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(root)? {
        roots.add(certificate?)?;
    }
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn carry(mut plain: TcpStream, over: Over, port: u16) -> Result<(), Fault> {
    let broker = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    broker.set_nodelay(true)?;
    plain.set_nodelay(true)?;
    match over {
        Over::Tls(connector) => {
            let name = ServerName::try_from("localhost")?;
            let mut secure = connector.connect(name, broker).await?;
            tokio::io::copy_bidirectional_with_sizes(&mut plain, &mut secure, PIECE, PIECE).await?;
        }
        Over::WebSocket => frames(plain, broker, port).await?,
    }
    Ok(())
}

/// Every piece that was read becomes one binary frame, and the other way round.
async fn frames(plain: TcpStream, broker: TcpStream, port: u16) -> Result<(), Fault> {
    let mut request = format!("ws://127.0.0.1:{port}/mqtt").into_client_request()?;
    request.headers_mut().insert("Sec-WebSocket-Protocol", "mqtt".parse()?);
    let (socket, _) = tokio_tungstenite::client_async(request, broker).await?;
    let (mut to_broker, mut from_broker) = socket.split();
    let (mut from_load, mut to_load) = plain.into_split();
    let there = async {
        let mut piece = vec![0; PIECE];
        loop {
            let read = from_load.read(&mut piece).await?;
            if read == 0 {
                return to_broker.close().await.map_err(Fault::from);
            }
            let bytes = piece.get(..read).unwrap_or_default();
            to_broker.send(Message::Binary(Bytes::copy_from_slice(bytes))).await?;
        }
    };
    let back = async {
        while let Some(message) = from_broker.next().await {
            if let Message::Binary(bytes) = message? {
                to_load.write_all(&bytes).await?;
            }
        }
        Ok::<(), Fault>(())
    };
    tokio::select! {
        ended = there => ended,
        ended = back => ended,
    }
}
