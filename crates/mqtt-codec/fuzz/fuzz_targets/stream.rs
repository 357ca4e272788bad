//! A stream cut at places that the input chooses gives the packets, and the refusal, of the stream
//! in one piece.
//!
//! The first byte of the input is the number of cuts, the next ones are the sizes of the pieces.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mqtt_codec::{DecodeError, Decoded, Decoder, Limits, decode};

/// The bytes of all packets, and why the stream ended.
type Outcome = (Vec<Vec<u8>>, Option<DecodeError>);

fuzz_target!(|input: &[u8]| {
    let Some((&cuts, input)) = input.split_first() else { return };
    let Some((cuts, stream)) = input.split_at_checked(usize::from(cuts)) else { return };
    assert_eq!(in_pieces(cuts, stream), in_one_piece(stream));
});

fn in_one_piece(stream: &[u8]) -> Outcome {
    let mut packets = Vec::new();
    let mut rest = stream;
    loop {
        match decode(rest, &Limits::new()) {
            Ok(Decoded::NeedMore(_)) => return (packets, None),
            Ok(Decoded::Packet(_, consumed)) => {
                let (packet, behind) = rest.split_at(consumed);
                packets.push(packet.to_vec());
                rest = behind;
            }
            Err(error) => return (packets, Some(error)),
        }
    }
}

fn in_pieces(cuts: &[u8], stream: &[u8]) -> Outcome {
    let mut decoder = Decoder::new(Limits::new());
    let mut packets = Vec::new();
    let mut rest = stream;
    let mut sizes = cuts.iter().map(|size| usize::from(*size) + 1).chain([usize::MAX]);
    loop {
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => match frame.packet() {
                    Ok(_) => packets.push(frame.into_bytes().to_vec()),
                    Err(error) => return (packets, Some(error)),
                },
                Ok(None) => break,
                Err(error) => return (packets, Some(error)),
            }
        }
        if rest.is_empty() {
            return (packets, None);
        }
        let size = sizes.next().unwrap_or(usize::MAX).min(rest.len());
        let (piece, behind) = rest.split_at(size);
        decoder.feed(piece);
        rest = behind;
    }
}
