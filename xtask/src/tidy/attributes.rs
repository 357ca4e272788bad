//! The attributes of a Rust source.

use super::is_word;

/// An attribute without its `#[` and `]`; the insides of strings are blank.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Attribute<'a> {
    /// Of its first character, counted from 1.
    pub(super) line: usize,
    pub(super) text: &'a str,
}

impl Attribute<'_> {
    /// The words of the attribute, in order.
    fn words(&self) -> impl Iterator<Item = &str> {
        self.text.split(|character| !is_word(character)).filter(|word| !word.is_empty())
    }

    /// The first word, `cfg_attr` aside: what the attribute is.
    fn is_or_sets(&self, name: &str) -> bool {
        let mut words = self.words();
        match words.next() {
            Some("cfg_attr") => words.any(|word| word == name),
            first => first == Some(name),
        }
    }

    /// Whether it switches a test off.
    pub(super) fn switches_off_a_test(&self) -> bool {
        self.is_or_sets("ignore")
    }

    /// Whether it silences a lint and does not say why.
    pub(super) fn silences_without_a_reason(&self) -> bool {
        (self.is_or_sets("allow") || self.is_or_sets("expect"))
            && !self.words().any(|word| word == "reason")
    }
}

/// The attributes in `code`, from which comments and strings are blanked out.
pub(super) fn attributes(code: &str) -> Vec<Attribute<'_>> {
    let mut found = Vec::new();
    for (at, mark) in code.match_indices('#') {
        let after = code.get(at + mark.len()..).unwrap_or_default();
        let after = after.strip_prefix('!').unwrap_or(after);
        let Some(inside) = after.strip_prefix('[') else { continue };
        let mut depth = 1_usize;
        let end = inside.find(|character| {
            match character {
                '[' => depth += 1,
                ']' => depth -= 1,
                _ => {}
            }
            depth == 0
        });
        let line = code.get(..at).map_or(0, |before| before.matches('\n').count()) + 1;
        let text = end.and_then(|end| inside.get(..end)).unwrap_or(inside).trim();
        found.push(Attribute { line, text });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_ends_at_its_own_bracket() {
        let code = "#![deny(a)]\n\n#[derive(B)]\nstruct C([u8; 3]);\n#[d([e])]";
        let found: Vec<_> = attributes(code).into_iter().map(|a| (a.line, a.text)).collect();
        assert_eq!(found, [(1, "deny(a)"), (3, "derive(B)"), (5, "d([e])")]);
    }

    fn only(text: &str) -> Attribute<'_> {
        Attribute { line: 1, text }
    }

    #[test]
    fn a_silenced_lint_needs_a_reason() {
        assert!(only("allow(dead_code)").silences_without_a_reason());
        assert!(only("cfg_attr(test, expect(unused))").silences_without_a_reason());
        assert!(!only("expect(\n    unused,\n    reason = \"  \"\n)").silences_without_a_reason());
        assert!(!only("should_panic(expected = \" \")").silences_without_a_reason());
        assert!(!only("derive(allow)").silences_without_a_reason());
    }

    #[test]
    fn a_test_may_not_be_switched_off() {
        assert!(only("ignore").switches_off_a_test());
        assert!(only("ignore = \"  \"").switches_off_a_test());
        assert!(only("cfg_attr(windows, ignore)").switches_off_a_test());
        assert!(!only("serde(ignore)").switches_off_a_test());
    }
}
