//! The sending side of QoS 1 and QoS 2, and the packet identifiers of one side.
//!
//! ```text
//!              send(QoS 1)                      send(QoS 2)
//!  (free) ----------------> Publish1   (free) ----------------> Publish2
//!    ^                         |          ^                        |
//!    |         PUBACK          |          |   PUBREC >= 0x80       |  PUBREC < 0x80
//!    +-------------------------+          +------------------------+----------+
//!                                         |         PUBCOMP                   v
//!                                         +------------------------------ Released
//!  (free) -- request() --> Request -- SUBACK, UNSUBACK --> (free)
//! ```
//!
//! A packet identifier is the place of its exchange in a table, plus one: finding an exchange is
//! an array access, and the table is as long as the most exchanges that were ever open at once.
//! Free places are used again in the order in which they became free.

use core::mem;
use core::num::NonZeroU16;

use mqtt_codec::{PacketId, QoS};

/// The open exchanges that this side began, each with an item `T` of the owner's.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing<T> {
    /// The exchange of packet identifier `n` stands at `n - 1`.
    places: Vec<Place<T>>,
    /// The ends of the list of free places: packet identifiers, 0 for none.
    first_free: u16,
    last_free: u16,
    /// Places in use.
    open: u16,
    /// How many more QoS 1 and QoS 2 PUBLISHes this connection may carry now.
    quota: u16,
    /// The quota with which the connection began.
    initial_quota: u16,
    /// What orders exchanges by their last step.
    next_order: u64,
    /// What must be sent again on this connection, last first.
    resend: Vec<PacketId>,
    /// The order of the first step that is taken on this connection.
    connection_order: u64,
}

#[derive(Clone, Debug)]
struct Place<T> {
    /// When the PUBLISH was first sent, or when its PUBREC came.
    order: u64,
    /// Whether this exchange holds a unit of the connection's quota.
    charged: bool,
    state: State<T>,
}

#[derive(Clone, Debug)]
enum State<T> {
    /// Not in use; the packet identifier of the next free place, 0 for none.
    Free { next: u16 },
    /// A SUBSCRIBE or UNSUBSCRIBE waits for its answer.
    Request(T),
    /// A QoS 1 PUBLISH waits for PUBACK [MQTT-4.3.2-3].
    Publish1(T),
    /// A QoS 2 PUBLISH waits for PUBREC [MQTT-4.3.3-3].
    Publish2(T),
    /// A PUBREL waits for PUBCOMP [MQTT-4.3.3-5].
    Released(T),
}

/// The state of an exchange as others may see it, for saving and restoring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exchange {
    /// A QoS 1 PUBLISH waits for PUBACK.
    Publish1,
    /// A QoS 2 PUBLISH waits for PUBREC.
    Publish2,
    /// A PUBREL waits for PUBCOMP.
    Released,
}

/// What a PUBACK, PUBCOMP, SUBACK or UNSUBACK did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Acknowledged<T> {
    /// The exchange is over; its identifier is free.
    Done(T),
    /// No exchange has this identifier: nothing happened.
    Unknown,
    /// The exchange of this identifier waits for another packet: a Protocol Error of the peer.
    Mismatch,
}

/// What a PUBREC did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Recorded<'a, T> {
    /// PUBREL must be sent now. The message itself is not needed any more.
    Release(&'a mut T),
    /// PUBREL was sent before and must be sent again.
    ReleaseAgain,
    /// The receiver refused the message: the exchange is over.
    Refused(T),
    /// No exchange has this identifier: PUBREL with 0x92 is the answer.
    Unknown,
    /// The exchange of this identifier waits for another packet: a Protocol Error of the peer.
    Mismatch,
}

/// What must be sent again on a resumed session.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Resend<'a, T> {
    /// The PUBLISH, with DUP set and its identifier.
    Publish(PacketId, QoS, &'a mut T),
    /// The PUBREL.
    PubRel(PacketId),
}

impl<T> Default for Outgoing<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Outgoing<T> {
    /// No exchange is open, and nothing may be sent before `start_connection`.
    pub(crate) const fn new() -> Self {
        Self {
            places: Vec::new(),
            first_free: 0,
            last_free: 0,
            open: 0,
            quota: 0,
            initial_quota: 0,
            next_order: 0,
            resend: Vec::new(),
            connection_order: 0,
        }
    }

