//! Copies of a host: a `fork` without `exec` that keeps running, made in every possible way.
#![expect(
    unsafe_code,
    clippy::print_stdout,
    reason = "the tests are about what fork copies; helpers answer on their standard output"
)]

use std::path::Path;
use std::time::Duration;

use nix::unistd::ForkResult;
use snakepit_registry::{Outcome, Registration, Registry, RunState, Support};

use crate::roles::Helper;
use crate::support::{
    LONG, alive, data_dir, eventually, open, sh, signal, skip, sleeper, start, tagged,
};

const NONE: Duration = Duration::from_millis(500);

/// Makes a parked copy of this process by one of these calls.
fn copy(way: &str) -> i32 {
    let pid = match way {
        // SAFETY: the copy makes system calls only.
        "fork" => match unsafe { nix::unistd::fork() }.expect("fork") {
            ForkResult::Parent { child } => child.as_raw(),
            ForkResult::Child => 0,
        },
        // No fork handler of the C library runs here.
        _ => {
            let flags = i64::from(libc::SIGCHLD);
            // SAFETY: the call does what `fork` does.
            let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
            i32::try_from(pid).expect("a pid")
        }
    };
    if pid == 0 {
        loop {
            // SAFETY: the call waits for a signal.
            unsafe { libc::pause() };
        }
    }
    pid
}

/// A host with children in several states, and a copy of it. Prints the copy's process id.
pub(crate) fn host(data: &Path, way: &str) {
    let registry = open(data);
    let (plain, a) = start(&registry, "plain", &sleeper());
    let (stopped, b) = start(&registry, "stopped", &sh("sleep 600 & exec sleep 600"));
    let (busy, c) = start(&registry, "busy", &sh("sleep 600 & while :; do :; done"));
    let _others = (a.pid, c.pid);
    eventually(LONG, "the children have children", || {
        tagged(registry.run_id()).len() == 5
    });
    signal(b.pid.cast_signed(), libc::SIGSTOP);
    let _held: [Registration; 3] = [plain, stopped, busy];
    let run = registry.run_id();
    if way == "daemon" {
        // SAFETY: the copy writes a line and waits; the host ends in this call.
        assert_eq!(unsafe { libc::daemon(1, 1) }, 0);
        println!("@ready {} {run}", std::process::id());
    } else {
        println!("@ready {} {run}", copy(way));
    }
    loop {
        std::thread::park();
    }
}

/// A host whose copy drops everything that it inherited from the host.
pub(crate) fn unwinding(data: &Path) {
    let registry = open(data);
    let (child, spawned) = start(&registry, "one", &sleeper());
    // SAFETY: the copy has one thread, and the libraries that it uses allow that here.
    match unsafe { nix::unistd::fork() }.expect("fork") {
        ForkResult::Child => {
            let refused = registry.reserve("two").is_err() && registry.close().is_err();
            let killed = child.kill(Duration::ZERO);
            drop((child, registry));
            // The copy begins a run of its own beside the host's.
            let own = open(data);
            let (mine, _) = start(&own, "mine", &sleeper());
            mine.release().expect("release");
            let _ = own.close().expect("close");
            println!("@copy {} {}", refused, killed.exit.is_none());
            // SAFETY: the call ends the copy.
            unsafe { libc::_exit(0) }
        }
        ForkResult::Parent { child: copied } => {
            nix::sys::wait::waitpid(copied, None).expect("wait");
            let lives = child.try_wait().is_none();
            child.ready().expect("the host goes on");
            println!("@host {lives} {}", alive(spawned.pid.cast_signed()));
            child.release().expect("release");
            let _ = registry.close().expect("close");
        }
    }
}

fn outlived(way: &str) {
    if !Support::probe().private_descriptors {
        return skip("this system gives no thread descriptors of its own");
    }
    let (_dir, data) = data_dir();
    let mut host = Helper::start(&[], way, &data);
    let answer = host.answer("@ready ").expect("it is ready");
    let copied: i32 = answer
        .split(' ')
        .next()
        .expect("a pid")
        .parse()
        .expect("a pid");
    let run = answer
        .rsplit(' ')
        .next()
        .expect("a run")
        .parse()
        .expect("a run");
    host.kill();
    crate::support::none_left_but(run, copied, NONE);
    let seen = Registry::inspect(&data).expect("inspect");
    let states: Vec<_> = seen.iter().map(|run| run.state).collect();
    let report = Registry::sweep_data_dir(&data, LONG).expect("sweep");
    let lived = alive(copied);
    signal(copied, libc::SIGKILL);
    assert_eq!(states, [RunState::Dead]);
    assert_eq!(report.runs[0].outcome, Outcome::Swept, "{report:?}");
    assert!(lived, "the copy is no process of the run");
}

#[test]
fn row_91_a_copy_by_fork_outlives_its_host() {
    outlived("copied_by_fork");
}

#[test]
fn row_91_a_copy_by_raw_clone_outlives_its_host() {
    outlived("copied_by_clone");
}

#[test]
fn row_91_a_host_becomes_a_daemon() {
    outlived("copied_by_daemon");
}

#[test]
fn row_91_a_copy_that_drops_everything_ends_nothing_of_its_host() {
    let (_dir, data) = data_dir();
    let mut host = Helper::start(&[], "unwinding", &data);
    assert_eq!(host.answer("@copy ").as_deref(), Some("true true"));
    assert_eq!(host.answer("@host ").as_deref(), Some("true true"));
    host.wait();
}
