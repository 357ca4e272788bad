//! Topic Names and Topic Filters: which there are, and which match.

use mqtt_codec::{TopicError, TopicFilter, TopicName};

#[track_caller]
fn matches(filter: &str, name: &str) -> bool {
    TopicFilter::new(filter).unwrap().matches(TopicName::new(name).unwrap())
}

/// Proves: [MQTT-4.7.1-1], [MQTT-4.7.1-2], [MQTT-4.7.3-4]
#[test]
fn the_examples_of_the_standard_match_as_it_says() {
    for (filter, name, expected) in [
        ("sport/tennis/player1/#", "sport/tennis/player1", true),
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
        ("sport/tennis/player1/#", "sport/tennis/player2", false),
        ("sport/#", "sport", true),
        ("sport/#", "sports", false),
        ("#", "sport", true),
        ("#", "/", true),
        ("sport/tennis/+", "sport/tennis/player1", true),
        ("sport/tennis/+", "sport/tennis/player1/ranking", false),
        ("sport/+", "sport", false),
        ("sport/+", "sport/", true),
        ("+", "sport", true),
        ("+", "/finance", false),
        ("+/+", "/finance", true),
        ("/+", "/finance", true),
        ("+/tennis/#", "sport/tennis", true),
        ("+/tennis/#", "/tennis/a", true),
        ("+/a", "/a", true),
        ("a/+/b", "a//b", true),
        ("a/+/b", "a/b", false),
        ("a//b", "a//b", true),
        ("a//b", "a/b", false),
        ("a/", "a", false),
        ("a", "a/", false),
        ("ACCOUNTS", "Accounts", false),
        ("\u{e9}", "e\u{301}", false),
        ("\u{feff}a", "a", false),
    ] {
        assert_eq!(matches(filter, name), expected, "{filter} and {name}");
    }
}

/// Proves: [MQTT-4.7.2-1]
#[test]
fn a_wildcard_at_the_start_does_not_match_a_dollar() {
    for (filter, name, expected) in [
        ("#", "$SYS", false),
        ("#", "$SYS/a", false),
        ("+", "$SYS", false),
        ("+/monitor/Clients", "$SYS/monitor/Clients", false),
        ("+/#", "$SYS/a", false),
        ("$SYS/#", "$SYS/monitor/Clients", true),
        ("$SYS/#", "$SYS", true),
        ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
        ("$share/g/#", "$SYS/a", false),
        ("$share/g/+/a", "$SYS/a", false),
        ("$share/g/$SYS/#", "$SYS/a", true),
        ("a/#", "a/$SYS", true),
        ("a/+", "a/$SYS", true),
    ] {
        assert_eq!(matches(filter, name), expected, "{filter} and {name}");
    }
    assert!(TopicName::new("$SYS/a").unwrap().is_reserved());
    assert!(!TopicName::new("a/$SYS").unwrap().is_reserved());
}

/// Proves: [MQTT-4.8.2-1], [MQTT-4.8.2-2]
#[test]
fn a_shared_subscription_is_taken_apart() {
    let shared = TopicFilter::new("$share/consumer1/sport/tennis/+").unwrap();
    assert!(shared.is_shared());
    assert_eq!(shared.share_name(), Some("consumer1"));
    assert_eq!(shared.filter(), "sport/tennis/+");
    assert_eq!(shared.as_str(), "$share/consumer1/sport/tennis/+");
    assert!(shared.has_wildcards());

    let leading_slash = TopicFilter::new("$share/g//finance").unwrap();
    assert_eq!(leading_slash.share_name(), Some("g"));
    assert_eq!(leading_slash.filter(), "/finance");
    assert!(!leading_slash.has_wildcards());

    let slash_alone = TopicFilter::new("$share/g//").unwrap();
    assert_eq!(slash_alone.filter(), "/");

    let nested = TopicFilter::new("$share/\u{4e2d}/$share/g/t").unwrap();
    assert_eq!(nested.share_name(), Some("\u{4e2d}"));
    assert_eq!(nested.filter(), "$share/g/t");

    for plain in ["$shared/g/t", "$SHARE/g/t", "share/g/t", "$sharex", "a/$share/g/t", "$"] {
        let filter = TopicFilter::new(plain).unwrap();
        assert!(!filter.is_shared(), "{plain}");
        assert_eq!(filter.share_name(), None, "{plain}");
        assert_eq!(filter.filter(), plain);
    }
}

