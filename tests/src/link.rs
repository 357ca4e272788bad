//! The transport between a client and a broker: it delivers in pieces, and it fails where a test
//! wants it to.

use crate::peer::Peer;
use crate::pieces::Pieces;

/// Where a link fails. What was under way behind that place is lost, in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cut {
    /// Nowhere.
    #[default]
    Never,
    /// After the broker has received so many bytes.
    ToBroker(usize),
    /// After the client has received so many bytes.
    ToClient(usize),
}

/// One network connection of a client.
#[derive(Debug)]
pub(crate) struct Link {
    /// The broker's end.
    pub(crate) peer: Peer,
    pub(crate) pieces: Pieces,
    /// Nothing reaches the client any more.
    pub(crate) loses_answers: bool,
    cut: Cut,
    to_broker: usize,
    to_client: usize,
}

impl Link {
    pub(crate) fn new(peer: Peer, pieces: Pieces, cut: Cut) -> Self {
        Self { peer, pieces, loses_answers: false, cut, to_broker: 0, to_client: 0 }
    }

    /// How many of the bytes that came to the client's end it was given.
    pub(crate) fn delivered(&self) -> usize {
        self.to_client
    }

    /// Takes what reaches the broker of these bytes, and says whether the link has failed then.
    pub(crate) fn carry_to_broker<'a>(&mut self, bytes: &'a [u8]) -> (&'a [u8], bool) {
        let left = match self.cut {
            Cut::ToBroker(at) => at - self.to_broker,
            Cut::Never | Cut::ToClient(_) => usize::MAX,
        };
        let carried = &bytes[..bytes.len().min(left)];
        self.to_broker += carried.len();
        (carried, carried.len() == left)
    }

    /// Takes what reaches the client of these bytes, a piece, and says whether the link has failed
    /// then.
    pub(crate) fn carry_to_client<'a>(&mut self, bytes: &'a [u8]) -> (&'a [u8], bool) {
        let left = match self.cut {
            Cut::ToClient(at) => at - self.to_client,
            Cut::Never | Cut::ToBroker(_) => usize::MAX,
        };
        let (piece, _) = self.pieces.split(0, bytes);
        let carried = &piece[..piece.len().min(left)];
        self.to_client += carried.len();
        (carried, carried.len() == left)
    }
}
