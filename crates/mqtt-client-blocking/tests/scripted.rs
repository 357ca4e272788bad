//! The client against a server whose every byte the test writes.

#[cfg(test)]
mod common;

use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

use common::{GRANTED, MOMENT, PATIENCE, Server, clog, id, qos1, subscribed, terms, together};
use mqtt_client_blocking::{
    Backoff, CallError, Client, ClientCloseCause, ConnectError, ConnectReason, ConnectionError,
    Credentials, DisconnectReason, EnqueueError, PropertyBuf, PubAckReason, PublishError, QoS,
    SessionPolicy, State, SubAckReason, SubscribeError, UnsubAckReason, UnsubscribeError,
};
use mqtt_codec::{
    ConnAck, Decoded, Disconnect, Limits, Packet, PacketType, Properties, PubComp, PubRec,
    PubRelReason, PublishQos, UnsubAck, decode,
};

#[test]
fn connecting_tells_what_the_server_refused() {
    let server = Server::start();
    let refuse = || {
        let mut peer = server.accept();
        peer.packet();
        peer.send(ConnAck {
            session_present: false,
            reason: ConnectReason::NotAuthorized,
            properties: Properties::EMPTY,
        });
    };
    let (refused, ()) = together(|| server.client().connect(), refuse);
    let error = refused.unwrap_err();
    let CallError::Failed(ConnectError::Refused { reason, .. }) = &error else {
        panic!("{error:?}");
    };
    assert_eq!(*reason, ConnectReason::NotAuthorized);
    assert!(error.to_string().contains("check the user name and password"), "{error}");
}

#[test]
fn connecting_to_nobody_says_so() {
    let address = Server::start().url();
    let error = Client::builder(&address).connect().unwrap_err();
    assert!(matches!(error, CallError::Failed(ConnectError::Unreachable { .. })), "{error:?}");
    let error = Client::builder("localhost").connect().unwrap_err();
    assert!(matches!(error, CallError::Failed(ConnectError::Address(_))), "{error:?}");
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let server = Server::start();
    let refused = server.client().connect_timeout(MOMENT).connect();
    assert!(matches!(refused, Err(CallError::Failed(ConnectError::Timeout { .. }))), "{refused:?}");
}

#[test]
fn publishing_returns_the_servers_final_word() {
    let server = Server::start();
    let (client, mut peer) = server.open();

    let sent = client.publish("a", "zero").send().unwrap();
    assert_eq!(sent.reason(), PubAckReason::Success);
    assert_eq!(peer.publish(), (PublishQos::AtMostOnce, "a".into(), b"zero".into()));

    let acknowledge = || {
        let (qos, _, payload) = peer.publish();
        assert_eq!((qos, payload), (qos1(1), b"one".into()));
        peer.puback(id(1), PubAckReason::NoMatchingSubscribers);
    };
    let one = || client.publish("a", "one").qos(QoS::AtLeastOnce).send();
    let (sent, ()) = together(one, acknowledge);
    assert_eq!(sent.unwrap().reason(), PubAckReason::NoMatchingSubscribers);

    let refuse = || {
        peer.publish();
        peer.puback(id(1), PubAckReason::QuotaExceeded);
    };
    let (refused, ()) = together(one, refuse);
    let Err(CallError::Failed(PublishError::Refused(word))) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(word.reason, PubAckReason::QuotaExceeded);
}

#[test]
fn publishing_at_qos_2_returns_at_pubcomp_and_not_before() {
    let server = Server::start();
    let (client, mut peer) = server.open();
    let mut pending = client.publish("a", "two").qos(QoS::ExactlyOnce).enqueue().unwrap();
    let (qos, ..) = peer.publish();
    assert_eq!(qos, PublishQos::ExactlyOnce { id: id(1), dup: false });
    let packet_id = id(1);
    let reason = PubAckReason::Success;
    peer.send(PubRec { packet_id, reason, properties: Properties::EMPTY });
    assert_eq!(peer.packet_type(), PacketType::PubRel);
    assert!(matches!(pending.wait_timeout(MOMENT), Err(CallError::Timeout)));
    let reason = PubRelReason::Success;
    peer.send(PubComp { packet_id, reason, properties: Properties::EMPTY });
    assert_eq!(pending.wait().unwrap().reason(), PubAckReason::Success);
}

