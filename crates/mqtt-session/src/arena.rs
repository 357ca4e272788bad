//! Arenas: values that are named by four-byte keys and stay where they are.
//!
//! The slots lie in chunks of fixed size, so that growing copies nothing, and a chunk without
//! values gives its memory back. New values take the lowest vacant slot: values gather at the low
//! end and keys do not depend on anything but the order of the calls.

use core::{marker::PhantomData, num::NonZeroU32};
use std::{
    alloc::{Layout, handle_alloc_error},
    collections::BTreeSet,
};

const CHUNK: usize = 1024;
const WORDS: usize = CHUNK / 64;

/// The name of a value in an [`Arena`]. An optional key takes four bytes too.
pub(crate) trait Key: Copy + Eq {
    fn from_number(number: NonZeroU32) -> Self;
    fn number(self) -> NonZeroU32;
}

/// Values of one kind. A vacant slot holds the default value.
pub(crate) struct Arena<K, T> {
    /// Apart from `vacancies`, so that the headers that reading needs lie close together.
    chunks: Vec<Vec<T>>,
    vacancies: Vec<Vacancies>,
    /// The chunks that have a vacant slot.
    open: BTreeSet<usize>,
    len: usize,
    keys: PhantomData<fn() -> K>,
}

/// Which slots of one chunk are taken: one bit each.
struct Vacancies {
    taken: [u64; WORDS],
    len: usize,
}

impl Vacancies {
    /// Takes the lowest vacant slot.
    fn take(&mut self) -> Option<usize> {
        let (word, bits) =
            self.taken.iter_mut().enumerate().find(|(_, bits)| **bits != u64::MAX)?;
        let bit = bits.trailing_ones();
        *bits |= 1 << bit;
        self.len += 1;
        Some(word * 64 + bit as usize)
    }

    /// Gives a slot back; `false` if it was vacant.
    fn release(&mut self, slot: usize) -> bool {
        let Some(bits) = self.taken.get_mut(slot / 64) else { return false };
        let bit = 1 << (slot % 64);
        let taken = *bits & bit != 0;
        if taken {
            *bits &= !bit;
            self.len -= 1;
        }
        taken
    }

    /// The end of the slots that are taken.
    fn end(&self) -> usize {
        let last = self.taken.iter().enumerate().rfind(|(_, bits)| **bits != 0);
        last.map_or(0, |(word, bits)| (word + 1) * 64 - bits.leading_zeros() as usize)
    }
}

