//! What can be wrong: bytes that came in ([`DecodeError`]), or a packet that cannot go out
//! ([`EncodeError`]).

mod decode;
mod encode;

pub use decode::{DecodeError, DecodeRule};
pub use encode::EncodeError;
