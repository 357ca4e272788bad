//! MQTT frames as bytes: prepared by hand for the load, split by their fixed header.
//!
//! The load generator must cost little beside the broker it measures, and must not share a fault
//! with the codec of this project: so it has no MQTT library, only these few functions.

/// The protocol level of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// MQTT 5.
    V5,
    /// MQTT 3.1.1, for a peer that speaks nothing newer.
    V311,
}

/// CONNECT with Clean Start and the longest Keep Alive.
pub(super) fn connect(protocol: Protocol, client_id: &str) -> Vec<u8> {
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T'];
    body.push(match protocol {
        Protocol::V5 => 5,
        Protocol::V311 => 4,
    });
    // rumqttd takes no client without a Keep Alive.
    body.extend([0x02, 0xFF, 0xFF]);
    if protocol == Protocol::V5 {
        body.push(0);
    }
    push_text(&mut body, client_id);
    with_header(0x10, &body)
}

/// SUBSCRIBE for all `filters` at one maximum QoS.
pub(super) fn subscribe(
    protocol: Protocol,
    packet_id: u16,
    filters: &[String],
    qos: u8,
) -> Vec<u8> {
    let mut body = packet_id.to_be_bytes().to_vec();
    if protocol == Protocol::V5 {
        body.push(0);
    }
    for filter in filters {
        push_text(&mut body, filter);
        body.push(qos);
    }
    with_header(0x82, &body)
}

/// PUBLISH with room for a [`Stamp`] at both ends of the payload.
pub(super) fn publish(protocol: Protocol, publish: &Publish<'_>) -> Vec<u8> {
    let mut body = Vec::with_capacity(publish.topic.len() + publish.payload_len + 8);
    push_text(&mut body, publish.topic);
    if publish.qos > 0 {
        body.extend(publish.packet_id.to_be_bytes());
    }
    if protocol == Protocol::V5 {
        body.push(0);
    }
    body.extend((0..publish.payload_len).map(filler));
    with_header(0x30 | publish.qos << 1 | u8::from(publish.retain), &body)
}

/// What [`publish`] writes.
#[derive(Debug)]
pub(super) struct Publish<'a> {
    pub(super) topic: &'a str,
    pub(super) qos: u8,
    pub(super) retain: bool,
    pub(super) packet_id: u16,
    pub(super) payload_len: usize,
}

/// A PUBACK, PUBREC, PUBREL or PUBCOMP without reason code; `first` is the whole first byte.
pub(super) fn acknowledgement(first: u8, packet_id: u16) -> [u8; 4] {
    let [high, low] = packet_id.to_be_bytes();
    [first, 2, high, low]
}

fn push_text(body: &mut Vec<u8>, text: &str) {
    let len = u16::try_from(text.len()).unwrap_or(u16::MAX);
    body.extend(len.to_be_bytes());
    body.extend(text.bytes().take(usize::from(len)));
}

fn with_header(first: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    let mut rest = body.len();
    loop {
        let low = u8::try_from(rest % 128).unwrap_or(0);
        rest /= 128;
        if rest == 0 {
            frame.push(low);
            break;
        }
        frame.push(low | 0x80);
    }
    frame.extend(body);
    frame
}

/// What stands at payload byte `at`, outside the stamp.
fn filler(at: usize) -> u8 {
    b"abcdefghijklmnopqrstuvwxyz".get(at % 26).copied().unwrap_or(b'?')
}

/// One frame of a read buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    /// The first byte: type and flags.
    pub(super) first: u8,
    /// What stands behind the fixed header.
    pub(super) body: &'a [u8],
    /// The length of the whole frame.
    pub(super) len: usize,
}

impl Frame<'_> {
    /// The packet type, 1 to 15.
    pub(super) fn kind(&self) -> u8 {
        self.first >> 4
    }

    /// The packet identifier of an acknowledgement, a SUBACK or a PUBREL.
    pub(super) fn packet_id(&self) -> Option<u16> {
        self.body.first_chunk().copied().map(u16::from_be_bytes)
    }

    /// Whether an acknowledgement says that it failed.
    pub(super) fn is_refusal(&self) -> bool {
        self.body.get(2).is_some_and(|reason| *reason >= 0x80)
    }
}

/// Splits the first frame off `input`; `None` until all of it is there.
pub(super) fn split(input: &[u8]) -> Option<Frame<'_>> {
    let (first, rest) = input.split_first()?;
    let (len, header) = length(rest)?;
    let body = rest.get(header..header + len)?;
    Some(Frame { first: *first, body, len: 1 + header + len })
}

/// A Variable Byte Integer at the start of `input` and the bytes that it takes.
fn length(input: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0_usize;
    for (at, byte) in input.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, at + 1));
        }
    }
    None
}

/// The parts of a PUBLISH that routing and checking need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Published<'a> {
    pub(super) topic: &'a [u8],
    pub(super) qos: u8,
    pub(super) packet_id: u16,
    pub(super) payload: &'a [u8],
}

