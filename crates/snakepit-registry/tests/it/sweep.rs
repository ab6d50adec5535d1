//! Sweeps while other hosts live.

use std::time::Duration;

use snakepit_registry::{Outcome, Reach, Registry, RunState, SweepReport};

use crate::host::Host;
use crate::support::{LONG, alive, close, data_dir, none_left, open};

#[test]
fn row_23_a_living_host_is_not_touched() {
    let (_dir, data) = data_dir();
    let host = Host::start("sleepers", &data);
    let registry = open(&data);
    let report = registry.sweep().expect("sweep");
    assert_eq!(report.runs.len(), 1);
    assert_eq!(report.runs[0].outcome, Outcome::Alive);
    assert!(host.pids.iter().all(|&pid| alive(pid)));
    let seen = Registry::inspect(&data).expect("inspect");
    assert!(
        seen.iter()
            .all(|run| run.state == RunState::Alive && run.would_kill.is_empty())
    );
    let theirs = seen
        .iter()
        .find(|run| run.run_id == host.run)
        .expect("it is listed");
    assert_eq!(theirs.workers.len(), 3);
    assert_eq!(
        theirs.meta.as_ref().map(|meta| meta.host_pid as i32),
        Some(host.pid())
    );
    close(&registry);
}

#[test]
fn row_24_ten_hosts_start_at_once_and_one_sweeps() {
    let (_dir, data) = data_dir();
    let mut dead = Host::start("escapee", &data);
    dead.kill_but_escapee();
    let barrier = std::sync::Barrier::new(10);
    let killed: usize = std::thread::scope(|scope| {
        let hosts: Vec<_> = (0..10)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    let registry = open(&data);
                    let report = registry.sweep().expect("sweep");
                    close(&registry);
                    report.killed()
                })
            })
            .collect();
        hosts
            .into_iter()
            .map(|host| host.join().expect("no panic"))
            .sum()
    });
    assert_eq!(killed, 1, "it was killed once");
    none_left(dead.run, Duration::from_millis(500));
}

#[test]
fn sweeping_twice_ends_early_when_the_gate_closes() {
    let (_dir, data) = data_dir();
    let registry = open(&data);
    std::thread::scope(|scope| {
        let both = scope.spawn(|| {
            let mut reports = 0;
            let told = |report: &SweepReport| {
                reports += 1;
                assert!(report.runs.is_empty());
            };
            let swept = registry.sweep_twice(Duration::from_secs(600), told);
            swept.map(|()| reports)
        });
        registry.close_gate();
        let reports = both.join().expect("no panic").expect("sweep");
        assert_eq!(reports, 1);
    });
    close(&registry);
}

#[test]
fn unfinished_and_foreign_entries_are_kept_apart() {
    let (_dir, data) = data_dir();
    let registry = open(&data);
    let runs = data.join("runs");
    std::fs::create_dir(runs.join(".tmp-young")).expect("mkdir");
    std::fs::create_dir(runs.join("not a run")).expect("mkdir");
    let old = runs.join(".tmp-old");
    std::fs::create_dir(&old).expect("mkdir");
    let hour_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
    std::fs::File::open(&old)
        .and_then(|dir| dir.set_modified(hour_ago))
        .expect("utimes");
    let report = registry.sweep().expect("sweep");
    assert!(report.runs.is_empty());
    assert!(runs.join(".tmp-young").exists() && runs.join("not a run").exists());
    assert!(!old.exists());
    close(&registry);
}

#[test]
fn a_run_directory_without_a_lock_belongs_to_nobody() {
    let (_dir, data) = data_dir();
    let mut host = Host::start("escapee", &data);
    host.kill_but_escapee();
    std::fs::remove_file(data.join("runs").join(host.run.to_string()).join("lock")).expect("rm");
    let report = Registry::sweep_data_dir(&data, LONG).expect("sweep");
    assert_eq!(report.runs[0].outcome, Outcome::Swept, "{report:?}");
    none_left(host.run, Duration::from_millis(500));
}

#[test]
fn what_outlives_its_host_is_ended_when_a_person_wants_it() {
    for leftovers in [true, false] {
        let (_dir, data) = data_dir();
        let mut host = Host::start("family", &data);
        host.kill();
        let report = Registry::sweep_data_dir(&data, LONG).expect("sweep");
        assert_eq!(report.killed(), 0, "{report:?}");
        // The worker lives, so its child is not an orphan.
        let report = Registry::end_orphans(&data, LONG, Reach::Leftovers).expect("sweep");
        assert_eq!(report.killed(), 0, "{report:?}");
        assert_eq!(report.runs[0].left.len(), 2, "{report:?}");
        let seen = Registry::inspect(&data).expect("inspect");
        assert_eq!(seen[0].workers[0].lives, Some(true));
        let reach = if leftovers {
            crate::support::signal(host.pids[0], libc::SIGKILL);
            crate::support::eventually(crate::support::LONG, "it is gone", || !alive(host.pids[0]));
            let seen = Registry::inspect(&data).expect("inspect");
            assert_eq!(seen[0].workers[0].lives, Some(false));
            Reach::Leftovers
        } else {
            Reach::Independent
        };
        let report = Registry::end_orphans(&data, LONG, reach).expect("sweep");
        assert_eq!(report.runs[0].outcome, Outcome::Swept, "{report:?}");
        none_left(host.run, Duration::from_millis(500));
        assert!(Registry::inspect(&data).expect("inspect").is_empty());
    }
}

#[test]
fn reports_can_be_written_as_json() {
    let (_dir, data) = data_dir();
    let mut host = Host::start("escapee", &data);
    host.kill_but_escapee();
    let seen = serde_json::to_value(Registry::inspect(&data).expect("inspect")).expect("json");
    assert_eq!(seen[0]["state"], "dead");
    assert_eq!(seen[0]["would_kill"][0]["evidence"], "cookie");
    let report = Registry::sweep_data_dir(&data, LONG).expect("sweep");
    let report = serde_json::to_value(report).expect("json");
    assert_eq!(report["runs"][0]["outcome"], "swept");
    assert_eq!(report["runs"][0]["killed"][0]["pid"], host.pids[0]);
    none_left(host.run, Duration::from_millis(500));
}
