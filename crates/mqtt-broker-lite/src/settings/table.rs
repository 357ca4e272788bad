//! The table of settings.

use std::time::Duration;

use super::{Form, Place, Setting};
use crate::config::{Config, Listener};

/// No bound above.
const MAX: u64 = u64::MAX;
const U16: u64 = u16::MAX as u64;
const U32: u64 = u32::MAX as u64;
/// The largest packet that the standard knows: five bytes of header, and the largest Remaining
/// Length.
const PACKET: u64 = 268_435_460;
/// Less than this is of no use to anybody, and would have timers fire all the time.
const TICK: Duration = Duration::from_millis(10);
/// More than this is a slip of the pen.
const YEARS: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

const ANY_TIME: Form = Form::Duration(Duration::ZERO, YEARS);
const SOME_TIME: Form = Form::Duration(TICK, YEARS);

/// One line of a table: key, form, place, meaning.
macro_rules! settings {
    ($of:ty; $([$table:literal] $({ $($key:ident: $form:expr, ($c:ident) $place:expr, $doc:expr;)* })?)*) => {
        &[ $( $( $( Setting {
            table: $table,
            key: stringify!($key),
            form: $form,
            doc: $doc,
            read: |$c: &$of| $place.read(),
            write: |$c: &mut $of, value| $place.write(value),
        }, )* )? )* ]
    };
}

/// The tables of the file, each with what stands above it.
pub(super) const TABLES: &[(&str, &str)] = &[
    ("", "How the program runs."),
    ("access", "Who may come in, and what they may do."),
    ("protocol", "What the broker offers to clients; CONNACK tells them."),
    (
        "limits",
        "Every bound that the broker keeps. Whatever a peer can make grow has one, and what is \
         dropped at it is counted.",
    ),
    ("store", "What survives a restart."),
];

/// What stands above a listener.
pub(super) const LISTENER: &str = "A place to listen on; may be repeated. A file without any \
     listens on mqtt://127.0.0.1:1883, and flags of the command line take the place of all that \
     the file has.";

/// The settings of a listener.
pub(super) const LISTENER_SETTINGS: &[Setting<Listener>] = settings! { Listener;
[""] {
    url: Form::Text("a URL such as `\"mqtt://127.0.0.1:1883\"`"), (l) l.url,
        "Where to listen: mqtt://HOST:PORT, mqtts://HOST:PORT, ws://HOST:PORT/PATH, \
         wss://HOST:PORT/PATH or unix:///PATH. Port 0 picks a free one.";
    certificate: Form::Path, (l) l.certificate,
        "For mqtts and wss: the broker's certificate, followed by those that lead to its root, \
         in PEM. Read again at SIGHUP.";
    key: Form::Path, (l) l.key,
        "For mqtts and wss: the certificate's private key, in PEM.";
    client_ca: Form::Path, (l) l.client_ca,
        "For mqtts and wss: the roots, in PEM, that certificates of clients lead to. With it \
         clients have to show one.";
    client_crl: Form::Path, (l) l.client_crl,
        "For mqtts and wss: lists of certificates of clients that were revoked, in PEM.";
    client_certificate_optional: Form::Switch, (l) l.client_certificate_optional,
        "Whether clients without a certificate are let through the handshake although there is \
         a `client_ca`.";
    identity_from_certificate: Form::Switch, (l) l.identity_from_certificate,
        "Whether the common name in a client's certificate says who the client is. It takes the \
         place of user name and password then. Certificates without a common name, or with one \
         that has `+`, `#` or control characters in it, are refused.";
    proxy_protocol: Form::Texts("an address or a network, such as `\"10.0.0.0/8\"`"),
        (l) l.proxy_protocol,
        "The balancers in front of this listener. With any, every connection has to come from \
         one of them and to begin with a header of the PROXY protocol, version 1 or 2.";
    origins: Form::Texts("an origin, such as `\"https://example.com\"`"), (l) l.origins,
        "For ws and wss: the origins of pages whose scripts may connect. Without any, requests \
         of every origin are taken.";
    mode: Form::Mode, (l) l.mode,
        "For unix: the mode of the socket in the file system.";
}
};

