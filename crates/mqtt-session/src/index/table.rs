//! A hash table of four-byte keys that grows in small steps.
//!
//! A table that doubles stops the broker for tens of milliseconds once it holds millions. This one
//! is many small tables, and grows by splitting one of them at a time (linear hashing), so that no
//! insertion or removal ever moves more than a few thousand entries. Each entry carries its hash,
//! so moving it reads nothing else.
//!
//! A shard is one array in which the entries stand in the order of their hashes, each at the place
//! that its hash asks for or, if that is taken, a little behind. A lookup reads one or two cache
//! lines and, because of the order, gives up as early as it would succeed; growing, splitting and
//! joining are linear passes. Arrays of any length can be made this way, so they stay well filled
//! (about ten bytes an entry).

use core::{
    marker::PhantomData,
    num::{NonZeroU32, NonZeroU64},
};

use crate::arena::Key;

/// Entries for each shard, on average, when the table is at its fullest. A shard that is due for
/// splitting has twice as many.
const MEAN: usize = 512;
/// Room for this many entries is the least that a shard has.
const LEAST: usize = 8;

/// Keys, found by hash and by a comparison that the caller makes.
pub(super) struct Table<K> {
    shards: Vec<Shard>,
    len: usize,
    keys: PhantomData<fn() -> K>,
}

impl<K: Key> Table<K> {
    pub(super) fn new() -> Self {
        Self { shards: Vec::new(), len: 0, keys: PhantomData }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The key with this hash for which `is_it` says yes.
    #[inline]
    pub(super) fn find(&self, hash: u32, mut is_it: impl FnMut(K) -> bool) -> Option<K> {
        let shard = self.shards.get(shard_of(hash, self.shards.len()))?;
        let key = shard.find(hash, |key| is_it(K::from_number(key)))?;
        Some(K::from_number(key))
    }

    /// Adds a key that is not in the table.
    pub(super) fn insert(&mut self, hash: u32, key: K) {
        if self.shards.is_empty() {
            self.shards.push(Shard::default());
        }
        let at = shard_of(hash, self.shards.len());
        let Some(shard) = self.shards.get_mut(at) else { return };
        shard.insert(Entry::new(hash, key.number()));
        self.len += 1;
        if self.len > self.shards.len() * MEAN {
            self.split();
        }
    }

    pub(super) fn remove(&mut self, hash: u32, key: K) {
        let at = shard_of(hash, self.shards.len());
        let Some(shard) = self.shards.get_mut(at) else { return };
        self.len -= usize::from(shard.remove(Entry::new(hash, key.number())));
        if self.len == 0 {
            self.shards = Vec::new();
        } else if self.len < self.shards.len().saturating_sub(1) * (MEAN / 2) {
            self.join();
        }
    }

    /// Adds one shard and moves to it what the shard it grows from has for it.
    fn split(&mut self) {
        let (from, bit) = origin(self.shards.len());
        let Some(shard) = self.shards.get_mut(from) else { return };
        let (moving, staying) = shard.entries().partition(|entry| entry.hash() & bit != 0);
        *shard = Shard::new(staying);
        self.shards.push(Shard::new(moving));
    }

    /// Undoes the last split.
    fn join(&mut self) {
        let Some(last) = self.shards.pop() else { return };
        let (into, _) = origin(self.shards.len());
        let Some(shard) = self.shards.get_mut(into) else { return };
        let mut all: Vec<_> = shard.entries().chain(last.entries()).collect();
        all.sort_unstable();
        *shard = Shard::new(all);
        if self.shards.capacity() > 4 * self.shards.len() {
            self.shards.shrink_to(2 * self.shards.len());
        }
    }

    /// The heap bytes that the table occupies.
    pub(super) fn memory(&self) -> usize {
        let slots: usize = self.shards.iter().map(|shard| shard.slots.capacity()).sum();
        slots * size_of::<Option<Entry>>() + self.shards.capacity() * size_of::<Shard>()
    }
}

/// The shard, of `shards`, that has the entries with this hash: as many low bits as needed, and one
/// less where that shard does not exist yet.
#[inline]
fn shard_of(hash: u32, shards: usize) -> usize {
    let mask = shards.next_power_of_two() - 1;
    let shard = hash as usize & mask;
    if shard < shards { shard } else { shard & (mask >> 1) }
}

/// The shard from which shard `index` (not 0) splits off, and the bit of the hash by which they
/// differ.
fn origin(index: usize) -> (usize, u32) {
    let bit = index.max(1).ilog2();
    (index & !(1 << bit), 1 << bit)
}

/// A hash in the high half, so that entries sort by it, and a key, which is not 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry(NonZeroU64);

impl Entry {
    fn new(hash: u32, key: NonZeroU32) -> Self {
        Self(NonZeroU64::from(key) | u64::from(hash) << 32)
    }

    #[inline]
    fn hash(self) -> u32 {
        (self.0.get() >> 32) as u32
    }

    #[inline]
    fn key(self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.0.get() as u32)
    }
}

#[derive(Default)]
struct Shard {
    /// Homes for `room` entries, and behind them those that found no place before the end.
    slots: Vec<Option<Entry>>,
    room: usize,
    len: usize,
}

