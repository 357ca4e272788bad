//! Requests and replies against a server whose every byte the test writes.

#[cfg(test)]
mod common;

use std::future::IntoFuture;
use std::time::Duration;

use common::{Peer, Server};
use mqtt_client_async::{PubAckReason, PublishError, QoS, RequestError, SubAckReason};
use mqtt_codec::{
    Decoded, Limits, Packet, PacketType, PropertyBuf, Publish, PublishQos, TopicName, decode,
};

/// Takes a request, and returns its identifier, its response topic and its Correlation Data.
#[cfg(test)]
async fn request(peer: &mut Peer) -> (PublishQos, String, Vec<u8>) {
    let bytes = peer.packet().await.expect("a request");
    let Ok(Decoded::Packet(Packet::Publish(publish), _)) = decode(&bytes, &Limits::new()) else {
        panic!("a PUBLISH, not {bytes:x?}");
    };
    let topic = publish.properties.response_topic().unwrap().as_str().to_owned();
    let correlation = publish.properties.correlation_data().unwrap().to_vec();
    (publish.qos, topic, correlation)
}

#[cfg(test)]
async fn respond(peer: &mut Peer, topic: &str, correlation: &[u8], payload: &[u8]) {
    let mut properties = PropertyBuf::new();
    properties.correlation_data(correlation).unwrap();
    peer.send(Publish {
        qos: PublishQos::AtMostOnce,
        retain: false,
        topic: TopicName::new(topic).ok(),
        properties: properties.as_properties(),
        payload,
    })
    .await;
}

#[tokio::test]
async fn requests_resolve_with_their_own_responses_in_any_order() {
    let server = Server::start().await;
    let (client, mut peer) = server.open().await;
    let serve = async {
        peer.grant(&[SubAckReason::GrantedQos1]).await;
        let (_, topic, one) = request(&mut peer).await;
        let (_, _, two) = request(&mut peer).await;
        respond(&mut peer, &topic, b"foreign", b"of nobody").await;
        respond(&mut peer, &topic, &two, b"two").await;
        respond(&mut peer, &topic, &one, b"one").await;
    };
    let mut rest = client.unmatched();
    let first = client.request("svc", "1").timeout(Duration::from_secs(20)).into_future();
    let second = client.request("svc", "2").text().into_future();
    let (first, second, ()) = tokio::join!(first, second, serve);
    assert_eq!(first.unwrap().payload(), b"one");
    assert_eq!(second.unwrap().payload(), b"two");
    assert_eq!(rest.next().await.unwrap().payload(), b"of nobody");
}

#[tokio::test]
async fn a_request_ends_as_its_message_does() {
    let server = Server::start().await;
    let (client, mut peer) = server.open().await;
    let serve = async {
        peer.grant(&[SubAckReason::GrantedQos1]).await;
        for reason in [PubAckReason::NotAuthorized, PubAckReason::NoMatchingSubscribers] {
            let (qos, ..) = request(&mut peer).await;
            peer.puback(qos.packet_id().unwrap(), reason).await;
        }
    };
    let ask = async {
        let refused = client.request("svc", "").qos(QoS::AtLeastOnce).await.unwrap_err();
        assert!(matches!(refused, RequestError::Publish(PublishError::Refused(_))), "{refused:?}");
        let nobody = client.request("svc", "").qos(QoS::AtLeastOnce).await.unwrap_err();
        assert!(matches!(nobody, RequestError::NoResponder), "{nobody:?}");
    };
    tokio::join!(serve, ask);
    let error = client.request("a/+", "").await.unwrap_err();
    assert!(matches!(error, RequestError::Publish(PublishError::Topic(_))), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_response_times_out() {
    let (near, far) = tokio::io::duplex(4096);
    let serve = async {
        let (mut read, mut write) = tokio::io::split(far);
        let mut bytes = [0; 1024];
        tokio::io::AsyncReadExt::read(&mut read, &mut bytes).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut write, &[0x20, 3, 0, 0, 0]).await.unwrap();
        tokio::io::AsyncReadExt::read(&mut read, &mut bytes).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut write, &[0x90, 4, 0, 1, 0, 1]).await.unwrap();
        (read, write)
    };
    let ask = async {
        let client = mqtt_client_async::Client::builder("").connect_with(near).await.unwrap();
        let begin = tokio::time::Instant::now();
        let late = client.request("svc", "").timeout(Duration::from_secs(2)).await.unwrap_err();
        assert!(matches!(late, RequestError::TimedOut) && late.is_retryable());
        assert_eq!(begin.elapsed().as_secs(), 2);
    };
    tokio::join!(serve, ask);
}

#[tokio::test]
async fn a_dropped_request_leaves_no_trace_and_its_late_response_is_unmatched() {
    let server = Server::start().await;
    let (client, mut peer) = server.open().await;
    let mut rest = client.unmatched();
    let dropped = client.request("svc", "").timeout(Duration::from_secs(60)).into_future();
    let serve = async {
        peer.grant(&[SubAckReason::GrantedQos1]).await;
        request(&mut peer).await
    };
    let (_, topic, correlation) = tokio::select! {
        asked = serve => asked,
        response = dropped => panic!("{response:?}"),
    };
    respond(&mut peer, &topic, &correlation, b"late").await;
    assert_eq!(rest.next().await.unwrap().payload(), b"late");
}

#[tokio::test]
async fn a_reply_goes_where_the_request_says() {
    let server = Server::start().await;
    let (client, mut peer) = server.open().await;
    let subscribe = client.subscribe("svc").into_future();
    let (jobs, ()) = tokio::join!(subscribe, peer.grant(&[SubAckReason::GrantedQos0]));
    let mut jobs = jobs.unwrap();
    let mut properties = PropertyBuf::new();
    properties.response_topic(TopicName::new("answers").unwrap());
    properties.correlation_data(b"7").unwrap();
    peer.send(Publish {
        qos: PublishQos::AtMostOnce,
        retain: false,
        topic: TopicName::new("svc").ok(),
        properties: properties.as_properties(),
        payload: b"question",
    })
    .await;
    let job = jobs.next().await.unwrap();
    assert_eq!((job.response_topic(), job.correlation_data()), (Some("answers"), Some(&b"7"[..])));
    client.reply(&job, "answer").unwrap().send().await.unwrap();
    let bytes = peer.packet().await.unwrap();
    let Ok(Decoded::Packet(Packet::Publish(publish), _)) = decode(&bytes, &Limits::new()) else {
        panic!("a PUBLISH");
    };
    assert_eq!(publish.topic.unwrap().as_str(), "answers");
    assert_eq!(publish.properties.correlation_data(), Some(&b"7"[..]));
    assert_eq!(publish.payload, b"answer");
    peer.deliver("svc", b"no request", PublishQos::AtMostOnce).await;
    let plain = jobs.next().await.unwrap();
    assert!(client.reply(&plain, "").is_none());
}

#[tokio::test]
async fn the_end_of_the_connection_ends_every_request() {
    let server = Server::start().await;
    let (client, mut peer) = server.open().await;
    let ask = client.request("svc", "").into_future();
    let end = async {
        assert_eq!(peer.packet_type().await, PacketType::Subscribe);
        client.close().await;
    };
    let (error, ()) = tokio::join!(ask, end);
    assert!(matches!(error, Err(RequestError::Connection(_))));
    let error = client.request("svc", "").await.unwrap_err();
    assert!(matches!(error, RequestError::Connection(_)), "{error:?}");
}
