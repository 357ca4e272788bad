//! Programs from the crates registry that the checks run: pinned versions, built once per user
//! into a folder that all clones share.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::Instant,
};

use crate::{
    error::Error,
    notice::Notice,
    process::{program, run},
};

/// A program that `cargo install` builds.
#[derive(Debug)]
pub(crate) struct CargoTool {
    name: &'static str,
    version: &'static str,
    /// Fewer features are fewer crates to build.
    options: &'static [&'static str],
    /// What can't be done without it.
    purpose: &'static str,
}

pub(crate) const CARGO_DENY: CargoTool = CargoTool {
    name: "cargo-deny",
    version: "0.20.2",
    options: &[],
    purpose: "the check of dependencies and licences",
};

pub(crate) const MDBOOK: CargoTool = CargoTool {
    name: "mdbook",
    version: "0.5.4",
    // Without its web server and its file watcher.
    options: &["--no-default-features", "--features", "search"],
    purpose: "the build of the book",
};

pub(crate) const CARGO_FUZZ: CargoTool =
    CargoTool { name: "cargo-fuzz", version: "0.13.2", options: &[], purpose: "fuzzing" };

impl CargoTool {
    /// The path of the program; builds it if this user does not have this version yet.
    pub(crate) fn ensure(&self) -> Result<PathBuf, Notice> {
        let folder = folder().map_err(|error| self.missing(&error))?;
        let home = folder.join(format!("{}-{}", self.name, self.version));
        let path = home.join("bin").join(format!("{}{}", self.name, env::consts::EXE_SUFFIX));
        if path.is_file() {
            return Ok(path);
        }
        eprintln!("building {} {}, once, into {}", self.name, self.version, home.display());
        let started = Instant::now();
        self.install(&home).map_err(|error| self.missing(&error))?;
        eprintln!("built {} in {} s", self.name, started.elapsed().as_secs());
        Ok(path)
    }

    fn install(&self, home: &Path) -> Result<(), Error> {
        // They run for a second each, so what counts is the time that building them takes.
        let result = run(program("cargo")
            .args(["install", "--quiet", "--locked", "--root"])
            .arg(home)
            .args(self.options)
            .arg(format!("{}@{}", self.name, self.version))
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
            .env("CARGO_PROFILE_RELEASE_DEBUG", "0")
            .env("CARGO_PROFILE_RELEASE_STRIP", "symbols")
            // The tools are not part of this workspace: neither its flags nor its target folder.
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_TARGET_DIR"));
        if result.is_err() && home.exists() {
            fs::remove_dir_all(home)?;
        }
        result
    }

    fn missing(&self, error: &Error) -> Notice {
        Notice::required(
            self.purpose,
            format!("{} {} could not be built: {error}", self.name, self.version),
            "mend what cargo says above (is there a network?), then run the command again",
        )
    }
}

/// The folder of the tools: `$MQTT_TOOLS`, or one in the user's cache.
fn folder() -> Result<PathBuf, Error> {
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    let folder = folder_from(|name| variable(name).map(PathBuf::from))?;
    // Programs run from the root of the workspace, wherever we were started.
    Ok(std::path::absolute(folder)?)
}

fn folder_from(variable: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf, Error> {
    if let Some(folder) = variable("MQTT_TOOLS") {
        return Ok(folder);
    }
    let cache = variable("XDG_CACHE_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".cache")))
        .ok_or_else(|| Error::new("there is no home folder; set MQTT_TOOLS to a folder"))?;
    Ok(cache.join("mqtt-tools"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<PathBuf> {
        |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| PathBuf::from(value))
    }

    #[test]
    fn the_folder_is_in_the_users_cache() {
        let folder = folder_from(variables(&[("HOME", "/h")])).unwrap();
        assert_eq!(folder, Path::new("/h/.cache/mqtt-tools"));
        let folder = folder_from(variables(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/c")])).unwrap();
        assert_eq!(folder, Path::new("/c/mqtt-tools"));
    }

    #[test]
    fn a_variable_moves_the_folder() {
        let folder = folder_from(variables(&[("HOME", "/h"), ("MQTT_TOOLS", "/t")])).unwrap();
        assert_eq!(folder, Path::new("/t"));
    }

    #[test]
    fn without_a_home_the_variable_is_asked_for() {
        let error = folder_from(variables(&[])).unwrap_err().to_string();
        assert!(error.contains("MQTT_TOOLS"), "{error}");
    }
}
