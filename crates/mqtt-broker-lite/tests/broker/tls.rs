//! MQTT over TLS: certificates of both sides, identities, and handshakes that mean harm.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mqtt_broker_lite::{BindError, Config, Listener, Server};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::binary::Program;
use crate::client::{Client, PATIENCE, connect, publish_qos1};
use crate::config::Folder;

type Tls = StreamOwned<ClientConnection, TcpStream>;

/// An authority, and files of what it has signed.
pub(crate) struct Authority {
    pub(crate) folder: Folder,
    issuer: Issuer<'static, KeyPair>,
    root: String,
}

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub(crate) struct Identity {
    chain: String,
    key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "root");
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap().pem();
        let folder = Folder::new();
        folder.write("root.pem", &root);
        Self { folder, issuer: Issuer::new(params, key), root }
    }

    /// A certificate for `names`, changed by `change`.
    fn sign(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let chain = params.signed_by(&key, &self.issuer).unwrap().pem();
        Identity { chain, key: key.serialize_pem() }
    }

    /// A certificate for a client with this common name.
    pub(crate) fn client(&self, name: &str) -> Identity {
        self.sign(&[], |params| params.distinguished_name.push(DnType::CommonName, name))
    }

    /// Writes a certificate of a server for localhost; its files.
    pub(crate) fn server(&self) -> (PathBuf, PathBuf) {
        let identity = self.sign(&["localhost"], |_| {});
        (
            self.folder.write("server.pem", &identity.chain),
            self.folder.write("server.key", &identity.key),
        )
    }

    pub(crate) fn listener(&self) -> Listener {
        let mut listener: Listener = "mqtts://127.0.0.1:0".parse().unwrap();
        let (certificate, key) = self.server();
        listener.certificate = Some(certificate);
        listener.key = Some(key);
        listener
    }

    fn root_path(&self) -> PathBuf {
        self.folder.write("root.pem", &self.root)
    }

    /// Connects; the handshake comes with the first bytes.
    pub(crate) fn connect(&self, address: SocketAddr, identity: Option<&Identity>) -> Client<Tls> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.root.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match identity {
            Some(Identity { chain, key }) => builder
                .with_client_auth_cert(
                    CertificateDer::pem_slice_iter(chain.as_bytes())
                        .collect::<Result<Vec<_>, _>>()
                        .unwrap(),
                    PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
                )
                .unwrap(),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"mqtt".to_vec()];
        let name = "localhost".try_into().unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client { stream: StreamOwned::new(connection, stream) }
    }

    /// Whether a client with this certificate gets a CONNACK.
    fn lets_in(&self, address: SocketAddr, identity: Option<&Identity>) -> bool {
        let mut client = self.connect(address, identity);
        // Refusals come as alerts, at any point.
        if client.stream.write_all(&connect("a")).is_err() {
            return false;
        }
        matches!(client.stream.read(&mut [0; 64]), Ok(count) if count > 0)
    }
}

fn serve(listener: Listener) -> (Server, SocketAddr) {
    let mut config = Config::free_port();
    config.listeners = vec![listener];
    serve_with(config)
}

fn serve_with(config: Config) -> (Server, SocketAddr) {
    let server = Server::bind_blocking(config).unwrap();
    let address = server.local_addr().unwrap();
    (server, address)
}

#[test]
fn clients_are_served_over_tls() {
    let authority = Authority::new();
    let (server, address) = serve(authority.listener());
    assert!(server.addresses()[0].to_string().starts_with("mqtts://127.0.0.1:"));
    let mut reader = authority.connect(address, None);
    reader.introduce("reader");
    reader.subscribe("t");
    let mut writer = authority.connect(address, None);
    writer.introduce("writer");
    for size in [0, 100, 70_000, 2_000_000] {
        let payload: Vec<u8> = (0..size).map(|n: u32| n.to_le_bytes()[0]).collect();
        writer.publish("t", &payload);
        let (_, received) = reader.receive_message();
        assert!(received == payload, "{size} bytes");
    }
    let stopping = std::thread::spawn(|| server.shutdown_blocking());
    reader.expect_disconnect(0x8b);
    drop(writer);
    stopping.join().unwrap().unwrap();
}

