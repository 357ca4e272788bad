//! Situations in which clients are known to fail, and what shows that this one does not.
//!
//! The book's page `docs/src/client-wants.md` lists such situations, and what users of MQTT clients
//! ask for, each with the tests that show it. Many are in the files of one crate; those that need
//! nothing but the state machine and bytes are here. A test at the end reads the page and looks for
//! each of the tests.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use core::time::Duration;
use std::collections::BTreeMap;
use std::path::Path;

use bytes::Buf;
use mqtt_codec::{Properties, QoS, SubscriptionOptions, TopicError, TopicFilter, TopicName};
use mqtt_session::{
    BufferOptions, Client, ClientConfig, ClientEvent, Message, Publication, PublishOutcome,
    SavedSession, SessionPolicy, SubscriptionKey, Time, TransmitBuf,
};
use mqtt_tests::scripted::{framed, hex};

const CONNACK: &str = "20 03 00 00 00";
const CONNACK_PRESENT: &str = "20 03 01 00 00";

fn config() -> ClientConfig {
    let hour = Duration::from_secs(3600);
    ClientConfig::new().client_id("c").session(SessionPolicy::resume(hour)).keep_alive(hour)
}

fn sent(client: &mut Client) -> Vec<u8> {
    let mut out = TransmitBuf::new();
    client.poll_transmit(Time::ZERO, &mut out, usize::MAX);
    out.copy_to_bytes(out.remaining()).to_vec()
}

fn events(client: &mut Client) -> Vec<ClientEvent> {
    core::iter::from_fn(|| client.poll_event()).collect()
}

fn receive(client: &mut Client, bytes: &str) {
    client.handle_input(Time::ZERO, &hex(bytes));
}

/// Connects a client; the server answers with this CONNACK.
fn connect(client: &mut Client, connack: &str) {
    client.handle_connected(Time::ZERO);
    assert_eq!(sent(client)[0], 0x10);
    receive(client, connack);
    assert!(matches!(client.poll_event(), Some(ClientEvent::Connected(_))));
}

fn connected() -> Client {
    let mut client = Client::new(config(), [9; 32]).unwrap();
    connect(&mut client, CONNACK);
    client
}

fn subscribe(client: &mut Client, filter: &str) -> SubscriptionKey {
    let filters = [(TopicFilter::new(filter).unwrap(), SubscriptionOptions::default())];
    client.subscribe(&filters, Properties::EMPTY, BufferOptions::new()).unwrap()
}

fn publish(client: &mut Client, qos: QoS) {
    let mut publication = Publication::new(TopicName::new("t").unwrap(), "payload");
    publication.qos = qos;
    assert!(client.publish(Time::ZERO, publication).unwrap().is_some());
}

/// The packet identifier of the one PUBLISH to `t` that is sent now.
fn published_id(client: &mut Client) -> u16 {
    let bytes = sent(client);
    assert_eq!((bytes[0] & 0xF0, bytes.len()), (0x30, 15));
    u16::from_be_bytes([bytes[5], bytes[6]])
}

fn messages(client: &mut Client, subscription: SubscriptionKey) -> Vec<Message> {
    core::iter::from_fn(|| client.poll_message(subscription)).map(|it| it.message).collect()
}

/// Proves: [MQTT-4.4.0-1]
#[test]
fn a_resumed_session_sends_nothing_of_what_the_server_had_sent() {
    let mut client = connected();
    let reader = client.subscribe_unmatched(BufferOptions::new());
    receive(&mut client, "34 06 0001 74 0007 00");
    assert_eq!(messages(&mut client, reader).len(), 1);
    assert_eq!(sent(&mut client), hex("50 02 0007"));
    client.handle_eof(Time::ZERO);
    events(&mut client);
    connect(&mut client, CONNACK_PRESENT);
    assert_eq!(sent(&mut client), hex(""));
    receive(&mut client, "62 02 0007");
    assert_eq!(sent(&mut client), hex("70 02 0007"), "the exchange is still known");
}