#[test]
fn a_word_that_was_waited_for_in_vain_comes_later_and_stays() {
    let server = Server::start();
    let (client, mut peer) = server.open();
    let mut pending = client.publish("a", "b").qos(QoS::AtLeastOnce).enqueue().unwrap();
    let before = Instant::now();
    assert!(matches!(pending.wait_timeout(MOMENT), Err(CallError::Timeout)));
    assert!(before.elapsed() >= MOMENT);
    assert!(matches!(pending.wait_timeout(Duration::ZERO), Err(CallError::Timeout)));
    peer.publish();
    peer.puback(id(1), PubAckReason::QuotaExceeded);
    for _ in 0..2 {
        let word = pending.wait_timeout(PATIENCE);
        assert!(matches!(word, Err(CallError::Failed(PublishError::Refused(_)))), "{word:?}");
    }
    let word = pending.wait();
    assert!(matches!(word, Err(CallError::Failed(PublishError::Refused(_)))), "{word:?}");
}

#[test]
fn a_full_client_gives_the_message_back_and_sending_it_waits() {
    let server = Server::start();
    let options = server.client().max_outgoing_messages(1);
    let (client, mut peer) = server.connected(options, &PropertyBuf::new());
    let first = client.publish("a", "first").qos(QoS::AtLeastOnce).enqueue().unwrap();
    let full = client.publish("a", "second").qos(QoS::AtLeastOnce).enqueue();
    let Err(EnqueueError::Full(message)) = full else { panic!("{full:?}") };
    let acknowledge = || {
        for payload in ["first", "second"] {
            thread::sleep(MOMENT);
            assert_eq!(peer.publish().2, payload.as_bytes());
            peer.puback(id(1), PubAckReason::Success);
        }
    };
    let (second, ()) = together(|| message.send(), acknowledge);
    assert_eq!(second.unwrap().reason(), PubAckReason::Success);
    first.wait().unwrap();
}

#[test]
fn a_topic_that_cannot_be_published_to_is_an_error_of_the_call() {
    let server = Server::start();
    let (client, _peer) = server.open();
    let error = client.publish("a/#", "").send().unwrap_err();
    assert!(matches!(error, CallError::Failed(PublishError::Topic(_))), "{error:?}");
    let error = client.publish("a/#", "").enqueue().unwrap_err();
    assert!(matches!(error, EnqueueError::Failed(PublishError::Topic(_))), "{error:?}");
}

#[test]
fn subscribing_tells_what_the_server_granted_or_refused() {
    let server = Server::start();
    let (client, mut peer) = server.open();
    let answers = [SubAckReason::GrantedQos1, SubAckReason::GrantedQos0];
    let subscribe = || client.subscribe(["a", "b"]).qos(QoS::AtLeastOnce).wait();
    let (granted, ()) = together(subscribe, || peer.grant(&answers));
    let expected = [("a".to_owned(), QoS::AtLeastOnce), ("b".to_owned(), QoS::AtMostOnce)];
    assert_eq!(granted.unwrap().granted(), expected);
    assert_eq!(peer.packet_type(), PacketType::Unsubscribe);

    let subscribe = || client.subscribe("c").wait();
    let (refused, ()) = together(subscribe, || peer.grant(&[SubAckReason::NotAuthorized]));
    let error = refused.unwrap_err();
    assert!(matches!(error, CallError::Failed(SubscribeError::Refused { .. })), "{error:?}");
}

