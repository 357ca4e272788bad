//! The access control list: who may publish to what and read what, from a file in mosquitto's
//! format.

use std::borrow::Cow;
use std::collections::HashMap;

use mqtt_codec::TopicFilter;

use super::hooks::Permission;
use crate::files::{Problem, each_line};

/// Rules of a file. What no rule allows is denied in the end, so an empty file denies everything.
#[derive(Debug, Default)]
pub(crate) struct Acl {
    anonymous: Vec<Rule>,
    users: HashMap<Box<str>, Vec<Rule>>,
    /// For everybody, with `%c` and `%u` filled in.
    patterns: Vec<Rule>,
}

/// A client, as rules know it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Who<'a> {
    pub(crate) client_id: &'a str,
    /// `None` for a client that has proved no identity.
    pub(crate) user: Option<&'a str>,
}

#[derive(Debug)]
struct Rule {
    right: Right,
    levels: Vec<Level>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Right {
    Read,
    Write,
    ReadWrite,
    Deny,
}

/// A level of a rule's filter.
#[derive(Debug, PartialEq, Eq)]
enum Level {
    Text(Box<str>),
    /// A text with `%c` or `%u` in it.
    Template(Box<str>),
    /// `+`
    One,
    /// `#`
    Rest,
}

impl Acl {
    /// Reads the text of a file.
    pub(crate) fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let mut acl = Self::default();
        let mut user: Option<Box<str>> = None;
        each_line(text, |line| {
            let (keyword, rest) = split(line);
            match keyword {
                "user" if rest.is_empty() => Err("the name of the user is missing".to_owned()),
                "user" => {
                    acl.users.entry(rest.into()).or_default();
                    user = Some(rest.into());
                    Ok(())
                }
                "topic" => {
                    let rule = Rule::parse(rest, false)?;
                    match &user {
                        Some(user) => acl.users.entry(user.clone()).or_default().push(rule),
                        None => acl.anonymous.push(rule),
                    }
                    Ok(())
                }
                "pattern" => {
                    acl.patterns.push(Rule::parse(rest, true)?);
                    Ok(())
                }
                _ => Err(format!(
                    "{keyword:?} is not known here: a line begins with user, topic or pattern"
                )),
            }
        })?;
        Ok(acl)
    }

    /// Whether a client may publish to a topic. Abstains where no rule says anything.
    pub(crate) fn publish(&self, who: Who<'_>, topic: &str) -> Permission {
        self.judge(who, topic, Right::Write)
    }

    /// Whether a client may read a topic. Abstains where no rule says anything.
    pub(crate) fn read(&self, who: Who<'_>, topic: &str) -> Permission {
        self.judge(who, topic, Right::Read)
    }

    /// Whether a client may subscribe to a filter: there is a topic that the filter matches and a
    /// rule lets the client read. Each message is judged by its own topic besides.
    pub(crate) fn subscribe(&self, who: Who<'_>, filter: &str) -> Permission {
        let Ok(filter) = TopicFilter::new(filter) else { return Permission::Deny };
        let filter: Vec<Level> =
            filter.filter().split('/').map(|text| Level::new(text, false)).collect();
        self.first(
            who,
            Right::Read,
            |rule| covers(&rule.levels, &filter, who),
            |rule| overlap(&rule.levels, &filter, who),
        )
    }

    fn judge(&self, who: Who<'_>, topic: &str, right: Right) -> Permission {
        let matches = |rule: &Rule| rule.matches(who, topic);
        self.first(who, right, matches, matches)
    }

    /// Denials go before everything that allows.
    fn first(
        &self,
        who: Who<'_>,
        right: Right,
        denies: impl Fn(&Rule) -> bool,
        allows: impl Fn(&Rule) -> bool,
    ) -> Permission {
        if self.rules(who).any(|rule| rule.right == Right::Deny && denies(rule)) {
            Permission::Deny
        } else if self
            .rules(who)
            .any(|rule| (rule.right == right || rule.right == Right::ReadWrite) && allows(rule))
        {
            Permission::Allow
        } else {
            Permission::Abstain
        }
    }

    fn rules(&self, who: Who<'_>) -> impl Iterator<Item = &Rule> {
        let own = match who.user {
            Some(user) => self.users.get(user).map(Vec::as_slice).unwrap_or_default(),
            None => &self.anonymous,
        };
        own.iter().chain(&self.patterns)
    }
}

