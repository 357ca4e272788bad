//! Programs that come as Debian packages, installed with apt-get where we may.

use std::{env, path::Path, process::Command};

use crate::{
    error::Error,
    notice::Notice,
    process::{output, program, run, succeeds},
};

/// A program and the Debian package that brings it.
#[derive(Debug)]
pub(crate) struct DebianTool {
    program: &'static str,
    package: &'static str,
    /// What can't be done without it.
    purpose: &'static str,
}

pub(crate) const MOSQUITTO: DebianTool = DebianTool {
    program: "mosquitto",
    package: "mosquitto",
    purpose: "tests against the mosquitto broker",
};

pub(crate) const MOSQUITTO_CLIENTS: DebianTool = DebianTool {
    program: "mosquitto_pub",
    package: "mosquitto-clients",
    purpose: "tests against the mosquitto clients",
};

pub(crate) const CHROMIUM: DebianTool = DebianTool {
    program: "chromium",
    package: "chromium",
    purpose: "the example's page in a browser",
};

pub(crate) const OPENSSL: DebianTool = DebianTool {
    program: "openssl",
    package: "openssl",
    purpose: "certificates for the clients of others",
};

impl DebianTool {
    pub(crate) fn is_installed(&self) -> bool {
        let path = env::var_os("PATH").unwrap_or_default();
        // Servers live in a folder that only root's PATH has.
        env::split_paths(&path)
            .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
            .any(|folder| folder.join(self.program).is_file())
    }
}

/// Installs what is missing, where we may, and returns what is missing still.
pub(crate) fn ensure(tools: &[&DebianTool]) -> Vec<Notice> {
    let missing: Vec<&DebianTool> =
        tools.iter().copied().filter(|tool| !tool.is_installed()).collect();
    if missing.is_empty() {
        return Vec::new();
    }
    let why = match install(&missing) {
        Ok(()) => "apt-get installed its package, and still it is not found".to_owned(),
        Err(error) => error.to_string(),
    };
    missing
        .iter()
        .filter(|tool| !tool.is_installed())
        .map(|tool| {
            Notice::required(
                tool.purpose,
                format!("there is no program {}: {why}", tool.program),
                format!("sudo apt-get install {}", tool.package),
            )
        })
        .collect()
}

fn install(tools: &[&DebianTool]) -> Result<(), Error> {
    if !succeeds(program("apt-get").arg("--version")) {
        return Err(Error::new("there is no apt-get to install it with"));
    }
    let rights = Rights::ours()?;
    let packages: Vec<&str> = tools.iter().map(|tool| tool.package).collect();
    eprintln!("installing with apt-get: {}", packages.join(" "));
    let had_service = mosquitto_service_exists();
    run(rights.apt_get().arg("update"))?;
    run(rights.apt_get().args(["install", "--yes", "--no-install-recommends"]).args(packages))?;
    if !had_service && mosquitto_service_exists() {
        // Debian starts the broker at once and at every boot, on the very port of ours.
        run(rights.program("systemctl").args(["disable", "--now", "mosquitto.service"]))?;
    }
    Ok(())
}

/// Whether systemd runs here and has a mosquitto service.
fn mosquitto_service_exists() -> bool {
    Path::new("/run/systemd/system").is_dir()
        && succeeds(program("systemctl").args(["cat", "mosquitto.service"]))
}

/// How this user may change the system.
#[derive(Debug, Clone, Copy)]
enum Rights {
    Root,
    Sudo,
}

impl Rights {
    fn ours() -> Result<Self, Error> {
        if output(program("id").arg("-u"))?.trim() == "0" {
            return Ok(Self::Root);
        }
        if succeeds(program("sudo").args(["-n", "true"])) {
            return Ok(Self::Sudo);
        }
        Err(Error::new("apt-get needs root, and there is no sudo without a password"))
    }

    fn program(self, name: &str) -> Command {
        match self {
            Self::Root => program(name),
            Self::Sudo => {
                let mut command = program("sudo");
                command.args(["-n", name]);
                command
            }
        }
    }

    fn apt_get(self) -> Command {
        // Through env, because sudo does not pass our variables on.
        let mut command = self.program("env");
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]);
        command.args(["-o", "DPkg::Lock::Timeout=300"]);
        command
    }
}