#[test]
fn receiving_with_and_without_waiting() {
    let server = Server::start();
    let (client, mut peer) = server.open();
    let messages = subscribed(&client, &mut peer, "a");

    assert!(messages.try_recv().unwrap().is_none());
    let before = Instant::now();
    assert!(matches!(messages.recv_timeout(MOMENT), Err(CallError::Timeout)));
    assert!(before.elapsed() >= MOMENT);
    assert!(matches!(messages.recv_timeout(Duration::ZERO), Err(CallError::Timeout)));

    // What came too late for one call is there for the next.
    peer.deliver("a", b"1", PublishQos::AtMostOnce);
    assert_eq!(messages.recv().unwrap().payload(), b"1");
    let later = || {
        thread::sleep(MOMENT);
        peer.deliver("a", b"2", PublishQos::AtMostOnce);
        peer.deliver("a", b"3", PublishQos::AtMostOnce);
    };
    let (received, ()) = together(|| messages.recv_timeout(Duration::MAX), later);
    assert_eq!(received.unwrap().payload(), b"2");
    let third = loop {
        match messages.try_recv().unwrap() {
            Some(message) => break message,
            None => thread::yield_now(),
        }
    };
    assert_eq!(third.payload(), b"3");
    assert!(matches!(messages.recv_timeout(MOMENT), Err(CallError::Timeout)));
}

#[test]
fn what_had_come_is_received_before_the_end_of_the_connection() {
    let server = Server::start();
    let (client, mut peer) = server.open_once();
    let messages = subscribed(&client, &mut peer, "a");
    peer.deliver("a", b"last", PublishQos::AtMostOnce);
    drop(peer);
    while client.ready().is_ok() {
        thread::yield_now();
    }
    assert_eq!(messages.recv_timeout(Duration::ZERO).unwrap().payload(), b"last");
    for _ in 0..2 {
        let ended = messages.recv().unwrap_err();
        assert!(matches!(&ended, CallError::Failed(_)) && !ended.is_disconnected(), "{ended:?}");
        messages.try_recv().unwrap_err();
    }
}

#[test]
fn going_through_the_messages_ends_with_the_connection_and_tells_a_failure() {
    let server = Server::start();
    let (client, mut peer) = server.open();
    let messages = subscribed(&client, &mut peer, "a");
    peer.deliver("a", b"1", PublishQos::AtMostOnce);
    peer.deliver("a", b"2", PublishQos::AtMostOnce);
    let mut iter = messages.iter();
    assert_eq!(iter.next().unwrap().unwrap().payload(), b"1");
    assert_eq!(iter.next().unwrap().unwrap().payload(), b"2");
    client.close().wait().unwrap();
    assert!(iter.next().is_none());

    let (client, mut peer) = server.open_once();
    let messages = subscribed(&client, &mut peer, "a");
    peer.stream.shutdown(Shutdown::Both).unwrap();
    let outcomes: Vec<_> = (&messages).into_iter().collect();
    assert!(matches!(outcomes.as_slice(), [Err(CallError::Failed(_))]), "{outcomes:?}");
}

#[test]
fn a_message_is_acknowledged_when_it_is_received_or_when_the_application_says_so() {
    let server = Server::start();
    let (client, mut peer) = server.open();
    let subscribe = || client.subscribe("a").qos(QoS::AtLeastOnce).manual_ack().wait();
    let (messages, ()) = together(subscribe, || peer.grant(GRANTED));
    let messages = messages.unwrap();
    peer.deliver("a", b"", qos1(7));
    let message = messages.recv().unwrap();
    peer.stream.set_read_timeout(Some(MOMENT)).unwrap();
    assert!(peer.stream.peek(&mut [0]).is_err(), "nothing is acknowledged yet");
    peer.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    message.ack();
    assert_eq!(peer.packet_type(), PacketType::PubAck);

    let automatic = subscribed(&client, &mut peer, "b");
    peer.deliver("b", b"", qos1(8));
    automatic.recv().unwrap();
    assert_eq!(peer.packet_type(), PacketType::PubAck);
}

