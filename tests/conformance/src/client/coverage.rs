//! Statements that the wire suite for clients has no test for, and why.

use crate::statements::statement;

/// Why nothing in a client's traffic can break a statement, or why no test can make it; `None` if
/// the suite asks about it.
#[must_use]
pub fn why_untested(id: &str) -> Option<&'static str> {
    let listed = UNTESTED.iter().find(|(ids, _)| ids.contains(&id)).map(|(_, why)| *why);
    let is_for_servers = statement(id).is_some_and(|statement| statement.role == "server");
    listed.or_else(|| {
        let asks = super::tests().iter().any(|test| test.ids.contains(&id));
        (is_for_servers && !asks).then_some("only a server can break it: ask one with --broker")
    })
}

const UNTESTED: &[(&[&str], &str)] = &[
    (
        &[
            "[MQTT-3.15.2-1]",
            "[MQTT-3.15.2-2]",
            "[MQTT-3.15.2-3]",
            "[MQTT-4.12.0-3]",
            "[MQTT-4.12.0-5]",
            "[MQTT-4.12.1-1]",
            "[MQTT-4.12.1-2]",
        ],
        "needs an Authentication Method that the suite shares with the client",
    ),
    (&["[MQTT-3.1.2-4]"], "what a client has thrown away shows to nobody"),
    (&["[MQTT-4.3.3-7]"], "shows only where a message expires, and no scenario sends such a one"),
    (&["[MQTT-4.3.3-9]"], "shows only where a client refuses a message, and no scenario does"),
    (&["[MQTT-4.7.3-3]"], "a longer one has no form on the wire: its length has two bytes"),
    (
        &["[MQTT-6.0.0-1]", "[MQTT-6.0.0-2]", "[MQTT-6.0.0-3]", "[MQTT-6.0.0-4]"],
        "is about WebSocket, and the suite speaks TCP",
    ),
    (&["[MQTT5-U-1.5.4-2]"], "leaves the choice to the receiver"),
];
