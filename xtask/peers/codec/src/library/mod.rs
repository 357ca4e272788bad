//! One module for each codec: its ordinary way to decode and to encode, nothing special.

use std::hint::black_box;

use ::bytes::BytesMut;

pub mod floor;
pub mod mqttbytes;
pub mod ours;
pub mod rmqtt;
pub mod rumqttc;

/// A codec under measurement.
pub trait Library {
    /// Decodes `count` packets out of a read buffer with `bytes`.
    ///
    /// # Errors
    ///
    /// The text of the library's own error.
    fn decode(bytes: &[u8], count: usize) -> Result<(), String>;

    /// Decodes the `packets` packets of `bytes`, and encodes their values in turn until `count`
    /// are encoded, into a buffer that is cleared after each round. Returns the last round.
    ///
    /// A library whose encoder consumes its packets prepares `copies` rounds of them.
    ///
    /// # Errors
    ///
    /// The text of the library's own error.
    fn encode(bytes: &[u8], packets: usize, copies: usize, count: usize)
    -> Result<Vec<u8>, String>;
}

/// Decodes with a function that takes the next packet off a `BytesMut`.
fn decode_from_bytes_mut<P>(
    bytes: &[u8],
    count: usize,
    mut next: impl FnMut(&mut BytesMut) -> Result<P, String>,
) -> Result<(), String> {
    let mut input = BytesMut::from(bytes);
    for _ in 0..count {
        let packet = next(&mut input)?;
        black_box(&packet);
    }
    // What is left over is not part of the count, nor is giving it back.
    std::mem::forget(input);
    Ok(())
}

/// Encodes with a function that appends a packet to a `BytesMut`.
fn encode_to_bytes_mut<P>(
    values: &[P],
    count: usize,
    mut append: impl FnMut(&P, &mut BytesMut) -> Result<(), String>,
) -> Result<Vec<u8>, String> {
    let mut output = BytesMut::with_capacity(1 << 17);
    for _ in 0..count / values.len().max(1) {
        output.clear();
        for packet in values {
            append(black_box(packet), &mut output)?;
        }
        black_box(&output);
    }
    Ok(output.to_vec())
}

/// All packets of `bytes`, for encoding.
fn values<P>(
    bytes: &[u8],
    packets: usize,
    mut next: impl FnMut(&mut BytesMut) -> Result<P, String>,
) -> Result<Vec<P>, String> {
    let mut input = BytesMut::from(bytes);
    (0..packets).map(|_| next(&mut input)).collect()
}
