//! `cargo xtask fuzz`: feeds the codec with what no peer would send, on the nightly toolchain.

use std::{
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    args::Args,
    cargo_tool::CARGO_FUZZ,
    error::Error,
    process::{output, program, root, run as run_program, succeeds},
};

/// A workspace of its own, because it wants the nightly compiler.
const FOLDER: &str = "crates/mqtt-codec/fuzz";

/// A longer input is not a deeper one: the largest packet of interest is far below it.
const LONGEST_INPUT: &str = "-max_len=4096";

/// How many bytes of an input are shown.
const MOST_SHOWN: usize = 64;

pub(crate) fn run(args: &[String]) -> Result<(), Error> {
    let mut args = Args::new(args);
    let seconds: Option<u64> = args.value("--seconds")?;
    let only: Option<String> = args.value("--target")?;
    args.finish()?;
    let seconds = seconds.ok_or_else(|| Error::new("usage: fuzz --seconds N [--target NAME]"))?;
    if !succeeds(program("rustup").args(["run", "nightly", "rustc", "--version"])) {
        return Err(Error::new(
            "fuzzing needs the nightly compiler\n    fix: rustup toolchain install nightly",
        ));
    }
    let fuzzer = Fuzzer {
        cargo_fuzz: CARGO_FUZZ.ensure().map_err(|notice| Error::new(notice.to_string()))?,
        scratch: env::temp_dir().join(format!("mqtt-fuzz-{}", std::process::id())),
    };
    let targets = chosen(fuzzer.targets()?, only.as_deref())?;
    let mut findings = Vec::new();
    for target in &targets {
        eprintln!("fuzzing {target} for {seconds} s");
        if let Err(error) = fuzzer.fuzz(target, seconds) {
            findings.push(format!("{target}: {error}{}", artifacts(target)?));
        }
    }
    if fuzzer.scratch.exists() {
        fs::remove_dir_all(&fuzzer.scratch)?;
    }
    Error::from_findings(&findings, "fuzz targets that failed")?;
    println!("{} fuzz targets, {seconds} s each: no failure", targets.len());
    Ok(())
}

/// The targets to run: all, or the one that was asked for.
fn chosen(targets: Vec<String>, only: Option<&str>) -> Result<Vec<String>, Error> {
    let Some(only) = only else { return Ok(targets) };
    let all = targets.join(", ");
    let chosen: Vec<String> = targets.into_iter().filter(|target| target == only).collect();
    if chosen.is_empty() {
        return Err(Error::new(format!("there is no fuzz target {only}; there are: {all}")));
    }
    Ok(chosen)
}

#[derive(Debug)]
struct Fuzzer {
    cargo_fuzz: PathBuf,
    /// For what the fuzzer collects: every run starts from the same place.
    scratch: PathBuf,
}

impl Fuzzer {
    fn cargo_fuzz(&self, command: &str) -> Command {
        let mut fuzz = program(&self.cargo_fuzz);
        fuzz.args([command, "--fuzz-dir", FOLDER]);
        // What cargo told us about ourselves is not true of the toolchain that fuzzes.
        fuzz.env("RUSTUP_TOOLCHAIN", "nightly").env_remove("CARGO").env_remove("RUSTC");
        fuzz
    }

    fn targets(&self) -> Result<Vec<String>, Error> {
        let list = output(&mut self.cargo_fuzz("list"))?;
        Ok(list.lines().map(str::to_owned).collect())
    }

    fn fuzz(&self, target: &str, seconds: u64) -> Result<(), Error> {
        let corpus = self.scratch.join(target);
        fs::create_dir_all(&corpus)?;
        let mut fuzz = self.cargo_fuzz("run");
        fuzz.arg(target).arg(&corpus);
        // A seed of another target is an input like any other.
        let seeds = Path::new(FOLDER).join("seeds");
        if root().join(&seeds).is_dir() {
            fuzz.arg(seeds);
        }
        let time = format!("-max_total_time={seconds}");
        fuzz.args(["--", &time, LONGEST_INPUT, "-print_final_stats=1"]);
        run_program(&mut fuzz)
    }
}

/// The inputs that a target failed on: where they are, and the beginning of each in hex.
fn artifacts(target: &str) -> Result<String, Error> {
    let folder = Path::new(FOLDER).join("artifacts").join(target);
    let mut text = String::new();
    if root().join(&folder).is_dir() {
        for entry in fs::read_dir(root().join(&folder))? {
            let path = folder.join(entry?.file_name());
            let input = fs::read(root().join(&path))?;
            // Writing to a string cannot fail.
            let _ = write!(text, "\n    input: {}\n    hex:   {}", path.display(), hex(&input));
        }
    }
    Ok(text)
}

fn hex(input: &[u8]) -> String {
    let shown = input.iter().take(MOST_SHOWN);
    let mut text: String = shown.map(|byte| format!("{byte:02x} ")).collect();
    if input.len() > MOST_SHOWN {
        // Writing to a string cannot fail.
        let _ = write!(text, "... ({} bytes)", input.len());
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets() -> Vec<String> {
        vec!["packet".to_owned(), "stream".to_owned()]
    }

    #[test]
    fn all_targets_run_unless_one_is_asked_for() {
        assert_eq!(chosen(targets(), None).unwrap(), targets());
        assert_eq!(chosen(targets(), Some("stream")).unwrap(), ["stream"]);
    }

    #[test]
    fn a_target_that_is_not_there_is_refused_with_those_that_are() {
        let error = chosen(targets(), Some("packets")).unwrap_err().to_string();
        assert!(error.contains("packet, stream"), "{error}");
    }

    #[test]
    fn an_input_is_shown_from_its_beginning() {
        assert_eq!(hex(&[0x10, 0x00]), "10 00");
        assert!(hex(&[0; 65]).ends_with("00 ... (65 bytes)"));
    }
}
