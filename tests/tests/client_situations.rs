//! Situations in which clients are known to fail, and what shows that this one does not.
//!
//! The first table is what a client that this one took lessons from did wrong, the second what
//! users of MQTT clients keep asking for. A test of this file stands there by its name alone,
//! others with their file; a test at the end reads these tables and looks for each of them.
//!
//! | what must not happen | the tests that show what happens instead |
//! |---|---|
//! | CONNECT leaves out options that were set | `crates/mqtt-session/src/client/tests/connect.rs` `everything_that_is_configured_reaches_the_server` |
//! | nothing is ever pinged | `crates/mqtt-session/src/client/tests/keep_alive.rs` `an_idle_client_pings_within_every_keep_alive_interval` |
//! | a refusal by CONNACK surfaces later, without its reason | `crates/mqtt-client-async/tests/scripted.rs` `connecting_tells_what_the_server_refused_and_what_to_do`, `crates/mqtt-client-blocking/tests/scripted.rs` `connecting_tells_what_the_server_refused` |
//! | a SUBACK that refuses counts as success | `crates/mqtt-session/src/client/tests/subscribe.rs` `a_subscription_whose_filters_are_all_refused_has_ended`, `crates/mqtt-client-async/tests/scripted.rs` `a_refused_subscription_is_an_error_and_what_was_granted_is_undone` |
//! | a PUBACK that refuses counts as success | `crates/mqtt-session/src/client/tests/publish.rs` `qos_1_ends_with_puback_and_its_reason`, `crates/mqtt-client-async/tests/scripted.rs` `publishing_resolves_with_the_servers_final_word` |
//! | PUBREL follows a PUBREC that refuses | `crates/mqtt-session/src/client/tests/publish.rs` `a_refusing_pubrec_ends_the_exchange_without_pubrel` |
//! | the packet identifiers of both sides are taken for one another's | `crates/mqtt-session/src/client/tests/readers.rs` `the_servers_packet_identifiers_are_its_own` |
//! | a QoS 2 message that comes again is delivered again | `crates/mqtt-session/src/client/tests/readers.rs` `duplicate_qos_2_publish_is_delivered_once` |
//! | after PUBREC a resumed session sends PUBLISH again | `crates/mqtt-session/src/client/tests/resume.rs` `a_resumed_session_sends_again_what_is_open_in_order_with_the_right_packets` |
//! | a resumed session sends the server's own messages back | `a_resumed_session_sends_nothing_of_what_the_server_had_sent` |
//! | after the session is lost, old packet identifiers are sent with DUP | `crates/mqtt-session/src/client/tests/resume.rs` `of_a_session_that_is_gone_nothing_is_sent_again`, `crates/mqtt-session/src/client/tests/offline.rs` `qos_1_is_published_again_when_the_session_is_lost_and_the_outcome_tells` |
//! | the client dies with its connection | `crates/mqtt-session/src/client/tests/reconnect.rs` `a_started_client_dials_at_once_and_again_when_the_connection_is_lost`, `crates/mqtt-client-async/tests/reconnect.rs` `subscriptions_and_messages_live_on_when_the_connection_is_lost` |
//! | after the server's DISCONNECT subscriptions are gone, and ending one fails | `a_server_that_shuts_down_is_connected_and_subscribed_to_again` |
//! | an acknowledgement whose caller gave up kills the client | `crates/mqtt-session/src/client/tests/publish.rs` `a_message_that_its_caller_forgot_leaves_the_protocol_as_if_he_had_not`, `crates/mqtt-client-async/tests/scripted.rs` `a_dropped_future_leaves_the_exchange_to_the_session` |
//! | unread messages hold up publishing | `crates/mqtt-session/src/client/tests/readers.rs` `twenty_unread_messages_do_not_hold_up_own_publishes` |
//! | what the server does not take is sent all the same | `crates/mqtt-session/src/client/tests/limits.rs` `above_the_maximum_qos_nothing_is_sent`, `where_retain_is_not_available_nothing_is_sent_to_be_retained`, `above_the_maximum_packet_size_nothing_is_published`, `above_the_maximum_packet_size_nothing_is_subscribed_to`, `where_wildcard_subscriptions_are_not_available_none_is_sent`, `where_shared_subscriptions_are_not_available_none_is_sent`, `where_subscription_identifiers_are_not_available_none_is_sent_and_messages_find_their_way` |
//! | more messages are under way than the server takes at once | `crates/mqtt-session/src/client/tests/publish.rs` `over_the_receive_maximum_messages_wait_and_everything_else_goes_on` |
//! | topics that are empty, with wildcards or U+0000 are sent | `a_topic_that_no_message_can_have_is_refused_before_there_is_a_message`, `crates/mqtt-client-async/tests/scripted.rs` `what_cannot_be_published_is_told_at_once` |
//! | packet identifier 0 is accepted | `packet_identifier_0_ends_the_connection` |
//! | a packet identifier under way is used again when the count wraps | `a_packet_identifier_under_way_is_passed_over_when_the_count_wraps` |
//! | a Remaining Length or property length of five bytes is accepted | `a_length_of_five_bytes_is_malformed` |
//! | two Subscription Identifiers in one message are an error | `crates/mqtt-session/src/client/tests/subscribe.rs` `messages_find_their_subscription_by_identifier` |
//! | a User Property that is there several times comes once | `user_properties_of_one_name_all_come_in_their_order` |
//! | a shared filter never matches | `crates/mqtt-session/src/client/tests/readers.rs` `share_filter_matches_locally` |
//!
//! | what users ask for | the tests that show it |
//! |---|---|
//! | no event loop to poll, and publishing from where messages are read | `crates/mqtt-client-async/tests/scripted.rs` `a_full_outbox_makes_senders_wait_in_turn_and_enqueue_give_back`, `the_driver_can_be_polled_beside_the_application` |
//! | publishing that ends with the server's word | `crates/mqtt-client-async/tests/scripted.rs` `publishing_resolves_with_the_servers_final_word`, `crates/mqtt-client-blocking/tests/scripted.rs` `publishing_returns_the_servers_final_word` |
//! | QoS 2 that ends at PUBCOMP and not at PUBREC | `crates/mqtt-session/src/client/tests/publish.rs` `qos_2_ends_with_pubcomp_and_the_reason_of_pubrec`, `crates/mqtt-client-blocking/tests/scripted.rs` `publishing_at_qos_2_returns_at_pubcomp_and_not_before` |
//! | subscriptions that live on over connections | `crates/mqtt-session/src/client/tests/subscribe.rs` `a_lost_session_is_subscribed_to_again_and_a_resumed_one_is_not`, `crates/mqtt-client-async/tests/reconnect.rs` `what_the_server_has_lost_is_made_again_before_anything_else` |
//! | to know whether a subscription was granted | `crates/mqtt-session/src/client/tests/subscribe.rs` `a_subscription_ends_up_with_a_result_for_each_filter`, `crates/mqtt-client-blocking/tests/scripted.rs` `subscribing_tells_what_the_server_granted_or_refused` |
//! | messages that wait are not lost with the session, and none is sent in the wrong one | `crates/mqtt-session/src/client/tests/resume.rs` `of_a_session_that_is_gone_nothing_is_sent_again`, `crates/mqtt-session/src/client/tests/offline.rs` `messages_wait_for_the_connection_in_their_order`, `crates/mqtt-session/src/client/tests/subscribe.rs` `requests_that_were_not_answered_are_made_again_on_the_next_connection` |
//! | waits that grow between attempts | `crates/mqtt-session/src/client/tests/reconnect.rs` `waits_grow_with_every_failure_and_only_a_stable_connection_resets_them`, `full_jitter_comes_from_the_seed_and_never_exceeds_the_wait` |
//! | dead connections are noticed soon, whatever is stuck | `crates/mqtt-session/src/client/tests/keep_alive.rs` `a_dead_link_is_noticed_although_nothing_can_be_written`, `a_client_that_sends_and_hears_nothing_pings_and_gives_up`, `a_silent_server_is_given_up_without_a_word`, `crates/mqtt-client-async/tests/scripted.rs` `a_client_that_cannot_write_still_reads` |
//! | no pings where there is traffic | `crates/mqtt-session/src/client/tests/keep_alive.rs` `a_client_whose_packets_are_answered_does_not_ping` |
//! | futures that can be dropped | `crates/mqtt-client-async/tests/scripted.rs` `a_dropped_future_leaves_the_exchange_to_the_session`, `crates/mqtt-client-async/tests/requests.rs` `a_dropped_request_leaves_no_trace_and_its_late_response_is_unmatched` |
//! | an end that drains, and an end at all | `crates/mqtt-session/src/client/tests/leave.rs` `draining_waits_for_acknowledgements_and_no_longer`, `draining_ends_when_its_time_is_over`, `crates/mqtt-client-async/tests/scripted.rs` `closing_drains_what_is_under_way`, `dropping_every_handle_says_goodbye` |
//! | a blocking client that can look, wait, and wait so long | `crates/mqtt-client-blocking/tests/scripted.rs` `receiving_with_and_without_waiting` |
//! | messages above some kilobytes | `a_message_of_a_mebibyte_is_taken_by_default`, `crates/mqtt-session/src/client/tests/violations.rs` `a_packet_over_the_maximum_is_refused_at_its_header` |
//! | many messages in one write | `crates/mqtt-client-async/tests/scripted.rs` `many_small_messages_leave_in_one_write` |
//! | messages that find their subscription, and several that hold one filter | `crates/mqtt-session/src/client/tests/subscribe.rs` `messages_without_a_usable_identifier_go_to_every_filter_that_matches`, `a_filter_with_two_holders_has_the_broadest_options`, `crates/mqtt-session/src/client/tests/readers.rs` `every_reader_of_the_unmatched_gets_all_of_them` |
//! | requests and responses | `crates/mqtt-session/src/client/tests/calls.rs` `a_request_is_sent_once_its_responses_can_come_and_ends_with_its_own`, `a_request_without_a_response_times_out`, `crates/mqtt-client-blocking/tests/requests.rs` `a_request_waits_for_its_response_or_until_its_time_is_over` |
//! | a queue without connection that is bounded, with a policy, an exception for a message, and expiry | `crates/mqtt-session/src/client/tests/offline.rs` `a_full_queue_refuses_the_new_message_and_hands_it_back`, `a_full_queue_drops_the_oldest_qos_0_message_and_nothing_else`, `a_full_queue_drops_the_oldest_message_and_hands_it_back`, `the_queue_is_bounded_by_bytes_too`, `a_message_only_for_the_present_connection_does_not_wait_for_another`, `expiry_counts_down_while_a_message_waits_and_what_has_expired_is_reported_on_time` |
//! | a queue that survives the program | `a_saved_session_goes_on_with_what_waited`, `crates/mqtt-session/src/client/tests/saved.rs` `what_is_no_saved_session_is_told_apart` |
//! | credentials that change with every attempt | `crates/mqtt-session/src/client/tests/reconnect.rs` `credentials_are_those_given_for_the_attempt`, `crates/mqtt-client-async/tests/reconnect.rs` `every_attempt_has_credentials_of_its_own_and_may_be_refused` |
//! | User Properties in every packet of an application | `crates/mqtt-session/src/client/tests/connect.rs` `everything_that_is_configured_reaches_the_server`, `crates/mqtt-session/src/client/tests/publish.rs` `properties_leave_as_they_were_given_and_the_expiry_counts_down`, `crates/mqtt-session/src/client/tests/subscribe.rs` `a_subscription_ends_up_with_a_result_for_each_filter`, `crates/mqtt-session/src/client/tests/leave.rs` `user_properties_of_disconnect_are_sent_where_there_is_room` |
//! | acknowledgements of the application's own, that live through a new connection | `crates/mqtt-session/src/client/tests/receive.rs` `manual_acknowledgements_leave_in_the_order_of_arrival`, `crates/mqtt-session/src/client/tests/readers.rs` `an_acknowledgement_after_a_reconnect_goes_to_the_right_packet_or_nowhere`, `a_delivery_that_is_dropped_stays_unacknowledged_and_comes_again_after_a_resume` |
//! | nothing sent again while the connection stands | `crates/mqtt-session/src/client/tests/resume.rs` `nothing_is_sent_again_while_the_connection_stands` |
//! | bounded memory for what comes | `crates/mqtt-session/src/client/tests/readers.rs` `a_reader_that_reads_nothing_holds_the_server_back_and_that_is_visible`, `what_was_not_read_when_the_session_was_lost_is_kept_and_stays_bounded`, `a_full_buffer_drops_qos_0_as_it_was_asked_to_and_counts_it` |
//! | something that passes by what waits | `crates/mqtt-session/src/client/tests/publish.rs` `over_the_receive_maximum_messages_wait_and_everything_else_goes_on` |

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
fn the_tables_of_this_file_name_tests_that_there_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let this_file = include_str!("client_situations.rs");
    let mut files = BTreeMap::new();
    let mut named = 0;
    for row in this_file.lines().filter(|line| line.starts_with("//! |") && line.contains('`')) {
        let mut source = this_file;
        for name in row.split('`').skip(1).step_by(2) {
            if name.ends_with(".rs") {
                source = files
                    .entry(name)
                    .or_insert_with(|| std::fs::read_to_string(root.join(name)).expect(name));
            } else {
                assert!(source.contains(&format!("fn {name}()")), "there is no test {name}");
                named += 1;
            }
        }
    }
    assert!(named > 70, "{named} tests are named");
}