    /// A new network connection carries the exchanges from here on.
    ///
    /// `receive_maximum` is the peer's, or less if this side wants to keep fewer in flight; the
    /// whole quota is there again. What is open must be sent again, PUBRELs in the order of their
    /// PUBRECs and then PUBLISHes in the order of their first sending: `next_resend` hands it out.
    pub(crate) fn start_connection(&mut self, receive_maximum: NonZeroU16) {
        // [MQTT-4.9.0-1]
        self.initial_quota = receive_maximum.get();
        self.quota = receive_maximum.get().saturating_add(u16::from(sabotaged!(QuotaTooLarge)));
        self.resend.clear();
        self.connection_order = self.next_order;
        for (place, id) in self.places.iter_mut().zip(1..=u16::MAX) {
            place.charged = false;
            match place.state {
                State::Publish1(_) | State::Publish2(_) | State::Released(_) => {
                    self.resend.extend(PacketId::new(id));
                }
                State::Free { .. } | State::Request(_) => {}
            }
        }
        // [MQTT-4.6.0-1] [MQTT-4.6.0-4]
        let places = &self.places;
        self.resend.sort_unstable_by_key(|&id| {
            let place = places.get(index(id));
            let published = place.is_some_and(|place| !matches!(place.state, State::Released(_)));
            core::cmp::Reverse((published, place.map_or(0, |place| place.order)))
        });
        if sabotaged!(ResendReversed) {
            self.resend.reverse();
        }
        if sabotaged!(NothingSentAgain) {
            self.resend.clear();
        }
    }