#[test]
fn each_thread_that_waits_gets_one_of_the_messages_that_come_at_once() {
    const THREADS: usize = 8;
    let server = Server::start();
    let (client, mut peer) = server.open();
    let messages = subscribed(&client, &mut peer, "a");
    for _ in 0..50 {
        let mut received = thread::scope(|scope| {
            let readers: Vec<_> =
                (0..THREADS).map(|_| scope.spawn(|| messages.recv_timeout(PATIENCE))).collect();
            let mut bytes = Vec::new();
            for number in 0..THREADS {
                bytes.extend_from_slice(&[0x30, 5, 0, 1, b'a', 0, u8::try_from(number).unwrap()]);
            }
            std::io::Write::write_all(&mut peer.stream, &bytes).unwrap();
            let received = readers.into_iter().map(|reader| reader.join().unwrap().unwrap());
            received.map(|message| usize::from(message.payload()[0])).collect::<Vec<_>>()
        });
        received.sort_unstable();
        assert_eq!(received, (0..THREADS).collect::<Vec<_>>());
    }
}

#[test]
fn all_threads_that_wait_learn_that_the_connection_has_ended() {
    let server = Server::start();
    let (client, mut peer) = server.open();
    let messages = subscribed(&client, &mut peer, "a");
    thread::scope(|scope| {
        let readers: Vec<_> = (0..8).map(|_| scope.spawn(|| messages.recv())).collect();
        thread::sleep(MOMENT);
        client.close().wait().unwrap();
        for reader in readers {
            assert!(reader.join().unwrap().unwrap_err().is_disconnected());
        }
    });
}

#[test]
fn what_no_subscription_takes_is_unmatched() {
    let server = Server::start();
    let (client, mut peer) = server.open();
    let rest = client.unmatched();
    assert!(rest.try_recv().unwrap().is_none());
    peer.deliver("nowhere", b"x", PublishQos::AtMostOnce);
    assert_eq!(rest.recv().unwrap().topic(), "nowhere");
    assert!(matches!(rest.recv_timeout(MOMENT), Err(CallError::Timeout)));
    client.close().wait().unwrap();
    assert_eq!(rest.iter().count(), 0);
    assert_eq!(rest.dropped(), 0);
}

#[test]
fn the_last_subscription_to_a_filter_that_is_dropped_unsubscribes() {
    let server = Server::start();
    let (client, mut peer) = server.open();
    let first = subscribed(&client, &mut peer, "a");
    let second = subscribed(&client, &mut peer, "a");
    drop(first);
    client.publish("mark", "").send().unwrap();
    assert_eq!(peer.packet_type(), PacketType::Publish);
    drop(second);
    assert_eq!(peer.packet_type(), PacketType::Unsubscribe);
}

#[test]
fn unsubscribing_sends_user_properties_and_returns_the_servers_answer() {
    let server = Server::start();
    let (client, mut peer) = server.open();
    let messages = subscribed(&client, &mut peer, "a");
    let told = terms(|told| {
        told.reason_string("nobody knows it").unwrap();
        told.user_property("left", "0").unwrap();
    });
    let answer = || {
        let bytes = peer.packet().expect("an UNSUBSCRIBE");
        let Ok(Decoded::Packet(Packet::Unsubscribe(asked), _)) = decode(&bytes, &Limits::new())
        else {
            panic!("an UNSUBSCRIBE, not {bytes:x?}");
        };
        let sent: Vec<_> = asked.properties.user_properties().collect();
        assert_eq!(sent, [("why", "moved"), ("why", "again")]);
        let reasons = &[UnsubAckReason::NoSubscriptionExisted];
        peer.send(UnsubAck::new(asked.packet_id, told.as_properties(), reasons).unwrap());
    };
    let unsubscribe = messages.unsubscribe().user_property("why", "moved");
    let unsubscribe = unsubscribe.user_property("why", "again");
    let (answer, ()) = together(|| unsubscribe.wait(), answer);
    let answer = answer.unwrap();
    assert_eq!(&*answer.results, [UnsubAckReason::NoSubscriptionExisted]);
    assert_eq!(answer.properties, told);
}