/// The first word and what follows it.
fn split(line: &str) -> (&str, &str) {
    line.split_once(char::is_whitespace).map_or((line, ""), |(word, rest)| (word, rest.trim()))
}

impl Rule {
    fn parse(text: &str, is_pattern: bool) -> Result<Self, String> {
        if text.is_empty() {
            return Err("the topic is missing".to_owned());
        }
        let (right, topic) = match split(text) {
            (_, "") => (Right::ReadWrite, text),
            ("read", topic) => (Right::Read, topic),
            ("write", topic) => (Right::Write, topic),
            ("readwrite", topic) => (Right::ReadWrite, topic),
            ("deny", topic) => (Right::Deny, topic),
            (word, _) => {
                return Err(format!(
                    "{word:?} is no kind of access: read, write, readwrite or deny stands before \
                     a topic with spaces"
                ));
            }
        };
        let filter =
            TopicFilter::new(topic).map_err(|error| format!("{topic:?} is no topic: {error}"))?;
        if filter.is_shared() {
            return Err(format!(
                "{topic:?}: rights belong to topics; write what stands after the share name"
            ));
        }
        let levels = topic.split('/').map(|text| Level::new(text, is_pattern)).collect();
        Ok(Self { right, levels })
    }

    /// Whether the rule is about `topic`, for this client.
    fn matches(&self, who: Who<'_>, topic: &str) -> bool {
        // [MQTT-4.7.2-1]
        if topic.starts_with('$') && matches!(self.levels.first(), Some(Level::One | Level::Rest)) {
            return false;
        }
        let mut topic = topic.split('/');
        for level in &self.levels {
            if *level == Level::Rest {
                return true;
            }
            match topic.next() {
                Some(text) if self.level_matches(level, who, text) => {}
                _ => return false,
            }
        }
        topic.next().is_none()
    }

    fn level_matches(&self, level: &Level, who: Who<'_>, text: &str) -> bool {
        match level {
            Level::Text(own) => **own == *text,
            Level::Template(template) => match expand(template, who) {
                Some(own) => own == text,
                // Who has a name that cannot stand here gets no right by it, and loses those of
                // everybody.
                None => self.right == Right::Deny,
            },
            Level::One | Level::Rest => true,
        }
    }
}

impl Level {
    fn new(text: &str, is_pattern: bool) -> Self {
        match text {
            "+" => Self::One,
            "#" => Self::Rest,
            text if is_pattern && (text.contains("%c") || text.contains("%u")) => {
                Self::Template(text.into())
            }
            text => Self::Text(text.into()),
        }
    }

    /// Whether some text may stand at both levels. A name that cannot be expanded stands nowhere.
    fn meets(&self, other: &Self, who: Who<'_>) -> bool {
        match (self.text(who), other.text(who)) {
            (Some(one), Some(other)) => one == other,
            _ => {
                let impossible = |level: &Self| matches!(level, Self::Template(template) if expand(template, who).is_none());
                !impossible(self) && !impossible(other)
            }
        }
    }

    fn text<'a>(&'a self, who: Who<'_>) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Template(template) => expand(template, who).map(Cow::Owned),
            Self::One | Self::Rest => None,
        }
    }
}

/// Fills `%c` and `%u` in. `None` if the client has no such name, or one that would be more than
/// a part of one level: a client identifier of `#` must not open every topic.
fn expand(template: &str, who: Who<'_>) -> Option<String> {
    let name = |name: Option<&str>| {
        name.filter(|name| !name.is_empty() && !name.contains(['+', '#', '/'])).map(str::to_owned)
    };
    let mut text = String::new();
    let mut rest = template;
    // In one pass, so that a name with %u in it stays as it is.
    while let Some(at) = rest.find('%') {
        let (before, from) = rest.split_at(at);
        text.push_str(before);
        rest = if let Some(after) = from.strip_prefix("%c") {
            text.push_str(&name(Some(who.client_id))?);
            after
        } else if let Some(after) = from.strip_prefix("%u") {
            text.push_str(&name(who.user)?);
            after
        } else {
            text.push('%');
            from.get(1..).unwrap_or_default()
        };
    }
    text.push_str(rest);
    Some(text)
}

fn is_reserved(level: Option<&Level>) -> bool {
    matches!(level, Some(Level::Text(text) | Level::Template(text)) if text.starts_with('$'))
}

fn is_wildcard(level: Option<&Level>) -> bool {
    matches!(level, Some(Level::One | Level::Rest))
}

