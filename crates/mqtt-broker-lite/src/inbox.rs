//! How handles talk to the broker's thread.

use std::io;
use std::mem;
use std::sync::{Mutex, PoisonError};

use mio::{Registry, Token, Waker};

use crate::access::Answer;

/// What a handle asks of the broker's thread.
#[derive(Debug)]
pub(crate) enum Command {
    /// Say goodbye to every client, then end.
    Stop,
    /// A decision was taken.
    Answer(Answer),
    /// What clients may do has changed, for one client identifier or for all.
    RightsChanged(Option<Box<str>>),
}

/// Commands on their way to the broker's thread, and the means to wake it.
#[derive(Debug)]
pub(crate) struct Inbox {
    commands: Mutex<Vec<Command>>,
    waker: Waker,
}

impl Inbox {
    /// An inbox whose arrivals show as events with `token`.
    ///
    /// # Errors
    ///
    /// When the operating system has no descriptor left for the waker.
    pub(crate) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        Ok(Self { commands: Mutex::new(Vec::new()), waker: Waker::new(registry, token)? })
    }

    /// Hands `command` over and wakes the thread, unless an earlier command already has.
    pub(crate) fn send(&self, command: Command) {
        let first = {
            // A list of commands is whole after every statement, so a panic elsewhere while the
            // lock was held does not matter.
            let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
            commands.push(command);
            commands.len() == 1
        };
        if first && let Err(error) = self.waker.wake() {
            tracing::error!(%error, "cannot wake the broker's thread");
        }
    }

    /// Takes everything that has arrived.
    pub(crate) fn take(&self) -> Vec<Command> {
        mem::take(&mut *self.commands.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