#[test]
fn a_user_property_that_cannot_be_sent_is_told_and_the_subscription_ends() {
    let server = Server::start();
    let (client, mut peer) = server.open();
    let messages = subscribed(&client, &mut peer, "a");
    let error = messages.unsubscribe().user_property("why", "\0").wait().unwrap_err();
    assert!(matches!(error, CallError::Failed(UnsubscribeError::Property(_))), "{error}");
    assert_eq!(peer.packet_type(), PacketType::Unsubscribe);
}

#[test]
fn user_properties_of_disconnect_are_sent_and_received() {
    let server = Server::start();
    let (client, mut peer) = server.open();
    let goodbye = client.close().user_property("why", "moved").unwrap();
    let goodbye = goodbye.user_property("why", "again").unwrap().reason_string("bye").unwrap();
    goodbye.wait().unwrap();
    let bytes = peer.packet().expect("a DISCONNECT");
    let Ok(Decoded::Packet(Packet::Disconnect(sent), _)) = decode(&bytes, &Limits::new()) else {
        panic!("a DISCONNECT, not {bytes:x?}");
    };
    let user_properties: Vec<_> = sent.properties.user_properties().collect();
    assert_eq!(user_properties, [("why", "moved"), ("why", "again")]);
    assert_eq!(sent.properties.reason_string(), Some("bye"));

    let (client, mut peer) = server.open_once();
    let told = terms(|told| {
        told.user_property("back", "at noon").unwrap();
        told.user_property("back", "or later").unwrap();
    });
    let reason = DisconnectReason::ServerShuttingDown;
    peer.send(Disconnect { reason, properties: told.as_properties() });
    let states = client.state();
    let cause = loop {
        if let State::Closed { cause } = states.recv_timeout(PATIENCE).unwrap() {
            break cause;
        }
    };
    let ConnectionError::Closed(cause) = cause else { panic!("{cause}") };
    assert_eq!(*cause, ClientCloseCause::DisconnectedByServer { reason, properties: told });
}

#[test]
fn the_states_of_a_connection_can_be_watched() {
    let server = Server::start();
    let (client, _peer) = server.open();
    let states = client.state();
    assert!(matches!(states.recv().unwrap(), State::Connected { resumed: false }));
    assert!(states.try_recv().unwrap().is_none());
    assert!(matches!(states.recv_timeout(MOMENT), Err(CallError::Timeout)));
    client.ready().unwrap();
    client.ready_timeout(MOMENT).unwrap();
    // It does not keep the connection open.
    drop(client);
    assert!(matches!(states.recv().unwrap(), State::Closed { .. }));
    assert!(states.recv().unwrap_err().is_disconnected());
    assert!(states.try_recv().unwrap_err().is_disconnected());
}

#[test]
fn closing_reports_what_was_not_acknowledged() {
    let server = Server::start();
    let options = server.client().session(SessionPolicy::resume(Duration::from_secs(60)));
    let (client, mut peer) = server.connected(options, &PropertyBuf::new());
    drop(client.publish("a", "").qos(QoS::AtLeastOnce).enqueue().unwrap());
    let closed = client.close().drain(MOMENT).wait().unwrap();
    assert_eq!(closed.unacknowledged, 1);
    assert!(closed.cause.is_disconnected());
    peer.publish();
    assert_eq!(peer.packet_type(), PacketType::Disconnect);
    assert_eq!(peer.packet(), None);
    let error = client.publish("a", "").send().unwrap_err();
    assert!(matches!(error, CallError::Failed(PublishError::Connection(_))), "{error:?}");
    assert!(client.ready().unwrap_err().is_disconnected());
    assert!(client.negotiated().is_none());
}