/// The settings of the whole, table by table.
pub(super) const SETTINGS: &[Setting<Config>] = settings! { Config;
[""] {
    shutdown_timeout: ANY_TIME, (c) c.shutdown_timeout,
        "How long a shutdown may take: what was not sent to a client by then is lost to it.";
    sys_interval: ANY_TIME, (c) c.sys_interval,
        "How often the broker publishes what has changed in its `$SYS/broker/` topics; `\"0s\"` \
         publishes nothing. Whoever may read them learns much about the broker, and they count \
         as retained messages. `\"10s\"` is usual.";
    metrics: Form::Text("an address and a port, such as `\"127.0.0.1:9883\"`"), (c) c.metrics,
        "Where HTTP requests are answered: `/metrics` in the text form of Prometheus, and \
         `/healthz` while the broker lives. Whoever reaches it may read them.";
    transport_threads: Form::Number(1, U16), (c) c.transport_threads,
        "Threads on which TLS, WebSocket and the PROXY protocol are spoken, if a listener needs \
         them.";
    linger_timeout: ANY_TIME, (c) c.linger_timeout,
        "How long a socket stays open after its connection has ended, so that a last packet \
         that says why reaches the peer.";
}
["access"] {
    allow_anonymous: Form::Switch, (c) c.allow_anonymous,
        "Whether clients that prove no identity may come in. Without it they may do so only \
         where nobody asks who they are and no other machine reaches a listener; a listener \
         beyond that is refused at the start.";
    password_file: Form::Path, (c) c.password_file,
        "The password file: clients prove who they are by user name and password. Its lines are \
         written by `mqtt-broker-lite passwd`, or by mosquitto 2. With it, clients without a \
         user name are refused unless `allow_anonymous` is set.";
    password_threads: Form::Number(1, U16), (c) c.password_threads,
        "Passwords that are checked at the same time. Each takes a thread, 19 MiB and tens of \
         milliseconds.";
    acl_file: Form::Path, (c) c.acl_file,
        "The access control list, in mosquitto's format: what clients may publish and read. \
         What no line allows is denied.";
    hook_threads: Form::Number(1, U16), (c) c.hook_threads,
        "Threads on which the hooks of an embedding program run, and decisions that wait for a \
         password check.";
    decision_timeout: SOME_TIME, (c) c.broker.decisions.timeout,
        "How long a decision about a client may take; after it the answer is no.";
}
["protocol"] {
    maximum_qos: Form::Number(0, 2), (c) c.broker.maximum_qos,
        "The highest QoS at which clients may publish.";
    retain_available: Form::Switch, (c) c.broker.retain_available,
        "Whether messages are retained.";
    wildcard_subscription_available: Form::Switch, (c) c.broker.wildcard_subscription_available,
        "Whether filters may have wildcards.";
    subscription_id_available: Form::Switch, (c) c.broker.subscription_id_available,
        "Whether subscriptions may have identifiers.";
    shared_subscription_available: Form::Switch, (c) c.broker.shared_subscription_available,
        "Whether `$share/` filters are served.";
    keep_alive_ceiling: Form::Seconds(1, U16), (c) c.broker.keep_alive_ceiling,
        "The longest Keep Alive: a client that asks for more, or for none, is told this one and \
         held to it. Left out, clients get what they ask for.";
    session_expiry_ceiling: Form::Seconds(0, U32), (c) c.broker.session_expiry_ceiling,
        "The longest Session Expiry Interval: a client that asks for more is told this one.";
    response_information: Form::Text("a text"), (c) c.broker.response_information,
        "Response Information for clients that ask for it.";
}
["limits"] {
    connections: Form::Number(1, U32), (c) c.broker.limits.connections,
        "Open connections. One more is closed at once.";
    connections_per_address: Form::Number(1, U32), (c) c.broker.limits.connections_per_address,
        "Open connections from one address that is not a loopback address. One more is closed \
         at once.";
    handshakes: Form::Number(1, U16), (c) c.handshakes,
        "Connections whose handshakes of TLS, WebSocket and the PROXY protocol are under way. \
         One more is closed at once, and so is one of an address that has as many of them as \
         it may have connections. Each has `connect_timeout` for all its handshakes.";
    sessions: Form::Number(1, U32), (c) c.broker.limits.sessions,
        "Sessions, with and without a connection. Over it: CONNACK 0x97.";
    connect_timeout: SOME_TIME, (c) c.broker.limits.connect_timeout,
        "From the opening of a connection to its accepted CONNECT.";
    authentication_rounds: Form::Number(1, U32), (c) c.broker.limits.authentication_rounds,
        "AUTH packets of a client in one authentication. Over it: CONNACK or DISCONNECT 0x97.";
    authentication_failures: Form::Number(1, U32), (c) c.broker.limits.authentication_failures,
        "CONNECT packets from one address, loopback addresses left out, that may be refused \
         within a minute for who they claim to be. Over it: CONNACK 0x9F without a further look.";
    reauthentications: Form::Number(0, U32), (c) c.broker.limits.reauthentications,
        "Times within a minute that a client authenticates again on an open connection. Over \
         it: DISCONNECT 0x97.";
    take_overs: Form::Number(0, U32), (c) c.broker.limits.take_overs,
        "Times within a minute that a connection takes a session over from another open \
         connection. Over it the newer one is refused: CONNACK 0x9F.";
    password_checks: Form::Number(1, U16), (c) c.password_checks,
        "Passwords that are checked or wait for it. Over it: CONNACK 0x89.";
    connect_packet_size: Form::Bytes(64, PACKET), (c) c.broker.limits.connect_packet_size,
        "Bytes of a packet before the CONNECT is accepted. Over it the connection is closed.";
    packet_size: Form::Bytes(64, PACKET), (c) c.broker.limits.packet_size,
        "Bytes of a packet afterwards; CONNACK tells it. Over it: DISCONNECT 0x95.";
    receive_maximum: Form::Number(1, U16), (c) c.broker.limits.receive_maximum,
        "QoS 1 and QoS 2 messages that a client may have unanswered; CONNACK tells it. Over it: \
         DISCONNECT 0x93, and so for QoS 2 messages whose PUBREL did not come, on any \
         connection of the session, over twice as many.";
    send_maximum: Form::Number(1, U16), (c) c.broker.limits.send_maximum,
        "QoS 1 and QoS 2 messages under way to one client, if its Receive Maximum is not lower. \
         More wait in the session's queue.";
    topic_alias_maximum: Form::Number(0, U16), (c) c.broker.limits.topic_alias_maximum,
        "Topic aliases that a client may set; CONNACK tells it. Over it: DISCONNECT 0x94.";
    outgoing_topic_aliases: Form::Number(0, 64), (c) c.broker.limits.outgoing_topic_aliases,
        "Topic aliases set towards a client, if it allows as many.";
    topic_levels: Form::Number(1, U16 + 1), (c) c.broker.limits.topic_levels,
        "Levels of a topic name or filter. Over it: 0x90 or 0x8F in the acknowledgement.";
    topic_bytes: Form::Bytes(1, U16), (c) c.broker.limits.topic_bytes,
        "Bytes of a topic name or filter. Over it: 0x90 or 0x8F in the acknowledgement.";
    client_id_bytes: Form::Bytes(1, U16), (c) c.broker.limits.client_id_bytes,
        "Bytes of a client identifier. Over it: CONNACK 0x85.";
    subscriptions: Form::Number(0, U32), (c) c.broker.limits.subscriptions,
        "Subscriptions of one session. Over it: 0x97 in SUBACK.";
    match_steps: Form::Number(1, U32), (c) c.broker.limits.match_steps,
        "Steps that matching one topic may take at the worst, which wildcard filters of many \
         shapes drive up. A filter that would go over it gets 0x97 in SUBACK. 16,384 steps take \
         about a third of a millisecond.";
    filters_per_subscribe: Form::Number(1, U16), (c) c.broker.limits.filters_per_subscribe,
        "Filters in one SUBSCRIBE. Those over it get 0x97 in SUBACK.";
    replays: Form::Number(0, U32), (c) c.broker.limits.replays,
        "Filters of one session within a minute for which retained messages are sent, again or \
         for the first time. Over it: 0x97 in SUBACK.";
    queued_messages: Form::Number(0, U32), (c) c.broker.limits.queued_messages,
        "Messages that wait for one session. Over it the newest is dropped and counted.";
    queued_bytes: Form::Bytes(0, MAX), (c) c.broker.limits.queued_bytes,
        "Bytes of the messages that wait for one session. Over it the newest is dropped and \
         counted.";
    retained_messages: Form::Number(0, U32), (c) c.broker.limits.retained_messages,
        "Retained messages. Over it: 0x97 in the acknowledgement.";
    retained_bytes: Form::Bytes(0, MAX), (c) c.broker.limits.retained_bytes,
        "Bytes of retained messages, topics included. Over it: 0x97 in the acknowledgement.";
    will_bytes: Form::Bytes(0, MAX), (c) c.broker.limits.will_bytes,
        "Bytes of all Will Messages of all sessions. Over it: CONNACK 0x97.";
    unread_answers: Form::Bytes(1, MAX), (c) c.broker.limits.unread_answers,
        "Bytes of acknowledgements that wait for one client. Over it nothing more is read from \
         that client until it has read some.";
    write_stall: SOME_TIME, (c) c.broker.limits.write_stall,
        "How long a client may have something to read and not read it. After it the connection \
         is closed.";
}
["store"] {
    durable: Form::Off, (c) c.broker.durable,
        "Whether acknowledgements wait until what they promise is stored. This program keeps \
         everything in memory, so that only `false` is taken.";
    uncommitted_bytes: Form::Bytes(1, MAX), (c) c.broker.limits.uncommitted_bytes,
        "Bytes of changes that are recorded and not committed. Over it nothing more is read \
         from clients whose packets add to them, until commits catch up.";
    store_retry: SOME_TIME, (c) c.broker.limits.store_retry,
        "How long a batch that the store did not commit is not offered again.";
}
};
