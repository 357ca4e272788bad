//! Matching: the filters of the trie that a topic leads to, in a fixed order.
//!
//! Depth first, the literal child before `+`, and back up by the parent links: no recursion, no
//! stack and no allocation, whatever the depth. Each node is entered at most once, and of all nodes
//! of one shape at most one (see `shapes.rs`), which bounds the whole.

use super::{
    FilterId,
    levels::{LevelId, Levels},
    trie::{Literals, Trie},
};

/// Levels whose bounds and ids are remembered. Deeper topics are matched as well; they look a level
/// up again when the walk comes back to it from more than this many levels below.
const REMEMBERED: usize = 16;

impl Trie {
    /// Calls `found` for each wildcard filter that matches `topic`. Returns how many nodes it has
    /// entered, which is at most [`bound`](Self::bound).
    // The levels that it remembers take much of the stack, which is not taken where there is no
    // filter with a wildcard.
    #[inline(never)]
    pub(super) fn for_each_match(&self, topic: &[u8], mut found: impl FnMut(FilterId)) -> usize {
        // [MQTT-4.7.2-1] Wildcards in the first level do not reach these topics.
        let reserved = topic.first() == Some(&b'$');
        let mut levels = TopicLevels::new(topic);
        let mut at = self.root;
        // The number of levels on the path to `at`, and where the topic's next level starts.
        let (mut depth, mut start) = (0, 0);
        // How many nodes on the path have a `+` child that is still to be entered.
        let mut pending = 0_usize;
        let mut entered = 0;
        while let Some(mut node) = self.nodes.get(at) {
            entered += 1;
            let wildcards = depth > 0 || !reserved;
            let mut next = None;
            if wildcards && let Some(filter) = node.subtree {
                found(filter);
            }
            if start > topic.len() {
                if let Some(filter) = node.here {
                    found(filter);
                }
            } else if let Some(level) = levels.level(depth, start) {
                let plus = if wildcards { node.plus } else { None };
                next = match node.literals {
                    Literals::None => None,
                    Literals::One(child) => {
                        let wanted = self.nodes.get(child).and_then(|child| child.level);
                        wanted.filter(|&id| level.is(id, topic, &self.levels)).and(Some(child))
                    }
                    Literals::Many(_) => {
                        level.id(topic, &self.levels).and_then(|id| self.edge(at, id))
                    }
                };
                pending += usize::from(next.is_some() && plus.is_some());
                next = next.or(plus);
                if next.is_some() {
                    depth += 1;
                    start = level.end + 1;
                }
            }
            // Up to the next node whose literal child is done and whose `+` child is not. It takes
            // the same level of the topic.
            while next.is_none() {
                let literal = node.level.is_some();
                let (Some(parent), 1..) = (node.parent, pending) else { return entered };
                let Some(above) = self.nodes.get(parent) else { return entered };
                if literal && (depth > 1 || !reserved) && above.plus.is_some() {
                    pending -= 1;
                    next = above.plus;
                } else {
                    node = above;
                    depth -= 1;
                    start = levels.start(depth, start);
                }
            }
            let Some(next) = next else { return entered };
            at = next;
        }
        entered
    }
}

/// The levels of a topic, each looked up when it is first needed.
struct TopicLevels<'a> {
    topic: &'a [u8],
    remembered: [TopicLevel; REMEMBERED],
}

#[derive(Clone, Copy)]
struct TopicLevel {
    /// The number of this level counted from 1; 0 when nothing is remembered.
    number: usize,
    start: usize,
    end: usize,
    /// `None`: not looked up; `Some(None)`: no filter names this level.
    id: Option<Option<LevelId>>,
}

impl<'a> TopicLevels<'a> {
    #[inline]
    fn new(topic: &'a [u8]) -> Self {
        let nothing = TopicLevel { number: 0, start: 0, end: 0, id: None };
        Self { topic, remembered: [nothing; REMEMBERED] }
    }

    /// The level below `depth` others, which starts at `start`.
    #[inline]
    fn level(&mut self, depth: usize, start: usize) -> Option<&mut TopicLevel> {
        let level = self.remembered.get_mut(depth % REMEMBERED)?;
        if level.number != depth + 1 {
            let rest = self.topic.get(start..)?;
            let length = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
            *level = TopicLevel { number: depth + 1, start, end: start + length, id: None };
        }
        Some(level)
    }

    /// Where the level below `depth` others starts; the one after it starts at `next`.
    #[inline]
    fn start(&self, depth: usize, next: usize) -> usize {
        match self.remembered.get(depth % REMEMBERED) {
            Some(level) if level.number == depth + 1 => level.start,
            _ => {
                let before = self.topic.get(..next.saturating_sub(1)).unwrap_or_default();
                before.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1)
            }
        }
    }
}

impl TopicLevel {
    /// Whether this is the level `id`. Comparing takes less than looking it up.
    #[inline]
    fn is(&mut self, id: LevelId, topic: &[u8], levels: &Levels) -> bool {
        if let Some(known) = self.id {
            return known == Some(id);
        }
        let same = topic.get(self.start..self.end) == Some(levels.text(id));
        if same {
            self.id = Some(Some(id));
        }
        same
    }

    #[inline]
    fn id(&mut self, topic: &[u8], levels: &Levels) -> Option<LevelId> {
        *self.id.get_or_insert_with(|| levels.find(topic.get(self.start..self.end)?))
    }
}
