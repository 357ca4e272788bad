//! Wildcard filters: a trie whose edges are interned levels.
//!
//! A node stands for the beginning of a filter, so each node has one path to it. Edges to
//! literal levels are in one hash table keyed by node and level, unless a node has but one; `+` is a field of the node, and a
//! `#` is not a node at all but a second filter at the node it follows.

use core::num::NonZeroU32;

use siphasher::sip::SipHasher13;

use super::{
    FilterId,
    levels::{LevelId, Levels},
    pattern::{Level, Pattern, Tail},
    shapes::{Kind, ShapeId, Shapes},
    table::Table,
};
use crate::arena::{Arena, Key};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeId(NonZeroU32);

impl Key for NodeId {
    fn from_number(number: NonZeroU32) -> Self {
        Self(number)
    }

    fn number(self) -> NonZeroU32 {
        self.0
    }
}

pub(super) struct Trie {
    edge_key: [u64; 2],
    pub(super) root: NodeId,
    pub(super) nodes: Arena<NodeId, Node>,
    edges: Table<NodeId>,
    pub(super) levels: Levels,
    shapes: Shapes,
    /// How many filters there are.
    filters: usize,
}

#[derive(Default)]
pub(super) struct Node {
    pub(super) parent: Option<NodeId>,
    /// `None`: a `+`, or the root.
    pub(super) level: Option<LevelId>,
    pub(super) plus: Option<NodeId>,
    pub(super) literals: Literals,
    pub(super) here: Option<FilterId>,
    pub(super) subtree: Option<FilterId>,
    shape: Option<ShapeId>,
}

/// The children for literal levels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Literals {
    #[default]
    None,
    /// One, as most nodes have. It is not in the table of edges.
    One(NodeId),
    /// So many, all in the table of edges. After removals it can be one.
    Many(u32),
}

impl Node {
    fn filter(&mut self, tail: Tail) -> &mut Option<FilterId> {
        match tail {
            Tail::Here => &mut self.here,
            Tail::Subtree => &mut self.subtree,
        }
    }

    fn is_unused(&self) -> bool {
        self.plus.is_none()
            && self.literals == Literals::None
            && self.here.is_none()
            && self.subtree.is_none()
    }
}

impl Trie {
    pub(super) fn new(hasher: SipHasher13) -> Self {
        let mut shapes = Shapes::new();
        let shape = Some(shapes.acquire(None));
        let mut nodes = Arena::new();
        let root = nodes.insert(Node { shape, ..Node::default() });
        // Odd, because an even factor loses bits.
        let edge_key = [hasher.hash(b"edge"), hasher.hash(b"factor") | 1];
        let (edges, levels) = (Table::new(), Levels::new(hasher));
        Self { edge_key, root, nodes, edges, levels, shapes, filters: 0 }
    }

    pub(super) fn root(&self) -> NodeId {
        self.root
    }

    /// Whether there is no filter in the trie.
    pub(super) const fn is_empty(&self) -> bool {
        self.filters == 0
    }

    /// The filter with this path and tail.
    pub(super) fn find(&self, pattern: Pattern<'_>) -> Option<FilterId> {
        let mut at = self.root;
        for level in pattern.levels() {
            at = match level {
                Level::Plus => self.nodes.get(at)?.plus?,
                Level::Text(text) => self.child(at, self.levels.find(text.as_bytes())?)?,
            };
        }
        let node = self.nodes.get(at)?;
        match pattern.tail {
            Tail::Here => node.here,
            Tail::Subtree => node.subtree,
        }
    }

    /// Adds a filter that is not in the trie and returns its node.
    pub(super) fn insert(&mut self, pattern: Pattern<'_>, filter: FilterId) -> NodeId {
        let mut at = self.root;
        for level in pattern.levels() {
            at = match level {
                Level::Plus => self
                    .nodes
                    .get(at)
                    .and_then(|node| node.plus)
                    .unwrap_or_else(|| self.add_plus(at)),
                Level::Text(text) => self
                    .levels
                    .find(text.as_bytes())
                    .and_then(|level| self.child(at, level))
                    .unwrap_or_else(|| self.add_literal(at, text)),
            };
        }
        if let Some(node) = self.nodes.get_mut(at) {
            *node.filter(pattern.tail) = Some(filter);
            self.filters += 1;
        }
        at
    }

    /// Takes a filter from its node and frees the nodes that are left without use.
    pub(super) fn remove(&mut self, mut at: NodeId, tail: Tail) {
        if let Some(node) = self.nodes.get_mut(at)
            && node.filter(tail).take().is_some()
        {
            self.filters -= 1;
        }
        while let Some(node) = self.nodes.get(at)
            && let Some(parent) = node.parent
            && node.is_unused()
        {
            let (level, shape) = (node.level, node.shape);
            match level {
                Some(level) => {
                    self.unlink(parent, level, at);
                    self.levels.release(level);
                }
                None => {
                    if let Some(parent) = self.nodes.get_mut(parent) {
                        parent.plus = None;
                    }
                }
            }
            if let Some(shape) = shape {
                self.shapes.release(shape);
            }
            self.nodes.remove(at);
            at = parent;
        }
    }

