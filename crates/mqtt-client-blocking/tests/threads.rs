//! How many threads the clients of a process need. It has one test, so that nothing else runs.

#![cfg(target_os = "linux")]

#[cfg(test)]
mod common;

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use common::{PATIENCE, Server};

#[test]
fn all_clients_share_one_thread_that_ends_with_the_last_of_them() {
    // The threads of this process that the library has started.
    let threads = || {
        let tasks = fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
        // A thread may end while it is looked at.
        let names = tasks.filter_map(|task| fs::read_to_string(task.join("comm")).ok());
        names.filter(|name| name.starts_with("mqtt-")).count()
    };
    let until_there_are = |expected| {
        let begin = Instant::now();
        while threads() != expected {
            assert!(begin.elapsed() < PATIENCE, "{} threads, not {expected}", threads());
            thread::sleep(Duration::from_millis(1));
        }
    };
    let server = Server::start();
    for _ in 0..3 {
        assert_eq!(threads(), 0);
        let mut connections: Vec<_> = (0..20).map(|_| server.open()).collect();
        until_there_are(1);
        let (last, mut peer) = connections.pop().unwrap();
        drop(connections);
        last.publish("a", "").send().unwrap();
        assert_eq!(peer.publish().1, "a");
        assert_eq!(threads(), 1);
        drop(last);
        until_there_are(0);
    }
    // Nor does an attempt that fails leave one.
    let address = Server::start().url();
    mqtt_client_blocking::Client::builder(&address).connect().unwrap_err();
    until_there_are(0);
}