impl Shard {
    /// A shard of entries in their order, with some room for more.
    fn new(entries: Vec<Entry>) -> Self {
        // Four fifths: an insertion at the limit of 7/8 finds a gap within a few slots.
        let room = (entries.len() + entries.len() / 4).max(LEAST);
        let mut shard =
            Self { slots: Vec::with_capacity(room + room / 64), room, len: entries.len() };
        for entry in entries {
            let home = shard.home(entry.hash()).max(shard.slots.len());
            shard.slots.resize(home, None);
            shard.slots.push(Some(entry));
        }
        shard.slots.resize(room.max(shard.slots.len()), None);
        shard
    }

    fn entries(&self) -> impl Iterator<Item = Entry> {
        self.slots.iter().copied().flatten()
    }

    /// Where an entry stands if nothing is in its way. Higher hashes have higher homes.
    #[inline]
    fn home(&self, hash: u32) -> usize {
        ((u64::from(hash) * self.room as u64) >> 32) as usize
    }

    #[inline]
    fn find(&self, hash: u32, mut is_it: impl FnMut(NonZeroU32) -> bool) -> Option<NonZeroU32> {
        for slot in self.slots.get(self.home(hash)..)? {
            let entry = (*slot)?;
            if entry.hash() >= hash {
                let key = entry.key().filter(|_| entry.hash() == hash)?;
                if is_it(key) {
                    return Some(key);
                }
            }
        }
        None
    }

    fn insert(&mut self, new: Entry) {
        if (self.len + 1) * 8 > self.room * 7 {
            *self = Self::new(self.entries().collect());
        }
        self.len += 1;
        let home = self.home(new.hash());
        let mut moving = new;
        for slot in self.slots.iter_mut().skip(home) {
            match slot {
                Some(entry) if *entry < moving => {}
                Some(entry) => core::mem::swap(entry, &mut moving),
                None => {
                    *slot = Some(moving);
                    return;
                }
            }
        }
        self.slots.reserve_exact(LEAST);
        self.slots.push(Some(moving));
    }

    /// Removes an entry; `false` if it is not there.
    fn remove(&mut self, entry: Entry) -> bool {
        let home = self.home(entry.hash());
        let tail = self.slots.iter().skip(home);
        let Some(at) = tail.map_while(|slot| *slot).position(|other| other == entry) else {
            return false;
        };
        let at = home + at;
        // Those behind it that are not at home move up by one.
        let behind = self.slots.iter().enumerate().skip(at + 1);
        let moving =
            behind.map_while(|(place, slot)| slot.filter(|entry| self.home(entry.hash()) < place));
        let end = at + 1 + moving.count();
        if let Some(run) = self.slots.get_mut(at..end) {
            run.rotate_left(1);
            if let Some(last) = run.last_mut() {
                *last = None;
            }
        }
        self.len -= 1;
        if self.len * 2 < self.room && self.room > LEAST {
            *self = Self::new(self.entries().collect());
        }
        true
    }
}

#[cfg(test)]
mod tests {
    //! The table against a map, with good hashes and with useless ones.

    use core::num::NonZeroU32;
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::{MEAN, Table};
    use crate::arena::Key;

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

    fn id(number: u32) -> Id {
        Id(NonZeroU32::MIN.saturating_add(number))
    }

    fn good_hash(number: u32) -> u32 {
        (u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
    }

    proptest! {
        #[test]
        fn keys_are_found_until_they_are_removed(
            calls in prop::collection::vec((0..200_u32, any::<bool>()), 0..1_000),
            values in 1..300_u32,
            high in any::<bool>(),
        ) {
            // So few values that many keys share one, at either end of the range.
            let hash = |number: u32| if high { u32::MAX - number % values } else { number % values };
            let mut table = Table::new();
            let mut model = BTreeMap::new();
            for (number, insert) in calls {
                let key = id(number);
                if !insert {
                    table.remove(hash(number), key);
                    model.remove(&key);
                } else if model.insert(key, hash(number)).is_none() {
                    table.insert(hash(number), key);
                }
                prop_assert_eq!(table.len(), model.len());
            }
            for number in 0..200 {
                let found = table.find(hash(number), |key| key == id(number));
                prop_assert_eq!(found, model.get(&id(number)).map(|_| id(number)));
            }
            for (key, hash) in model {
                table.remove(hash, key);
            }
            prop_assert_eq!(table.memory(), 0);
        }
    }

    #[test]
    fn it_grows_and_shrinks_by_shards_and_stays_well_filled() {
        const MANY: u32 = 100_000;
        let mut table = Table::new();
        let mut most = 0;
        for number in 0..MANY {
            table.insert(good_hash(number), id(number));
            if number > 2_000 {
                most = most.max(table.memory() / (number as usize + 1));
            }
        }
        assert!(most <= 13, "{most} bytes an entry");
        assert!(table.shards.len() >= MANY as usize / MEAN);
        assert!(table.shards.iter().all(|shard| shard.len < 3 * MEAN));
        for number in 0..MANY {
            let found = table.find(good_hash(number), |key| key == id(number));
            assert_eq!(found, Some(id(number)));
            assert_eq!(table.find(good_hash(number + MANY), |key| key == id(number)), None);
        }
        for number in 0..MANY - 10 {
            table.remove(good_hash(number), id(number));
        }
        assert_eq!(table.shards.len(), 1);
        assert!(table.memory() < 1_000);
        for number in MANY - 10..MANY {
            assert_eq!(table.find(good_hash(number), |_| true), Some(id(number)));
            table.remove(good_hash(number), id(number));
        }
        assert_eq!(table.memory(), 0);
    }
}
