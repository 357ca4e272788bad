//! What goes to the store in one piece, and how the store answers.

use std::sync::Arc;

use super::Change;

/// Changes that are committed together or not at all.
///
/// The driver writes them in their order, behind those of all earlier batches, and then calls
/// [`Broker::handle_committed`](crate::Broker::handle_committed) or
/// [`Broker::handle_commit_failed`](crate::Broker::handle_commit_failed) with the token.
#[derive(Clone, Debug)]
#[must_use = "acknowledgements wait until the batch is committed"]
pub struct StoreBatch {
    pub(super) token: CommitToken,
    pub(super) changes: Arc<Vec<Change>>,
    pub(super) is_snapshot: bool,
}

impl StoreBatch {
    /// What the answer names the batch by.
    pub const fn token(&self) -> CommitToken {
        self.token
    }

    /// The changes in their order; never none.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Whether the changes take the place of everything that was stored before, as those of
    /// [`Broker::poll_snapshot`](crate::Broker::poll_snapshot) do.
    pub const fn is_snapshot(&self) -> bool {
        self.is_snapshot
    }
}

/// Names a [`StoreBatch`] of one broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitToken(pub(super) u64);

/// Why a batch was not committed. Nothing of it may be found in the store afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store could not write. What waits for the batch is refused with 0x83 (Implementation
    /// specific error).
    #[error("the store could not write")]
    Failed,
    /// The store has no room. What waits for the batch is refused with 0x97 (Quota exceeded).
    #[error("the store has no room left")]
    Full,
}
