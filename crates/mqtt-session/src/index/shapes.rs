//! The shapes of filter beginnings: where a `+` stands and where a text, whatever the text.
//!
//! This is what bounds the work of matching. A topic decides the text of every level, so of all
//! trie nodes with the same shape it can reach only one: however many filters there are, matching
//! visits no more nodes than there are shapes. Filters as people write them have a few dozen
//! shapes; a peer that wants matching to be slow has to create shapes, and they are counted.

use core::num::NonZeroU32;

use crate::arena::{Arena, Key};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ShapeId(NonZeroU32);

impl Key for ShapeId {
    fn from_number(number: NonZeroU32) -> Self {
        Self(number)
    }

    fn number(self) -> NonZeroU32 {
        self.0
    }
}

/// One more level at the end of a shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Plus,
}

/// The shapes of all trie nodes: a trie with two branches.
pub(super) struct Shapes {
    shapes: Arena<ShapeId, Shape>,
}

#[derive(Default)]
struct Shape {
    parent: Option<ShapeId>,
    text: Option<ShapeId>,
    plus: Option<ShapeId>,
    /// How many trie nodes have this shape.
    nodes: u32,
}

impl Shape {
    fn longer(&self, kind: Kind) -> Option<ShapeId> {
        match kind {
            Kind::Text => self.text,
            Kind::Plus => self.plus,
        }
    }

    fn longer_mut(&mut self, kind: Kind) -> &mut Option<ShapeId> {
        match kind {
            Kind::Text => &mut self.text,
            Kind::Plus => &mut self.plus,
        }
    }
}

impl Shapes {
    pub(super) fn new() -> Self {
        Self { shapes: Arena::new() }
    }

    /// The number of shapes.
    pub(super) fn len(&self) -> usize {
        self.shapes.len()
    }

    /// Counts a node: one of the shape `parent` with one level more, or the root.
    pub(super) fn acquire(&mut self, parent: Option<(ShapeId, Kind)>) -> ShapeId {
        let known = parent.and_then(|(shape, kind)| self.shapes.get(shape)?.longer(kind));
        let id = known.unwrap_or_else(|| {
            let shape = Shape { parent: parent.map(|(shape, _)| shape), ..Shape::default() };
            let id = self.shapes.insert(shape);
            if let Some((parent, kind)) = parent
                && let Some(parent) = self.shapes.get_mut(parent)
            {
                *parent.longer_mut(kind) = Some(id);
            }
            id
        });
        if let Some(shape) = self.shapes.get_mut(id) {
            shape.nodes += 1;
        }
        id
    }

    /// Takes a node back. Its children must have gone before.
    pub(super) fn release(&mut self, id: ShapeId) {
        let Some(shape) = self.shapes.get_mut(id) else { return };
        shape.nodes -= 1;
        if shape.nodes > 0 {
            return;
        }
        let parent = shape.parent;
        self.shapes.remove(id);
        if let Some(parent) = parent.and_then(|parent| self.shapes.get_mut(parent)) {
            for branch in [&mut parent.text, &mut parent.plus] {
                if *branch == Some(id) {
                    *branch = None;
                }
            }
        }
    }

    /// How many of the shapes that a path from `root` passes do not exist yet.
    pub(super) fn missing(&self, root: ShapeId, path: impl Iterator<Item = Kind>) -> usize {
        let mut at = Some(root);
        let mut missing = 0;
        for kind in path {
            at = at.and_then(|shape| self.shapes.get(shape)?.longer(kind));
            missing += usize::from(at.is_none());
        }
        missing
    }

    pub(super) fn memory(&self) -> usize {
        self.shapes.memory()
    }
}
