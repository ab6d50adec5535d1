//! Damage to the directory of a living host's run, such as cleaners of temporary files cause.

use std::fs;
use std::path::Path;
use std::time::Duration;

use snakepit_registry::{Outcome, Registry, RunState};

use crate::host::Host;
use crate::support::{
    LONG, alive, close, data_dir, eventually, none_left, open, signal, sleeper, start,
};

/// Damages the directory of a run while its host is stopped, sweeps, and resumes the host. Asserts
/// that the sweep does not touch the run, that the host restores the missing files, and that the
/// run is swept after the host has died.
fn damaged(damage: impl Fn(&Path, &Path)) {
    let (dir, data) = data_dir();
    let mut host = Host::start("escapee", &data);
    let run = data.join("runs").join(host.run.to_string());
    let others = open(&dir.path().join("other"));
    signal(host.pid(), libc::SIGSTOP);
    damage(&data, &run);
    if data.exists() {
        for report in Registry::sweep_data_dir(&data, LONG).expect("sweep").runs {
            assert_eq!(report.outcome, Outcome::Alive, "{report:?}");
        }
        for seen in Registry::inspect(&data).expect("inspect") {
            assert_eq!(seen.state, RunState::Alive, "{seen:?}");
            assert!(seen.would_kill.is_empty(), "{seen:?}");
        }
    }
    assert!(host.pids.iter().all(|&pid| alive(pid)), "{:?}", host.pids);
    signal(host.pid(), libc::SIGCONT);
    let whole = || {
        let seen = Registry::inspect(&data).unwrap_or_default();
        let whole = |seen: &&snakepit_registry::RunReport| {
            seen.run_id == host.run && seen.problem.is_none() && seen.workers.len() == 1
        };
        let there = |name: &str| run.join(name).exists();
        seen.iter().filter(whole).count() == 1 && there("lock") && there("s")
    };
    eventually(LONG, "the host has repaired its directory", whole);
    assert!(host.pids.iter().all(|&pid| alive(pid)), "{:?}", host.pids);
    host.kill_but_escapee();
    let report = Registry::sweep_data_dir(&data, LONG).expect("sweep");
    assert_eq!(report.runs[0].outcome, Outcome::Swept, "{report:?}");
    none_left(host.run, Duration::from_millis(500));
    close(&others);
}

fn remove(path: &Path) {
    match fs::metadata(path).expect("it is there").is_dir() {
        true => fs::remove_dir_all(path).expect("remove"),
        false => fs::remove_file(path).expect("remove"),
    }
}

#[test]
fn row_92_the_lock_of_a_living_host_is_removed() {
    damaged(|_, run| remove(&run.join("lock")));
}

#[test]
fn row_92_the_words_of_a_living_host_are_removed() {
    damaged(|_, run| remove(&run.join("meta.json")));
    damaged(|_, run| fs::write(run.join("meta.json"), "{").expect("write"));
}

#[test]
fn row_92_the_words_of_a_living_host_name_another() {
    damaged(|_, run| {
        let text = fs::read(run.join("meta.json")).expect("read");
        let mut meta: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        for gone in ["pid", "start_ticks", "pidfs_inode"] {
            meta["host"][gone] = 4_000_000.into();
        }
        meta["host_pid"] = 4_000_000.into();
        fs::write(run.join("meta.json"), meta.to_string()).expect("write");
    });
}

#[test]
fn row_92_the_database_of_a_living_host_is_removed() {
    damaged(|_, run| remove(&run.join("db/data.mdb")));
    damaged(|_, run| remove(&run.join("db")));
}

#[test]
fn row_92_all_files_of_a_living_host_are_removed() {
    damaged(|_, run| {
        for name in ["lock", "meta.json", "db", "s"] {
            remove(&run.join(name));
        }
    });
    damaged(|_, run| {
        remove(&run.join("lock"));
        remove(&run.join("meta.json"));
    });
}

#[test]
fn row_92_the_directory_of_a_living_host_is_removed() {
    damaged(|_, run| remove(run));
    damaged(|data, _| remove(data));
}

#[test]
fn row_92_the_directory_of_a_living_host_is_moved() {
    let aside = |path: &Path| path.with_file_name("aside");
    damaged(|data, run| fs::rename(run, aside(data)).expect("rename"));
    damaged(|data, _| fs::rename(data, aside(data)).expect("rename"));
}

#[test]
fn row_38_a_data_directory_deleted_under_a_live_host() {
    let (_dir, data) = data_dir();
    let registry = open(&data);
    let (old, _) = start(&registry, "old", &sleeper());
    assert_eq!(registry.stats().expect("stats").degraded, None);
    fs::remove_dir_all(&data).expect("remove");
    let (new, _) = start(&registry, "new", &sleeper());
    assert_eq!(registry.stats().expect("stats").degraded, None);
    assert_eq!(registry.validate().expect("it is whole"), 2);
    assert!(registry.socket_dir().exists());
    old.release().expect("release");
    new.release().expect("release");
    close(&registry);
}

#[test]
fn row_38_a_data_directory_that_cannot_be_put_back() {
    let (_dir, data) = data_dir();
    let registry = open(&data);
    let (old, _) = start(&registry, "old", &sleeper());
    fs::remove_dir_all(&data).expect("remove");
    fs::write(&data, "").expect("write");
    let degraded = registry.stats().expect("stats").degraded;
    assert!(degraded.is_some_and(|why| why.contains("is not a directory")));
    assert!(old.try_wait().is_none(), "the worker serves");
    let refused = registry.reserve("new").expect_err("it would be on no disk");
    assert_eq!(refused.code(), "SP6001");
    assert!(registry.sweep().is_err());
    fs::remove_file(&data).expect("remove");
    let (new, _) = start(&registry, "new", &sleeper());
    assert_eq!(registry.stats().expect("stats").degraded, None);
    old.release().expect("release");
    new.release().expect("release");
    close(&registry);
}