#[test]
fn a_server_that_shuts_down_is_connected_and_subscribed_to_again() {
    let mut client = Client::new(config(), [9; 32]).unwrap();
    client.start(Time::ZERO);
    assert!(matches!(client.poll_event(), Some(ClientEvent::Dial(_))));
    connect(&mut client, CONNACK);
    let subscription = subscribe(&mut client, "a");
    assert_eq!(sent(&mut client), hex("82 09 0001 02 0b01 0001 61 00"));
    receive(&mut client, "90 04 0001 00 00");
    events(&mut client);

    receive(&mut client, "e0 01 8b");
    let told = events(&mut client);
    let [ClientEvent::Closed(_), ClientEvent::Waiting { until, .. }] = told[..] else {
        panic!("{told:?}")
    };
    client.handle_timeout(until);
    assert!(matches!(client.poll_event(), Some(ClientEvent::Dial(_))));
    connect(&mut client, CONNACK);
    assert_eq!(sent(&mut client)[0], 0x82);
    receive(&mut client, "90 04 0001 00 00");
    let told = events(&mut client);
    assert!(matches!(told[..], [ClientEvent::Subscribed { renewed: true, .. }]), "{told:?}");

    client.unsubscribe(subscription);
    assert_eq!(sent(&mut client)[0], 0xA2);
    receive(&mut client, "b0 04 0001 00 00");
    let told = events(&mut client);
    assert!(matches!(told[..], [ClientEvent::Unsubscribed { .. }]), "{told:?}");
}

/// Proves: [MQTT-4.7.0-1], [MQTT-4.7.3-1], [MQTT-4.7.3-2], [MQTT-3.3.2-2]
#[test]
fn a_topic_that_no_message_can_have_is_refused_before_there_is_a_message() {
    assert_eq!(TopicName::new("").unwrap_err(), TopicError::Empty);
    for topic in ["a/+", "#", "a\0b"] {
        TopicName::new(topic).unwrap_err();
    }
    let longest = "t".repeat(65_535);
    assert!(TopicName::new(&longest).is_ok());
    assert!(TopicName::new(&(longest + "t")).is_err());
}

/// Proves: [MQTT-2.2.1-3]
#[test]
fn packet_identifier_0_ends_the_connection() {
    for packet in [
        "32 06 0001 74 0000 00",
        "34 06 0001 74 0000 00",
        "40 02 0000",
        "50 02 0000",
        "62 02 0000",
        "70 02 0000",
        "90 04 0000 00 00",
        "b0 04 0000 00 00",
    ] {
        let mut client = connected();
        receive(&mut client, packet);
        let goodbye = sent(&mut client);
        assert_eq!((&goodbye[..2], goodbye.len()), (&[0xE0, 1][..], 3), "{packet}");
        let told = events(&mut client);
        assert!(matches!(told[..], [ClientEvent::Closed(_)]), "{packet}: {told:?}");
    }
}

/// Proves: [MQTT-2.2.1-3], [MQTT-4.3.2-1]
#[test]
fn a_packet_identifier_under_way_is_passed_over_when_the_count_wraps() {
    let mut client = connected();
    publish(&mut client, QoS::ExactlyOnce);
    assert_eq!(published_id(&mut client), 1);
    for _ in 0..65_600 {
        publish(&mut client, QoS::AtLeastOnce);
        let id = published_id(&mut client);
        assert!(id > 1, "neither 0 nor the one under way");
        let mut puback = hex("40 02");
        puback.extend_from_slice(&id.to_be_bytes());
        client.handle_input(Time::ZERO, &puback);
        assert_eq!(events(&mut client).len(), 1);
    }
    assert_eq!(client.outgoing_messages(), 1);
    receive(&mut client, "50 02 0001");
    assert_eq!(sent(&mut client), hex("62 02 0001"));
}

/// Proves: [MQTT-1.5.5-1]
#[test]
fn a_length_of_five_bytes_is_malformed() {
    for packet in ["30 80 80 80 80 01", "30 0a 0001 74 80 80 80 80 01 00 00"] {
        let mut client = connected();
        receive(&mut client, packet);
        assert_eq!(sent(&mut client), hex("e0 01 81"), "{packet}");
    }
}

