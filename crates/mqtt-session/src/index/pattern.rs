//! Filters taken apart: levels, and whether `#` follows.

/// Where a filter ends in the trie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// At its last level.
    Here,
    /// With a `#` behind its last level: there and everywhere below [MQTT-4.7.1-1].
    Subtree,
}

/// One level of a filter, `#` excepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level<'a> {
    Text(&'a str),
    /// Any one level [MQTT-4.7.1-2].
    Plus,
}

/// A filter with a wildcard in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pattern<'a> {
    /// What stands before the tail; `None` in the filter `#`, which has no level before it.
    path: Option<&'a str>,
    pub(super) tail: Tail,
}

impl<'a> Pattern<'a> {
    /// Takes a filter apart; `None` if it has no wildcard.
    pub(super) fn new(filter: &'a str) -> Option<Self> {
        // Most filters have none, and finding that out byte by byte is quickest.
        if !filter.bytes().any(|byte| matches!(byte, b'+' | b'#')) {
            return None;
        }
        let (path, tail) = match filter.strip_suffix('#') {
            Some("") => (None, Tail::Subtree),
            Some(rest) => match rest.strip_suffix('/') {
                Some(path) => (Some(path), Tail::Subtree),
                None => (Some(filter), Tail::Here),
            },
            None => (Some(filter), Tail::Here),
        };
        let pattern = Self { path, tail };
        let wild = tail == Tail::Subtree || pattern.levels().any(|level| level == Level::Plus);
        wild.then_some(pattern)
    }

    pub(super) fn levels(&self) -> impl Iterator<Item = Level<'a>> + use<'a> {
        let texts = self.path.into_iter().flat_map(|path| path.split('/'));
        texts.map(|text| if text == "+" { Level::Plus } else { Level::Text(text) })
    }
}
