//! What `cargo metadata` says of packages and their dependencies.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
};

use serde_json::Value;

use crate::error::Error;

/// Packages by the identifier that cargo gives them.
#[derive(Debug)]
pub(super) struct Graph {
    packages: BTreeMap<String, Package>,
}

#[derive(Debug)]
pub(super) struct Package {
    pub(super) name: String,
    is_ours: bool,
    /// Packages of this workspace that the manifest names.
    pub(super) declared: Vec<(String, Kind)>,
    /// Identifiers of what is linked into it, directly.
    linked: Vec<String>,
}

/// What a dependency is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Normal,
    Build,
    Dev,
}

impl Kind {
    fn parse(value: &Value) -> Self {
        match value.as_str() {
            Some("dev") => Self::Dev,
            Some("build") => Self::Build,
            _ => Self::Normal,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Normal => "dependency",
            Self::Build => "build dependency",
            Self::Dev => "dev dependency",
        })
    }
}

impl Graph {
    /// Reads the output of `cargo metadata --format-version 1`.
    pub(super) fn parse(metadata: &str) -> Result<Self, Error> {
        let metadata: Value = serde_json::from_str(metadata)
            .map_err(|error| Error::new(format!("cargo metadata: {error}")))?;
        let ours: BTreeSet<&str> =
            items(&metadata, "workspace_members").iter().filter_map(Value::as_str).collect();
        let our_names: BTreeSet<&str> = items(&metadata, "packages")
            .iter()
            .filter(|package| ours.contains(text(package, "id")))
            .map(|package| text(package, "name"))
            .collect();
        let mut packages = BTreeMap::new();
        for package in items(&metadata, "packages") {
            let id = text(package, "id");
            let declared = items(package, "dependencies")
                .iter()
                .filter(|dependency| our_names.contains(text(dependency, "name")))
                .map(|dependency| {
                    let kind = dependency.get("kind").unwrap_or(&Value::Null);
                    (text(dependency, "name").to_owned(), Kind::parse(kind))
                })
                .collect();
            packages.insert(
                id.to_owned(),
                Package {
                    name: text(package, "name").to_owned(),
                    is_ours: ours.contains(id),
                    declared,
                    linked: Vec::new(),
                },
            );
        }
        for node in metadata.get("resolve").map_or(&[][..], |resolve| items(resolve, "nodes")) {
            let Some(package) = packages.get_mut(text(node, "id")) else { continue };
            package.linked = items(node, "deps")
                .iter()
                .filter(|dependency| is_linked(dependency))
                .map(|dependency| text(dependency, "pkg").to_owned())
                .collect();
        }
        Ok(Self { packages })
    }

    /// The packages of this workspace.
    pub(super) fn ours(&self) -> impl Iterator<Item = &Package> {
        self.packages.values().filter(|package| package.is_ours)
    }

    /// For each package that is linked into the named one, a shortest path to it, as names.
    pub(super) fn paths_from(&self, name: &str) -> Vec<Vec<&str>> {
        let mut paths = Vec::new();
        let mut seen = BTreeSet::new();
        let mut queue: VecDeque<(&str, Vec<&str>)> = self
            .packages
            .iter()
            .filter(|(_, package)| package.is_ours && package.name == name)
            .map(|(id, package)| (id.as_str(), vec![package.name.as_str()]))
            .collect();
        while let Some((id, path)) = queue.pop_front() {
            let Some(package) = self.packages.get(id) else { continue };
            for next in &package.linked {
                let Some(dependency) = self.packages.get(next) else { continue };
                if seen.insert(next) {
                    let mut path = path.clone();
                    path.push(&dependency.name);
                    paths.push(path.clone());
                    queue.push_back((next, path));
                }
            }
        }
        paths
    }
}

fn is_linked(dependency: &Value) -> bool {
    items(dependency, "dep_kinds")
        .iter()
        .any(|kind| Kind::parse(kind.get("kind").unwrap_or(&Value::Null)) == Kind::Normal)
}

fn items<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}
