//! Starting and stopping, as often as one likes, in one process.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mqtt_broker_lite::{Address, BindError, Config, Decisions, Server, Transport};

use crate::client::{Client, publish};

fn listening_on(url: &str) -> Config {
    let mut config = Config::default();
    config.listeners = vec![url.parse().unwrap()];
    config
}

#[test]
fn port_0_picks_a_free_port_and_the_handle_says_which() {
    let server = Server::bind_blocking(Config::free_port()).unwrap();
    let address = server.local_addr().unwrap();
    assert_ne!(address.port(), 0);
    let path = String::new();
    let expected = Address::Socket { transport: Transport::Tcp, address, path };
    assert_eq!(server.addresses(), [expected]);
    Client::connect(address, "a").ping();
}

#[test]
fn a_server_listens_on_all_its_listeners() {
    let mut config = Config::free_port();
    config.listeners.push("mqtt://127.0.0.1:0".parse().unwrap());
    config.listeners.push("mqtt://localhost:0".parse().unwrap());
    let server = Server::bind_blocking(config).unwrap();
    assert!(server.addresses().len() >= 3, "{:?}", server.addresses());
    let mut clients: Vec<Client> = (0..server.addresses().len())
        .map(|n| {
            let address = server.addresses()[n].socket_addr().unwrap();
            let mut client = Client::connect(address, &format!("client-{n}"));
            client.subscribe("t");
            client
        })
        .collect();
    clients[0].publish("t", b"x");
    for client in &mut clients {
        assert_eq!(client.receive_message().1, b"x");
    }
}

/// Proves: [MQTT-4.13.2-1]
#[test]
fn shutting_down_says_so_to_every_client_and_closes() {
    let server = Server::bind_blocking(Config::free_port()).unwrap();
    let address = server.local_addr().unwrap();
    let mut clients: Vec<Client> =
        (0..20).map(|n| Client::connect(address, &format!("client-{n}"))).collect();
    let mut silent = Client::open(address);
    server.shutdown_blocking().unwrap();
    for client in &mut clients {
        client.expect_disconnect(0x8b);
    }
    // [MQTT-3.14.0-1]: one that never sent a CONNECT gets no DISCONNECT.
    silent.expect_end();
}

#[test]
fn dropping_the_handle_stops_the_server_too() {
    let server = Server::bind_blocking(Config::free_port()).unwrap();
    let mut client = Client::connect(server.local_addr().unwrap(), "a");
    drop(server);
    client.expect_disconnect(0x8b);
}

#[test]
fn a_client_that_reads_nothing_holds_a_shutdown_up_no_longer_than_configured() {
    let mut config = Config::free_port();
    config.shutdown_timeout = Duration::from_millis(300);
    let server = Server::bind_blocking(config).unwrap();
    let address = server.local_addr().unwrap();
    let mut stuck = Client::connect(address, "stuck");
    stuck.subscribe("flood");
    let mut publisher = Client::connect(address, "publisher");
    for _ in 0..300 {
        publisher.publish("flood", &[0; 64 * 1024]);
    }
    publisher.ping();
    let before = Instant::now();
    server.shutdown_blocking().unwrap();
    assert!(before.elapsed() < Duration::from_secs(3), "{:?}", before.elapsed());
    publisher.expect_disconnect(0x8b);
}

#[test]
fn a_port_is_free_again_when_shutdown_returns() {
    let first = Server::bind_blocking(Config::free_port()).unwrap();
    let address = first.local_addr().unwrap();
    let url = first.addresses()[0].to_string();
    let _client = Client::connect(address, "a");
    first.shutdown_blocking().unwrap();
    for _ in 0..5 {
        let again = Server::bind_blocking(listening_on(&url)).unwrap();
        assert_eq!(again.local_addr(), Some(address));
        Client::connect(address, "a").ping();
        again.shutdown_blocking().unwrap();
    }
}

