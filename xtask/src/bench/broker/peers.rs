//! The brokers that are compared, as data: how each is started, told its limits and found ready.

use crate::bench::frame::Protocol;

/// A broker.
#[derive(Debug)]
pub(super) struct Peer {
    /// What the tables and `--broker` call it.
    pub(super) name: &'static str,
    /// The newest protocol that it speaks.
    pub(super) protocol: Protocol,
    /// Where the program is found.
    pub(super) program: Program,
    /// Its arguments; `{port}` and `{config}` are filled in.
    pub(super) args: &'static [&'static str],
    /// The arguments that make it print its version.
    pub(super) version_args: &'static [&'static str],
    /// Its configuration file; `{port}` is filled in.
    pub(super) config: &'static str,
    /// How it shows that it serves.
    pub(super) ready: Ready,
    /// What it needs for the rows that its own limits do not carry.
    pub(super) named: &'static [NamedConfig],
    /// The rows that it cannot run, each with the reason.
    pub(super) skips: &'static [(&'static str, &'static str)],
}

/// Where a broker's program is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    /// A binary of this workspace, built by this command.
    Workspace(&'static str),
    /// A program that the machine has.
    Installed(&'static str),
    /// A program of a crate, of this version, once `--install` was used.
    Crate(&'static str, &'static str),
    /// A program for Node.js in a folder of `xtask/peers`, once `--install` was used.
    Node(&'static str),
    /// The relay of this program: what the machine allows without any MQTT.
    Relay,
}

/// How a broker shows that it serves.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ready {
    /// A line on standard output; the port that it picked follows this text.
    Line(&'static str),
    /// It answers a CONNECT on the port it was given.
    Serves,
}

/// What a row asks of a broker beyond ordinary limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// 10,000 filters of one client.
    ManyFilters,
    /// 64 MiB of messages that wait for one client.
    LargeMessages,
    /// A listener for TLS.
    Tls,
    /// A listener for WebSocket.
    WebSocket,
}

impl Need {
    /// Whether a broker without a configuration for it can't run the row.
    pub(super) const fn is_transport(self) -> bool {
        matches!(self, Self::Tls | Self::WebSocket)
    }
}

/// A configuration with a name, printed beside the figures that were measured with it.
#[derive(Debug)]
pub(super) struct NamedConfig {
    /// What it is for.
    pub(super) need: Need,
    /// What the tables call it.
    pub(super) name: &'static str,
    /// More arguments.
    pub(super) args: &'static [&'static str],
    /// More lines of the configuration file; `{certificate}`, `{key}` and `{spare}`, a free
    /// port, are filled in.
    pub(super) config: &'static str,
    /// How the broker shows then that it serves, if not as ever.
    pub(super) ready: Option<Ready>,
}

impl Peer {
    /// The named configuration that this broker needs for `need`.
    pub(super) fn config_for(&self, need: Option<Need>) -> Option<&'static NamedConfig> {
        self.named.iter().find(|named| Some(named.need) == need)
    }
}

/// Every broker that can be compared, ours first.
pub(super) const PEERS: &[Peer] = &[
    Peer {
        name: "mqtt-broker-lite",
        protocol: Protocol::V5,
        program: Program::Workspace("mqtt-broker-lite"),
        args: &["--listen", "mqtt://127.0.0.1:0"],
        version_args: &["--version"],
        config: "",
        ready: Ready::Line("listening on mqtt://127.0.0.1:"),
        named: &[
            NamedConfig {
                need: Need::ManyFilters,
                name: "many-filters: 10,000 filters a client",
                args: &["--config", "{config}"],
                config: "[limits]\nsubscriptions = 10_000\n",
                ready: None,
            },
            NamedConfig {
                need: Need::LargeMessages,
                name: "large-messages: 128 MiB queued",
                args: &["--config", "{config}"],
                config: "[limits]\nqueued_bytes = \"128 MiB\"\n",
                ready: None,
            },
            NamedConfig {
                need: Need::Tls,
                name: "tls",
                args: &[
                    "--listen",
                    "mqtts://127.0.0.1:0",
                    "--certificate",
                    "{certificate}",
                    "--key",
                    "{key}",
                ],
                config: "",
                ready: Some(Ready::Line("listening on mqtts://127.0.0.1:")),
            },
            NamedConfig {
                need: Need::WebSocket,
                name: "websocket",
                args: &["--listen", "ws://127.0.0.1:0"],
                config: "",
                ready: Some(Ready::Line("listening on ws://127.0.0.1:")),
            },
        ],
        skips: &[],
    },
    Peer {
        name: "mosquitto",
        protocol: Protocol::V5,
        program: Program::Installed("mosquitto"),
        args: &["-c", "{config}"],
        version_args: &["-h"],
        config: "listener {port} 127.0.0.1\n\
                 allow_anonymous true\n\
                 persistence false\n\
                 set_tcp_nodelay true\n\
                 max_inflight_messages 0\n\
                 max_queued_messages 0\n\
                 log_type none\n",
        ready: Ready::Serves,
        named: &[
            NamedConfig {
                need: Need::Tls,
                name: "tls",
                args: &[],
                config: "certfile {certificate}\nkeyfile {key}\n",
                ready: None,
            },
            NamedConfig {
                need: Need::WebSocket,
                name: "websocket",
                args: &[],
                // Without a listener for TCP this version finds that it has none at all, and ends.
                config: "protocol websockets\nlistener {spare} 127.0.0.1\n",
                ready: None,
            },
        ],
        skips: &[],
    },
    Peer {
        name: "rumqttd",
        protocol: Protocol::V5,
        program: Program::Crate("rumqttd", "0.20.0"),
        args: &["--config", "{config}"],
        version_args: &["--version"],
        // Nothing may be larger than its commit log's segment; the limits are for no row in the way.
        config: "id = 0\n\
                 [router]\n\
                 id = 0\n\
                 max_connections = 10010\n\
                 max_outgoing_packet_count = 200\n\
                 max_segment_size = 104857600\n\
                 max_segment_count = 10\n\
                 [v5.1]\n\
                 name = \"v5-1\"\n\
                 listen = \"127.0.0.1:{port}\"\n\
                 next_connection_delay_ms = 1\n\
                 [v5.1.connections]\n\
                 connection_timeout_ms = 60000\n\
                 max_payload_size = 1048576\n\
                 max_inflight_count = 1000\n",
        ready: Ready::Serves,
        named: &[],
        skips: &[],
    },
    Peer {
        name: "aedes",
        protocol: Protocol::V311,
        program: Program::Node("aedes"),
        args: &["serve.js", "{port}"],
        version_args: &["-p", "'aedes ' + require('./node_modules/aedes/package.json').version"],
        config: "",
        ready: Ready::Serves,
        named: &[],
        skips: &[],
    },
    Peer {
        name: "floor",
        protocol: Protocol::V5,
        program: Program::Relay,
        args: &["bench", "relay"],
        version_args: &["bench", "relay", "--version"],
        config: "",
        ready: Ready::Line("listening on mqtt://127.0.0.1:"),
        named: &[],
        skips: &[("filters", "it matches no wildcards"), ("retained", "it stores nothing")],
    },
];
