//! Receivers of QoS 1 and QoS 2 in every state meet every event: a changed transition is a changed
//! snapshot. And whatever the order of reads, acknowledgements and cuts, the promises hold.

use core::fmt::Write;
use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::*;

/// A client that has received messages of one QoS, and what its application holds.
struct Receiver {
    script: Script,
    reader: SubscriptionKey,
    qos: QoS,
    held: Vec<Delivery>,
}

/// How the subscription acknowledges, and what it does when it is full.
#[derive(Clone, Copy)]
struct Mode {
    name: &'static str,
    buffer: BufferOptions,
}

const MODES: [Mode; 4] = [
    Mode { name: "automatic", buffer: BufferOptions::new() },
    Mode { name: "manual", buffer: BufferOptions::new().manual_acknowledgement(true) },
    Mode { name: "held back", buffer: BufferOptions::new().messages(1) },
    Mode { name: "refusing", buffer: BufferOptions::new().messages(1).on_full(OnFull::Refuse) },
];

impl Receiver {
    fn new(qos: QoS, mode: Mode) -> Self {
        let mut script = Script::open(resuming().subscription_identifiers(false));
        let filters = [(TopicFilter::new("t").unwrap(), SubscriptionOptions::default())];
        let reader = script.client.subscribe(&filters, Properties::EMPTY, mode.buffer).unwrap();
        script.sent();
        script.suback(1, &[SubAckReason::GrantedQos2]);
        Self { script, reader, qos, held: Vec::new() }.settled()
    }

    fn settled(mut self) -> Self {
        while self.script.client.poll_event().is_some() {}
        self.script.sent();
        self
    }

    fn publish(&mut self, number: u16, dup: bool) {
        let id = id(number);
        self.script.deliver_text(
            "t",
            match self.qos {
                QoS::AtMostOnce | QoS::AtLeastOnce => PublishQos::AtLeastOnce { id, dup },
                QoS::ExactlyOnce => PublishQos::ExactlyOnce { id, dup },
            },
            &number.to_string(),
        );
    }

    fn with_message(mut self) -> Self {
        self.publish(1, false);
        self.settled()
    }

    fn read(&mut self) -> String {
        match self.script.client.poll_message(self.reader) {
            None => "nothing to read".to_owned(),
            Some(ReceivedMessage { message, delivery }) => {
                let owed = if delivery.is_some() { ", owed" } else { "" };
                self.held.extend(delivery);
                format!("read {}{owed}", String::from_utf8_lossy(message.payload()))
            }
        }
    }

    fn having_read(mut self) -> Self {
        self.read();
        self.settled()
    }

    fn answer(&mut self, reason: PubAckReason) -> String {
        match self.held.pop() {
            Some(delivery) => {
                self.script.client.acknowledge(self.script.now, delivery, reason);
                String::new()
            }
            None => "nothing held".to_owned(),
        }
    }

    fn reconnected(mut self, session_present: bool) -> Self {
        self.reconnect(session_present);
        self.settled()
    }

    fn reconnect(&mut self, session_present: bool) {
        self.script.lose();
        while self.script.client.poll_event().is_some() {}
        self.script.connect(session_present, &PropertyBuf::new());
    }
}

