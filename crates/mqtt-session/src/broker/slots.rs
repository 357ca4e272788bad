//! A table whose places are used again, and whose keys tell one use of a place from the next.

/// Values in numbered slots.
#[derive(Debug)]
pub(super) struct Slots<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Slot<T> {
    /// How often the slot was emptied.
    generation: u32,
    value: Option<T>,
}

/// A slot in one of its uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slots<T> {
    /// How many slots are in use.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Puts a value into a free slot. `None` if there are 2^32 - 1 of them already.
    pub(super) fn insert(&mut self, value: T) -> Option<Key> {
        if let Some(number) = self.free.pop() {
            let slot = self.slots.get_mut(number as usize)?;
            slot.value = Some(value);
            return Some(Key { slot: number, generation: slot.generation });
        }
        let number = u32::try_from(self.slots.len()).ok().filter(|&number| number != u32::MAX)?;
        self.slots.push(Slot { generation: 0, value: Some(value) });
        Some(Key { slot: number, generation: 0 })
    }

    /// Takes the value out of a slot.
    pub(super) fn remove(&mut self, number: u32) -> Option<T> {
        let slot = self.slots.get_mut(number as usize)?;
        let value = slot.value.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(number);
        Some(value)
    }

    #[inline]
    pub(super) fn get(&self, number: u32) -> Option<&T> {
        self.slots.get(number as usize)?.value.as_ref()
    }

    #[inline]
    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.slots.get_mut(number as usize)?.value.as_mut()
    }

    /// The value of a slot that is still in the use that the key was made for.
    #[inline]
    pub(super) fn current_mut(&mut self, key: Key) -> Option<&mut T> {
        let slot = self.slots.get_mut(key.slot as usize)?;
        if slot.generation == key.generation { slot.value.as_mut() } else { None }
    }

    /// The key of a slot that is in use.
    #[inline]
    pub(super) fn key(&self, number: u32) -> Option<Key> {
        let slot = self.slots.get(number as usize)?;
        slot.value.is_some().then_some(Key { slot: number, generation: slot.generation })
    }

    /// Whether the slot is still in the use that the key was made for.
    #[inline]
    pub(super) fn is_current(&self, key: Key) -> bool {
        self.slots
            .get(key.slot as usize)
            .is_some_and(|slot| slot.generation == key.generation && slot.value.is_some())
    }

    /// The key of a slot that is in use by such a value.
    #[inline]
    pub(super) fn key_if(&self, number: u32, is_wanted: impl FnOnce(&T) -> bool) -> Option<Key> {
        let slot = self.slots.get(number as usize)?;
        slot.value
            .as_ref()
            .is_some_and(is_wanted)
            .then_some(Key { slot: number, generation: slot.generation })
    }

    /// Every value with its slot, in the order of the slots.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..).zip(&self.slots).filter_map(|(number, slot)| Some((number, slot.value.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_used_again_under_another_key() {
        let mut slots = Slots::default();
        let first = slots.insert("a").unwrap();
        assert!(slots.is_current(first));
        assert_eq!(slots.remove(first.slot), Some("a"));
        assert_eq!(slots.remove(first.slot), None);
        assert!(!slots.is_current(first));
        let second = slots.insert("b").unwrap();
        assert_eq!(second.slot, first.slot);
        assert!(!slots.is_current(first));
        assert_eq!(slots.key(second.slot), Some(second));
        assert_eq!(slots.len(), 1);
        assert_eq!(slots.iter().collect::<Vec<_>>(), [(0, &"b")]);
    }
}
