//! Faults made on purpose, one at a time, to show that the simulator finds each of them.
//!
//! A place that can be sabotaged asks `sabotaged!(Kind)`. That is the constant `false` unless the
//! crate is built with `--cfg mqtt_sabotage`, as `cargo xtask sim --sabotage` does; other builds
//! contain nothing of it.

#[cfg(not(mqtt_sabotage))]
macro_rules! sabotaged {
    ($kind:ident) => {
        false
    };
}

#[cfg(mqtt_sabotage)]
macro_rules! sabotaged {
    ($kind:ident) => {
        crate::sabotage::Sabotage::$kind.is_on()
    };
}

#[cfg(mqtt_sabotage)]
macro_rules! sabotages {
    ($($kind:ident: $what:literal,)*) => {
        /// A fault that can be switched on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Sabotage {
            $(#[doc = $what] $kind,)*
        }

        impl Sabotage {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// What it does.
            #[must_use]
            pub const fn what(self) -> &'static str {
                match self {
                    $(Self::$kind => $what,)*
                }
            }
        }
    };
}

#[cfg(mqtt_sabotage)]
sabotages! {
    OverflowNotCounted: "what finds a queue full is dropped and not counted",
    QueueShorter: "a queue is full one message early",
    DuplicateIsNew: "a QoS 2 message that comes again is a new one",
    ReceivedForgotten: "received QoS 2 identifiers are forgotten with the connection",
    QueueSwapped: "the newest message of a queue is sent first",
    ResendReversed: "what is sent again is sent in the opposite order",
    IdentifierLeaked: "an identifier does not become free again",
    IdentifierFreedEarly: "an identifier is free as soon as it is taken",
    QuotaTooLarge: "one message more than the Receive Maximum is sent",
    QuotaNotCharged: "a message that is sent takes nothing off the quota",
    MessageNotFreed: "a message that nobody holds is kept",
    BytesNotFreed: "bytes of messages that are freed stay counted",
    SessionPresentAlways: "every CONNACK says that the session was there",
    UnsubscribeIgnored: "UNSUBSCRIBE is answered and the subscription stays",
    WillAfterDisconnect: "a will is published after a normal DISCONNECT",
    WillTooEarly: "a will does not wait for its delay",
    RetainedNotReplaced: "the first retained message of a topic stays",
    RetainedNotExpired: "retained messages do not expire",
    SharedToAll: "a message to a group goes to all its members",
    SharedToNobody: "a message to a group goes to nobody",
    WakeUpLost: "a connection is not told of a message for it",
    StuckAfterAck: "an acknowledgement makes no room for the next message",
    PacketTooLarge: "the client's Maximum Packet Size is ignored",
    AcknowledgedTwice: "a PUBLISH of QoS 1 is acknowledged twice",
    ReadCheckSkipped: "queued messages are sent without asking for the right",
    RightsRemembered: "a right that was taken away is still believed in",
    AcknowledgedEarly: "PUBACK and PUBREC do not wait for the commit",
    RetainedNotStored: "retained messages are not stored",
    EndNotStored: "the end of a session is not stored",
    ReceivedNotSaved: "received QoS 2 identifiers are not in a saved session",
    AnswerNotCounted: "an answer to a QoS 2 message leaves the client's revision as it is",
    SubscriptionNotSaved: "subscriptions are not in a saved session",
    NothingSentAgain: "a resumed session sends nothing again",
    PubRelForgotten: "a PUBREL that is owed again is not sent",
}

#[cfg(mqtt_sabotage)]
std::thread_local! {
    static ON: core::cell::Cell<Option<Sabotage>> = const { core::cell::Cell::new(None) };
}

#[cfg(mqtt_sabotage)]
impl Sabotage {
    /// Switches one on for this thread, or all off.
    pub fn switch(to: Option<Self>) {
        ON.set(to);
    }

    pub(crate) fn is_on(self) -> bool {
        ON.get() == Some(self)
    }
}