#[test]
fn closing_waits_for_acknowledgements_when_asked_to() {
    let server = Server::start();
    let (client, mut peer) = server.open();
    let pending = client.publish("a", "").qos(QoS::AtLeastOnce).enqueue().unwrap();
    let acknowledge = || {
        peer.publish();
        thread::sleep(MOMENT);
        peer.puback(id(1), PubAckReason::Success);
        assert_eq!(peer.packet_type(), PacketType::Disconnect);
    };
    let (closed, ()) = together(|| client.close().drain(PATIENCE).wait(), acknowledge);
    assert_eq!(closed.unwrap().unacknowledged, 0);
    pending.wait().unwrap();
}

#[test]
fn the_goodbye_has_left_when_the_last_handle_is_dropped() {
    let server = Server::start();
    let (client, mut peer) = server.open();
    let messages = subscribed(&client, &mut peer, "a");
    let other = client.clone();
    client.publish("a", "still sent").send().unwrap();
    drop(client);
    drop(messages);
    assert_eq!(peer.packet_type(), PacketType::Publish);
    assert_eq!(peer.packet_type(), PacketType::Unsubscribe);
    other.publish("a", "still open").send().unwrap();
    assert_eq!(peer.packet_type(), PacketType::Publish);
    drop(other);
    // Without waiting for anything: a program may end right here.
    peer.stream.set_nonblocking(true).unwrap();
    assert_eq!(peer.packet_type(), PacketType::Disconnect);
    assert_eq!(peer.packet(), None);
}

#[test]
fn dropping_takes_less_than_a_second_when_the_server_reads_nothing() {
    let server = Server::start();
    let (client, mut peer) = server.open();
    let messages = subscribed(&client, &mut peer, "a");
    clog(&client);
    let before = Instant::now();
    drop(messages);
    drop(client);
    assert!(before.elapsed() < Duration::from_secs(1), "{:?}", before.elapsed());
}

#[test]
fn closing_gives_a_server_that_reads_nothing_up() {
    let server = Server::start();
    let (client, _peer) = server.open();
    clog(&client);
    let before = Instant::now();
    client.close().drain(MOMENT).wait().unwrap();
    assert!(before.elapsed() < Duration::from_secs(10), "{:?}", before.elapsed());
}

#[test]
fn the_terms_of_the_connection_are_known() {
    let server = Server::start();
    let terms = terms(|terms| {
        terms.maximum_qos(QoS::AtLeastOnce);
    });
    let (client, _peer) = server.connected(server.client(), &terms);
    assert!(client.negotiated().is_some());
    let error = client.publish("a", "").qos(QoS::ExactlyOnce).send().unwrap_err();
    assert!(matches!(error, CallError::Failed(PublishError::NotAllowed(_))), "{error:?}");
    assert!(format!("{client:?}").contains("Connected"), "{client:?}");
}

#[test]
fn a_connection_that_is_lost_is_made_again_with_fresh_credentials() {
    let server = Server::start();
    let options = server
        .client()
        .backoff(Backoff::exponential(Duration::ZERO..=Duration::ZERO))
        .credentials_fn(|attempt| {
            Ok::<_, std::convert::Infallible>(Credentials::token(format!("{}", attempt.number)))
        });
    let (client, mut peer) = server.connected(options, &PropertyBuf::new());
    let messages = subscribed(&client, &mut peer, "a");
    drop(peer);
    let mut peer = server.welcome(&PropertyBuf::new());
    peer.grant(GRANTED);
    peer.deliver("a", b"again", PublishQos::AtMostOnce);
    assert_eq!(messages.recv_timeout(PATIENCE).unwrap().payload(), b"again");
}
