//! A new configuration for a running broker: all of it, or nothing.

use std::sync::Arc;

use thiserror::Error;

use crate::access::{Chain, Tasks};
use crate::config::Config;
use crate::error::BindError;
use crate::inbox::Inbox;
use crate::settings;
use crate::transport::Route;

/// Why a configuration is not taken. The running broker keeps the one it has.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// The configuration, or a file that it names, is not what it should be.
    #[error(transparent)]
    Config(#[from] BindError),
    /// Something differs that cannot change while the broker runs.
    #[error("{} cannot change while the broker runs; start it again", settings.join(", "))]
    NeedsRestart {
        /// The settings, by their names in the configuration file.
        settings: Vec<String>,
    },
    /// The broker has stopped.
    #[error("the broker has stopped")]
    Stopped,
}

/// Everything that a reload replaces.
#[derive(Debug)]
pub(crate) struct Reload {
    pub(crate) chain: Chain,
    pub(crate) tasks: Option<Tasks>,
    /// For each configured listener.
    pub(crate) routes: Vec<Arc<Route>>,
}

impl Reload {
    /// Reads everything that `new` names, without touching what runs.
    pub(crate) fn prepare(
        old: &Config,
        new: &Config,
        inbox: &Arc<Inbox>,
    ) -> Result<Self, ReloadError> {
        let settings = settings::that_need_a_restart(old, new);
        if !settings.is_empty() {
            return Err(ReloadError::NeedsRestart { settings });
        }
        new.check_settings()?;
        let chain = Chain::load(new)?;
        let routes = new
            .listeners
            .iter()
            .map(|listener| Route::new(listener, new).map(Arc::new))
            .collect::<Result<_, _>>()?;
        let tasks = Tasks::if_needed(&chain, new, inbox)?;
        Ok(Self { chain, tasks, routes })
    }
}
