//! Requests and replies on threads, against a server whose every byte the test writes.

#[cfg(test)]
mod common;

use std::thread;
use std::time::Duration;

use common::Server;
use mqtt_client_blocking::{CallError, RequestError};
use mqtt_codec::{
    Decoded, Limits, Packet, PropertyBuf, Publish, PublishQos, SubAckReason, TopicName, decode,
};

#[test]
fn a_request_waits_for_its_response_or_until_its_time_is_over() {
    let server = Server::start();
    let (client, mut peer) = server.open();
    thread::scope(|scope| {
        let serve = scope.spawn(|| {
            peer.grant(&[SubAckReason::GrantedQos1]);
            let bytes = peer.packet().unwrap();
            let Ok(Decoded::Packet(Packet::Publish(asked), _)) = decode(&bytes, &Limits::new())
            else {
                panic!("a request, not {bytes:x?}");
            };
            let mut properties = PropertyBuf::new();
            properties.correlation_data(asked.properties.correlation_data().unwrap()).unwrap();
            peer.send(Publish {
                qos: PublishQos::AtMostOnce,
                retain: false,
                topic: asked.properties.response_topic(),
                properties: properties.as_properties(),
                payload: b"42",
            });
        });
        let response = client.request("svc", "6 7").timeout(Duration::from_secs(20)).wait();
        assert_eq!(response.unwrap().payload(), b"42");
        serve.join().unwrap();
        let late = client.request("svc", "").timeout(Duration::from_millis(10)).wait();
        assert!(matches!(late, Err(CallError::Failed(RequestError::TimedOut))), "{late:?}");
    });
}

#[test]
fn a_reply_goes_where_the_request_says() {
    let server = Server::start();
    let (client, mut peer) = server.open();
    let jobs = thread::scope(|scope| {
        scope.spawn(|| peer.grant(&[SubAckReason::GrantedQos0]));
        client.subscribe("svc").wait().unwrap()
    });
    let mut properties = PropertyBuf::new();
    properties.response_topic(TopicName::new("answers").unwrap());
    peer.send(Publish {
        qos: PublishQos::AtMostOnce,
        retain: false,
        topic: TopicName::new("svc").ok(),
        properties: properties.as_properties(),
        payload: b"question",
    });
    let job = jobs.recv().unwrap();
    client.reply(&job, "answer").unwrap().send().unwrap();
    let (_, topic, payload) = peer.publish();
    assert_eq!((topic.as_str(), payload.as_slice()), ("answers", &b"answer"[..]));
}
