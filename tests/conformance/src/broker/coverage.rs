//! Statements that the wire suite has no test for, and why.

use crate::statements::statement;

/// Why nothing in a broker's traffic can break a statement, or why no test can make it; `None` if
/// the suite asks about it.
#[must_use]
pub fn why_untested(id: &str) -> Option<&'static str> {
    let listed = UNTESTED.iter().find(|(ids, _)| ids.contains(&id)).map(|(_, why)| *why);
    listed.or_else(|| {
        only_a_client(id).then_some("only a client can break it: ask one with --client")
    })
}

const UNTESTED: &[(&[&str], &str)] = &[
    (
        &[
            "[MQTT-3.15.2-1]",
            "[MQTT-3.15.2-2]",
            "[MQTT-3.15.2-3]",
            "[MQTT-4.12.0-2]",
            "[MQTT-4.12.0-5]",
            "[MQTT-4.12.1-2]",
        ],
        "needs an Authentication Method that the suite shares with the broker",
    ),
    (&["[MQTT-4.7.3-3]"], "a longer one has no form on the wire: its length has two bytes"),
    (
        &["[MQTT-6.0.0-1]", "[MQTT-6.0.0-2]", "[MQTT-6.0.0-3]", "[MQTT-6.0.0-4]"],
        "is about WebSocket, and the suite speaks TCP",
    ),
    (&["[MQTT5-U-1.5.4-2]"], "leaves the choice to the receiver"),
];

/// Statements for clients that a broker is not asked to watch over.
fn only_a_client(id: &str) -> bool {
    let is_for_clients = statement(id).is_some_and(|statement| statement.role == "client");
    is_for_clients && !super::tests().iter().any(|test| test.ids.contains(&id))
}
