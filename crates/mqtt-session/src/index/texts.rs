//! Texts packed into pages, and the map from a text to its key.
//!
//! A text of its own allocation costs a pointer, a length and up to 31 bytes of rounding. Here it
//! costs six bytes. What is removed leaves a hole; a page of which more than half is holes is
//! emptied into the newest page, so memory stays below twice what is needed, and each removal pays
//! for the moving of less than its own size.

use core::num::NonZeroU32;
use std::collections::BTreeSet;

use siphasher::sip::SipHasher13;

use super::table::Table;
use crate::arena::Key;

/// Texts from this length on have a page of their own.
const LARGE: usize = 2_048;
const PAGE: usize = 16_384;
/// The size with which a page starts.
const LEAST_PAGE: usize = 256;
/// Before each text: the key of its owner (0: a hole), its length.
const HEADER: usize = 6;
/// In the place of a length: the text goes to the end of its page.
const TO_THE_END: u16 = u16::MAX;

/// Where a text is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) page: u32,
    pub(super) at: u16,
}

/// From texts to keys. The place of each text is kept by its owner, who is told when it moves.
pub(super) struct TextMap<K> {
    hasher: SipHasher13,
    table: Table<K>,
    pages: Pages,
}

impl<K: Key> TextMap<K> {
    pub(super) fn new(hasher: SipHasher13) -> Self {
        Self { hasher, table: Table::new(), pages: Pages::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.table.len() == 0
    }

    #[inline]
    fn hash(&self, text: &[u8]) -> u32 {
        // Any half of it is as good as the other.
        self.hasher.hash(text) as u32
    }

    /// The key of a text.
    #[inline]
    pub(super) fn find(&self, text: &[u8], place: impl Fn(K) -> Option<Place>) -> Option<K> {
        if self.is_empty() { None } else { self.find_kept(text, place) }
    }

    #[inline(never)]
    fn find_kept(&self, text: &[u8], place: impl Fn(K) -> Option<Place>) -> Option<K> {
        self.table.find(self.hash(text), |key| {
            place(key).and_then(|place| self.pages.text(place)) == Some(text)
        })
    }

    /// The text at a place.
    pub(super) fn text(&self, place: Place) -> &[u8] {
        self.pages.text(place).unwrap_or_default()
    }

    /// Adds a text that is not in the map. `moved` takes the new places of texts that this moves.
    pub(super) fn insert(&mut self, text: &[u8], key: K, moved: impl FnMut(K, Place)) -> Place {
        self.table.insert(self.hash(text), key);
        let place = self.pages.append(key.number(), text);
        self.tidy(moved);
        place
    }

    /// Removes the text of `key`, which is at `place`.
    pub(super) fn remove(&mut self, key: K, place: Place, moved: impl FnMut(K, Place)) {
        self.table.remove(self.hash(self.text(place)), key);
        self.pages.free(place);
        self.tidy(moved);
    }

    fn tidy(&mut self, mut moved: impl FnMut(K, Place)) {
        while let Some(page) = self.pages.sparse.pop() {
            self.pages.empty(page, |owner, place| moved(K::from_number(owner), place));
        }
    }

    pub(super) fn memory(&self) -> usize {
        self.table.memory() + self.pages.memory()
    }
}

struct Pages {
    pages: Vec<Page>,
    /// The page that takes new texts.
    current: Option<usize>,
    /// Pages without texts and without memory.
    vacant: BTreeSet<usize>,
    /// Pages that wait for being emptied.
    sparse: Vec<usize>,
}

#[derive(Default)]
struct Page {
    bytes: Vec<u8>,
    /// How many of the bytes belong to texts that are not removed.
    live: usize,
}

impl Page {
    fn is_sparse(&self) -> bool {
        self.live * 2 < self.bytes.len()
    }

    /// Makes room for one more text, and for others unless that one is large.
    fn grow(&mut self, size: usize) {
        let needed = self.bytes.len() + size;
        let capacity = needed.max((4 * self.bytes.capacity()).clamp(LEAST_PAGE, PAGE));
        self.bytes.reserve_exact(capacity - self.bytes.len());
    }
}

impl Pages {
    fn new() -> Self {
        Self { pages: Vec::new(), current: None, vacant: BTreeSet::new(), sparse: Vec::new() }
    }

    #[inline]
    fn text(&self, place: Place) -> Option<&[u8]> {
        let page = self.pages.get(place.page as usize)?;
        Some(record(&page.bytes, usize::from(place.at))?.1)
    }

    fn append(&mut self, owner: NonZeroU32, text: &[u8]) -> Place {
        let size = HEADER + text.len();
        let (index, length) = if text.len() < LARGE {
            (self.page_with_room(size), u16::try_from(text.len()).unwrap_or(TO_THE_END))
        } else {
            (self.vacant_page(), TO_THE_END)
        };
        let Some(page) = self.pages.get_mut(index) else { return Place::default() };
        if page.bytes.capacity() < page.bytes.len() + size {
            page.grow(size);
        }
        let at = page.bytes.len();
        page.bytes.extend_from_slice(&owner.get().to_le_bytes());
        page.bytes.extend_from_slice(&length.to_le_bytes());
        page.bytes.extend_from_slice(text);
        page.live += size;
        // Neither can be too large: a page has 16 KiB, and 2^32 pages are more than memory.
        Place {
            page: u32::try_from(index).unwrap_or(u32::MAX),
            at: u16::try_from(at).unwrap_or(u16::MAX),
        }
    }

    /// The current page, or a new one when it is full.
    fn page_with_room(&mut self, size: usize) -> usize {
        if let Some(index) = self.current
            && let Some(page) = self.pages.get(index)
            && page.bytes.len() + size <= PAGE
        {
            return index;
        }
        let index = self.vacant_page();
        self.current = Some(index);
        index
    }