/// Whether some topic matches both.
fn overlap(rule: &[Level], filter: &[Level], who: Who<'_>) -> bool {
    // [MQTT-4.7.2-1]
    let apart =
        |one: &[Level], other: &[Level]| is_wildcard(one.first()) && is_reserved(other.first());
    if apart(rule, filter) || apart(filter, rule) {
        return false;
    }
    let (mut rule, mut filter) = (rule.iter(), filter.iter());
    loop {
        match (rule.next(), filter.next()) {
            // A `#` stands for its parent level too.
            (Some(Level::Rest), _) | (_, Some(Level::Rest)) | (None, None) => return true,
            (Some(one), Some(other)) if one.meets(other, who) => {}
            _ => return false,
        }
    }
}

/// Whether every topic that matches the filter matches the rule, which denies.
fn covers(rule: &[Level], filter: &[Level], who: Who<'_>) -> bool {
    if is_wildcard(rule.first()) && (is_reserved(filter.first())) {
        return false;
    }
    let (mut rule, mut filter) = (rule.iter(), filter.iter());
    loop {
        match (rule.next(), filter.next()) {
            (Some(Level::Rest), _) | (None, None) => return true,
            (Some(_) | None, Some(Level::Rest)) | (None, Some(_)) | (Some(_), None) => {
                return false;
            }
            (Some(Level::One), Some(_)) => {}
            (Some(Level::Template(template)), Some(_)) if expand(template, who).is_none() => {}
            (Some(_), Some(Level::One)) => return false,
            (Some(one), Some(other)) if one.meets(other, who) => {}
            (Some(_), Some(_)) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Acl {
        fn may_publish(&self, who: Who<'_>, topic: &str) -> bool {
            self.publish(who, topic) == Permission::Allow
        }

        fn may_read(&self, who: Who<'_>, topic: &str) -> bool {
            self.read(who, topic) == Permission::Allow
        }

        fn may_subscribe(&self, who: Who<'_>, filter: &str) -> bool {
            self.subscribe(who, filter) == Permission::Allow
        }
    }

    fn anonymous(client_id: &str) -> Who<'_> {
        Who { client_id, user: None }
    }

    fn user<'a>(client_id: &'a str, user: &'a str) -> Who<'a> {
        Who { client_id, user: Some(user) }
    }

    fn acl(text: &str) -> Acl {
        Acl::parse(text).unwrap()
    }

    #[test]
    fn an_empty_file_denies_everything() {
        for text in ["", "\n\n# nothing\n"] {
            let acl = acl(text);
            assert!(!acl.may_publish(anonymous("a"), "t"));
            assert!(!acl.may_read(user("a", "u"), "t"));
            assert!(!acl.may_subscribe(user("a", "u"), "#"));
        }
    }

    #[test]
    fn rules_belong_to_the_user_above_them_or_to_the_anonymous() {
        let acl = acl(
            "topic read news/#\nuser ann\ntopic write ann/+\ntopic readwrite two words\nuser bob\n",
        );
        assert!(!acl.may_publish(anonymous("a"), "news/today"));
        assert!(acl.may_read(anonymous("a"), "news"), "# stands for its parent level too");
        assert!(!acl.may_read(user("a", "ann"), "news/today"));
        assert!(acl.may_publish(user("a", "ann"), "ann/x"));
        assert!(!acl.may_publish(user("a", "ann"), "ann/x/y"));
        assert!(!acl.may_read(user("a", "ann"), "ann/x"));
        assert!(acl.may_read(user("a", "ann"), "two words"));
        assert!(!acl.may_read(user("a", "bob"), "news/today"));
        assert!(!acl.may_read(user("a", "eve"), "news/today"), "not in the file");
    }

    #[test]
    fn a_denial_stands_above_what_allows_wherever_it_stands() {
        let acl = acl("user ann\ntopic readwrite #\ntopic deny secret/#\n");
        assert!(acl.may_publish(user("a", "ann"), "open"));
        assert!(!acl.may_publish(user("a", "ann"), "secret/x"));
        assert!(!acl.may_read(user("a", "ann"), "secret"));
        assert!(acl.may_subscribe(user("a", "ann"), "+/x"));
        assert!(!acl.may_subscribe(user("a", "ann"), "secret/+"), "nothing could ever come");
    }

    #[test]
    fn patterns_hold_for_everybody_under_their_own_name() {
        let acl = acl("pattern readwrite dev/%c/#\npattern read home/%u\npattern read x%%u-%c-y\n");
        assert!(acl.may_publish(anonymous("lamp"), "dev/lamp/state"));
        assert!(!acl.may_publish(anonymous("lamp"), "dev/door/state"));
        assert!(acl.may_read(user("lamp", "ann"), "home/ann"));
        assert!(!acl.may_read(anonymous("lamp"), "home/"));
        assert!(acl.may_read(user("lamp", "ann"), "x%ann-lamp-y"));
        assert!(acl.may_subscribe(anonymous("lamp"), "dev/+/state"));
        assert!(acl.may_subscribe(anonymous("lamp"), "dev/lamp/state"));
        assert!(!acl.may_subscribe(anonymous("lamp"), "dev/door/state"));
    }

    #[test]
    fn a_name_with_wildcards_or_levels_opens_nothing_by_a_pattern() {
        let acl = acl("pattern readwrite dev/%c/#\npattern readwrite %u\n");
        for name in ["#", "+", "a/b", "+/+", "/", "", "a#"] {
            for topic in ["dev/lamp/x", "dev/#/x", "dev/+/x", "dev/a/b/x", "dev//x", "dev/a#/x"] {
                assert!(!acl.may_publish(user(name, "ann"), topic), "{name} {topic}");
                assert!(!acl.may_read(user(name, "ann"), topic), "{name} {topic}");
            }
            assert!(!acl.may_subscribe(user(name, name), "dev/lamp/x"), "{name}");
            assert!(!acl.may_subscribe(user(name, name), "dev/+/x"), "{name}");
            assert!(!acl.may_read(user("c", name), "t"), "{name}");
            assert!(!acl.may_read(user("c", name), name), "{name}");
        }
    }

    #[test]
    fn a_name_that_cannot_be_filled_in_escapes_no_denial() {
        let acl = acl("topic read #\nuser a/b\ntopic read #\npattern deny own/%u/#\n");
        assert!(!acl.may_read(user("c", "a/b"), "own/a/b"));
        assert!(!acl.may_read(user("c", "a/b"), "own/x"));
        assert!(!acl.may_read(anonymous("c"), "own/x"));
        assert!(acl.may_read(user("c", "a/b"), "other"));
    }

    #[test]
    fn a_name_with_a_placeholder_in_it_is_not_filled_in_again() {
        let acl = acl("pattern read %c\n");
        assert!(acl.may_read(user("%u", "ann"), "%u"));
        assert!(!acl.may_read(user("%u", "ann"), "ann"));
    }

    /// Proves: [MQTT-4.7.2-1]
    #[test]
    fn reserved_topics_have_to_be_named() {
        let acl = acl("user ann\ntopic read #\ntopic read +/x\nuser root\ntopic read $SYS/#\n");
        assert!(!acl.may_read(user("a", "ann"), "$SYS/x"));
        assert!(!acl.may_subscribe(user("a", "ann"), "$SYS/#"));
        assert!(acl.may_read(user("a", "root"), "$SYS/x"));
        assert!(acl.may_subscribe(user("a", "root"), "$SYS/#"));
        assert!(!acl.may_subscribe(user("a", "root"), "#"));
    }

    #[test]
    fn a_shared_subscription_is_judged_by_its_filter() {
        let acl = acl("topic read news/#\n");
        assert!(acl.may_subscribe(anonymous("a"), "$share/group/news/+"));
        assert!(!acl.may_subscribe(anonymous("a"), "$share/news/other"));
    }

    #[test]
    fn everything_that_is_wrong_is_told_with_its_line() {
        let text =
            "topic\nuser\n\n# fine\nrights all\ntopic a/#/b\ntopic may be\ntopic read $share/g/t\n";
        let problems = Acl::parse(text).unwrap_err();
        let told: Vec<_> = problems.iter().map(|problem| problem.to_string()).collect();
        let starts = [
            "line 1: the topic is missing",
            "line 2: the name of the user is missing",
            "line 5: \"rights\" is not known here",
            "line 6: \"a/#/b\" is no topic",
            "line 7: \"may\" is no kind of access",
            "line 8: \"$share/g/t\": rights belong to topics",
        ];
        assert_eq!(told.len(), starts.len(), "{told:#?}");
        for (told, start) in told.iter().zip(starts) {
            assert!(told.starts_with(start), "{told} / {start}");
        }
    }
}
