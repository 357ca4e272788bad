//! Which test functions say that they prove a statement, and what the test runner calls them.

use crate::tidy::{File, citations::citations, is_word, source::Source};

/// A test function that names statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proof {
    /// The function with the modules of its file around it: `tests::a_test`.
    pub(super) name: String,
    /// What it proves.
    pub(super) ids: Vec<String>,
}

/// The proofs of a file, or what is wrong with one.
pub(super) fn proofs(file: &File) -> Result<Vec<Proof>, String> {
    if !file.path.ends_with(".rs") || !file.text.contains(&mark()) {
        return Ok(Vec::new());
    }
    let source = Source::split(&file.text);
    let modules = modules(&source.code);
    let mut found = Vec::new();
    let mut ids: Vec<String> = Vec::new();
    let mut begun = 0;
    let lines = source.comments.lines().zip(source.code.lines()).zip(modules);
    for (index, ((comment, code), module)) in lines.enumerate() {
        let doc = comment.trim().strip_prefix("///");
        if let Some(doc) = doc {
            if doc.contains(&mark()) {
                begun = index + 1;
            }
            if begun > 0 {
                ids.extend(citations(doc).into_iter().map(|citation| citation.id));
            }
            continue;
        }
        if begun == 0 {
            continue;
        }
        if let Some(name) = function(code) {
            let name = module.iter().map(String::as_str).chain([name]).collect::<Vec<_>>();
            found.push(Proof { name: name.join("::"), ids: std::mem::take(&mut ids) });
            begun = 0;
        } else if !code.trim().is_empty() && !code.trim().starts_with('#') {
            return Err(format!("{}:{begun}: this proof stands on no function", file.path));
        }
    }
    if begun > 0 {
        return Err(format!("{}:{begun}: this proof stands on no function", file.path));
    }
    Ok(found)
}

/// What a proof begins with. Put together, so that this file holds none.
fn mark() -> String {
    ["Proves", ":"].concat()
}

/// The name of the function that a line begins.
fn function(code: &str) -> Option<&str> {
    let (before, after) = code.split_once("fn ")?;
    if !before.split_whitespace().all(|word| matches!(word, "pub" | "async" | "pub(crate)")) {
        return None;
    }
    let end = after.find(|character| !is_word(character))?;
    after.get(..end).filter(|name| !name.is_empty())
}

/// For each line the modules that are open where it begins.
fn modules(code: &str) -> Vec<Vec<String>> {
    let mut open: Vec<(String, usize)> = Vec::new();
    let mut depth = 0_usize;
    let mut all = Vec::new();
    for line in code.lines() {
        all.push(open.iter().map(|(name, _)| name.clone()).collect());
        let mut words = line.trim().trim_start_matches("pub(crate) ").trim_start_matches("pub ");
        words = words.strip_prefix("mod ").unwrap_or_default();
        let name: String = words.chars().take_while(|&character| is_word(character)).collect();
        for character in line.chars() {
            match character {
                '{' => {
                    depth += 1;
                    if !name.is_empty() && open.last().is_none_or(|(last, _)| *last != name) {
                        open.push((name.clone(), depth));
                    }
                }
                '}' => {
                    if open.last().is_some_and(|(_, at)| *at == depth) {
                        open.pop();
                    }
                    depth = depth.saturating_sub(1);
                }
                _ => {}
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Proof>, String> {
        let text = text.replace("PROVES", &mark());
        proofs(&File { path: "a.rs".to_owned(), text })
    }

    fn id(number: &str) -> String {
        format!("[MQTT-{number}]")
    }

    #[test]
    fn a_proof_names_its_function_with_the_modules_around_it() {
        let text = format!(
            "mod tests {{\n    mod inner {{\n        fn f() {{}}\n    }}\n    \
             /// About. PROVES {},\n    /// {}\n    #[test]\n    fn a_test() {{}}\n}}\n\
             /// PROVES {}\n#[tokio::test]\nasync fn b_test() {{}}\n",
            id("9.1-1"),
            id("9.1-2"),
            id("9.1-3"),
        );
        let found = read(&text).unwrap();
        assert_eq!(found[0].name, "tests::a_test");
        assert_eq!(found[0].ids, [id("9.1-1"), id("9.1-2")]);
        assert_eq!(found[1].name, "b_test");
        assert_eq!(found[1].ids, [id("9.1-3")]);
    }

    #[test]
    fn a_proof_on_no_function_is_refused() {
        assert!(read(&format!("/// PROVES {}\nstruct A;\n", id("9.1-1"))).is_err());
        assert!(read(&format!("/// PROVES {}\n", id("9.1-1"))).is_err());
    }

    #[test]
    fn a_proof_in_a_string_is_none() {
        assert_eq!(read("const A: &str = \"/// PROVES it\";\n"), Ok(Vec::new()));
    }
}
