//! What a running broker tells about itself: to the embedding program, in `$SYS` topics and as
//! metrics.

use std::fmt::Write as _;
use std::time::Duration;

use mqtt_session::{Gauges, Statistics};

/// What a broker has counted, and what it holds.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Status {
    /// What happened since it was started.
    pub statistics: Statistics,
    /// What it holds now.
    pub gauges: Gauges,
    /// How long it runs.
    pub uptime: Duration,
    /// Connections that were closed before or during a handshake of TLS, WebSocket or the PROXY
    /// protocol.
    pub handshakes_failed: u64,
}

/// A topic below `$SYS/broker/`, and its value.
type Topic = (&'static str, fn(&Status) -> String);

/// The topics, with mosquitto's names.
pub(crate) const TOPICS: &[Topic] = &[
    ("version", |_| concat!("mqtt-broker-lite ", env!("CARGO_PKG_VERSION")).to_owned()),
    ("uptime", |s| format!("{} seconds", s.uptime.as_secs())),
    ("clients/total", |s| s.gauges.sessions.to_string()),
    ("clients/connected", |s| s.gauges.connected.to_string()),
    ("clients/disconnected", |s| {
        (s.gauges.sessions.saturating_sub(s.gauges.connected)).to_string()
    }),
    ("clients/expired", |s| s.statistics.sessions_expired.to_string()),
    ("messages/received", |s| s.statistics.packets_received.to_string()),
    ("publish/messages/received", |s| s.statistics.received.total().messages.to_string()),
    ("publish/messages/sent", |s| s.statistics.sent.total().messages.to_string()),
    ("publish/messages/dropped", |s| s.statistics.dropped.total().to_string()),
    ("publish/bytes/received", |s| s.statistics.received.total().payload_bytes.to_string()),
    ("publish/bytes/sent", |s| s.statistics.sent.total().payload_bytes.to_string()),
    ("bytes/received", |s| s.statistics.bytes_received.to_string()),
    ("bytes/sent", |s| s.statistics.bytes_sent.to_string()),
    ("subscriptions/count", |s| s.gauges.subscriptions.to_string()),
    ("shared_subscriptions/count", |s| s.gauges.shared_subscriptions.to_string()),
    ("retained messages/count", |s| s.gauges.retained_messages.to_string()),
    ("store/messages/count", |s| s.gauges.messages.to_string()),
    ("store/messages/bytes", |s| s.gauges.message_bytes.to_string()),
];

/// The text form of Prometheus. No label has a value that a client chooses.
pub(crate) fn metrics(status: &Status) -> String {
    let mut text = Text::default();
    let Status { statistics: s, gauges: g, uptime, handshakes_failed } = status;
    let bytes = |number: usize| number as u64;
    text.gauge("uptime_seconds", "How long the broker runs.", uptime.as_secs());
    text.gauge("connections", "Open connections.", bytes(g.connections));
    text.gauge("clients_connected", "Sessions with a connection.", bytes(g.connected));
    text.gauge("sessions", "Sessions, with and without a connection.", bytes(g.sessions));
    text.gauge("subscriptions", "Subscriptions of all sessions.", bytes(g.subscriptions));
    text.gauge("retained_messages", "Retained messages.", bytes(g.retained_messages));
    text.gauge("retained_bytes", "Bytes of retained messages.", bytes(g.retained_bytes));
    text.gauge("will_bytes", "Bytes of Will Messages.", bytes(g.will_bytes));
    text.gauge("messages", "Messages in memory.", bytes(g.messages));
    text.gauge("message_bytes", "Bytes of messages in memory.", bytes(g.message_bytes));
    text.counter("connections_opened_total", "Connections opened.", s.connections_opened);
    text.counter("connections_refused_total", "Connections refused.", s.connections_refused);
    text.counter("handshakes_failed_total", "Handshakes failed.", *handshakes_failed);
    text.counter("connects_accepted_total", "CONNECT packets accepted.", s.connects_accepted);
    text.counters(
        "connects_refused_total",
        "CONNECT packets refused, by reason code.",
        s.connects_refused.iter().map(|(reason, count)| (code(reason.into()), count)),
    );
    text.counters(
        "connections_closed_total",
        "Connections ended, by how.",
        [
            ("client", s.closed.by_client.total()),
            ("lost", s.closed.lost),
            ("not_mqtt", s.closed.not_mqtt),
            ("connect_timeout", s.closed.connect_timeout),
            ("write_stall", s.closed.write_stall),
        ]
        .map(|(how, count)| (how.to_owned(), count))
        .into_iter()
        .chain(s.closed.by_broker.iter().map(|(reason, count)| (code(reason.into()), count))),
    );
    text.counter("take_overs_total", "Sessions taken over.", s.take_overs);
    text.counter("packets_received_total", "Packets received.", s.packets_received);
    text.counter("bytes_received_total", "Bytes received.", s.bytes_received);
    text.counter("bytes_sent_total", "Bytes sent.", s.bytes_sent);
    for (name, help, traffic) in [
        ("publishes_received_total", "PUBLISH packets received, by QoS.", s.received),
        ("publishes_sent_total", "PUBLISH packets sent, by QoS.", s.sent),
    ] {
        let by_qos = [traffic.at_most_once, traffic.at_least_once, traffic.exactly_once];
        let by_qos = by_qos.into_iter().enumerate();
        text.counters(name, help, by_qos.map(|(qos, volume)| (qos.to_string(), volume.messages)));
    }
    text.counters(
        "publishes_refused_total",
        "PUBLISH packets not taken, by reason code.",
        s.publishes_refused.iter().map(|(reason, count)| (code(reason.into()), count)),
    );
    text.counters(
        "subscriptions_refused_total",
        "Filters not granted, by reason code.",
        s.subscriptions_refused.iter().map(|(reason, count)| (code(reason.into()), count)),
    );
    text.counters(
        "messages_dropped_total",
        "Messages dropped for a session that should have got them, by reason.",
        [
            ("queue_full", s.dropped.queue_full),
            ("queue_bytes", s.dropped.queue_bytes),
            ("expired", s.dropped.expired),
            ("too_large", s.dropped.too_large),
            ("not_authorized", s.dropped.not_authorized),
            ("not_connected", s.dropped.not_connected),
            ("session_ended", s.dropped.session_ended),
        ]
        .map(|(reason, count)| (reason.to_owned(), count)),
    );
    text.counter("protocol_faults_total", "Packets that broke a rule.", s.protocol_faults);
    text.counter("wills_published_total", "Will Messages published.", s.wills_published);
    text.counter("sessions_expired_total", "Sessions expired.", s.sessions_expired);
    text.0
}

fn code(code: u8) -> String {
    format!("{code:#04x}")
}

/// Metrics, line by line. Writing to a string cannot fail.
#[derive(Default)]
struct Text(String);

impl Text {
    fn head(&mut self, name: &str, help: &str, kind: &str) {
        let _ = writeln!(self.0, "# HELP mqtt_{name} {help}\n# TYPE mqtt_{name} {kind}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, help, "gauge");
        let _ = writeln!(self.0, "mqtt_{name} {value}");
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, help, "counter");
        let _ = writeln!(self.0, "mqtt_{name} {value}");
    }

    fn counters(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (String, u64)>,
    ) {
        self.head(name, help, "counter");
        for (label, value) in values {
            let _ = writeln!(self.0, "mqtt_{name}{{by=\"{label}\"}} {value}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_a_name_a_kind_and_a_number() {
        let text = metrics(&Status::default());
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(name.starts_with("mqtt_"), "{line}");
            value.parse::<u64>().unwrap();
            let name = name.split('{').next().unwrap();
            assert_eq!(text.matches(&format!("# TYPE {name} ")).count(), 1, "{name}");
        }
        assert!(text.contains("mqtt_messages_dropped_total{by=\"queue_full\"} 0\n"), "{text}");
    }
}
