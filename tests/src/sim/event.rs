//! What can happen in a simulated world, one step at a time.

/// One step of a schedule. It names all that it needs, so that a list of events means the same
/// however it was made; what cannot happen in the world as it is does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A client makes a network connection and connects. If it has one already the network has
    /// failed for the client alone: the broker still believes in the old one.
    Connect(u8),
    /// So many bytes (0: all) of a client's come to the broker.
    Up(u8, u16),
    /// So many bytes (0: all) of the broker's come to a client.
    Down(u8, u16),
    /// The same as [`Up`](Self::Up) on the connection that the client has given up.
    Late(u8, u16),
    /// The connection fails for both sides; what is under way is lost.
    Cut(u8),
    /// The broker sees the end of the connection that the client has given up.
    CutLate(u8),
    /// The connection fails for the client alone.
    CutClient(u8),
    /// The broker sees an end that the client does not see yet.
    CutBroker(u8),
    /// The client leaves; with its will or without.
    Leave(u8, bool),
    /// The application publishes.
    Publish(u8, Publish),
    /// The application subscribes.
    Subscribe(u8, Subscribe),
    /// The application ends the subscription that it made so many before the last.
    Unsubscribe(u8, u8),
    /// The application answers the delivery that came so many behind the oldest; it refuses it or
    /// not.
    Answer(u8, u8, bool),
    /// The client's socket takes nothing from the broker, or does so again.
    StallDown(u8, bool),
    /// The broker's socket takes nothing from the client, or does so again.
    StallUp(u8, bool),
    /// So many milliseconds pass.
    Wait(u32),
    /// A client's process ends and begins again without what it knew.
    Forget(u8),
    /// A client's process ends and begins again with what it had to have saved by then.
    Restart(u8),
    /// The broker's process ends and begins again; the batch that is out was stored or not.
    Crash(bool),
    /// The batch that is out is committed.
    Commit,
    /// The batch that is out is not committed.
    Fail,
    /// Everything is stored anew as one snapshot.
    Compact,
    /// A client may read a topic from here on, or may not any more.
    Right(u8, u8, bool),
    /// The oldest question about a right is answered.
    Reply,
}

/// What an application publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish {
    /// The topic's number.
    pub topic: u8,
    /// The QoS.
    pub qos: u8,
    /// Whether it is retained.
    pub retain: bool,
    /// What it carries.
    pub body: Body,
    /// The Message Expiry Interval in seconds; 0 for none.
    pub expiry: u16,
}

/// What a message carries besides its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Its number alone.
    Number,
    /// Its number, and more than a client with a small Maximum Packet Size takes.
    Large,
    /// Nothing at all, which clears a retained message.
    Empty,
}

/// What an application subscribes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// The filter's number.
    pub filter: u8,
    /// The maximum QoS.
    pub qos: u8,
    /// No Local; shared subscriptions do without.
    pub no_local: bool,
    /// Retain As Published.
    pub retain_as_published: bool,
    /// Retain Handling.
    pub retain_handling: u8,
}
