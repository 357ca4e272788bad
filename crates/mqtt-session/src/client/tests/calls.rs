//! Requests, their responses, and everything that can come between.

use super::*;

/// The topic that responses come on in these scripts: the seed is always the same.
fn topic(script: &Script) -> String {
    script.client.response_topic().expect("a response topic").to_owned()
}

/// What a request carries: where the response goes, and its Correlation Data.
struct Asked {
    id: Option<PacketId>,
    topic: String,
    correlation: Vec<u8>,
}

impl Script {
    fn ask(&mut self, payload: &'static str, qos: QoS) -> RequestId {
        let mut publication = message("svc/add", payload);
        publication.qos = qos;
        self.client.request(self.now, publication, Duration::from_secs(10)).unwrap()
    }

    /// The requests that are sent now.
    fn asked(&mut self) -> Vec<Asked> {
        let bytes = self.sent_bytes();
        let mut rest = bytes.as_slice();
        let mut asked = Vec::new();
        while !rest.is_empty() {
            let Decoded::Packet(packet, len) = decode(rest, &Limits::new()).unwrap() else {
                panic!("the end of a packet is missing")
            };
            if let Packet::Publish(publish) = packet {
                let properties = publish.properties;
                asked.push(Asked {
                    id: publish.qos.packet_id(),
                    topic: properties.response_topic().unwrap().as_str().to_owned(),
                    correlation: properties.correlation_data().unwrap().to_vec(),
                });
            }
            rest = &rest[len..];
        }
        asked
    }

    /// A response with this Correlation Data.
    fn reply(&mut self, topic: &str, correlation: &[u8], payload: &str) {
        let mut properties = PropertyBuf::new();
        properties.correlation_data(correlation).unwrap();
        self.receive(Publish {
            qos: PublishQos::AtMostOnce,
            retain: false,
            topic: TopicName::new(topic).ok(),
            properties: properties.as_properties(),
            payload: payload.as_bytes(),
        });
    }

    /// A client that has a response topic, granted by the server.
    fn asking(config: ClientConfig) -> Self {
        let mut script = Self::open(config);
        let first = script.ask("first", QoS::AtMostOnce);
        assert!(script.asked().is_empty(), "not before responses can come");
        script.suback(1, &[SubAckReason::GrantedQos1]);
        assert!(script.events().is_empty(), "the subscription is the client's own affair");
        assert_eq!(script.asked().len(), 1);
        script.client.abandon_request(first);
        script
    }
}

#[test]
fn a_request_is_sent_once_its_responses_can_come_and_ends_with_its_own() {
    let mut script = Script::open(resuming());
    let first = script.ask("1", QoS::AtMostOnce);
    let second = script.ask("2", QoS::AtMostOnce);
    let sent = script.sent();
    let topic = topic(&script);
    assert_eq!(sent, [format!("SUBSCRIBE 1 {topic}:01 {{Subscription Identifier: 1}}")]);
    script.suback(1, &[SubAckReason::GrantedQos1]);
    assert!(script.events().is_empty());
    let asked = script.asked();
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().all(|asked| asked.topic == topic));
    assert_ne!(asked[0].correlation, asked[1].correlation);
    script.reply(&topic, &asked[1].correlation, "two");
    script.reply(&topic, &asked[0].correlation, "one");
    let mut told = Vec::new();
    while let Some(event) = script.client.poll_event() {
        let ClientEvent::Responded { request, outcome: RequestOutcome::Response(message) } = event
        else {
            panic!("a response, not {event:?}")
        };
        told.push((request, message.into_payload()));
    }
    assert_eq!(told, [(second, Bytes::from("two")), (first, Bytes::from("one"))]);
    assert_eq!(script.client.outstanding_requests(), 0);
    script.ask("3", QoS::AtMostOnce);
    assert_eq!(script.asked().len(), 1, "subscribed once");
    assert!(script.client.poll_timeout().is_some());
}

#[test]
fn the_response_topic_lies_below_the_servers_response_information() {
    for (information, below) in [("clients/7", "clients/7/"), ("own/", "own/"), ("+", "response/")]
    {
        let terms = terms(|terms| {
            terms.response_information(information).unwrap();
        });
        let config = resuming().request_response_information(true);
        let mut script = Script::open_with(config, &terms);
        script.ask("1", QoS::AtMostOnce);
        script.sent();
        let topic = topic(&script);
        assert!(topic.starts_with(below) && topic.len() == below.len() + 32, "{topic}");
    }
}

#[test]
fn two_clients_have_two_response_topics() {
    let topic = |seed| {
        let client = Client::new(resuming(), [seed; 32]).unwrap();
        let mut script = Script { client, now: Time::ZERO, unmatched: None };
        script.connect(false, &PropertyBuf::new());
        script.ask("1", QoS::AtMostOnce);
        script.sent();
        topic(&script)
    };
    assert_ne!(topic(1), topic(2));
}

