//! rmqtt-codec: the codec of the rmqtt broker.

use std::hint::black_box;

use ::bytes::BytesMut;
use rmqtt_codec::v5::{Codec, Packet};
use tokio_util::codec::{Decoder, Encoder};

use super::{Library, decode_from_bytes_mut, values};

/// rmqtt-codec.
#[derive(Debug)]
pub struct Rmqtt;

impl Library for Rmqtt {
    fn decode(bytes: &[u8], count: usize) -> Result<(), String> {
        let mut codec = Codec::default();
        decode_from_bytes_mut(bytes, count, |input| next(&mut codec, input))
    }

    fn encode(
        bytes: &[u8],
        packets: usize,
        copies: usize,
        count: usize,
    ) -> Result<Vec<u8>, String> {
        let mut codec = Codec::default();
        let one = values(bytes, packets, |input| next(&mut codec, input))?;
        // Its encoder consumes the packet.
        let mut all = (0..copies).flat_map(|_| one.clone()).collect::<Vec<_>>().into_iter();
        let mut output = BytesMut::with_capacity(1 << 17);
        for _ in 0..count / packets {
            output.clear();
            for packet in all.by_ref().take(packets) {
                codec
                    .encode(black_box(packet), &mut output)
                    .map_err(|error| format!("{error:?}"))?;
            }
            black_box(&output);
        }
        // Dropping those that were not encoded would count against the shorter run.
        std::mem::forget(all);
        Ok(output.to_vec())
    }
}

fn next(codec: &mut Codec, input: &mut BytesMut) -> Result<Packet, String> {
    match codec.decode(input) {
        Ok(Some((packet, _))) => Ok(packet),
        Ok(None) => Err("it wants more bytes".to_owned()),
        Err(error) => Err(format!("{error:?}")),
    }
}
