//! A copy of the host, made by `fork` without `exec`, outlives the host.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use snakepit_registry::{Registry, RunState};

use crate::host_death::next;
use crate::oracle::{Scene, eventually};
use crate::record::{Row, ms};
use crate::subject::{COPY, Host};
use crate::support::{LONG, alive};

const NONE: Duration = Duration::from_millis(500);

/// Ends a host whose copy lives on. Checks that its workers end with it and that its run counts as
/// dead.
#[track_caller]
fn copied(row: Row, scenario: &str, way: &str) {
    let scene = Scene::new();
    let mut command = Host::command(&scene, scenario, 3);
    command.env(COPY, way);
    let mut host = Host::spawn(command);
    let pids = host.workers();
    let copy: u32 = host.answer("@copy")[0].parse().unwrap();
    host.kill();
    let took = scene.none_left_but(copy, NONE);
    let runs = Registry::inspect(&scene.data()).unwrap();
    assert!(
        runs.iter().all(|run| run.state == RunState::Dead),
        "{runs:?}"
    );
    let report = Registry::sweep_data_dir(&scene.data(), LONG).unwrap();
    assert!(report.runs.iter().all(|run| run.ended()), "{report:?}");
    assert!(alive(copy));
    next(&scene);
    kill(Pid::from_raw(copy.cast_signed()), Signal::SIGKILL).unwrap();
    eventually("the copy is gone", || !alive(copy));
    row.holds(format!(
        "last of {} gone after {}, the run is dead",
        pids.len(),
        ms(took)
    ));
    scene.clean(NONE);
}

#[test]
fn row_91_copied_idle() {
    copied(
        Row::new(91, "forked copy outlives its host, idle"),
        "idle",
        "fork",
    );
}

#[test]
fn row_91_copied_busy() {
    copied(
        Row::new(91, "forked copy outlives its host, workers busy"),
        "busy",
        "fork",
    );
}

#[test]
fn row_91_copied_while_the_gil_is_held() {
    copied(
        Row::new(91, "forked copy outlives its host, GIL held"),
        "gil",
        "fork",
    );
}

#[test]
fn row_91_copied_workers_stopped() {
    copied(
        Row::new(91, "forked copy outlives its host, workers stopped"),
        "stopped",
        "fork",
    );
}

#[test]
fn row_91_copied_workers_have_children() {
    let row = Row::new(
        91,
        "forked copy outlives its host, workers have subprocesses",
    );
    copied(row, "family", "fork");
}

#[test]
fn row_91_host_becomes_a_daemon() {
    copied(Row::new(91, "host calls daemon()"), "family", "daemon");
}
