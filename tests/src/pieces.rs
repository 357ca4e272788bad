//! How a stream of bytes arrives: in which pieces.

/// Numbers that look random and are the same for the same seed.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from 0 to `end`, which is left out and not 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.number() % end as u64) as usize
    }
}

/// Where the bytes of one call are cut before they are handed on.
#[derive(Clone, Debug, Default)]
pub enum Pieces {
    /// Nowhere.
    #[default]
    Whole,
    /// Behind every byte.
    EveryByte,
    /// At these places, counted from the first byte of each call, in ascending order.
    At(Vec<usize>),
    /// Anywhere: pieces of 1 byte up to `longest`.
    Random {
        /// Where the lengths come from.
        random: Random,
        /// The longest piece.
        longest: usize,
    },
}

impl Pieces {
    /// Takes the first piece off `rest`, of which `done` bytes came before.
    pub(crate) fn split<'a>(&mut self, done: usize, rest: &'a [u8]) -> (&'a [u8], &'a [u8]) {
        let len = match self {
            Self::Whole => rest.len(),
            Self::EveryByte => 1,
            Self::At(places) => {
                places.iter().find(|&&at| at > done).map_or(rest.len(), |at| at - done)
            }
            Self::Random { random, longest } => 1 + random.below(*longest),
        };
        rest.split_at(len.min(rest.len()))
    }
}