#[test]
fn user_properties_of_one_name_all_come_in_their_order() {
    let mut client = connected();
    let reader = client.subscribe_unmatched(BufferOptions::new());
    let pairs = "26 0001 6b 0001 32  26 0001 6b 0001 31  26 0001 6b 0001 32";
    receive(&mut client, &format!("30 19 0001 74 15 {pairs}"));
    let came = messages(&mut client, reader);
    let pairs: Vec<_> = came[0].properties().user_properties().collect();
    assert_eq!(pairs, [("k", "2"), ("k", "1"), ("k", "2")]);
}

/// Proves: [MQTT-1.5.4-3]
#[test]
fn a_byte_order_mark_is_a_character_like_any_other() {
    let mut client = connected();
    let reader = client.subscribe_unmatched(BufferOptions::new());
    receive(&mut client, "30 07 0004 ef bb bf 74 00");
    assert_eq!(messages(&mut client, reader)[0].topic(), "\u{FEFF}t");
}

#[test]
fn a_message_of_a_mebibyte_is_taken_by_default() {
    let mut client = connected();
    let reader = client.subscribe_unmatched(BufferOptions::new());
    let mut body = hex("0001 74 00");
    body.resize(1 << 20, b'x');
    client.handle_input(Time::ZERO, &framed(0x30, &body));
    assert_eq!(messages(&mut client, reader)[0].payload().len(), (1 << 20) - 4);
}

/// Proves: [MQTT-4.1.0-1]
#[test]
fn a_saved_session_goes_on_with_what_waited() {
    let mut client = connected();
    publish(&mut client, QoS::AtLeastOnce);
    assert_eq!(published_id(&mut client), 1);
    let bytes = client.save(Time::ZERO).to_bytes();
    drop(client);

    let saved = SavedSession::from_bytes(&bytes).unwrap();
    let mut client = Client::restore(config(), [8; 32], saved, Time::ZERO).unwrap();
    connect(&mut client, CONNACK_PRESENT);
    assert_eq!(sent(&mut client), hex("3a 0d 0001 74 0001 00 7061796c6f6164"), "with DUP");
    receive(&mut client, "40 02 0001");
    let told = events(&mut client);
    let [ClientEvent::Published { outcome: PublishOutcome::Acknowledged(_), .. }] = told[..] else {
        panic!("{told:?}")
    };
}

#[test]
fn the_book_names_tests_that_there_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = std::fs::read_to_string(root.join("docs/src/client-wants.md")).unwrap();
    let mut files = BTreeMap::new();
    let (mut rows, mut named, mut is_shown) = (0, 0, false);
    for line in page.lines() {
        let Some(cells) = line.strip_prefix('|').and_then(|line| line.strip_suffix('|')) else {
            is_shown = false;
            continue;
        };
        let (_, last) = cells.rsplit_once('|').unwrap();
        if last.trim() == "shown by" {
            is_shown = true;
        } else if is_shown && !last.contains("---") {
            rows += 1;
            named += tests_named(root, &mut files, last);
        }
    }
    assert!(rows > 70 && named > 120, "{named} tests in {rows} rows");
}

/// How many tests a cell names; each of them is there.
fn tests_named<'a>(root: &Path, files: &mut BTreeMap<&'a str, String>, cell: &'a str) -> usize {
    let (mut source, mut named) = ("", 0);
    for name in cell.split('`').skip(1).step_by(2) {
        if name.ends_with(".rs") {
            let read = || std::fs::read_to_string(root.join(name)).expect(name);
            files.entry(name).or_insert_with(read);
            source = name;
        } else {
            let text = files.get(source).unwrap_or_else(|| panic!("no file before {name}"));
            assert!(text.contains(&format!("fn {name}()")), "there is no test {name} in {source}");
            named += 1;
        }
    }
    assert!(named > 0, "nothing is shown by{cell}");
    named
}