    /// What to send again next, if anything may be sent again now; a PUBLISH takes its unit of
    /// quota with this call.
    ///
    /// Nothing is sent again at any other time than on a resumed session [MQTT-4.4.0-1].
    pub(crate) fn next_resend(&mut self) -> Option<Resend<'_, T>> {
        self.skip_settled();
        let id = *self.resend.last()?;
        let place = self.places.get_mut(index(id))?;
        let qos = match place.state {
            State::Publish1(_) => QoS::AtLeastOnce,
            State::Publish2(_) => QoS::ExactlyOnce,
            State::Released(_) if sabotaged!(PubRelForgotten) => {
                self.resend.pop();
                return None;
            }
            State::Released(_) => {
                self.resend.pop();
                return Some(Resend::PubRel(id));
            }
            State::Free { .. } | State::Request(_) => return None,
        };
        // [MQTT-4.9.0-2]
        if self.quota == 0 {
            return None;
        }
        self.quota -= 1;
        self.resend.pop();
        place.charged = true;
        match &mut place.state {
            State::Publish1(item) | State::Publish2(item) => Some(Resend::Publish(id, qos, item)),
            State::Free { .. } | State::Request(_) | State::Released(_) => None,
        }
    }

    /// Takes out of `resend` what was settled on this connection before its turn came: it was
    /// acknowledged, or its PUBREC came and the PUBREL was sent at once.
    fn skip_settled(&mut self) {
        while let Some(&id) = self.resend.last() {
            let is_owed = self.places.get(index(id)).is_some_and(|place| match place.state {
                State::Publish1(_) | State::Publish2(_) => true,
                State::Released(_) => place.order < self.connection_order,
                State::Free { .. } | State::Request(_) => false,
            });
            if is_owed {
                return;
            }
            self.resend.pop();
        }
    }

    /// The item of the PUBLISH that `next_resend` would hand out; `None` for a PUBREL, or if
    /// nothing may be sent again now.
    pub(crate) fn peek_resend(&mut self) -> Option<&T> {
        self.skip_settled();
        let id = *self.resend.last()?;
        match &self.places.get(index(id))?.state {
            State::Publish1(item) | State::Publish2(item) => (self.quota > 0).then_some(item),
            State::Free { .. } | State::Request(_) | State::Released(_) => None,
        }
    }

    /// How many packets wait to be sent again, at the most.
    pub(crate) const fn to_resend(&self) -> usize {
        self.resend.len()
    }

    /// Whether something waits to be sent again.
    pub(crate) fn must_resend(&self) -> bool {
        !self.resend.is_empty()
    }

    /// Whether a new QoS 1 or QoS 2 message may be sent now: quota is left, an identifier is
    /// free, and nothing older has to be sent again first.
    pub(crate) fn may_send(&self) -> bool {
        self.quota > 0 && self.open < u16::MAX && self.resend.is_empty()
    }

    /// How many exchanges are open, requests included.
    pub(crate) const fn open(&self) -> u16 {
        self.open
    }

    /// Opens an exchange for a PUBLISH that is sent now and takes a unit of quota for it.
    ///
    /// `None` if it may not be sent now, or if `qos` is 0, which needs no exchange.
    #[inline(always)]
    pub(crate) fn send(&mut self, qos: QoS, item: T) -> Option<PacketId> {
        let state = match qos {
            QoS::AtMostOnce => return None,
            QoS::AtLeastOnce => State::Publish1(item),
            QoS::ExactlyOnce => State::Publish2(item),
        };
        // [MQTT-4.9.0-2] [MQTT-3.3.4-7] [MQTT-3.3.4-9]
        if !self.may_send() {
            return None;
        }
        let id = self.open_place(state, true)?;
        if sabotaged!(QuotaNotCharged) {
            return Some(id);
        }
        self.quota -= 1;
        Some(id)
    }

    /// Opens an exchange for a SUBSCRIBE or UNSUBSCRIBE; these need no quota [MQTT-4.9.0-3].
    ///
    /// `None` if all 65,535 identifiers are in use.
    pub(crate) fn request(&mut self, item: T) -> Option<PacketId> {
        self.open_place(State::Request(item), false)
    }

    /// A PUBACK came, whatever its reason [MQTT-4.4.0-2].
    pub(crate) fn on_puback(&mut self, id: PacketId) -> Acknowledged<T> {
        self.finish(id, |state| matches!(state, State::Publish1(_)))
    }

    /// A PUBREC came; `refused` if its reason is 0x80 or above.
    pub(crate) fn on_pubrec(&mut self, id: PacketId, refused: bool) -> Recorded<'_, T> {
        match self.places.get(index(id)).map(|place| &place.state) {
            Some(State::Publish2(_)) => {}
            Some(State::Released(_)) => return Recorded::ReleaseAgain,
            Some(State::Free { .. }) | None => return Recorded::Unknown,
            Some(State::Request(_) | State::Publish1(_)) => return Recorded::Mismatch,
        }
        if refused {
            // [MQTT-4.3.3-4] [MQTT-4.4.0-2]: no PUBREL, and the message is not sent again.
            return match self.finish(id, |state| matches!(state, State::Publish2(_))) {
                Acknowledged::Done(item) => Recorded::Refused(item),
                Acknowledged::Unknown | Acknowledged::Mismatch => Recorded::Unknown,
            };
        }
        let Some(place) = self.places.get_mut(index(id)) else { return Recorded::Unknown };
        // [MQTT-4.3.3-6]: from here on only the PUBREL can be sent again.
        if let State::Publish2(item) = mem::replace(&mut place.state, State::Free { next: 0 }) {
            place.order = self.next_order;
            place.state = State::Released(item);
            self.next_order += 1;
        }
        match &mut place.state {
            State::Released(item) => Recorded::Release(item),
            State::Free { .. } | State::Request(_) | State::Publish1(_) | State::Publish2(_) => {
                Recorded::Unknown
            }
        }
    }

    /// The QoS 2 PUBLISH that `next_resend` has handed out is not sent again: PUBREL must be sent in
    /// its place. The receiver may have recorded the identifier, and would take the next message
    /// under it for a duplicate. The unit of quota is given back.
    pub(crate) fn give_up(&mut self, id: PacketId) -> Option<&mut T> {
        let place = self.places.get_mut(index(id))?;
        if mem::take(&mut place.charged) {
            self.quota = self.quota.saturating_add(1).min(self.initial_quota);
        }
        match self.on_pubrec(id, false) {
            Recorded::Release(item) => Some(item),
            Recorded::ReleaseAgain
            | Recorded::Refused(_)
            | Recorded::Unknown
            | Recorded::Mismatch => None,
        }
    }

    /// A PUBCOMP came.
    pub(crate) fn on_pubcomp(&mut self, id: PacketId) -> Acknowledged<T> {
        self.finish(id, |state| matches!(state, State::Released(_)))
    }

    /// A SUBACK or UNSUBACK came.
    pub(crate) fn on_reply(&mut self, id: PacketId) -> Acknowledged<T> {
        self.finish(id, |state| matches!(state, State::Request(_)))
    }

    /// The item of the open exchange with this identifier.
    pub(crate) fn item(&self, id: PacketId) -> Option<&T> {
        match &self.places.get(index(id))?.state {
            State::Free { .. } => None,
            State::Request(item)
            | State::Publish1(item)
            | State::Publish2(item)
            | State::Released(item) => Some(item),
        }
    }

    /// Whether this exchange waits for PUBCOMP.
    pub(crate) fn is_released(&self, id: PacketId) -> bool {
        self.places.get(index(id)).is_some_and(|place| matches!(place.state, State::Released(_)))
    }

    /// Every open PUBLISH exchange with its order, by packet identifier.
    pub(crate) fn exchanges(&self) -> impl Iterator<Item = (PacketId, Exchange, u64, &T)> {
        self.places.iter().zip(1..=u16::MAX).filter_map(|(place, id)| {
            let (exchange, item) = match &place.state {
                State::Publish1(item) => (Exchange::Publish1, item),
                State::Publish2(item) => (Exchange::Publish2, item),
                State::Released(item) => (Exchange::Released, item),
                State::Free { .. } | State::Request(_) => return None,
            };
            Some((PacketId::new(id)?, exchange, place.order, item))
        })
    }

    /// Opens exchanges as they were saved; hands back the items whose identifier is in use.
    pub(crate) fn restore(
        &mut self,
        saved: impl IntoIterator<Item = (PacketId, Exchange, u64, T)>,
    ) -> Vec<T> {
        let mut refused = Vec::new();
        for (id, exchange, order, item) in saved {
            while self.places.len() <= index(id) {
                self.push_free();
            }
            match self.places.get_mut(index(id)) {
                Some(place) if matches!(place.state, State::Free { .. }) => {
                    let state = match exchange {
                        Exchange::Publish1 => State::Publish1(item),
                        Exchange::Publish2 => State::Publish2(item),
                        Exchange::Released => State::Released(item),
                    };
                    *place = Place { order, charged: false, state };
                    self.open += 1;
                    self.next_order = self.next_order.max(order.saturating_add(1));
                }
                _ => refused.push(item),
            }
        }
        self.link_free();
        refused
    }

    /// The free packet identifiers of the table, in the order in which they will be used.
    pub(crate) fn free_ids(&self) -> impl Iterator<Item = u16> {
        let mut next = self.first_free;
        core::iter::from_fn(move || {
            let id = PacketId::new(next)?;
            let State::Free { next: following } = self.places.get(index(id))?.state else {
                return None;
            };
            next = following;
            Some(id.get())
        })
    }

    /// Uses free packet identifiers in the order in which they were saved; without one that was
    /// left out nothing changes.
    pub(crate) fn order_free(&mut self, ids: &[u16]) {
        while self.places.len() < ids.iter().copied().max().unwrap_or_default().into() {
            self.push_free();
        }
        let is_free = |id: &u16| {
            let place = PacketId::new(*id).and_then(|id| self.places.get(index(id)));
            place.is_some_and(|place| matches!(place.state, State::Free { .. }))
        };
        let all = self.places.len() - usize::from(self.open);
        if ids.len() != all || !ids.iter().all(is_free) {
            return self.link_free();
        }
        let following = ids.iter().copied().skip(1).chain([0]);
        for (id, next) in ids.iter().filter_map(|id| PacketId::new(*id)).zip(following) {
            if let Some(place) = self.places.get_mut(index(id)) {
                place.state = State::Free { next };
            }
        }
        self.first_free = ids.first().copied().unwrap_or_default();
        self.last_free = ids.last().copied().unwrap_or_default();
    }

    /// Ends every exchange and hands out the items, by packet identifier.
    pub(crate) fn clear(&mut self) -> impl Iterator<Item = T> {
        let places = mem::take(&mut self.places);
        self.first_free = 0;
        self.last_free = 0;
        self.open = 0;
        self.quota = self.initial_quota;
        self.resend = Vec::new();
        places.into_iter().filter_map(|place| match place.state {
            State::Free { .. } => None,
            State::Request(item)
            | State::Publish1(item)
            | State::Publish2(item)
            | State::Released(item) => Some(item),
        })
    }

    /// Ends every SUBSCRIBE and UNSUBSCRIBE that waits for an answer, which will not come once
    /// the connection is gone, and hands out the items.
    pub(crate) fn clear_requests(&mut self) -> Vec<T> {
        let mut items = Vec::new();
        for id in (1..=u16::MAX).take(self.places.len()).filter_map(PacketId::new) {
            if let Acknowledged::Done(item) =
                self.finish(id, |state| matches!(state, State::Request(_)))
            {
                items.push(item);
            }
        }
        items
    }

    /// Takes the place that has been free for longest, or a new one.
    ///
    /// Never 0 and never one in use [MQTT-2.2.1-3] [MQTT-2.2.1-4] [MQTT-4.3.2-1] [MQTT-4.3.3-1].
    #[inline(always)]
    fn open_place(&mut self, state: State<T>, charged: bool) -> Option<PacketId> {
        if self.first_free == 0 {
            if self.places.len() >= usize::from(u16::MAX) {
                return None;
            }
            self.push_free();
            self.first_free = u16::try_from(self.places.len()).ok()?;
            self.last_free = self.first_free;
        }
        let id = PacketId::new(self.first_free)?;
        let place = self.places.get_mut(index(id))?;
        let State::Free { next } = place.state else { return None };
        self.first_free = next;
        if next == 0 {
            self.last_free = 0;
        }
        *place = Place { order: self.next_order, charged, state };
        self.next_order += 1;
        self.open += 1;
        if sabotaged!(IdentifierFreedEarly) && self.open > 1 {
            return Some(PacketId::MIN);
        }
        Some(id)
    }

    /// Frees the place of `id` if its exchange is in an `expected` state.
    #[inline]
    fn finish(&mut self, id: PacketId, expected: impl Fn(&State<T>) -> bool) -> Acknowledged<T> {
        let Some(place) = self.places.get_mut(index(id)) else {
            return Acknowledged::Unknown;
        };
        if matches!(place.state, State::Free { .. }) {
            return Acknowledged::Unknown;
        }
        if !expected(&place.state) {
            return Acknowledged::Mismatch;
        }
        // A unit comes back only if this exchange took one on this connection, so that the
        // answer to a PUBREL sent again never lifts the quota above what is really free.
        if mem::take(&mut place.charged) {
            self.quota = self.quota.saturating_add(1).min(self.initial_quota);
        }
        let state = mem::replace(&mut place.state, State::Free { next: 0 });
        self.open -= 1;
        let number = id.get();
        let is_leaked = sabotaged!(IdentifierLeaked) && number.is_multiple_of(3);
        match PacketId::new(self.last_free)
            .filter(|_| !is_leaked)
            .and_then(|last| self.places.get_mut(index(last)))
        {
            Some(last) => last.state = State::Free { next: number },
            None if is_leaked => {}
            None => self.first_free = number,
        }
        if !is_leaked {
            self.last_free = number;
        }
        match state {
            State::Free { .. } => Acknowledged::Unknown,
            State::Request(item)
            | State::Publish1(item)
            | State::Publish2(item)
            | State::Released(item) => Acknowledged::Done(item),
        }
    }

    #[inline(never)]
    fn push_free(&mut self) {
        self.places.push(Place { order: 0, charged: false, state: State::Free { next: 0 } });
    }

    /// Threads all free places into the list again, lowest identifier first.
    fn link_free(&mut self) {
        let mut next = 0;
        self.last_free = 0;
        for (at, place) in self.places.iter_mut().enumerate().rev() {
            if let State::Free { next: link } = &mut place.state {
                let id = u16::try_from(at + 1).unwrap_or(u16::MAX);
                *link = next;
                next = id;
                if self.last_free == 0 {
                    self.last_free = id;
                }
            }
        }
        self.first_free = next;
    }
}

/// Where the exchange of `id` stands in the table.
fn index(id: PacketId) -> usize {
    usize::from(id.get()) - 1
}

#[cfg(test)]
mod tests;