#[test]
fn a_message_that_answers_no_request_is_unmatched() {
    let mut script = Script::asking(resuming());
    let rest = script.client.subscribe_unmatched(BufferOptions::new());
    let topic = topic(&script);
    script.ask("1", QoS::AtMostOnce);
    let asked = script.asked();
    script.deliver_text(&topic, qos1(1), "no correlation data");
    script.reply(&topic, b"foreign", "foreign");
    let mut guessed = asked[0].correlation.clone();
    guessed[15] ^= 1;
    script.reply(&topic, &guessed, "guessed");
    script.reply(&topic, &asked[0].correlation, "right");
    script.reply(&topic, &asked[0].correlation, "twice");
    assert_eq!(script.read(rest), ["no correlation data", "foreign", "guessed", "twice"]);
    assert_eq!(script.sent(), ["PUBACK 1 Success"]);
    assert_eq!(script.client.outstanding_requests(), 0);
}

#[test]
fn a_response_reaches_also_those_who_subscribed_to_its_topic_themselves() {
    let mut script = Script::asking(resuming().subscription_identifiers(false));
    let topic = topic(&script);
    let own = script.subscribe(&["response/#"]);
    script.ask("1", QoS::AtMostOnce);
    let asked = script.asked();
    script.reply(&topic, &asked[0].correlation, "seen twice");
    script.reply(&topic, b"?", "seen once");
    assert_eq!(script.read(own), ["seen twice", "seen once"]);
    assert_eq!(script.client.outstanding_requests(), 0);
    assert_eq!(script.client.statistics().unmatched, 0);
}

#[test]
fn a_request_without_a_response_times_out() {
    let mut script = Script::asking(resuming());
    script.ask("1", QoS::AtMostOnce);
    script.pass(Duration::from_secs(5));
    script.ask("2", QoS::AtMostOnce);
    assert_eq!(script.asked().len(), 2);
    let deadline = script.client.poll_timeout().unwrap();
    assert_eq!(deadline.timer, crate::Timer::Request);
    assert_eq!(deadline.at, script.now + Duration::from_secs(5));
    script.pass(Duration::from_secs(5));
    assert_eq!(script.events(), ["responded 2 TimedOut"]);
    assert_eq!(script.client.outstanding_requests(), 1);
    script.pass(Duration::from_secs(5));
    assert_eq!(script.events(), ["responded 3 TimedOut"]);
    assert!(script.client.poll_timeout().is_none());
}

#[test]
fn what_becomes_of_the_requests_message_ends_the_request() {
    let mut script = Script::asking(resuming());
    for reason in [PubAckReason::NotAuthorized, PubAckReason::NoMatchingSubscribers] {
        script.ask("x", QoS::AtLeastOnce);
        let number = script.asked()[0].id.unwrap().get();
        script.receive(puback(number, reason));
    }
    let told = script.events();
    assert!(told[0].starts_with("responded 2 NotPublished(Refused("), "{told:?}");
    assert_eq!(told[1], "responded 3 NoResponder");
    // One that was taken goes on waiting.
    script.ask("x", QoS::AtLeastOnce);
    let asked = script.asked();
    script.receive(puback(asked[0].id.unwrap().get(), PubAckReason::Success));
    assert!(script.events().is_empty());
    assert_eq!(script.client.outstanding_requests(), 1);
    // A response may come before the acknowledgement.
    script.ask("x", QoS::AtLeastOnce);
    let asked = script.asked();
    script.reply(&asked[0].topic, &asked[0].correlation, "early");
    assert_eq!(script.events(), ["responded 5 early"]);
    script.receive(puback(asked[0].id.unwrap().get(), PubAckReason::Success));
    assert!(script.events().is_empty(), "nobody asked for that");
}

#[test]
fn abandoned_requests_leave_no_trace() {
    let mut script = Script::asking(resuming());
    let waiting = script.ask("never sent", QoS::AtLeastOnce);
    script.client.abandon_request(waiting);
    assert!(script.asked().is_empty());
    let sent = script.ask("sent", QoS::AtLeastOnce);
    let asked = script.asked();
    script.client.abandon_request(sent);
    assert!(script.client.poll_timeout().is_none());
    script.reply(&asked[0].topic, &asked[0].correlation, "late");
    script.receive(puback(asked[0].id.unwrap().get(), PubAckReason::Success));
    assert!(script.events().is_empty());
    assert_eq!(script.client.statistics().unmatched, 1);
    let answered = script.ask("answered", QoS::AtMostOnce);
    let asked = script.asked();
    script.reply(&asked[0].topic, &asked[0].correlation, "in time");
    script.client.abandon_request(answered);
    assert!(script.events().is_empty(), "the outcome was not told yet");
    assert_eq!((script.client.outstanding_requests(), script.client.outgoing_messages()), (0, 0));
}

