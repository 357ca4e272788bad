//! Topic Names, Topic Filters, and what matches what.

use mqtt_tests::scripted::{connect, publish, subscribe};

use super::refusals::raw_subscribe;
use crate::{
    finding::{Outcome, ensure, fail, skip},
    trial::Trial,
};

table! {
    a_wildcard_for_many_levels_in_the_wrong_place_is_refused:
        "[MQTT-4.7.1-1]";
    a_wildcard_for_one_level_in_the_wrong_place_is_refused:
        "[MQTT-4.7.1-2]";
    filters_match_what_they_should:
        "[MQTT-4.7.1-1]", "[MQTT-4.7.1-2]", "[MQTT-3.3.2-3]";
    a_wildcard_at_the_front_does_not_match_a_dollar:
        "[MQTT-4.7.2-1]";
    matching_goes_by_exact_characters:
        "[MQTT-4.7.3-4]";
}

/// Filters that the broker has to refuse, by closing or by a reason code.
fn refused(t: &Trial, filters: &[&str]) -> Outcome {
    t.needs_wildcards()?;
    for filter in filters {
        let mut client = t.connect(connect(&t.id("faulty")))?;
        let digits: String = filter.bytes().map(|byte| format!("{byte:02x}")).collect();
        client.send(raw_subscribe("", &format!("{:04x} {digits} 00", filter.len())))?;
        let refusal = client.wait("SUBACK", |packet| match packet {
            mqtt_codec::Packet::SubAck(suback) => {
                Some(suback.reasons().all(|reason| reason.is_error()))
            }
            _ => None,
        });
        match refusal {
            Ok(true) => {}
            Ok(false) => return fail(format!("the filter {filter} was granted")),
            Err(_) if client.is_closed() => client.refused(&[0x81, 0x82, 0x8F])?,
            Err(finding) => return Err(finding),
        }
    }
    Ok(())
}

fn a_wildcard_for_many_levels_in_the_wrong_place_is_refused(t: &Trial) -> Outcome {
    refused(t, &["a/#/b", "a#", "#/a", "a/b#"])
}

fn a_wildcard_for_one_level_in_the_wrong_place_is_refused(t: &Trial) -> Outcome {
    refused(t, &["a+", "+a", "a/b+/c"])
}

/// What is published, and which filter must and must not match it.
const MATCHES: &[(&str, &[&str], &[&str])] = &[
    ("a/b/c", &["a/b/c", "a/b/+", "a/+/c", "a/#", "+/b/#", "a/b/c/#"], &["a/b", "a/+", "b/#"]),
    ("a", &["a", "a/#", "+", "#"], &["a/", "a/+", "+/+"]),
    ("/a", &["/a", "+/a", "/+", "/#"], &["a", "+"]),
    ("a//b", &["a//b", "a/+/b", "a/#"], &["a/b", "a/b/#"]),
    ("a/", &["a/", "a/+", "a/#"], &["a"]),
];

fn filters_match_what_they_should(t: &Trial) -> Outcome {
    t.needs_wildcards()?;
    let base = t.topic("m");
    let mut writer = t.client("writer")?;
    for (topic, yes, no) in MATCHES {
        for (filters, expected) in [(yes, 1), (no, 0)] {
            for filter in *filters {
                let mut reader = t.client("reader")?;
                reader.subscribed(subscribe(1, &format!("{base}/{filter}")))?;
                writer.publish(publish(&format!("{base}/{topic}"), "a"))?;
                let count = t.arrived(&mut writer, &mut reader)?.len();
                ensure(count >= expected && (expected > 0 || count == 0), || {
                    format!("{count} of {topic:?} came through {filter:?}")
                })?;
            }
        }
    }
    Ok(())
}

fn a_wildcard_at_the_front_does_not_match_a_dollar(t: &Trial) -> Outcome {
    t.needs_wildcards()?;
    let tail = t.topic("a");
    let topic = format!("$conformance/{tail}");
    let mut exact = t.client("exact")?;
    if exact.subscribe(subscribe(1, &topic))?.iter().any(|&reason| reason >= 0x80) {
        return skip("the broker refuses subscriptions to names with $");
    }
    let mut wild = t.client("wild")?;
    wild.subscribed(subscribe(1, &format!("+/{tail}")))?;
    exact.publish(publish(&topic, "a").qos(t.offer().maximum_qos.min(1), 1))?;
    if t.settle(&mut wild, &mut exact).is_err() || exact.arrived().is_empty() {
        return skip("the broker does not deliver what clients publish to names with $");
    }
    let count = t.arrived(&mut exact, &mut wild)?.len();
    ensure(count == 0, || "+ at the front matched a name with $".to_owned())
}

fn matching_goes_by_exact_characters(t: &Trial) -> Outcome {
    // Composed and decomposed, upper and lower case, with and without a blank.
    let names = ["\u{e9}", "e\u{301}", "a", "A", "a ", " a", "\u{212b}", "\u{c5}"];
    for name in names {
        let mut client = t.client("exact")?;
        client.subscribed(subscribe(1, &t.topic(name)))?;
        for other in names {
            client.publish(publish(&t.topic(other), other))?;
        }
        client.fence()?;
        // A client's own messages are there once its PINGREQ is answered, or soon after.
        let message = client.message()?;
        ensure(message.text() == name, || format!("{name:?} matched {:?}", message.text()))?;
        client.fence()?;
        let more = client.arrived();
        ensure(more.is_empty(), || {
            format!("{name:?} matched {:?}", more.first().map(crate::message::Message::text))
        })?;
    }
    Ok(())
}
