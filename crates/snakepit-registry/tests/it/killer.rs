//! Stopping processes that end, that refuse to end, and that leave others behind.

use std::time::Duration;

use proptest::prelude::*;
use snakepit_registry::{Escalation, Exit, Seen, Step};

use crate::support::{
    LONG, close, data_dir, eventually, in_time, now, open, sh, signal, sleeper, start, state,
    tagged,
};

const GRACE: Duration = Duration::from_millis(300);

#[test]
fn a_polite_process_ends_within_the_grace() {
    let (_dir, data) = data_dir();
    let registry = open(&data);
    let (child, _) = start(&registry, "polite", &sleeper());
    let outcome = child.kill(LONG);
    assert_eq!(outcome.exit, Some(Exit::Signal(libc::SIGTERM)));
    assert!(!outcome.killed && outcome.leftover.is_empty());
    child.release().expect("release");
    assert!(registry.list().expect("list").is_empty());
    close(&registry);
}

#[test]
fn row_57_a_process_that_ignores_sigterm_is_killed_after_the_grace() {
    let (_dir, data) = data_dir();
    let registry = open(&data);
    let spec = snakepit_registry::CommandSpec::new("/bin/sh")
        .arg("-c")
        .arg("trap '' TERM; echo armed; while :; do sleep 600; done")
        .env("PATH", "/usr/bin:/bin");
    let (child, spawned) = start(&registry, "deaf", &spec);
    let mut line = String::new();
    let mut output = std::io::BufReader::new(std::fs::File::from(spawned.stdout.expect("piped")));
    std::io::BufRead::read_line(&mut output, &mut line).expect("its line");
    let begun = now();
    let outcome = child.kill(GRACE);
    assert_eq!(outcome.exit, Some(Exit::Signal(libc::SIGKILL)));
    assert!(outcome.killed && outcome.leftover.is_empty());
    let took = begun.elapsed();
    assert!(took >= GRACE && in_time(begun, GRACE * 3), "{took:?}");
    child.release().expect("release");
    close(&registry);
}

#[test]
fn a_stopped_process_is_killed() {
    let (_dir, data) = data_dir();
    let registry = open(&data);
    let (child, spawned) = start(&registry, "stopped", &sleeper());
    let pid = i32::try_from(spawned.pid).expect("a pid");
    signal(pid, libc::SIGSTOP);
    eventually(LONG, "it is stopped", || state(pid) == Some('T'));
    let outcome = child.kill(Duration::from_millis(20));
    assert_eq!(outcome.exit, Some(Exit::Signal(libc::SIGKILL)));
    child.release().expect("release");
    close(&registry);
}

#[test]
fn row_27_what_a_leader_leaves_behind_dies_with_it() {
    let (_dir, data) = data_dir();
    let registry = open(&data);
    let run = registry.run_id();
    // The leader ends by itself; its child stays in the group.
    let (child, _) = start(&registry, "leader", &sh("sleep 600 & exit 3"));
    assert_eq!(child.wait(LONG), Some(Exit::Code(3)));
    eventually(Duration::from_millis(500), "the group is empty", || {
        tagged(run).is_empty()
    });
    let outcome = child.release().expect("release");
    assert!(outcome.leftover.is_empty());
    // A wrapper that forwards no signal.
    let (wrapper, _) = start(&registry, "wrapper", &sh("sleep 600; true"));
    let outcome = wrapper.kill(GRACE);
    assert!(outcome.leftover.is_empty());
    assert!(tagged(run).is_empty());
    wrapper.release().expect("release");
    close(&registry);
}

#[test]
fn row_47_exit_is_seen_when_sigchld_is_ignored() {
    let (_dir, data) = data_dir();
    let mut host = crate::host::Host::start("sigchld", &data);
    assert_eq!(host.answer("@exit"), ["unknown=true"]);
    assert!(host.wait().success());
}

#[test]
fn closing_kills_what_is_still_registered() {
    let (_dir, data) = data_dir();
    let registry = open(&data);
    let (child, _) = start(&registry, "one", &sh("sleep 600 & sleep 600"));
    let report = registry.close().expect("close");
    assert_eq!(report.leftover, Vec::<i32>::new());
    assert!(!report.killed.is_empty());
    assert!(tagged(registry.run_id()).is_empty());
    assert_eq!(child.wait(LONG), Some(Exit::Signal(libc::SIGKILL)));
    assert!(
        registry
            .close()
            .expect("closing twice is fine")
            .killed
            .is_empty()
    );
    assert!(matches!(
        registry.reserve("late"),
        Err(snakepit_registry::Error::Closed)
    ));
}

const LIVE: Seen = Seen {
    leader: true,
    group: true,
};
const HELPERS: Seen = Seen {
    leader: false,
    group: true,
};
const NOBODY: Seen = Seen {
    leader: false,
    group: false,
};

#[test]
fn escalation_terminates_then_kills_then_gives_up() {
    let (grace, confirm) = (Duration::from_secs(2), Duration::from_secs(1));
    let mut steps = Escalation::new(grace, confirm);
    let at = Duration::from_millis;
    assert_eq!(steps.next(at(0), LIVE), Step::Terminate);
    assert_eq!(steps.next(at(1), LIVE), Step::Wait(at(1999)));
    assert_eq!(steps.next(at(2000), LIVE), Step::Kill);
    assert_eq!(steps.next(at(2000), LIVE), Step::Wait(at(1000)));
    assert_eq!(steps.next(at(3000), LIVE), Step::Leftover);
    assert!(steps.killed());

    let mut steps = Escalation::new(grace, confirm);
    assert_eq!(steps.next(at(0), LIVE), Step::Terminate);
    assert_eq!(
        steps.next(at(5), HELPERS),
        Step::Kill,
        "helpers do not get the grace"
    );
    assert_eq!(steps.next(at(6), NOBODY), Step::Gone);

    let mut steps = Escalation::new(Duration::ZERO, confirm);
    assert_eq!(steps.next(at(0), LIVE), Step::Kill);
    assert_eq!(
        Escalation::new(grace, confirm).next(at(0), NOBODY),
        Step::Gone
    );
}

proptest! {
    #[test]
    fn escalation_always_ends(times in proptest::collection::vec((0_u64..50, 0..3_u8), 1..200)) {
        let mut steps = Escalation::new(Duration::from_millis(100), Duration::from_millis(50));
        let mut now = Duration::ZERO;
        let mut kills = 0;
        for (pause, seen) in times {
            now += Duration::from_millis(pause);
            let seen = [LIVE, HELPERS, NOBODY][usize::from(seen)];
            match steps.next(now, seen) {
                Step::Kill => kills += 1,
                Step::Wait(time) => prop_assert!(!time.is_zero()),
                Step::Gone => prop_assert!(!seen.group),
                Step::Terminate | Step::Leftover => {}
            }
        }
        prop_assert!(kills <= 1);
        let end = now + Duration::from_secs(1);
        let last = [steps.next(end, LIVE), steps.next(end * 2, LIVE), steps.next(end * 3, LIVE),
            steps.next(end * 4, LIVE)];
        prop_assert!(last.contains(&Step::Leftover));
    }
}