#[test]
fn requests_are_bounded_in_number_and_bytes() {
    let config = resuming().max_requests(3).max_outgoing_bytes(100);
    let mut script = Script::new(config);
    script.ask("1", QoS::AtMostOnce);
    let large = Publication::new(TopicName::new("svc").unwrap(), vec![0; 200]);
    let refused = script.client.request(script.now, large, Duration::from_secs(1));
    assert_eq!(refused, Err(RequestError::FullOfBytes));
    let second = script.ask("2", QoS::AtMostOnce);
    script.ask("3", QoS::AtMostOnce);
    let refused = script.client.request(script.now, message("svc", ""), Duration::from_secs(1));
    assert_eq!(refused, Err(RequestError::Full { maximum: 3 }));
    script.client.abandon_request(second);
    script.ask("4", QoS::AtMostOnce);
    script.connect(false, &PropertyBuf::new());
    script.sent();
    script.suback(1, &[SubAckReason::GrantedQos1]);
    script.events();
    for _ in 0..3 {
        assert_eq!(script.client.poll_timeout().unwrap().at, script.now);
        assert_eq!(script.asked().len(), 1, "as many at once as there is room for");
    }
    assert!(script.client.poll_timeout().unwrap().at > script.now);
}

#[test]
fn a_request_may_not_name_its_own_response_topic() {
    let mut script = Script::open(resuming());
    let mut properties = PropertyBuf::new();
    properties.correlation_data(b"1").unwrap();
    let mut publication = message("svc", "");
    publication.properties = properties.as_properties();
    let refused = script.client.request(script.now, publication, Duration::from_secs(1));
    let id = mqtt_codec::PropertyId::CorrelationData;
    assert_eq!(refused, Err(RequestError::PropertyNotAllowed(id)));
}

#[test]
fn a_response_topic_that_the_server_refuses_ends_the_requests_and_is_tried_again() {
    let mut script = Script::open(resuming());
    script.ask("1", QoS::AtMostOnce);
    script.sent();
    script.suback(1, &[SubAckReason::NotAuthorized]);
    assert_eq!(script.events(), ["responded 1 ResponseTopicRefused(NotAuthorized)"]);
    script.ask("2", QoS::AtMostOnce);
    assert_eq!(script.sent().len(), 1);
    script.suback(1, &[SubAckReason::GrantedQos1]);
    script.events();
    assert_eq!(script.asked().len(), 1);
}

#[test]
fn a_request_waits_on_over_a_resumed_session_and_new_ones_wait_for_the_connection() {
    let mut script = Script::asking(resuming());
    script.ask("1", QoS::AtLeastOnce);
    let first = script.asked();
    script.lose();
    script.events();
    script.ask("2", QoS::AtMostOnce);
    script.connect(true, &PropertyBuf::new());
    let asked = script.asked();
    assert_eq!(asked.len(), 2, "the first is sent again, the second for the first time");
    assert_eq!(asked[0].correlation, first[0].correlation);
    script.reply(&asked[1].topic, &asked[1].correlation, "two");
    script.reply(&first[0].topic, &first[0].correlation, "one");
    assert_eq!(script.events(), ["responded 3 two", "responded 2 one"]);
}

#[test]
fn after_a_lost_session_the_response_topic_is_subscribed_to_before_anything_is_asked() {
    let mut script = Script::asking(resuming());
    let topic = topic(&script);
    script.ask("1", QoS::ExactlyOnce);
    script.asked();
    script.lose();
    script.events();
    script.ask("2", QoS::AtMostOnce);
    script.client.handle_connected(script.now);
    script.sent();
    script.receive(ConnAck {
        session_present: false,
        reason: ConnectReason::Success,
        properties: Properties::EMPTY,
    });
    assert_eq!(
        script.events(),
        ["connected \"c\" session present false", "responded 2 NotPublished(SessionLost)"]
    );
    assert_eq!(script.sent(), [format!("SUBSCRIBE 1 {topic}:01 {{Subscription Identifier: 1}}")]);
    script.suback(1, &[SubAckReason::GrantedQos1]);
    assert!(script.events().is_empty());
    assert_eq!(script.asked().len(), 1);
}

#[test]
fn a_responder_finds_where_and_with_what_to_reply() {
    let mut script = Script::receiving(resuming());
    let mut properties = PropertyBuf::new();
    properties.response_topic(TopicName::new("answers/7").unwrap());
    properties.correlation_data(b"42").unwrap().content_type("text/plain").unwrap();
    script.deliver_with("svc", PublishQos::AtMostOnce, properties.as_properties());
    let (request, _) = script.delivery();
    assert_eq!(request.response_topic().unwrap().as_str(), "answers/7");
    assert_eq!(request.correlation_data(), Some(&b"42"[..]));
    let reply = request.reply().unwrap();
    assert_eq!(reply.as_properties().correlation_data(), Some(&b"42"[..]));
    assert_eq!(reply.as_properties().content_type(), None);
    script.deliver("svc", PublishQos::AtMostOnce);
    let (no_request, _) = script.delivery();
    assert!(no_request.reply().is_none());
}
