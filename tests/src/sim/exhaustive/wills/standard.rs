//! What becomes of a will and of its session, as sections 3.1.2.5, 3.1.3.2.2, 3.1.4, 3.14 and 4.1
//! say: one case after the other, with no clock and no broker.

/// The Session Expiry Interval of a session that never ends.
pub(super) const NEVER: u32 = u32::MAX;

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Close {
    /// DISCONNECT with this reason, and with a Session Expiry Interval or without.
    Disconnect { reason: u8, expiry: Option<u32> },
    /// The network fails.
    Lost,
    /// The client says nothing for one and a half times its Keep Alive.
    Silence,
    /// The client sends a packet of which the bytes are wrong.
    Malformed,
    /// The client sends a second CONNECT.
    SecondConnect,
    /// Somebody ends it from the server's side.
    Administrative,
    /// The client connects anew while the connection stands.
    TakenOver,
    /// The server is shut down in good order, and begins again with what it had stored.
    Shutdown,
    /// The server's process ends, and begins again with what it had stored.
    Crash,
}

/// A connection that the client makes after the end of the one with the will.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Back {
    /// Seconds after the end.
    pub(super) after: u32,
    pub(super) clean_start: bool,
    /// Whether it has a will of its own.
    pub(super) has_will: bool,
}

/// One case of the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Case {
    /// The Will Delay Interval.
    pub(super) delay: u32,
    /// The Session Expiry Interval of CONNECT.
    pub(super) expiry: u32,
    pub(super) close: Close,
    pub(super) back: Option<Back>,
}

/// What has to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Seconds from the end of the connection to the will; `None` if it is not published.
    pub(super) published: Option<u32>,
    /// What CONNACK says to the client that comes back.
    pub(super) present: Option<bool>,
}

impl Case {
    pub(super) fn outcome(&self) -> Outcome {
        let session_ends = self.session_ends();
        let due = if self.has_will() { Some(self.delay.min(session_ends)) } else { None };
        let due = due.filter(|due| *due != NEVER);
        let Some(back) = self.back else { return Outcome { published: due, present: None } };
        // A session is there until it ends; Clean Start 1 discards it [MQTT-3.1.2-4].
        let is_there = session_ends == NEVER || back.after < session_ends;
        let published = match due {
            None if self.has_will() && is_there && back.clean_start => Some(back.after),
            None => None,
            // The delay has passed, or the session has ended, before the client comes back.
            Some(due) if due <= back.after => Some(due),
            // The session ends when Clean Start 1 discards it, and the will with it.
            Some(_) if back.clean_start => Some(back.after),
            // [MQTT-3.1.3-9]
            Some(_) => None,
        };
        Outcome { published, present: Some(is_there && !back.clean_start) }
    }

    /// Whether the will outlives the end of its connection: only DISCONNECT with 0x00 deletes it
    /// [MQTT-3.1.2-10]. A DISCONNECT that is an error is none. Of a session that ends with its
    /// connection nothing is stored, as the book says, so that a crash takes its will too.
    fn has_will(&self) -> bool {
        if self.close == Close::Crash && self.expiry == 0 {
            return false;
        }
        !matches!(self.close, Close::Disconnect { reason: 0x00, .. }) || self.is_wrong()
    }

    /// Seconds from the end of the connection to the end of its session.
    fn session_ends(&self) -> u32 {
        match self.close {
            Close::Disconnect { expiry: Some(expiry), .. } if !self.is_wrong() => expiry,
            _ => self.expiry,
        }
    }

    /// Whether DISCONNECT is a Protocol Error: an interval of more than 0 after one of 0
    /// (section 3.14.2.2.2).
    fn is_wrong(&self) -> bool {
        match self.close {
            Close::Disconnect { expiry: Some(expiry), .. } => self.expiry == 0 && expiry > 0,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples that sections 3.1.2.5 and 3.1.3.2.2 and the comment in section 3.1.4 give.
    #[test]
    fn the_table_gives_what_the_standard_says_in_words() {
        let plain = Case { delay: 0, expiry: 0, close: Close::Lost, back: None };
        let back = |after, clean_start| Some(Back { after, clean_start, has_will: false });
        let normal = Close::Disconnect { reason: 0, expiry: None };
        let with_will = Close::Disconnect { reason: 4, expiry: None };
        for (what, case, published, present) in [
            ("a lost connection", plain, Some(0), None),
            ("a normal end", Case { close: normal, ..plain }, None, None),
            ("0x04", Case { close: with_will, ..plain }, Some(0), None),
            ("the delay", Case { delay: 5, expiry: 9, ..plain }, Some(5), None),
            ("the session ends first", Case { delay: 9, expiry: 5, ..plain }, Some(5), None),
            (
                "back before the delay has passed",
                Case { delay: 5, expiry: 9, back: back(2, false), ..plain },
                None,
                Some(true),
            ),
            (
                "a take-over without a delay",
                Case { expiry: 9, close: Close::TakenOver, back: back(0, false), ..plain },
                Some(0),
                Some(true),
            ),
            (
                "a take-over of a session that ends with its connection",
                Case { delay: 5, close: Close::TakenOver, back: back(0, false), ..plain },
                Some(0),
                Some(false),
            ),
            (
                "a take-over with Clean Start",
                Case { delay: 5, expiry: 9, close: Close::TakenOver, back: back(0, true) },
                Some(0),
                Some(false),
            ),
        ] {
            assert_eq!(case.outcome(), Outcome { published, present }, "{what}");
        }
    }
}
