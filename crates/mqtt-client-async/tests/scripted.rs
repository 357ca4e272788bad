//! The client against a server whose every byte the test writes.

#[cfg(test)]
mod common;

use std::future::IntoFuture;
use std::num::NonZeroU16;
use std::time::Duration;

use common::{Server, id, qos1, terms};
use mqtt_client_async::{
    Client, ConnectError, ConnectReason, EnqueueError, OnFull, OnFullQos0, PropertyBuf,
    PubAckReason, PublishError, QoS, Reconnect, ServerLimit, State, SubAckReason, SubscribeError,
};
use mqtt_codec::{
    ConnAck, PacketType, Properties, PubComp, PubRec, PubRelReason, PublishQos, decode,
};
use tokio::io::AsyncWriteExt;

const GRANTED: &[SubAckReason] = &[SubAckReason::GrantedQos2];

/// What is ready without waiting for anything.
#[cfg(test)]
fn now<F: Future>(future: F) -> Option<F::Output> {
    use std::task::{Context, Poll, Waker};
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

#[tokio::test]
async fn connecting_tells_what_the_server_refused_and_what_to_do() {
    let server = Server::start().await;
    let refuse = async {
        let mut peer = server.accept().await;
        peer.packet().await;
        let words = terms(|words| {
            words.reason_string("no such user").unwrap();
        });
        peer.send(ConnAck {
            session_present: false,
            reason: ConnectReason::BadUserNameOrPassword,
            properties: words.as_properties(),
        })
        .await;
    };
    let (refused, ()) = tokio::join!(server.client().connect(), refuse);
    let error = refused.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the server refused the connection: Bad User Name or Password (no such user); \
         check the user name and password"
    );
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn connecting_to_nobody_says_so() {
    let address = {
        let server = Server::start().await;
        server.url()
    };
    let error = Client::builder(&address).connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("is the server running"));
    assert!(error.is_retryable());
    let error = Client::builder("localhost").connect().await.unwrap_err();
    assert!(error.to_string().contains("write `mqtt://host`"));
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let server = Server::start().await;
    let timeout = server.client().connect_timeout(Duration::from_millis(50)).connect();
    let (refused, _peer) = tokio::join!(timeout, server.accept());
    assert!(matches!(refused, Err(ConnectError::Timeout { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_server_that_hangs_up_is_told_from_one_that_refuses() {
    let server = Server::start().await;
    let hang_up = async { drop(server.accept().await) };
    let (refused, ()) = tokio::join!(server.client().connect(), hang_up);
    assert!(matches!(refused, Err(ConnectError::Connection(_))), "{refused:?}");
}

#[tokio::test]
async fn the_login_of_the_address_is_used_unless_another_is_given() {
    let server = Server::start().await;
    for own in [false, true] {
        let address = server.url().replace("mqtt://", "mqtt://user:secret@");
        let mut client = Client::builder(&address);
        if own {
            client = client.credentials("other", "word");
        }
        let check = async {
            let mut peer = server.accept().await;
            let bytes = peer.packet().await.unwrap();
            let Ok(mqtt_codec::Decoded::Packet(mqtt_codec::Packet::Connect(connect), _)) =
                decode(&bytes, &mqtt_codec::Limits::new())
            else {
                panic!("a CONNECT");
            };
            let expected = if own { ("other", "word") } else { ("user", "secret") };
            assert_eq!(connect.user_name(), Some(expected.0));
            assert_eq!(connect.password(), Some(expected.1.as_bytes()));
        };
        let (refused, ()) = tokio::join!(client.connect(), check);
        refused.unwrap_err();
    }
}

#[tokio::test]
async fn publishing_resolves_with_the_servers_final_word() {
    let server = Server::start().await;
    let (client, mut peer) = server.open().await;

    let sent = client.publish("a", "zero").send().await.unwrap();
    assert_eq!(sent.reason(), PubAckReason::Success);
    assert_eq!(peer.publish().await, (PublishQos::AtMostOnce, "a".into(), b"zero".into()));

    let answer = async {
        let (qos, ..) = peer.publish().await;
        peer.puback(qos.packet_id().unwrap(), PubAckReason::NoMatchingSubscribers).await;
        let (qos, ..) = peer.publish().await;
        peer.puback(qos.packet_id().unwrap(), PubAckReason::QuotaExceeded).await;
        let (qos, ..) = peer.publish().await;
        let packet_id = qos.packet_id().unwrap();
        let reason = PubAckReason::Success;
        peer.send(PubRec { packet_id, reason, properties: Properties::EMPTY }).await;
        assert_eq!(peer.packet_type().await, PacketType::PubRel);
        let reason = PubRelReason::Success;
        peer.send(PubComp { packet_id, reason, properties: Properties::EMPTY }).await;
    };
    let publish = async {
        let word = client.publish("a", "one").qos(QoS::AtLeastOnce).send().await.unwrap();
        assert_eq!(word.reason(), PubAckReason::NoMatchingSubscribers);
        let error = client.publish("a", "two").qos(QoS::AtLeastOnce).send().await.unwrap_err();
        assert!(matches!(&error, PublishError::Refused(word)
            if word.reason == PubAckReason::QuotaExceeded));
        assert_eq!(error.to_string(), "the server refused the message: Quota exceeded");
        let pending = client.publish("a", "three").qos(QoS::ExactlyOnce).enqueue().unwrap();
        assert_eq!(pending.await.unwrap().reason(), PubAckReason::Success);
    };
    tokio::join!(answer, publish);
}

#[tokio::test]
async fn what_cannot_be_published_is_told_at_once() {
    let server = Server::start().await;
    let strict = terms(|terms| {
        terms.maximum_qos(QoS::AtLeastOnce).retain_available(false);
    });
    let (client, _peer) = server.connected(server.client(), &strict).await;
    let error = client.publish("a/+", "x").send().await.unwrap_err();
    assert!(matches!(error, PublishError::Topic(_)));
    let error = client.publish("a", "x").content_type("\0").send().await.unwrap_err();
    assert!(matches!(error, PublishError::Property(_)));
    let error = client.publish("a", "x").qos(QoS::ExactlyOnce).send().await.unwrap_err();
    assert!(matches!(error, PublishError::NotAllowed(ServerLimit::MaximumQos { .. })));
    let error = client.publish("a", "x").retain(true).send().await.unwrap_err();
    assert!(matches!(error, PublishError::NotAllowed(ServerLimit::RetainNotAvailable)));
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn properties_of_a_message_reach_the_server() {
    let server = Server::start().await;
    let (client, mut peer) = server.open().await;
    let message = client
        .publish("a", "x")
        .expiry(Duration::from_millis(59_500))
        .text()
        .content_type("text/plain")
        .response_topic("answers")
        .correlation_data(b"7")
        .user_property("k", "1")
        .user_property("k", "2");
    message.send().await.unwrap();
    let bytes = peer.packet().await.unwrap();
    let Ok(mqtt_codec::Decoded::Packet(mqtt_codec::Packet::Publish(publish), _)) =
        decode(&bytes, &mqtt_codec::Limits::new())
    else {
        panic!("a PUBLISH");
    };
    let properties = publish.properties;
    assert_eq!(properties.message_expiry_interval(), Some(60));
    assert_eq!(properties.content_type(), Some("text/plain"));
    assert_eq!(properties.response_topic().unwrap().as_str(), "answers");
    assert_eq!(properties.correlation_data(), Some(&b"7"[..]));
    let pairs: Vec<_> = properties.user_properties().collect();
    assert_eq!(pairs, [("k", "1"), ("k", "2")]);
}

#[tokio::test]
async fn many_small_messages_leave_in_one_write() {
    let server = Server::start().await;
    let (client, mut peer) = server.open().await;
    for _ in 0..100 {
        client.publish("topic", "payload").send().await.unwrap();
    }
    let mut bytes = [0; 4096];
    let read = tokio::io::AsyncReadExt::read(&mut peer.stream, &mut bytes).await.unwrap();
    assert_eq!(read, 100 * 17, "they came in one read, so they left in one write");
}

#[tokio::test]
async fn a_full_outbox_makes_senders_wait_in_turn_and_enqueue_give_back() {
    let server = Server::start().await;
    let (client, mut peer) =
        server.connected(server.client().max_outgoing_messages(2), &PropertyBuf::new()).await;
    let publish = |payload: &'static str| client.publish("a", payload).qos(QoS::AtLeastOnce);
    let first = publish("1").enqueue().unwrap();
    let second = publish("2").enqueue().unwrap();
    let Err(EnqueueError::Full(third)) = publish("3").enqueue() else { panic!("it is full") };
    let mut order = Vec::new();
    let serve = async {
        for _ in 0..5 {
            let (qos, _, payload) = peer.publish().await;
            order.push(String::from_utf8(payload).unwrap());
            peer.puback(qos.packet_id().unwrap(), PubAckReason::Success).await;
        }
    };
    let cancelled = publish("never").send();
    let cancelled = tokio::time::timeout(Duration::ZERO, cancelled);
    let (third, fourth, fifth, cancelled, ()) =
        tokio::join!(third.send(), publish("4").send(), publish("5").send(), cancelled, serve);
    for word in [third, fourth, fifth, first.await, second.await] {
        word.unwrap();
    }
    assert!(cancelled.is_err());
    assert_eq!(order, ["1", "2", "3", "4", "5"]);
}

#[tokio::test]
async fn a_dropped_future_leaves_the_exchange_to_the_session() {
    let server = Server::start().await;
    let (client, mut peer) = server.open().await;
    let mut sending = Box::pin(client.publish("a", "x").qos(QoS::AtLeastOnce).send());
    assert!(now(&mut sending).is_none());
    drop(sending);
    let (qos, _, payload) = peer.publish().await;
    assert_eq!(payload, b"x");
    peer.puback(qos.packet_id().unwrap(), PubAckReason::Success).await;
    drop(client.publish("never", "x").qos(QoS::AtLeastOnce).send());
    while client.outgoing_messages() > 0 {
        tokio::task::yield_now().await;
    }
    let word = client.publish("a", "y").qos(QoS::AtLeastOnce).enqueue().unwrap();
    let (qos, _, payload) = peer.publish().await;
    assert_eq!(payload, b"y");
    peer.puback(qos.packet_id().unwrap(), PubAckReason::Success).await;
    word.await.unwrap();
}

#[tokio::test]
async fn a_subscription_is_a_stream_of_its_messages() {
    let server = Server::start().await;
    let (client, mut peer) = server.open().await;
    let (a, ()) = tokio::join!(client.subscribe("a/#").into_future(), peer.grant(GRANTED));
    let both = client.subscribe(["b", "a/x"]).qos(QoS::AtLeastOnce).into_future();
    let granted = [SubAckReason::GrantedQos1, SubAckReason::GrantedQos0];
    let (both, ()) = tokio::join!(both, peer.grant(&granted));
    let (mut a, mut both) = (a.unwrap(), both.unwrap());
    assert_eq!(
        both.granted(),
        [("b".to_owned(), QoS::AtLeastOnce), ("a/x".to_owned(), QoS::AtMostOnce)]
    );
    assert!(now(a.next()).is_none());
    peer.deliver("a/x", b"to both", qos1(1)).await;
    peer.deliver("a/y", b"to one", qos1(2)).await;
    let message = a.next().await.unwrap();
    assert_eq!((message.topic(), message.payload_str().unwrap()), ("a/x", "to both"));
    assert_eq!(a.next().await.unwrap().payload(), b"to one");
    assert_eq!(both.next().await.unwrap().payload_bytes(), "to both");
    assert!(both.try_next().is_none());
    // Read by one only, the first was not acknowledged; now both are, in order.
    let ack = peer.packet().await.unwrap();
    assert_eq!((ack[0], ack[3]), (0x40, 1));
    let ack = peer.packet().await.unwrap();
    assert_eq!((ack[0], ack[3]), (0x40, 2));
}

#[tokio::test]
async fn a_refused_subscription_is_an_error_and_what_was_granted_is_undone() {
    let server = Server::start().await;
    let (client, mut peer) = server.open().await;
    let reasons = [SubAckReason::GrantedQos0, SubAckReason::NotAuthorized];
    let subscribe = client.subscribe(["a", "b"]).into_future();
    let (refused, ()) = tokio::join!(subscribe, peer.grant(&reasons));
    let error = refused.unwrap_err();
    assert_eq!(error.to_string(), "the server refused the subscription: `b`: Not authorized");
    assert_eq!(peer.packet_type().await, PacketType::Unsubscribe);
    let error = client.subscribe("a/#/b").await.unwrap_err();
    assert!(matches!(error, SubscribeError::Filter { .. }));
}

#[tokio::test]
async fn the_last_holder_of_a_filter_unsubscribes_when_it_is_dropped() {
    let server = Server::start().await;
    let (client, mut peer) = server.open().await;
    let (first, ()) = tokio::join!(client.subscribe("a").into_future(), peer.grant(GRANTED));
    let (second, ()) = tokio::join!(client.subscribe("a").into_future(), peer.grant(GRANTED));
    drop(first.unwrap());
    client.publish("marker", "").send().await.unwrap();
    assert_eq!(peer.packet_type().await, PacketType::Publish, "nothing came before it");
    drop(second.unwrap());
    assert_eq!(peer.packet_type().await, PacketType::Unsubscribe);
    // A subscription that is given up before it is granted is undone too.
    let mut waiting = Box::pin(client.subscribe("b").into_future());
    assert!(now(&mut waiting).is_none());
    drop(waiting);
    client.publish("marker", "").send().await.unwrap();
    let mut types = Vec::new();
    while types.last() != Some(&PacketType::Publish) {
        types.push(peer.packet_type().await);
    }
    assert!(
        types == [PacketType::Unsubscribe, PacketType::Publish]
            || types == [PacketType::Subscribe, PacketType::Unsubscribe, PacketType::Publish],
        "{types:?}"
    );
}

#[tokio::test]
async fn messages_of_nobody_are_acknowledged_unless_somebody_takes_them() {
    let server = Server::start().await;
    let (client, mut peer) = server.open().await;
    peer.deliver("x", b"1", qos1(1)).await;
    assert_eq!(peer.packet().await.unwrap()[..4], [0x40, 2, 0, 1]);
    let mut rest = client.unmatched();
    peer.deliver("x", b"2", qos1(2)).await;
    assert_eq!(rest.next().await.unwrap().payload(), b"2");
    assert_eq!(peer.packet().await.unwrap()[..4], [0x40, 2, 0, 2]);
}

#[tokio::test]
async fn a_slow_reader_loses_qos_0_as_it_chose_and_counts_it() {
    let server = Server::start().await;
    let (client, mut peer) = server.open().await;
    for (on_full, kept) in
        [(OnFullQos0::DropOldest, ["8", "9"]), (OnFullQos0::DropNewest, ["0", "1"])]
    {
        let subscribe = client.subscribe("a").buffer(2).on_full_qos0(on_full).into_future();
        let (subscription, ()) = tokio::join!(subscribe, peer.grant(GRANTED));
        let mut subscription = subscription.unwrap();
        for number in 0..10 {
            peer.deliver("a", number.to_string().as_bytes(), PublishQos::AtMostOnce).await;
        }
        while subscription.dropped() < 8 {
            tokio::task::yield_now().await;
        }
        for expected in kept {
            assert_eq!(subscription.next().await.unwrap().payload(), expected.as_bytes());
        }
        drop(subscription);
        assert_eq!(peer.packet_type().await, PacketType::Unsubscribe);
    }
}

#[tokio::test]
async fn what_is_not_read_is_not_acknowledged() {
    let server = Server::start().await;
    let client = server.client().receive_maximum(NonZeroU16::new(3).unwrap());
    let (client, mut peer) = server.connected(client, &PropertyBuf::new()).await;
    let subscribe = client.subscribe("a").buffer(1).into_future();
    let (subscription, ()) = tokio::join!(subscribe, peer.grant(GRANTED));
    let mut subscription = subscription.unwrap();
    for number in 1..=3 {
        peer.deliver("a", b"x", qos1(number)).await;
    }
    while !client.is_held_back() {
        tokio::task::yield_now().await;
    }
    // The acknowledgement of our own publish does not wait for the reader.
    let word = client.publish("b", "y").qos(QoS::AtLeastOnce).enqueue().unwrap();
    let (qos, ..) = peer.publish().await;
    peer.puback(qos.packet_id().unwrap(), PubAckReason::Success).await;
    word.await.unwrap();
    for number in 1..=3 {
        assert!(subscription.next().await.is_some());
        assert_eq!(peer.packet().await.unwrap(), [0x40, 2, 0, number]);
    }
    assert!(!client.is_held_back());
    assert_eq!(client.statistics().refused, 0);
    assert_eq!(subscription.dropped(), 0);
}

#[tokio::test]
async fn a_reader_may_refuse_what_it_has_no_room_for() {
    let server = Server::start().await;
    let (client, mut peer) = server.open().await;
    let subscribe = client.subscribe("a").buffer(1).on_full(OnFull::Refuse).into_future();
    let (subscription, ()) = tokio::join!(subscribe, peer.grant(GRANTED));
    let mut subscription = subscription.unwrap();
    peer.deliver("a", b"1", qos1(1)).await;
    peer.deliver("a", b"2", qos1(2)).await;
    while subscription.dropped() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(subscription.next().await.unwrap().payload(), b"1");
    assert_eq!(peer.packet().await.unwrap(), [0x40, 2, 0, 1]);
    assert_eq!(peer.packet().await.unwrap(), [0x40, 3, 0, 2, 0x97]);
}

#[tokio::test]
async fn manual_acknowledgements_leave_in_the_order_of_arrival() {
    let server = Server::start().await;
    let (client, mut peer) = server.open().await;
    let subscribe = client.subscribe("a").manual_ack().into_future();
    let (subscription, ()) = tokio::join!(subscribe, peer.grant(GRANTED));
    let mut subscription = subscription.unwrap();
    for number in 1..=3 {
        peer.deliver("a", b"x", qos1(number)).await;
    }
    let first = subscription.next().await.unwrap();
    let second = subscription.next().await.unwrap();
    let third = subscription.next().await.unwrap();
    third.ack();
    second.refuse(PubAckReason::NotAuthorized);
    client.publish("marker", "").send().await.unwrap();
    assert_eq!(peer.packet_type().await, PacketType::Publish, "the first is not acknowledged");
    first.ack();
    assert_eq!(peer.packet().await.unwrap(), [0x40, 2, 0, 1]);
    assert_eq!(peer.packet().await.unwrap(), [0x40, 3, 0, 2, 0x87]);
    assert_eq!(peer.packet().await.unwrap(), [0x40, 2, 0, 3]);
}

#[tokio::test]
async fn the_end_of_the_client_reaches_everybody() {
    let server = Server::start().await;
    let once = server.client().reconnect(Reconnect::Never);
    let (client, mut peer) = server.connected(once, &PropertyBuf::new()).await;
    let (subscription, ()) = tokio::join!(client.subscribe("a").into_future(), peer.grant(GRANTED));
    let mut subscription = subscription.unwrap();
    let mut states = client.state();
    assert!(matches!(states.next().await, Some(State::Connected { resumed: false })));
    client.ready().await.unwrap();
    peer.deliver("a", b"last", PublishQos::AtMostOnce).await;
    let word = client.publish("a", "x").qos(QoS::AtLeastOnce).enqueue().unwrap();
    peer.publish().await;
    drop(peer);
    word.await.unwrap_err();
    assert_eq!(subscription.next().await.unwrap().payload(), b"last", "what had come is read");
    assert!(subscription.next().await.is_none());
    assert!(subscription.next().await.is_none());
    let Some(State::Closed { cause }) = states.next().await else { panic!("it is closed") };
    assert!(!cause.is_disconnected());
    assert!(states.next().await.is_none());
    client.ready().await.unwrap_err();
    let error = client.publish("a", "x").send().await.unwrap_err();
    assert!(matches!(error, PublishError::Connection(_)), "{error:?}");
    let error = client.subscribe("a").await.unwrap_err();
    assert!(matches!(error, SubscribeError::Connection(_)), "{error:?}");
    let closed = client.close().await;
    assert!(!closed.cause.is_disconnected());
}

#[tokio::test]
async fn a_server_that_breaks_the_protocol_is_told_so() {
    let server = Server::start().await;
    let once = server.client().reconnect(Reconnect::Never);
    let (client, mut peer) = server.connected(once, &PropertyBuf::new()).await;
    peer.stream.write_all(&[0, 0]).await.unwrap();
    assert_eq!(peer.packet().await.unwrap(), [0xE0, 1, 0x81]);
    assert!(peer.packet().await.is_none(), "and the connection is closed");
    let error = client.ready().await.unwrap_err();
    assert!(error.to_string().contains("the server broke the protocol"), "{error}");
}

#[tokio::test]
async fn closing_drains_what_is_under_way() {
    let server = Server::start().await;
    let (client, mut peer) = server.open().await;
    let word = client.publish("a", "x").qos(QoS::AtLeastOnce).enqueue().unwrap();
    let serve = async {
        let (qos, ..) = peer.publish().await;
        tokio::task::yield_now().await;
        peer.puback(qos.packet_id().unwrap(), PubAckReason::Success).await;
        assert_eq!(peer.packet().await.unwrap(), [0xE0, 0]);
        assert!(peer.packet().await.is_none());
    };
    let close = client.close().drain(Duration::from_secs(10)).into_future();
    let (closed, ()) = tokio::join!(close, serve);
    assert!(closed.cause.is_disconnected());
    assert_eq!(closed.unacknowledged, 0);
    word.await.unwrap();
}

#[tokio::test]
async fn closing_without_draining_tells_what_is_left() {
    let server = Server::start().await;
    let client =
        server.client().session(mqtt_client_async::SessionPolicy::resume(Duration::from_secs(60)));
    let (client, mut peer) = server.connected(client, &PropertyBuf::new()).await;
    let word = client.publish("a", "x").qos(QoS::AtLeastOnce).enqueue().unwrap();
    let closed = client.close().with_will().await;
    assert_eq!(closed.unacknowledged, 1);
    assert!(matches!(word.await, Err(PublishError::Connection(_))));
    assert_eq!(peer.packet_type().await, PacketType::Publish);
    assert_eq!(peer.packet().await.unwrap(), [0xE0, 1, 0x04]);
}

#[tokio::test]
async fn dropping_every_handle_says_goodbye() {
    let server = Server::start().await;
    let (client, mut peer) = server.open().await;
    let (subscription, ()) = tokio::join!(client.subscribe("a").into_future(), peer.grant(GRANTED));
    let clone = client.clone();
    client.publish("a", "x").send().await.unwrap();
    drop(client);
    drop(clone);
    assert_eq!(peer.packet_type().await, PacketType::Publish);
    peer.deliver("a", b"still here", PublishQos::AtMostOnce).await;
    let mut subscription = subscription.unwrap();
    assert_eq!(subscription.next().await.unwrap().payload(), b"still here");
    drop(subscription);
    let mut last = peer.packet().await.unwrap();
    if last[0] == 0xA2 {
        last = peer.packet().await.unwrap();
    }
    assert_eq!(last, [0xE0, 0]);
    assert!(peer.packet().await.is_none());
}

#[tokio::test]
async fn the_driver_can_be_polled_beside_the_application() {
    let server = Server::start().await;
    let accept = async {
        let mut peer = server.accept().await;
        peer.packet().await;
        peer.stream.write_all(&[0x20, 3, 0, 0, 0]).await.unwrap();
        peer
    };
    let (connected, mut peer) = tokio::join!(server.client().connect_with_driver(), accept);
    let (client, driver) = connected.unwrap();
    let application = async {
        client.publish("a", "x").send().await.unwrap();
        client.close().await;
    };
    let (result, ()) = tokio::join!(driver, application);
    result.unwrap();
    assert_eq!(peer.packet_type().await, PacketType::Publish);
    assert_eq!(peer.packet_type().await, PacketType::Disconnect);
}

#[tokio::test]
async fn a_driver_that_is_dropped_ends_the_connection_for_all() {
    let server = Server::start().await;
    let accept = async {
        let mut peer = server.accept().await;
        peer.packet().await;
        peer.stream.write_all(&[0x20, 3, 0, 0, 0]).await.unwrap();
        peer
    };
    let (connected, _peer) = tokio::join!(server.client().connect_with_driver(), accept);
    let (client, driver) = connected.unwrap();
    let word = client.publish("a", "x").qos(QoS::AtLeastOnce).enqueue().unwrap();
    drop(driver);
    let error = word.await.unwrap_err();
    assert!(error.to_string().contains("keep it running"), "{error}");
    client.ready().await.unwrap_err();
}

#[tokio::test]
async fn any_transport_will_do_in_any_fragmentation() {
    let (near, far) = tokio::io::duplex(7);
    let serve = async {
        let (mut read, mut write) = tokio::io::split(far);
        let mut received = Vec::new();
        let connack = async {
            write.write_all(&[0x20, 3, 0, 0, 0]).await.unwrap();
            write
        };
        let read = async {
            tokio::io::AsyncReadExt::read_to_end(&mut read, &mut received).await.unwrap();
        };
        let (write, ()) = tokio::join!(connack, read);
        drop(write);
        received
    };
    let application = async {
        let client = Client::builder("").connect_with(near).await.unwrap();
        client.publish("a/topic", vec![b'x'; 1000]).send().await.unwrap();
        let closed = client.close().drain(Duration::from_secs(5)).await;
        assert!(closed.cause.is_disconnected());
    };
    let (received, ()) = tokio::join!(serve, application);
    assert_eq!(received[0], 0x10);
    assert!(received.ends_with(&[0xE0, 0]));
    assert!(received.len() > 1000);
}

#[tokio::test(start_paused = true)]
async fn an_idle_client_pings_and_gives_up_a_server_that_is_silent() {
    let (near, mut far) = tokio::io::duplex(1024);
    far.write_all(&[0x20, 3, 0, 0, 0]).await.unwrap();
    let client = Client::builder("").keep_alive(Duration::from_secs(60));
    let client = client.connect_with(near).await.unwrap();
    let mut connect = [0; 100];
    tokio::io::AsyncReadExt::read(&mut far, &mut connect).await.unwrap();
    let start = tokio::time::Instant::now();
    let mut ping = [0; 2];
    tokio::io::AsyncReadExt::read_exact(&mut far, &mut ping).await.unwrap();
    assert_eq!(ping, [0xC0, 0]);
    assert_eq!(start.elapsed().as_secs(), 55);
    let mut states = client.state();
    states.next().await;
    let Some(State::Closed { cause }) = states.next().await else { panic!("it is closed") };
    assert_eq!(cause.to_string(), "the server gave no sign of life after a ping");
    assert_eq!(start.elapsed().as_secs(), 85);
}

#[tokio::test]
async fn a_client_that_cannot_write_still_reads() {
    let server = Server::start().await;
    let (client, mut peer) = server.open().await;
    let (subscription, ()) = tokio::join!(client.subscribe("a").into_future(), peer.grant(GRANTED));
    let mut subscription = subscription.unwrap();
    // More than the sockets take while the server does not read.
    let payload = bytes::Bytes::from(vec![0; 1 << 20]);
    for _ in 0..12 {
        client.publish("big", payload.clone()).send().await.unwrap();
    }
    peer.deliver("a", b"here", PublishQos::AtMostOnce).await;
    assert_eq!(subscription.next().await.unwrap().payload(), b"here");
    for _ in 0..12 {
        let (_, _, received) = peer.publish().await;
        assert_eq!(received.len(), payload.len());
    }
}

#[test]
fn errors_and_messages_never_show_what_is_secret() {
    let builder = Client::builder("mqtt://localhost").credentials("user", "secret");
    assert!(!format!("{builder:?}").contains("secret"));
    assert_eq!(id(1).get(), 1);
}