#[test]
fn two_servers_live_side_by_side_and_know_nothing_of_each_other() {
    let one = Server::bind_blocking(Config::free_port()).unwrap();
    let other = Server::bind_blocking(Config::free_port()).unwrap();
    let mut here = Client::connect(one.local_addr().unwrap(), "same name");
    let mut there = Client::connect(other.local_addr().unwrap(), "same name");
    here.subscribe("t");
    there.subscribe("t");
    here.publish("t", b"here");
    assert_eq!(here.receive_message().1, b"here");
    one.shutdown_blocking().unwrap();
    here.expect_disconnect(0x8b);
    there.publish("t", b"there");
    assert_eq!(there.receive_message().1, b"there");
}

#[test]
fn a_server_needs_no_particular_runtime() {
    async fn live() -> SocketAddr {
        let server = Server::bind(Config::free_port()).await.unwrap();
        let address = server.local_addr().unwrap();
        // The broker has a thread of its own: blocking this one does not stall it.
        Client::connect(address, "a").ping();
        server.shutdown().await.unwrap();
        address
    }
    let current = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let several = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    for address in [current.block_on(live()), several.block_on(live())] {
        assert_eq!(
            std::net::TcpStream::connect(address).unwrap_err().kind(),
            ErrorKind::ConnectionRefused
        );
    }
}

#[test]
fn a_running_server_does_not_count_as_stopped() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let mut server = Server::bind(Config::free_port()).await.unwrap();
        let wait = tokio::time::timeout(Duration::from_millis(20), server.stopped());
        assert!(wait.await.is_err(), "still running");
        server.shutdown().await.unwrap();
    });
}

#[test]
fn an_address_in_use_is_an_error_that_names_it() {
    let server = Server::bind_blocking(Config::free_port()).unwrap();
    let url = server.addresses()[0].to_string();
    let error = Server::bind_blocking(listening_on(&url)).unwrap_err();
    assert!(
        matches!(&error, BindError::Listen { source, .. } if source.kind() == ErrorKind::AddrInUse)
    );
    assert!(error.to_string().contains(&url), "{error}");
    Client::connect(server.local_addr().unwrap(), "a").ping();
}

#[test]
fn a_listener_beyond_loopback_has_to_be_allowed() {
    for url in ["mqtt://0.0.0.0:0", "mqtt://[::]:0"] {
        let error = Server::bind_blocking(listening_on(url)).unwrap_err();
        assert!(matches!(error, BindError::AnonymousBeyondLoopback { .. }), "{url}: {error:?}");
    }
    let mut config = listening_on("mqtt://0.0.0.0:0");
    config.allow_anonymous = true;
    let server = Server::bind_blocking(config).unwrap();
    let port = server.local_addr().unwrap().port();
    Client::connect(SocketAddr::from(([127, 0, 0, 1], port)), "a").ping();
}

#[test]
fn a_configuration_without_listeners_and_a_host_without_address_are_errors() {
    let mut config = Config::default();
    config.listeners.clear();
    assert!(matches!(Server::bind_blocking(config), Err(BindError::NoListener)));
    let error = Server::bind_blocking(listening_on("mqtt://no-such-host.invalid")).unwrap_err();
    assert!(matches!(error, BindError::Resolve { .. }), "{error:?}");
}

#[test]
fn decisions_that_nobody_could_take_are_refused_at_the_start() {
    let ask: [fn(&mut Decisions); 4] = [
        |decisions| decisions.connect = true,
        |decisions| decisions.publish = true,
        |decisions| decisions.subscribe = true,
        |decisions| decisions.read = true,
    ];
    for ask in ask {
        let mut config = Config::free_port();
        ask(&mut config.broker.decisions);
        assert!(matches!(Server::bind_blocking(config), Err(BindError::Decisions)));
    }
}

#[test]
fn shutting_down_amid_traffic_loses_no_goodbye() {
    for _ in 0..10 {
        let server = Server::bind_blocking(Config::free_port()).unwrap();
        let address = server.local_addr().unwrap();
        let mut client = Client::connect(address, "busy");
        client.subscribe("t");
        client.send(&publish("t", &[7; 100]).repeat(200));
        drop(server);
        let goodbye = loop {
            let packet = client.receive();
            if packet.first != 0x30 {
                break packet;
            }
        };
        assert_eq!((goodbye.first, goodbye.body[0]), (0xe0, 0x8b));
    }
}