    /// Appends the levels that lead to a node, with `/` between them.
    pub(super) fn path_text(&self, mut at: NodeId, out: &mut String) {
        let mut path = Vec::new();
        while let Some(node) = self.nodes.get(at)
            && let Some(parent) = node.parent
        {
            path.push(node.level);
            at = parent;
        }
        for (depth, level) in path.into_iter().rev().enumerate() {
            if depth > 0 {
                out.push('/');
            }
            match level {
                Some(level) => out.push_str(&String::from_utf8_lossy(self.levels.text(level))),
                None => out.push('+'),
            }
        }
    }

    /// How many nodes matching can enter at most: one for each shape.
    pub(super) fn bound(&self) -> usize {
        self.shapes.len()
    }

    /// How many shapes the pattern would add.
    pub(super) fn new_shapes(&self, pattern: Pattern<'_>) -> usize {
        let Some(root) = self.nodes.get(self.root).and_then(|root| root.shape) else { return 0 };
        let kinds = pattern.levels().map(|level| match level {
            Level::Plus => Kind::Plus,
            Level::Text(_) => Kind::Text,
        });
        self.shapes.missing(root, kinds)
    }

    pub(super) fn memory(&self) -> usize {
        self.nodes.memory() + self.edges.memory() + self.levels.memory() + self.shapes.memory()
    }

    /// The child of a node for a literal level.
    fn child(&self, parent: NodeId, level: LevelId) -> Option<NodeId> {
        match self.nodes.get(parent)?.literals {
            Literals::None => None,
            Literals::One(child) => (self.nodes.get(child)?.level == Some(level)).then_some(child),
            Literals::Many(_) => self.edge(parent, level),
        }
    }

    /// The child of a node that has [`Literals::Many`].
    #[inline]
    pub(super) fn edge(&self, parent: NodeId, level: LevelId) -> Option<NodeId> {
        self.edges.find(self.edge_hash(parent, level), |child| {
            self.nodes
                .get(child)
                .is_some_and(|node| node.parent == Some(parent) && node.level == Some(level))
        })
    }

    /// Edges are made of numbers that the trie gives out itself, so this need not withstand what
    /// texts have to; a keyed multiplication takes a third of the time.
    #[inline]
    fn edge_hash(&self, parent: NodeId, level: LevelId) -> u32 {
        let [add, multiply] = self.edge_key;
        let edge = u64::from(parent.number().get()) << 32 | u64::from(level.number().get());
        let product = u128::from(edge ^ add) * u128::from(multiply);
        (product as u64 ^ (product >> 64) as u64) as u32
    }

    fn add_plus(&mut self, parent: NodeId) -> NodeId {
        let child = self.add_node(parent, None, Kind::Plus);
        if let Some(parent) = self.nodes.get_mut(parent) {
            parent.plus = Some(child);
        }
        child
    }

    fn add_literal(&mut self, parent: NodeId, text: &str) -> NodeId {
        let level = self.levels.acquire(text.as_bytes());
        let child = self.add_node(parent, Some(level), Kind::Text);
        self.link(parent, level, child);
        child
    }

    fn link(&mut self, parent: NodeId, level: LevelId, child: NodeId) {
        let literals = self.nodes.get(parent).map(|node| node.literals).unwrap_or_default();
        let literals = match literals {
            Literals::None => Literals::One(child),
            Literals::One(other) => {
                if let Some(other_level) = self.nodes.get(other).and_then(|other| other.level) {
                    self.edges.insert(self.edge_hash(parent, other_level), other);
                }
                self.edges.insert(self.edge_hash(parent, level), child);
                Literals::Many(2)
            }
            Literals::Many(count) => {
                self.edges.insert(self.edge_hash(parent, level), child);
                Literals::Many(count + 1)
            }
        };
        if let Some(parent) = self.nodes.get_mut(parent) {
            parent.literals = literals;
        }
    }

    fn unlink(&mut self, parent: NodeId, level: LevelId, child: NodeId) {
        let hash = self.edge_hash(parent, level);
        let Some(parent) = self.nodes.get_mut(parent) else { return };
        parent.literals = match parent.literals {
            Literals::None | Literals::One(_) => Literals::None,
            Literals::Many(count) => {
                self.edges.remove(hash, child);
                if count > 1 { Literals::Many(count - 1) } else { Literals::None }
            }
        };
    }

    fn add_node(&mut self, parent: NodeId, level: Option<LevelId>, kind: Kind) -> NodeId {
        let beginning = self.nodes.get(parent).and_then(|node| node.shape);
        let shape = self.shapes.acquire(beginning.map(|shape| (shape, kind)));
        self.nodes.insert(Node {
            parent: Some(parent),
            level,
            shape: Some(shape),
            ..Node::default()
        })
    }
}
