//! Encoded answers that wait to be sent.
//!
//! Only a connection with answers to send has a buffer for them, and only for as long as they
//! wait: an idle connection is to cost little.

use core::num::NonZeroU32;

use crate::TransmitBuf;

/// How many buffers keep their memory for the next answers, and how large each may be.
const SPARE_BUFFERS: usize = 256;
const SPARE_BYTES: usize = 4096;

/// The buffers of all connections.
#[derive(Debug, Default)]
pub(super) struct AnswerBuffers {
    buffers: Vec<Vec<u8>>,
    /// Those without an owner, which are empty.
    free: Vec<Place>,
}

/// What a connection has to answer: packets other than PUBLISH, in order. They lie in
/// [`AnswerBuffers`].
#[derive(Debug, Default)]
pub(super) struct Answers(Option<Place>);

/// The number of a buffer, from 1.
type Place = NonZeroU32;

impl AnswerBuffers {
    /// How many bytes wait.
    pub(super) fn len(&self, answers: &Answers) -> usize {
        answers.0.and_then(|place| self.buffers.get(index(place))).map_or(0, Vec::len)
    }

    /// The buffer to append to. `None` if there are 2^32 - 1 of them already.
    #[inline(always)]
    pub(super) fn of(&mut self, answers: &mut Answers) -> Option<&mut Vec<u8>> {
        let place = match answers.0 {
            Some(place) => place,
            None => {
                let place = self.free.pop().or_else(|| self.make_buffer())?;
                answers.0 = Some(place);
                place
            }
        };
        self.buffers.get_mut(index(place))
    }

    /// Hands out all that waits.
    #[inline]
    pub(super) fn hand_out(&mut self, answers: &mut Answers, out: &mut TransmitBuf) {
        let Some(place) = answers.0.take() else { return };
        let Some(buffer) = self.buffers.get_mut(index(place)) else { return };
        out.append_all(buffer, SPARE_BYTES);
        if buffer.capacity() > SPARE_BYTES || self.free.len() >= SPARE_BUFFERS {
            *buffer = Vec::new();
        }
        self.free.push(place);
    }

    /// Forgets what waits: it will not be sent.
    pub(super) fn forget(&mut self, answers: &mut Answers) {
        let Some(place) = answers.0.take() else { return };
        let Some(buffer) = self.buffers.get_mut(index(place)) else { return };
        *buffer = Vec::new();
        self.free.push(place);
    }

    #[cold]
    fn make_buffer(&mut self) -> Option<Place> {
        let number = u32::try_from(self.buffers.len() + 1).ok()?;
        self.buffers.push(Vec::new());
        Place::new(number)
    }
}

const fn index(place: Place) -> usize {
    place.get() as usize - 1
}

#[cfg(test)]
mod tests {
    use bytes::Buf;

    use super::*;

    #[test]
    fn answers_leave_in_order_and_their_buffer_goes_to_the_next_connection() {
        let mut buffers = AnswerBuffers::default();
        let (mut first, mut second) = (Answers::default(), Answers::default());
        for byte in [1, 2, 3] {
            buffers.of(&mut first).unwrap().push(byte);
        }
        assert_eq!((buffers.len(&first), buffers.len(&second)), (3, 0));
        let mut out = TransmitBuf::new();
        buffers.hand_out(&mut first, &mut out);
        assert_eq!((out.chunk(), buffers.len(&first)), (&[1, 2, 3][..], 0));
        assert!(buffers.of(&mut second).unwrap().is_empty());
        assert_eq!(buffers.buffers.len(), 1);
        buffers.forget(&mut second);
        assert_eq!(buffers.free.len(), 1);
    }

    #[test]
    fn few_small_buffers_are_kept() {
        let mut buffers = AnswerBuffers::default();
        let mut all: Vec<Answers> = (0..2 * SPARE_BUFFERS).map(|_| Answers::default()).collect();
        for (size, answers) in all.iter_mut().enumerate() {
            buffers.of(answers).unwrap().extend(vec![0; 32 * size]);
        }
        let mut out = TransmitBuf::new();
        out.append(|bytes| bytes.push(0));
        for answers in &mut all {
            buffers.hand_out(answers, &mut out);
        }
        let kept: Vec<usize> = buffers.buffers.iter().map(Vec::capacity).collect();
        assert!(kept.iter().all(|&bytes| bytes <= SPARE_BYTES));
        assert!(kept.iter().filter(|&&bytes| bytes > 0).count() <= SPARE_BUFFERS);
    }
}