impl<'a> Published<'a> {
    /// Reads the variable header; `None` if the lengths in it do not add up.
    pub(super) fn read(protocol: Protocol, frame: &Frame<'a>) -> Option<Self> {
        let (topic_len, rest) = frame.body.split_first_chunk()?;
        let topic_len = usize::from(u16::from_be_bytes(*topic_len));
        let (topic, mut payload) = rest.split_at_checked(topic_len)?;
        let qos = frame.first >> 1 & 3;
        let mut packet_id = 0;
        if qos > 0 {
            let (id, rest) = payload.split_first_chunk()?;
            packet_id = u16::from_be_bytes(*id);
            payload = rest;
        }
        if protocol == Protocol::V5 {
            let (properties, len) = length(payload)?;
            payload = payload.get(len + properties..)?;
        }
        Some(Self { topic, qos, packet_id, payload })
    }
}

/// Which message a payload carries: written at both of its ends, so that a payload that was cut,
/// mixed up or delivered twice shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// The publisher's number.
    pub(super) publisher: u32,
    /// Counts each publisher's messages from 0.
    pub(super) sequence: u64,
}

const SEQUENCE: usize = 8;
const PUBLISHER: usize = 4;
const HEAD: usize = SEQUENCE + PUBLISHER;
const TAIL_KEY: u64 = 0x5aa5_c33c_9669_f00f;

impl Stamp {
    /// Writes the stamp to both ends of a payload.
    pub(super) fn write(self, payload: &mut [u8]) {
        if let Some(tail) = payload.last_chunk_mut() {
            *tail = (self.sequence ^ TAIL_KEY).to_be_bytes();
        }
        if let Some((head, rest)) = payload.split_first_chunk_mut() {
            *head = self.sequence.to_be_bytes();
            if let Some(publisher) = rest.first_chunk_mut() {
                *publisher = self.publisher.to_be_bytes();
            }
        }
    }

    /// Reads a stamp back; `None` if the two ends do not agree.
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let (head, rest) = payload.split_first_chunk()?;
        let sequence = u64::from_be_bytes(*head);
        let publisher = u32::from_be_bytes(*rest.first_chunk()?);
        let tail = u64::from_be_bytes(*payload.last_chunk()?);
        (tail ^ TAIL_KEY == sequence).then_some(Self { publisher, sequence })
    }
}

/// Whether all that stands between the two ends of a stamped payload is what [`publish`] wrote.
pub(super) fn is_intact(payload: &[u8]) -> bool {
    let end = payload.len().saturating_sub(SEQUENCE);
    let middle = payload.iter().enumerate().take(end).skip(HEAD);
    middle.into_iter().all(|(at, byte)| *byte == filler(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(payload_len: usize) -> Vec<u8> {
        let topic = "a/b";
        publish(
            Protocol::V5,
            &Publish { topic, qos: 1, retain: false, packet_id: 0x1234, payload_len },
        )
    }

    #[test]
    fn a_frame_is_split_only_when_all_of_it_is_there() {
        let frame = message(200);
        for len in 0..frame.len() {
            assert_eq!(split(&frame[..len]), None, "at {len} bytes");
        }
        let mut two = frame.clone();
        two.extend(&frame);
        let first = split(&two).unwrap();
        assert_eq!((first.first, first.len), (0x32, frame.len()));
        assert_eq!(split(&two[first.len..]).unwrap(), first);
    }

    #[test]
    fn a_publish_is_read_as_it_was_written() {
        let bytes = message(64);
        let published = Published::read(Protocol::V5, &split(&bytes).unwrap()).unwrap();
        assert_eq!((published.topic, published.qos), (b"a/b".as_slice(), 1));
        assert_eq!((published.packet_id, published.payload.len()), (0x1234, 64));
    }

    #[test]
    fn a_stamp_survives_and_a_damaged_payload_shows() {
        let mut payload: Vec<u8> = (0..64).map(filler).collect();
        let stamp = Stamp { publisher: 7, sequence: 123_456_789 };
        stamp.write(&mut payload);
        assert_eq!(Stamp::read(&payload), Some(stamp));
        assert!(is_intact(&payload));

        assert_eq!(Stamp::read(&payload[..63]), None, "a payload that was cut");
        payload[30] ^= 1;
        assert!(!is_intact(&payload));
    }

    #[test]
    fn the_handshake_frames_are_the_bytes_of_the_standard() {
        assert_eq!(connect(Protocol::V5, "a"), b"\x10\x0e\0\x04MQTT\x05\x02\xff\xff\0\0\x01a");
        assert_eq!(connect(Protocol::V311, "a"), b"\x10\x0d\0\x04MQTT\x04\x02\xff\xff\0\x01a");
        let filters = ["x/#".to_owned()];
        assert_eq!(subscribe(Protocol::V5, 9, &filters, 1), b"\x82\x09\0\x09\0\0\x03x/#\x01");
    }
}