    fn vacant_page(&mut self) -> usize {
        if let Some(index) = self.vacant.pop_first() {
            return index;
        }
        self.pages.push(Page::default());
        self.pages.len() - 1
    }

    fn free(&mut self, place: Place) {
        let index = place.page as usize;
        let Some(page) = self.pages.get_mut(index) else { return };
        let at = usize::from(place.at);
        let Some((Some(_), text)) = record(&page.bytes, at) else { return };
        page.live -= HEADER + text.len();
        if page.live == 0 {
            self.drop_page(index);
            return;
        }
        if let Some(owner) = page.bytes.get_mut(at..at + size_of::<u32>()) {
            owner.fill(0);
        }
        if page.is_sparse() {
            self.sparse.push(index);
            self.current = self.current.filter(|&current| current != index);
        }
    }

    /// Moves the texts of a page to the current one.
    fn empty(&mut self, index: usize, mut moved: impl FnMut(NonZeroU32, Place)) {
        let Some(page) = self.pages.get_mut(index) else { return };
        let bytes = core::mem::take(&mut page.bytes);
        let mut at = 0;
        while let Some((owner, text)) = record(&bytes, at) {
            if let Some(owner) = owner {
                moved(owner, self.append(owner, text));
            }
            at += HEADER + text.len();
        }
        self.drop_page(index);
    }

    fn drop_page(&mut self, index: usize) {
        if let Some(page) = self.pages.get_mut(index) {
            *page = Page::default();
        }
        if self.current == Some(index) {
            self.current = None;
        }
        self.vacant.insert(index);
        while self.pages.last().is_some_and(|page| page.bytes.is_empty()) {
            self.pages.pop();
            self.vacant.remove(&self.pages.len());
        }
        if self.pages.capacity() > 4 * self.pages.len() {
            self.pages.shrink_to(2 * self.pages.len());
        }
    }

    fn memory(&self) -> usize {
        let pages: usize = self.pages.iter().map(|page| page.bytes.capacity()).sum();
        pages
            + self.pages.capacity() * size_of::<Page>()
            + self.vacant.len() * 2 * size_of::<usize>()
    }
}

/// The owner and the text of the record that starts at `at`.
#[inline]
fn record(bytes: &[u8], at: usize) -> Option<(Option<NonZeroU32>, &[u8])> {
    let (&[a, b, c, d, e, f], rest) = bytes.get(at..)?.split_first_chunk::<HEADER>()?;
    let length = u16::from_le_bytes([e, f]);
    let text = if length == TO_THE_END { rest } else { rest.get(..usize::from(length))? };
    Some((NonZeroU32::new(u32::from_le_bytes([a, b, c, d])), text))
}

#[cfg(test)]
mod tests {
    //! Texts in, texts out; and how much memory holes may take.

    use core::num::NonZeroU32;
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use siphasher::sip::SipHasher13;

    use super::{HEADER, PAGE, Place, TextMap};
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

    fn text() -> impl Strategy<Value = Vec<u8>> {
        let length =
            prop_oneof![20 => 0..60_usize, 2 => 1_000..3_000_usize, 1 => 60_000..70_000_usize];
        (length, any::<[u8; 3]>()).prop_map(|(length, start)| {
            let mut text = vec![b'x'; length];
            text.iter_mut().zip(start).for_each(|(byte, new)| *byte = new);
            text
        })
    }

    proptest! {
        #[test]
        fn texts_are_found_until_they_are_removed_and_holes_are_closed(
            calls in prop::collection::vec((text(), 0..3_u8), 0..2_000),
        ) {
            let mut map = TextMap::new(SipHasher13::new_with_keys(1, 2));
            let mut places: BTreeMap<Id, Place> = BTreeMap::new();
            let mut model: BTreeMap<Vec<u8>, Id> = BTreeMap::new();
            let mut number = NonZeroU32::MIN;
            for (text, what) in calls {
                let found = map.find(&text, |id| places.get(&id).copied());
                prop_assert_eq!(found, model.get(&text).copied());
                let mut moves = Vec::new();
                match found {
                    None => {
                        let id = Id(number);
                        number = number.saturating_add(1);
                        let place = map.insert(&text, id, |id, place| moves.push((id, place)));
                        places.insert(id, place);
                        model.insert(text, id);
                    }
                    Some(id) if what > 0 => {
                        let place = places[&id];
                        map.remove(id, place, |id, place| moves.push((id, place)));
                        places.remove(&id);
                        model.remove(&text);
                    }
                    Some(_) => {}
                }
                places.extend(moves);
            }
            for (text, id) in &model {
                prop_assert_eq!(map.text(places[id]), &text[..]);
            }
            let needed: usize = model.keys().map(|text| text.len() + HEADER).sum();
            let taken: usize = map.pages.pages.iter().map(|page| page.bytes.len()).sum();
            prop_assert!(taken <= 2 * needed, "{} of {}", taken, needed);
            for id in model.into_values() {
                let place = places[&id];
                map.remove(id, place, |id, place| {
                    places.insert(id, place);
                });
            }
            prop_assert_eq!(map.memory(), 0);
        }
    }

    #[test]
    fn pages_are_filled() {
        let mut map = TextMap::new(SipHasher13::new_with_keys(1, 2));
        for number in 1..=20_000 {
            let id = Id(NonZeroU32::new(number).unwrap());
            map.insert(format!("a text of some {number} bytes").as_bytes(), id, |_, _| {});
        }
        let needed: usize = map.pages.pages.iter().map(|page| page.live).sum();
        assert!(map.pages.memory() < needed + needed / 50 + PAGE);
    }
}