type Make = (&'static str, fn(QoS, Mode) -> Receiver);
type Happen = (&'static str, fn(&mut Receiver) -> String);

const STATES: [Make; 6] = [
    ("nothing came", Receiver::new),
    ("unread", |qos, mode| Receiver::new(qos, mode).with_message()),
    ("read", |qos, mode| Receiver::new(qos, mode).with_message().having_read()),
    ("unread, resumed", |qos, mode| Receiver::new(qos, mode).with_message().reconnected(true)),
    ("read, resumed", |qos, mode| {
        Receiver::new(qos, mode).with_message().having_read().reconnected(true)
    }),
    ("unread, lost", |qos, mode| Receiver::new(qos, mode).with_message().reconnected(false)),
];

const HAPPENINGS: [Happen; 9] = [
    ("PUBLISH 1 again", |it| {
        it.publish(1, true);
        String::new()
    }),
    ("PUBLISH 2", |it| {
        it.publish(2, false);
        String::new()
    }),
    ("PUBREL 1", |it| {
        it.script.receive(pubrel(1));
        String::new()
    }),
    ("read", Receiver::read),
    ("acknowledge", |it| it.answer(PubAckReason::Success)),
    ("refuse", |it| it.answer(PubAckReason::NotAuthorized)),
    ("abandon", |it| match it.held.pop() {
        Some(delivery) => {
            it.script.client.abandon(delivery);
            "abandoned".to_owned()
        }
        None => "nothing held".to_owned(),
    }),
    ("unsubscribe", |it| {
        it.script.client.unsubscribe(it.reader);
        String::new()
    }),
    ("resume", |it| {
        it.reconnect(true);
        String::new()
    }),
];

/// Proves: [MQTT-4.3.2-4], [MQTT-4.3.2-5], [MQTT-4.3.3-8], [MQTT-4.3.3-9], [MQTT-4.3.3-10],
/// [MQTT-4.3.3-11], [MQTT-4.3.3-12]
#[test]
fn every_receiver_in_every_state_meets_every_event() {
    let mut table = String::new();
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        for mode in MODES {
            for (state, make) in STATES {
                writeln!(table, "{qos}, {}, {state}", mode.name).unwrap();
                for (name, happen) in HAPPENINGS {
                    let mut receiver = make(qos, mode);
                    let mut said = vec![happen(&mut receiver)];
                    let script = &mut receiver.script;
                    said.extend(
                        core::iter::from_fn(|| script.client.poll_event()).map(|it| told(&it)),
                    );
                    said.extend(script.sent().iter().map(|line| format!("> {line}")));
                    said.retain(|line| !line.is_empty());
                    let waiting = script.client.buffer(receiver.reader).map(|it| it.messages);
                    let waiting = waiting.map_or_else(|| "-".to_owned(), |count| count.to_string());
                    let open = script.client.unacknowledged_deliveries();
                    let row = format!("  {name:16} {waiting} {open}  {}", said.join("; "));
                    writeln!(table, "{}", row.trim_end()).unwrap();
                }
            }
        }
    }
    insta::assert_snapshot!(table);
}

/// What a server has sent and not seen answered for good.
#[derive(Debug)]
struct InFlight {
    id: u16,
    number: u32,
    qos: QoS,
    topic: &'static str,
    is_released: bool,
}

/// A server that sends messages to a client, and its application, which reads as it likes.
struct World {
    script: Script,
    readers: Vec<SubscriptionKey>,
    in_flight: VecDeque<InFlight>,
    /// The identifiers of this connection's PUBLISHes whose acknowledgement is to come, in order.
    expected: [VecDeque<u16>; 2],
    next: u32,
    held: Vec<Delivery>,
    /// How often each reader read each message.
    seen: BTreeMap<(usize, u32), u32>,
    sent: Vec<(u32, QoS, &'static str)>,
}

/// Which of the readers get a topic.
const TOPICS: [(&str, &[usize]); 3] = [("a/x", &[0, 1]), ("a/y", &[0]), ("b", &[2])];

/// So many messages are under way at most.
const WINDOW: usize = 8;

#[derive(Clone, Debug)]
enum Step {
    Send {
        exactly_once: bool,
        topic: usize,
    },
    Read(usize),
    /// Acknowledges one of those that are held.
    Answer(usize),
    /// What the client says arrives.
    Hear,
    /// The connection is lost, with what the client says or without.
    Cut {
        hears: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any::<bool>(), 0..TOPICS.len())
            .prop_map(|(exactly_once, topic)| Step::Send { exactly_once, topic }),
        6 => (0..3usize).prop_map(Step::Read),
        3 => any::<usize>().prop_map(Step::Answer),
        3 => Just(Step::Hear),
        1 => any::<bool>().prop_map(|hears| Step::Cut { hears }),
    ]
}

impl World {
    fn new() -> Self {
        let mut script = Script::open(resuming().subscription_identifiers(false));
        let buffers = [
            ("a/+", BufferOptions::new().messages(2)),
            ("a/x", BufferOptions::new().manual_acknowledgement(true)),
            ("b", BufferOptions::new()),
        ];
        let mut readers = Vec::new();
        for (filter, buffer) in buffers {
            let filters = [(TopicFilter::new(filter).unwrap(), SubscriptionOptions::default())];
            readers.push(script.client.subscribe(&filters, Properties::EMPTY, buffer).unwrap());
            let number = script.sent()[0].split(' ').nth(1).unwrap().parse().unwrap();
            script.suback(number, &[SubAckReason::GrantedQos2]);
        }
        Self {
            script,
            readers,
            in_flight: VecDeque::new(),
            expected: [VecDeque::new(), VecDeque::new()],
            next: 0,
            held: Vec::new(),
            seen: BTreeMap::new(),
            sent: Vec::new(),
        }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Send { exactly_once, topic } => self.send(exactly_once, TOPICS[topic].0),
            Step::Read(reader) => {
                self.read(reader);
            }
            Step::Answer(_) if self.held.is_empty() => {}
            Step::Answer(which) => {
                let delivery = self.held.swap_remove(which % self.held.len());
                self.script.client.acknowledge(self.script.now, delivery, PubAckReason::Success);
            }
            Step::Hear => self.hear(),
            Step::Cut { hears } => self.cut(hears),
        }
        while self.script.client.poll_event().is_some() {}
    }

    fn send(&mut self, exactly_once: bool, topic: &'static str) {
        if self.in_flight.len() >= WINDOW {
            return;
        }
        let free = (1..).find(|id| self.in_flight.iter().all(|other| other.id != *id)).unwrap();
        let qos = if exactly_once { QoS::ExactlyOnce } else { QoS::AtLeastOnce };
        self.next += 1;
        self.sent.push((self.next, qos, topic));
        let message = InFlight { id: free, number: self.next, qos, topic, is_released: false };
        self.publish(&message, false);
        self.in_flight.push_back(message);
    }

    fn publish(&mut self, message: &InFlight, dup: bool) {
        let id = id(message.id);
        let qos = match message.qos {
            QoS::AtMostOnce | QoS::AtLeastOnce => PublishQos::AtLeastOnce { id, dup },
            QoS::ExactlyOnce => PublishQos::ExactlyOnce { id, dup },
        };
        self.script.deliver_text(message.topic, qos, &message.number.to_string());
        self.expected[usize::from(message.qos == QoS::ExactlyOnce)].push_back(message.id);
    }

    fn read(&mut self, reader: usize) -> bool {
        let Some(received) = self.script.client.poll_message(self.readers[reader]) else {
            return false;
        };
        let number = str::from_utf8(received.message.payload()).unwrap().parse().unwrap();
        *self.seen.entry((reader, number)).or_default() += 1;
        self.held.extend(received.delivery);
        true
    }

    fn hear(&mut self) {
        for line in self.script.sent() {
            let mut words = line.split(' ');
            let (kind, number) = (words.next().unwrap(), words.next().unwrap());
            let number: u16 = number.parse().unwrap();
            // A PUBREL that is sent again may find its PUBCOMP sent before.
            assert!(words.next() == Some("Success") || kind == "PUBCOMP", "{line}");
            // [MQTT-4.6.0-2] [MQTT-4.6.0-3]
            match kind {
                "PUBACK" => assert_eq!(self.expected[0].pop_front(), Some(number), "in order"),
                "PUBREC" => assert_eq!(self.expected[1].pop_front(), Some(number), "in order"),
                _ => {}
            }
            let at = self.in_flight.iter().position(|it| it.id == number).expect("under way");
            match kind {
                "PUBREC" => {
                    self.in_flight[at].is_released = true;
                    self.script.receive(pubrel(number));
                }
                "PUBACK" | "PUBCOMP" => drop(self.in_flight.remove(at)),
                _ => panic!("{line}"),
            }
        }
    }

    fn cut(&mut self, hears: bool) {
        if hears {
            self.hear();
        }
        self.script.lose();
        while self.script.client.poll_event().is_some() {}
        self.script.connect(true, &PropertyBuf::new());
        self.expected = [VecDeque::new(), VecDeque::new()];
        let in_flight = core::mem::take(&mut self.in_flight);
        for message in &in_flight {
            if message.is_released {
                self.script.receive(pubrel(message.id));
            } else {
                self.publish(message, true);
            }
        }
        self.in_flight = in_flight;
    }

    /// Everything is read, answered and heard.
    fn finish(&mut self) {
        for _ in 0..1000 {
            for reader in 0..self.readers.len() {
                while self.read(reader) {}
            }
            while !self.held.is_empty() {
                self.take(&Step::Answer(0));
            }
            self.take(&Step::Hear);
            if self.in_flight.is_empty() {
                return;
            }
        }
        panic!("not everything is acknowledged: {:?}", self.in_flight);
    }
}

proptest! {
    /// Proves: [MQTT-4.3.2-4], [MQTT-4.3.3-10], [MQTT-4.4.0-1], [MQTT-4.6.0-2], [MQTT-4.6.0-3]
    #[test]
    fn whatever_is_read_and_cut_acks_leave_in_order_and_nothing_is_lost_or_doubled(
        steps in prop::collection::vec(step(), 0..80)
    ) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
        }
        world.finish();
        for (number, qos, topic) in &world.sent {
            let (_, readers) = TOPICS.iter().find(|(name, _)| name == topic).unwrap();
            for reader in *readers {
                let count = world.seen.remove(&(*reader, *number)).unwrap_or(0);
                prop_assert!(count >= 1, "{number} was lost");
                prop_assert!(count == 1 || *qos == QoS::AtLeastOnce, "{number} came {count} times");
            }
        }
        prop_assert!(world.seen.is_empty(), "nobody got what was not for them: {:?}", world.seen);
        prop_assert_eq!(world.script.client.unacknowledged_deliveries(), 0);
    }
}
