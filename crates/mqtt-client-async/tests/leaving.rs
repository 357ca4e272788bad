//! What is said when a subscription or a connection ends, by either side, against a server whose
//! every byte the test writes.

#[cfg(test)]
mod common;

use std::future::IntoFuture;

use common::{Peer, Server, terms};
use mqtt_client_async::{
    Client, ClientCloseCause, ConnectionError, DisconnectReason, PropertyBuf, Reconnect, State,
    SubAckReason, Subscription, UnsubAckReason, UnsubscribeError,
};
use mqtt_codec::{Decoded, Disconnect, Limits, Packet, PacketType, UnsubAck, decode};

#[cfg(test)]
async fn subscribed(client: &Client, peer: &mut Peer) -> Subscription {
    let subscribe = client.subscribe("a").into_future();
    let (messages, ()) = tokio::join!(subscribe, peer.grant(&[SubAckReason::GrantedQos0]));
    messages.unwrap()
}

#[tokio::test]
async fn unsubscribing_sends_user_properties_and_resolves_with_the_servers_answer() {
    let server = Server::start().await;
    let (client, mut peer) = server.open().await;
    let messages = subscribed(&client, &mut peer).await;
    let told = terms(|told| {
        told.reason_string("nobody knows it").unwrap();
        told.user_property("left", "0").unwrap();
    });
    let answer = async {
        let bytes = peer.packet().await.expect("an UNSUBSCRIBE");
        let Ok(Decoded::Packet(Packet::Unsubscribe(asked), _)) = decode(&bytes, &Limits::new())
        else {
            panic!("an UNSUBSCRIBE, not {bytes:x?}");
        };
        let sent: Vec<_> = asked.properties.user_properties().collect();
        assert_eq!(sent, [("why", "moved"), ("why", "again")]);
        let reasons = &[UnsubAckReason::NoSubscriptionExisted];
        peer.send(UnsubAck::new(asked.packet_id, told.as_properties(), reasons).unwrap()).await;
    };
    let unsubscribe = messages.unsubscribe().user_property("why", "moved");
    let unsubscribe = unsubscribe.user_property("why", "again");
    let (answer, ()) = tokio::join!(unsubscribe.into_future(), answer);
    let answer = answer.unwrap();
    assert_eq!(&*answer.results, [UnsubAckReason::NoSubscriptionExisted]);
    assert_eq!(answer.properties, told);
}

#[tokio::test]
async fn a_user_property_that_cannot_be_sent_is_told_and_the_subscription_ends() {
    let server = Server::start().await;
    let (client, mut peer) = server.open().await;
    let messages = subscribed(&client, &mut peer).await;
    let error = messages.unsubscribe().user_property("why", "\0").await.unwrap_err();
    assert!(matches!(error, UnsubscribeError::Property(_)), "{error}");
    assert_eq!(peer.packet_type().await, PacketType::Unsubscribe);
}

#[tokio::test]
async fn a_goodbye_takes_user_properties_and_words_along() {
    let server = Server::start().await;
    let (client, mut peer) = server.open().await;
    let goodbye = client.close().user_property("why", "moved").unwrap();
    let goodbye = goodbye.user_property("why", "again").unwrap().reason_string("bye").unwrap();
    goodbye.await;
    let bytes = peer.packet().await.expect("a DISCONNECT");
    let Ok(Decoded::Packet(Packet::Disconnect(sent), _)) = decode(&bytes, &Limits::new()) else {
        panic!("a DISCONNECT, not {bytes:x?}");
    };
    let user_properties: Vec<_> = sent.properties.user_properties().collect();
    assert_eq!(user_properties, [("why", "moved"), ("why", "again")]);
    assert_eq!(sent.properties.reason_string(), Some("bye"));
}

#[tokio::test]
async fn what_the_server_says_when_it_leaves_is_told_with_all_its_properties() {
    let server = Server::start().await;
    let once = server.client().reconnect(Reconnect::Never);
    let (client, mut peer) = server.connected(once, &PropertyBuf::new()).await;
    let told = terms(|told| {
        told.user_property("back", "at noon").unwrap();
        told.user_property("back", "or later").unwrap();
    });
    let reason = DisconnectReason::ServerShuttingDown;
    peer.send(Disconnect { reason, properties: told.as_properties() }).await;
    let mut states = client.state();
    let cause = loop {
        if let State::Closed { cause } = states.next().await.unwrap() {
            break cause;
        }
    };
    let ConnectionError::Closed(cause) = cause else { panic!("{cause}") };
    assert_eq!(*cause, ClientCloseCause::DisconnectedByServer { reason, properties: told });
}
