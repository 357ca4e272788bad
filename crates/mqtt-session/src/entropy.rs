//! Randomness, all of it from one seed.

use core::hash::Hasher;

use siphasher::sip::SipHasher13;

/// What a seed yields: the key of the hash maps, and a sequence of unpredictable numbers.
///
/// The hash is SipHash-1-3: who does not know the seed can neither make client identifiers or
/// topics collide nor guess an identifier that was assigned.
#[derive(Clone)]
pub(crate) struct Entropy {
    hash_key: [u64; 2],
    number_key: [u64; 2],
    drawn: u64,
}

impl core::fmt::Debug for Entropy {
    /// Keeps the keys out of logs.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Entropy").field("drawn", &self.drawn).finish_non_exhaustive()
    }
}

impl Entropy {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        let (words, _) = seed.as_chunks::<8>();
        let word = |at: usize| words.get(at).map_or(0, |&bytes| u64::from_le_bytes(bytes));
        Self { hash_key: [word(0), word(1)], number_key: [word(2), word(3)], drawn: 0 }
    }

    /// The key for maps whose keys a peer chooses.
    pub(crate) const fn hash_key(&self) -> [u64; 2] {
        self.hash_key
    }

    /// The keyed hash of `bytes`.
    pub(crate) fn hash(&self, bytes: &[u8]) -> u64 {
        hash(self.hash_key, bytes)
    }

    /// The next unpredictable number.
    pub(crate) fn next(&mut self) -> u64 {
        self.drawn += 1;
        let mut hasher = SipHasher13::new_with_keys(self.number_key[0], self.number_key[1]);
        hasher.write_u64(self.drawn);
        hasher.finish()
    }
}

/// The keyed hash of `bytes`.
pub(crate) fn hash(key: [u64; 2], bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(key[0], key[1]);
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_and_another_seed_something_else() {
        let mut a = Entropy::new([1; 32]);
        let mut b = Entropy::new([1; 32]);
        let mut c = Entropy::new([2; 32]);
        assert_eq!(a.hash(b"x"), b.hash(b"x"));
        assert_ne!(a.hash(b"x"), c.hash(b"x"));
        assert_eq!((a.next(), a.next()), (b.next(), b.next()));
        assert_ne!(a.next(), c.next());
    }
}
