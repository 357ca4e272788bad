//! The texts of topic levels, each once, as four-byte ids that compare in one instruction.

use core::num::NonZeroU32;

use siphasher::sip::SipHasher13;

use super::texts::{Place, TextMap};
use crate::arena::{Arena, Key};

/// Stands for the text of one level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LevelId(NonZeroU32);

impl Key for LevelId {
    fn from_number(number: NonZeroU32) -> Self {
        Self(number)
    }

    fn number(self) -> NonZeroU32 {
        self.0
    }
}

/// The levels that wildcard filters name, with a count of the trie nodes that use each.
pub(super) struct Levels {
    ids: TextMap<LevelId>,
    levels: Arena<LevelId, Level>,
}

#[derive(Default)]
struct Level {
    place: Place,
    uses: u32,
}

impl Levels {
    pub(super) fn new(hasher: SipHasher13) -> Self {
        Self { ids: TextMap::new(hasher), levels: Arena::new() }
    }

    #[inline]
    pub(super) fn find(&self, text: &[u8]) -> Option<LevelId> {
        self.ids.find(text, |id| self.levels.get(id).map(|level| level.place))
    }

    /// The id of a level, which counts as used once more.
    pub(super) fn acquire(&mut self, text: &[u8]) -> LevelId {
        let id = self.find(text).unwrap_or_else(|| {
            let id = self.levels.insert(Level::default());
            let place = self.ids.insert(text, id, relocate(&mut self.levels));
            if let Some(level) = self.levels.get_mut(id) {
                level.place = place;
            }
            id
        });
        if let Some(level) = self.levels.get_mut(id) {
            level.uses += 1;
        }
        id
    }

    /// Takes one use back; the last one frees the level.
    pub(super) fn release(&mut self, id: LevelId) {
        let Some(level) = self.levels.get_mut(id) else { return };
        level.uses -= 1;
        if level.uses == 0 {
            let place = level.place;
            self.ids.remove(id, place, relocate(&mut self.levels));
            self.levels.remove(id);
        }
    }

    pub(super) fn text(&self, id: LevelId) -> &[u8] {
        self.levels.get(id).map_or(&[], |level| self.ids.text(level.place))
    }

    pub(super) fn memory(&self) -> usize {
        self.ids.memory() + self.levels.memory()
    }
}

fn relocate(levels: &mut Arena<LevelId, Level>) -> impl FnMut(LevelId, Place) {
    |id, place| {
        if let Some(level) = levels.get_mut(id) {
            level.place = place;
        }
    }
}
