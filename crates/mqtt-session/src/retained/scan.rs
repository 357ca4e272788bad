//! Walking through the topics that a filter matches, in pieces.

use core::fmt;
use std::collections::btree_map::Range;

use super::{
    RetainedTree,
    judge::{Verdict, first, judge},
    leaf::Leaf,
};

/// Where the replay of one subscription stands in a [`RetainedTree`]: a small value that its owner
/// keeps between scans. It borrows nothing and stays right whatever happens to the tree: no entry
/// is met twice, and none is missed that was there all the time. An entry inserted meanwhile is
/// met if it lies ahead.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cursor {
    place: Place,
    /// With [`Place::Between`]: all topics below this text have been dealt with, and no others.
    from: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Start,
    Between,
    End,
}

impl Cursor {
    /// A cursor before the first topic.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Whether the end has been reached: all further steps give [`Step::Done`].
    #[cfg(test)]
    pub(crate) fn is_done(&self) -> bool {
        self.place == Place::End
    }

    /// A cursor behind a topic: all up to it have been met.
    pub(crate) fn after(topic: &str) -> Self {
        // The text right behind the topic: nothing fits between the two.
        Self { place: Place::Between, from: format!("{topic}\0") }
    }

    /// Whether a topic matches the filter of this cursor and is still to be met.
    pub(crate) fn is_to_meet(&self, filter: &str, topic: &str) -> bool {
        let is_met = match self.place {
            Place::Start => false,
            Place::Between => topic < self.from.as_str(),
            Place::End => true,
        };
        !is_met && judge(filter, topic, &mut String::new()) == Verdict::Match
    }

    fn finish(&mut self) {
        *self = Self { place: Place::End, from: String::new() };
    }
}

/// One step of a [`Scan`].
pub(crate) enum Step<'t, T> {
    /// The next match. It counts as met: the cursor is past it.
    Entry(&'t str, &'t T),
    /// The budget is used up; a new scan with the same cursor goes on from here.
    ComeAgain,
    /// There is no further match.
    Done,
}

/// Takes a [`Cursor`] through the matches of one filter. The search for the cursor's place is made
/// when the scan begins, and the place is written back when it is dropped; so a scan over many
/// entries costs little more than one over one.
pub(crate) struct Scan<'t, 'c, T> {
    tree: &'t RetainedTree<T>,
    filter: &'c str,
    cursor: &'c mut Cursor,
    budget: usize,
    /// The leaf at hand, with its key, and the next entry to look at.
    leaf: Option<(&'t str, &'t Leaf<T>)>,
    at: usize,
    /// The leaves after it, once they are needed.
    rest: Option<Range<'t, Box<str>, Leaf<T>>>,
    /// The last match, if nothing has been looked at since. The cursor stands behind it.
    met: Option<&'t str>,
}

impl<'t, 'c, T> Scan<'t, 'c, T> {
    pub(super) fn new(
        tree: &'t RetainedTree<T>,
        filter: &'c str,
        cursor: &'c mut Cursor,
        budget: usize,
    ) -> Self {
        if cursor.place == Place::Start {
            *cursor = Cursor { place: Place::Between, from: first(filter).to_owned() };
        }
        let mut scan =
            Self { tree, filter, cursor, budget, leaf: None, at: 0, rest: None, met: None };
        scan.search();
        scan
    }

    /// The next step.
    pub(crate) fn step(&mut self) -> Step<'t, T> {
        while self.cursor.place != Place::End {
            if self.budget == 0 {
                return Step::ComeAgain;
            }
            self.budget -= 1;
            let Some((topic, value)) = self.entry() else {
                self.end();
                break;
            };
            match judge(self.filter, topic, &mut self.cursor.from) {
                Verdict::Match => {
                    self.at += 1;
                    self.met = Some(topic);
                    return Step::Entry(topic, value);
                }
                Verdict::Seek => self.seek(),
                Verdict::End => self.end(),
            }
        }
        Step::Done
    }

    /// The entry to look at.
    #[inline]
    fn entry(&mut self) -> Option<(&'t str, &'t T)> {
        loop {
            if let Some((_, leaf)) = self.leaf
                && let Some(entry) = leaf.entry(self.at)
            {
                return Some(entry);
            }
            let before = self.leaf.map(|(key, _)| key);
            let rest = self.rest.get_or_insert_with(|| self.tree.leaves_after(before));
            let (key, leaf) = rest.next()?;
            self.leaf = Some((key, leaf));
            self.at = 0;
        }
    }

    /// Goes forward to the first entry that is not below `cursor.from`.
    fn seek(&mut self) {
        self.met = None;
        let target = self.cursor.from.as_str();
        let reaches = |leaf: &Leaf<T>, at| leaf.topic(at).is_some_and(|topic| topic >= target);
        match self.leaf {
            // Most often it is the next entry or one close by.
            Some((_, leaf)) if reaches(leaf, self.at + 1) => self.at += 1,
            Some((_, leaf)) if reaches(leaf, leaf.len() - 1) => {
                self.at = leaf.lower_bound(self.at + 2, target);
            }
            _ => self.search(),
        }
    }

    /// Finds the first entry that is not below `cursor.from`.
    fn search(&mut self) {
        let target = self.cursor.from.as_str();
        self.leaf = self.tree.leaf(target);
        self.at = self.leaf.map_or(0, |(_, leaf)| leaf.lower_bound(0, target));
        self.rest = None;
    }

    fn end(&mut self) {
        self.met = None;
        self.cursor.finish();
    }
}

impl<T> Drop for Scan<'_, '_, T> {
    fn drop(&mut self) {
        if let Some(topic) = self.met {
            let from = &mut self.cursor.from;
            from.clear();
            from.push_str(topic);
            // The text right behind the topic: nothing fits between the two.
            from.push('\0');
        }
    }
}

impl<T> fmt::Debug for Step<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry(topic, _) => f.debug_tuple("Entry").field(topic).finish_non_exhaustive(),
            Self::ComeAgain => f.write_str("ComeAgain"),
            Self::Done => f.write_str("Done"),
        }
    }
}

impl<T> fmt::Debug for Scan<'_, '_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan")
            .field("filter", &self.filter)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}