/// Proves: [MQTT-4.7.1-1], [MQTT-4.7.1-2], [MQTT-4.7.3-1], [MQTT-4.7.3-2], [MQTT-4.7.3-3],
/// [MQTT-4.8.2-1], [MQTT-4.8.2-2]
#[test]
fn a_filter_that_breaks_a_rule_cannot_be_built() {
    let too_long = "x".repeat(65_536);
    for (filter, error) in [
        ("", TopicError::Empty),
        (too_long.as_str(), TopicError::TooLong),
        ("a\0", TopicError::NulCharacter),
        ("a\u{1}", TopicError::ControlCharacter),
        ("a\u{7f}b", TopicError::ControlCharacter),
        ("\u{80}", TopicError::ControlCharacter),
        ("\u{FDEF}", TopicError::NonCharacter),
        ("\u{10FFFF}", TopicError::NonCharacter),
        ("#a", TopicError::MultiLevelWildcard),
        ("##", TopicError::MultiLevelWildcard),
        ("sport/tennis#", TopicError::MultiLevelWildcard),
        ("sport/tennis/#/ranking", TopicError::MultiLevelWildcard),
        ("a/#/", TopicError::MultiLevelWildcard),
        ("\u{e9}#", TopicError::MultiLevelWildcard),
        ("sport+", TopicError::SingleLevelWildcard),
        ("+sport", TopicError::SingleLevelWildcard),
        ("a/b+/c", TopicError::SingleLevelWildcard),
        ("a/+b/c", TopicError::SingleLevelWildcard),
        ("+#", TopicError::SingleLevelWildcard),
        ("12345678/1234567+", TopicError::SingleLevelWildcard),
        ("1234567+", TopicError::SingleLevelWildcard),
        ("1234567/+8/", TopicError::SingleLevelWildcard),
        ("$share", TopicError::ShareNameMissing),
        ("$share/", TopicError::ShareNameMissing),
        ("$share//", TopicError::ShareNameMissing),
        ("$share//t", TopicError::ShareNameMissing),
        ("$share/+/t", TopicError::ShareNameWildcard),
        ("$share/#", TopicError::ShareNameWildcard),
        ("$share/a+b/t", TopicError::ShareNameWildcard),
        ("$share/g", TopicError::ShareFilterMissing),
        ("$share/g/", TopicError::ShareFilterMissing),
        ("$share/g/a#", TopicError::MultiLevelWildcard),
        ("$share/g/+a", TopicError::SingleLevelWildcard),
    ] {
        assert_eq!(TopicFilter::new(filter), Err(error), "{filter}");
        assert_eq!(TopicFilter::try_from(filter), Err(error));
    }
}

/// Wildcards at every place of filters of many lengths, against a check that looks at levels.
///
/// Proves: [MQTT-4.7.1-1], [MQTT-4.7.1-2]
#[test]
fn wildcards_are_judged_alike_wherever_they_stand() {
    let alphabet = ['a', '/', '+', '#', '*', '"', '\u{e9}'];
    let right = |filter: &str| {
        let levels: Vec<&str> = filter.split('/').collect();
        !filter.is_empty()
            && levels.iter().enumerate().all(|(index, level)| match *level {
                "+" => true,
                "#" => index + 1 == levels.len(),
                _ => !level.contains(['+', '#']),
            })
    };
    let mut checked = 0;
    for prefix in ["", "abc", "abcdef/", "abcdefg/", "abcdefgh/ijklmn", "abcdefgh/ijklmno/"] {
        for suffix in ["", "/", "x", "/abcdefgh"] {
            for a in alphabet {
                for b in alphabet {
                    for c in alphabet {
                        let filter = format!("{prefix}{a}{b}{c}{suffix}");
                        assert_eq!(TopicFilter::new(&filter).is_ok(), right(&filter), "{filter}");
                        checked += 1;
                    }
                }
            }
        }
    }
    assert_eq!(checked, 6 * 4 * 343);
}

/// Proves: [MQTT-3.3.2-2], [MQTT-4.7.0-1], [MQTT-4.7.3-1], [MQTT-4.7.3-2], [MQTT-4.7.3-3]
#[test]
fn a_name_that_breaks_a_rule_cannot_be_built() {
    let too_long = "x".repeat(65_536);
    for (name, error) in [
        ("", TopicError::Empty),
        (too_long.as_str(), TopicError::TooLong),
        ("\0", TopicError::NulCharacter),
        ("12345678\0", TopicError::NulCharacter),
        ("\n", TopicError::ControlCharacter),
        ("\u{9f}", TopicError::ControlCharacter),
        ("\u{FFFF}", TopicError::NonCharacter),
        ("#", TopicError::Wildcard),
        ("a/+/b", TopicError::Wildcard),
        ("1234567890+", TopicError::Wildcard),
        ("\u{e9}+", TopicError::Wildcard),
        ("+\0", TopicError::Wildcard),
        ("\0+", TopicError::NulCharacter),
    ] {
        assert_eq!(TopicName::new(name), Err(error), "{name}");
        assert_eq!(TopicName::try_from(name), Err(error));
    }
}

/// Proves: [MQTT-4.7.3-1], [MQTT-4.7.3-4]
#[test]
fn every_other_name_can_be_built_and_stays_as_it_is() {
    for name in ["a", "/", "//", " ", "a b", "$", "*\"!\"*", "\u{feff}", "\u{e9}/\u{1f600}", "~"] {
        let topic = TopicName::new(name).unwrap();
        assert_eq!(topic.as_str(), name);
        assert_eq!(topic.to_string(), name);
        assert!(topic.levels().eq(name.split('/')));
        let filter = TopicFilter::new(name).unwrap();
        assert!(filter.matches(topic));
        assert!(!filter.has_wildcards());
    }
    let longest = "x".repeat(65_535);
    assert!(TopicName::new(&longest).is_ok());
    assert!(TopicFilter::new(&longest).is_ok());
}
