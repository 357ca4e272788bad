//! The lists of reason codes in SUBACK and UNSUBACK.

use core::fmt;

use super::Reader;
use crate::error::{DecodeError, DecodeRule};
use crate::reason::InvalidReasonCode;
use crate::sink::Sink;

/// Reason codes in the order of the filters that they answer. Made by
/// [`SubAck::reasons`](super::SubAck::reasons) and [`UnsubAck::reasons`](super::UnsubAck::reasons).
#[derive(Clone, Copy)]
pub struct Reasons<'a, R>(Source<'a, R>);

/// Where the reason codes come from.
#[derive(Clone, Copy)]
enum Source<'a, R> {
    /// A packet that came in.
    Payload(&'a [u8]),
    /// A packet that is being built.
    List(&'a [R]),
}

impl<'a, R: Copy> Reasons<'a, R> {
    pub(super) const fn from_list(reasons: &'a [R]) -> Self {
        Self(Source::List(reasons))
    }

    /// Checks all that is left of a packet.
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError>
    where
        R: TryFrom<u8, Error = InvalidReasonCode>,
    {
        if reader.is_empty() {
            return Err(reader.fault(DecodeRule::NoReasonCode));
        }
        let payload = reader.take_rest();
        for (at, code) in payload.iter().enumerate() {
            if let Err(InvalidReasonCode { code }) = R::try_from(*code) {
                return Err(reader.fault_in(payload, at, DecodeRule::ReasonCode { code }));
            }
        }
        Ok(Self(Source::Payload(payload)))
    }

    pub(super) fn write(&self, out: &mut impl Sink)
    where
        R: Into<u8>,
    {
        match self.0 {
            Source::Payload(codes) => out.bytes(codes),
            Source::List(reasons) => {
                for reason in reasons {
                    out.array([(*reason).into()]);
                }
            }
        }
    }
}

impl<R> Iterator for Reasons<'_, R>
where
    R: Copy + TryFrom<u8, Error = InvalidReasonCode>,
{
    type Item = R;

    #[inline]
    fn next(&mut self) -> Option<R> {
        match &mut self.0 {
            Source::Payload(codes) => {
                let (first, rest) = codes.split_first()?;
                *codes = rest;
                R::try_from(*first).ok()
            }
            Source::List(reasons) => {
                let (first, rest) = reasons.split_first()?;
                *reasons = rest;
                Some(*first)
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let len = match self.0 {
            Source::Payload(codes) => codes.len(),
            Source::List(reasons) => reasons.len(),
        };
        (len, Some(len))
    }
}

impl<R> ExactSizeIterator for Reasons<'_, R> where R: Copy + TryFrom<u8, Error = InvalidReasonCode> {}

impl<R> core::iter::FusedIterator for Reasons<'_, R> where
    R: Copy + TryFrom<u8, Error = InvalidReasonCode>
{
}

impl<R> fmt::Debug for Reasons<'_, R>
where
    R: Copy + fmt::Debug + TryFrom<u8, Error = InvalidReasonCode>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(*self).finish()
    }
}
