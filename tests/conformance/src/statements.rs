//! The list of statements.

use std::sync::LazyLock;

use serde::Deserialize;

/// A statement of the standard, or a rule that it states without a number.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Statement {
    /// With its brackets.
    pub id: String,
    /// Who has to act on it: client, server or both.
    pub role: String,
    /// What must hold.
    pub text: String,
}

#[derive(Deserialize)]
struct List {
    statement: Vec<Statement>,
}

/// Every statement, in the order of the list.
pub fn statements() -> &'static [Statement] {
    static STATEMENTS: LazyLock<Vec<Statement>> = LazyLock::new(|| {
        // A test reads the list too, so a program with a broken one is not built into anything.
        toml::from_str::<List>(include_str!("../statements.toml"))
            .map_or_else(|_| Vec::new(), |list| list.statement)
    });
    &STATEMENTS
}

/// The statement with this id.
pub fn statement(id: &str) -> Option<&'static Statement> {
    statements().iter().find(|statement| statement.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_statements_are_there() {
        let numbered = statements().iter().filter(|s| s.id.starts_with("[MQTT-")).count();
        assert_eq!(numbered, 251);
        assert_eq!(statements().len() - numbered, 66);
    }
}