impl<K: Key, T: Default> Arena<K, T> {
    pub(crate) fn new() -> Self {
        Self {
            chunks: Vec::new(),
            vacancies: Vec::new(),
            open: BTreeSet::new(),
            len: 0,
            keys: PhantomData,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn get(&self, key: K) -> Option<&T> {
        let (chunk, slot) = place(key);
        self.chunks.get(chunk)?.get(slot)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: K) -> Option<&mut T> {
        let (chunk, slot) = place(key);
        self.chunks.get_mut(chunk)?.get_mut(slot)
    }

    pub(crate) fn insert(&mut self, value: T) -> K {
        let Some((key, chunk, slot)) = self.take_slot() else {
            // Four thousand million values: the memory for them is what runs out first.
            handle_alloc_error(Layout::new::<T>());
        };
        if let Some(slots) = self.chunks.get_mut(chunk) {
            match slots.get_mut(slot) {
                Some(vacant) => *vacant = value,
                None => slots.push(value),
            }
        }
        self.len += 1;
        key
    }

    /// Finds the lowest vacant slot, in a new chunk if need be, and marks it as taken.
    fn take_slot(&mut self) -> Option<(K, usize, usize)> {
        let chunk = self.open.first().copied().unwrap_or(self.chunks.len());
        if chunk == self.chunks.len() {
            u32::try_from((chunk + 1) * CHUNK).ok()?;
            self.chunks.push(Vec::new());
            self.vacancies.push(Vacancies { taken: [0; WORDS], len: 0 });
            self.open.insert(chunk);
        }
        let vacancies = self.vacancies.get_mut(chunk)?;
        let slot = vacancies.take()?;
        if vacancies.len == CHUNK {
            self.open.remove(&chunk);
        }
        let number = NonZeroU32::new(u32::try_from(chunk * CHUNK + slot + 1).ok()?)?;
        Some((K::from_number(number), chunk, slot))
    }

    pub(crate) fn remove(&mut self, key: K) -> Option<T> {
        let (chunk, slot) = place(key);
        let vacancies = self.vacancies.get_mut(chunk)?;
        if !vacancies.release(slot) {
            return None;
        }
        let end = vacancies.end();
        self.len -= 1;
        self.open.insert(chunk);
        let slots = self.chunks.get_mut(chunk)?;
        let value = core::mem::take(slots.get_mut(slot)?);
        if end < slots.len() {
            slots.truncate(end);
            if slots.capacity() > 4 * end {
                slots.shrink_to(2 * end);
            }
            if end == 0 {
                self.drop_empty_tail();
            }
        }
        Some(value)
    }

    fn drop_empty_tail(&mut self) {
        while self.vacancies.last().is_some_and(|chunk| chunk.len == 0) {
            self.vacancies.pop();
            self.chunks.pop();
            self.open.remove(&self.chunks.len());
        }
        if self.chunks.capacity() > 4 * self.chunks.len() {
            self.chunks.shrink_to(2 * self.chunks.len());
            self.vacancies.shrink_to(2 * self.vacancies.len());
        }
    }

    /// The heap bytes that the slots occupy, without what the values own.
    pub(crate) fn memory(&self) -> usize {
        let slots: usize = self.chunks.iter().map(Vec::capacity).sum();
        slots * size_of::<T>()
            + self.chunks.capacity() * size_of::<Vec<T>>()
            + self.vacancies.capacity() * size_of::<Vacancies>()
            + self.open.len() * 2 * size_of::<usize>()
    }
}

/// The chunk and the slot that a key means.
#[inline]
fn place<K: Key>(key: K) -> (usize, usize) {
    let index = (key.number().get() - 1) as usize;
    (index / CHUNK, index % CHUNK)
}

#[cfg(test)]
mod tests {
    //! Keys are low, stay, and give their memory back.

    use core::num::NonZeroU32;
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::{Arena, CHUNK, Key};

    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    struct Id(NonZeroU32);

    impl Key for Id {
        fn from_number(number: NonZeroU32) -> Self {
            Self(number)
        }

        fn number(self) -> NonZeroU32 {
            self.0
        }
    }

    proptest! {
        #[test]
        fn values_stay_under_their_keys(
            calls in prop::collection::vec((any::<u64>(), any::<prop::sample::Index>()), 0..5_000),
            removals in 1..4_u64,
        ) {
            let mut arena: Arena<Id, u64> = Arena::new();
            let mut model: BTreeMap<Id, u64> = BTreeMap::new();
            for (value, at) in calls {
                if value % 4 >= removals || model.is_empty() {
                    let key = arena.insert(value);
                    let lowest = (1..).zip(model.keys()).find(|(n, key)| key.0.get() != *n);
                    let lowest = lowest.map_or(model.len() as u32 + 1, |(n, _)| n);
                    prop_assert_eq!(key.0.get(), lowest, "the lowest that is vacant");
                    prop_assert_eq!(model.insert(key, value), None);
                } else {
                    let key = *model.keys().nth(at.index(model.len())).unwrap();
                    prop_assert_eq!(arena.remove(key), model.remove(&key));
                    prop_assert_eq!(arena.remove(key), None);
                }
            }
            prop_assert_eq!(arena.len(), model.len());
            for (key, value) in &model {
                prop_assert_eq!(arena.get(*key), Some(value));
            }
            for key in model.into_keys() {
                arena.remove(key);
            }
            prop_assert_eq!(arena.memory(), 0);
        }
    }

    #[test]
    fn a_chunk_without_values_takes_no_memory() {
        let mut arena: Arena<Id, [u64; 4]> = Arena::new();
        let keys: Vec<_> = (0..10 * CHUNK as u64).map(|n| arena.insert([n; 4])).collect();
        let full = arena.memory();
        // All but the last chunk.
        for key in &keys[..9 * CHUNK] {
            arena.remove(*key);
        }
        assert!(arena.memory() < full / 9);
        assert_eq!(arena.get(keys[9 * CHUNK]), Some(&[9 * CHUNK as u64; 4]));
    }
}
