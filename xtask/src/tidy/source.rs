//! Takes Rust source apart into code and comments, so that a rule about one is not fooled by the
//! other or by a string.

/// The same text twice, with everything but one kind blanked out. Lines keep their numbers.
#[derive(Debug)]
pub(crate) struct Source {
    /// Neither comments nor the insides of strings.
    pub(crate) code: String,
    /// Comments and doc comments.
    pub(crate) comments: String,
}

impl Source {
    pub(crate) fn split(text: &str) -> Self {
        let mut source = Self { code: String::new(), comments: String::new() };
        let mut rest = text;
        let mut previous = None;
        while let Some(first) = rest.chars().next() {
            let (part, length) = next_part(rest, first, previous);
            let (piece, after) = rest.split_at(length);
            match part {
                Part::Code => source.push(piece, ""),
                Part::Comment => source.push("", piece),
                Part::Literal => source.push("", ""),
            }
            source.blank(piece, part);
            previous = piece.chars().next_back();
            rest = after;
        }
        source
    }

    fn push(&mut self, code: &str, comment: &str) {
        self.code.push_str(code);
        self.comments.push_str(comment);
    }

    /// Writes blanks where `piece` is not shown.
    fn blank(&mut self, piece: &str, part: Part) {
        let blanks: String =
            piece.chars().map(|character| if character == '\n' { '\n' } else { ' ' }).collect();
        if part != Part::Code {
            self.code.push_str(&blanks);
        }
        if part != Part::Comment {
            self.comments.push_str(&blanks);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Code,
    Comment,
    Literal,
}

/// What stands at the beginning of `rest`, and how many bytes of it.
fn next_part(rest: &str, first: char, previous: Option<char>) -> (Part, usize) {
    if rest.starts_with("//") {
        return (Part::Comment, rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (Part::Comment, block_comment(rest));
    }
    if !previous.is_some_and(super::is_word)
        && let Some(length) = raw_string(rest)
    {
        return (Part::Literal, length);
    }
    match first {
        '"' => (Part::Literal, string(rest)),
        '\'' => character(rest).map_or((Part::Code, 1), |length| (Part::Literal, length)),
        _ => (Part::Code, first.len_utf8()),
    }
}

/// The length of a block comment, with those inside it.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(here) = rest.get(at..).filter(|here| !here.is_empty()) {
        if here.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += here.chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// The length of a raw string with its marks, if one begins here.
fn raw_string(rest: &str) -> Option<usize> {
    let prefix = ["r", "br", "cr"].into_iter().find(|prefix| {
        rest.strip_prefix(prefix)
            .is_some_and(|after| after.trim_start_matches('#').starts_with('"'))
    })?;
    let after = rest.strip_prefix(prefix)?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let start = prefix.len() + hashes + 1;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(rest.get(start..)?.find(&end).map_or(rest.len(), |at| start + at + end.len()))
}

/// The length of a string with its quotes.
fn string(rest: &str) -> usize {
    let mut escaped = true;
    for (at, character) in rest.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The length of a character with its quotes; a lifetime has none.
fn character(rest: &str) -> Option<usize> {
    let inside = rest.strip_prefix('\'')?;
    let first = inside.chars().next()?;
    if first == '\\' {
        let escape = inside.get(2..)?;
        return escape.find('\'').map(|at| 3 + at + 1);
    }
    inside.get(first.len_utf8()..)?.starts_with('\'').then(|| first.len_utf8() + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Code and comments, with the blanks taken out.
    fn split(text: &str) -> (String, String) {
        let source = Source::split(text);
        assert_eq!(source.code.lines().count(), text.lines().count());
        let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        (squeeze(&source.code), squeeze(&source.comments))
    }

    #[test]
    fn comments_are_not_code() {
        let (code, comments) = split("let a = 1; // one\n/* two /* three */ */ let b;\n");
        assert_eq!(code, "let a = 1; let b;");
        assert_eq!(comments, "// one /* two /* three */ */");
    }

    #[test]
    fn a_comment_in_a_string_is_neither() {
        let (code, comments) = split(r#"let a = "http://x \" // no";"#);
        assert_eq!(code, "let a = ;");
        assert_eq!(comments, "");
    }

    #[test]
    fn raw_strings_end_at_their_own_mark() {
        let (code, comments) = split("f(r#\"a \" // b\"#, br\"c\", r\"\\\"); // d\n");
        assert_eq!(code, "f( , , );");
        assert_eq!(comments, "// d");
    }

    #[test]
    fn characters_are_literals_and_lifetimes_are_code() {
        let (code, _) = split(r"fn f<'a>(x: &'a str) { '\''; '\u{1F600}'; '/'; b'\\'; r#type }");
        assert_eq!(code, "fn f<'a>(x: &'a str) { ; ; ; b ; r#type }");
    }

    #[test]
    fn what_never_ends_ends_with_the_text() {
        for text in ["/* a", "\"a", "r#\"a", "'", "'\\", "b'"] {
            split(text);
        }
    }
}