#[test]
fn a_reader_that_is_slow_gets_all_and_stalls_nobody() {
    let authority = Authority::new();
    let (_server, address) = serve(authority.listener());
    let mut slow = authority.connect(address, None);
    slow.introduce("slow");
    slow.subscribe("t");
    let mut writer = authority.connect(address, None);
    writer.introduce("writer");
    for number in 0..50u8 {
        writer.publish("t", &vec![number; 100_000]);
    }
    writer.ping();
    for number in 0..50u8 {
        assert_eq!(slow.receive_message().1, vec![number; 100_000]);
    }
}

#[test]
fn the_programs_clients_are_served_over_tls() {
    if Command::new("mosquitto_pub").arg("--help").output().is_err() {
        return;
    }
    let authority = Authority::new();
    let (certificate, key) = authority.server();
    let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    let mut program = Program::start(&[
        "--listen",
        "mqtts://127.0.0.1:0",
        "--certificate",
        certificate,
        "--key",
        key,
    ]);
    let port = program.ready_over("mqtts").port().to_string();
    let root = authority.root_path();
    let status = Command::new("mosquitto_pub")
        .args(["-V", "mqttv5", "-h", "localhost", "-p", &port, "-t", "t", "-m", "x", "-q", "1"])
        .arg("--cafile")
        .arg(&root)
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn a_client_has_to_show_a_certificate_of_the_authority() {
    let authority = Authority::new();
    let mut listener = authority.listener();
    listener.client_ca = Some(authority.root_path());
    let (_server, address) = serve(listener);
    assert!(authority.lets_in(address, Some(&authority.client("ann"))));
    assert!(!authority.lets_in(address, None), "without one");
    let stranger = Authority::new().client("ann");
    assert!(!authority.lets_in(address, Some(&stranger)), "of another authority");
    let expired = authority.sign(&[], |params| {
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2001, 1, 1);
    });
    assert!(!authority.lets_in(address, Some(&expired)), "expired");
    let for_servers = authority.sign(&[], |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    assert!(!authority.lets_in(address, Some(&for_servers)), "for another use");
    let mut long = authority.client("ann");
    long.chain += &authority.root.repeat(300);
    assert!(!authority.lets_in(address, Some(&long)), "a chain of 100 KiB");
    assert!(authority.lets_in(address, Some(&authority.client("ann"))), "and others still are");
}

#[test]
fn a_revoked_certificate_is_refused() {
    let authority = Authority::new();
    let serial = |number: u8| SerialNumber::from_slice(&[number]);
    let revoked = authority.sign(&[], |params| params.serial_number = Some(serial(7)));
    let other = authority.sign(&[], |params| params.serial_number = Some(serial(8)));
    let list = CertificateRevocationListParams {
        this_update: date_time_ymd(2020, 1, 1),
        next_update: date_time_ymd(2100, 1, 1),
        crl_number: serial(1),
        issuing_distribution_point: None,
        revoked_certs: vec![RevokedCertParams {
            serial_number: serial(7),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        }],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let list = list.signed_by(&authority.issuer).unwrap().pem().unwrap();
    let mut listener = authority.listener();
    listener.client_ca = Some(authority.root_path());
    listener.client_crl = Some(authority.folder.write("revoked.pem", &list));
    let (_server, address) = serve(listener);
    assert!(!authority.lets_in(address, Some(&revoked)));
    assert!(authority.lets_in(address, Some(&other)));
}

#[test]
fn the_name_in_the_certificate_is_the_clients() {
    let authority = Authority::new();
    let mut listener = authority.listener();
    listener.client_ca = Some(authority.root_path());
    listener.client_certificate_optional = true;
    listener.identity_from_certificate = true;
    let mut config = Config::free_port();
    config.listeners = vec![listener];
    config.acl_file = Some(authority.folder.write("acl", "user ann\ntopic write hers\n"));
    let (_server, address) = serve_with(config);
    let mut ann = authority.connect(address, Some(&authority.client("ann")));
    ann.introduce("a");
    for (topic, reason) in [("hers", 0x10), ("other", 0x87)] {
        ann.send(&publish_qos1(topic, 1, b""));
        assert_eq!(ann.receive().body[2], reason);
    }
    let mut nobody = authority.connect(address, None);
    nobody.send(&connect("b"));
    assert_eq!(nobody.receive().body[1], 0x87, "who has no certificate proves nothing");
}

/// Row G3 of the hostile inputs.
#[test]
fn a_name_that_could_mean_more_than_one_client_is_no_name() {
    let authority = Authority::new();
    let mut listener = authority.listener();
    listener.client_ca = Some(authority.root_path());
    listener.identity_from_certificate = true;
    let (_server, address) = serve(listener);
    for name in ["#", "+", "a/#", "", "a\0b", "a\nb", "\u{7f}"] {
        assert!(!authority.lets_in(address, Some(&authority.client(name))), "{name:?}");
    }
    assert!(!authority.lets_in(address, Some(&authority.sign(&[], |_| {}))), "no name at all");
    assert!(authority.lets_in(address, Some(&authority.client("ann"))));
}

/// Row G1 of the hostile inputs.
#[test]
fn a_handshake_has_its_time_and_no_more() {
    let authority = Authority::new();
    let mut config = Config::free_port();
    config.listeners = vec![authority.listener()];
    config.broker.limits.connect_timeout = Duration::from_secs(1);
    let (_server, address) = serve_with(config);
    let mut silent = Client::open(address);
    let mut slow = Client::open(address);
    let mut plain = Client::open(address);
    plain.send(&connect("a"));
    let began = Instant::now();
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    for byte in hello {
        // It may have been closed by then.
        if slow.stream.write_all(&[*byte]).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(150));
    }
    silent.expect_end();
    slow.expect_end();
    assert!(began.elapsed() < Duration::from_secs(10));
    // An alert is what it gets.
    let mut answer = Vec::new();
    let _ = plain.stream.read_to_end(&mut answer);
    assert!(answer.is_empty() || answer[0] == 0x15, "{answer:?}");
    let mut client = authority.connect(address, None);
    client.introduce("a");
}

#[test]
fn no_more_handshakes_are_under_way_than_allowed() {
    let authority = Authority::new();
    let mut config = Config::free_port();
    config.listeners = vec![authority.listener()];
    config.handshakes = 3.try_into().unwrap();
    config.broker.limits.connect_timeout = Duration::from_secs(2);
    let (_server, address) = serve_with(config);
    let mut crowd: Vec<Client> = (0..3).map(|_| Client::open(address)).collect();
    Client::open(address).expect_end();
    for client in &mut crowd {
        client.expect_end();
    }
    authority.connect(address, None).introduce("a");
}

#[test]
fn certificates_that_cannot_be_used_are_told_at_the_start() {
    let authority = Authority::new();
    let check = |change: &dyn Fn(&mut Listener)| {
        let mut config = Config::free_port();
        let mut listener = authority.listener();
        change(&mut listener);
        config.listeners = vec![listener];
        config.check().map_err(|error| error.to_string())
    };
    check(&|_| {}).unwrap();
    let empty = authority.folder.write("empty.pem", "");
    let other = authority.folder.write("other.key", &authority.client("x").key);
    let broken = "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
    let broken = authority.folder.write("broken.pem", broken);
    for (change, expected) in [
        (
            &(|l: &mut Listener| l.certificate = None) as &dyn Fn(&mut Listener),
            "certificate and a key",
        ),
        (&|l| l.certificate = Some("/nonexistent.pem".into()), "cannot read /nonexistent.pem"),
        (&|l| l.certificate = Some(empty.clone()), "empty.pem:1: there is no certificate"),
        (&|l| l.certificate = Some(broken.clone()), "broken.pem:1: no certificate"),
        (&|l| l.key = Some(empty.clone()), "empty.pem:1: no private key"),
        (&|l| l.key = Some(other.clone()), "its certificate and key cannot be used"),
        (&|l| l.client_ca = Some(empty.clone()), "there is no certificate in it"),
        (&|l| l.identity_from_certificate = true, "without client_ca"),
        (
            &|l| l.url = "mqtt://127.0.0.1:0".parse().unwrap(),
            "only mqtts and wss have certificates",
        ),
        (&|l| l.origins = vec!["x".to_owned()], "only ws and wss have origins"),
    ] {
        let error = check(change).unwrap_err();
        assert!(error.contains(expected), "{error} / {expected}");
    }
}

#[test]
fn who_demands_certificates_may_listen_beyond_loopback() {
    let authority = Authority::new();
    let mut config = Config::free_port();
    let mut listener = authority.listener();
    listener.url = "mqtts://0.0.0.0:0".parse().unwrap();
    config.listeners = vec![listener];
    assert!(matches!(config.check(), Err(BindError::AnonymousBeyondLoopback { .. })));
    config.listeners[0].client_ca = Some(authority.root_path());
    config.check().unwrap();
    config.listeners[0].client_certificate_optional = true;
    assert!(matches!(config.check(), Err(BindError::AnonymousBeyondLoopback { .. })));
}
