//! Strict containment of real workers: processes that leave their group are killed, too.

use std::time::Duration;

use nix::sys::signal::Signal;
use snakepit::profiles::registry::Containment;

use crate::oracle::{CONTAINMENT, Scene};
use crate::record::{Row, ms};
use crate::subject::Host;

/// Largest time after which no process of the worker may be left, as in the table of faults.
const NONE: Duration = Duration::from_secs(2);

fn a_daemon_dies(mode: Containment, fault: &'static str, shutdown: bool) {
    let row = Row::new(5, fault);
    if let Err(refusal) = mode.probe() {
        return row.skip(&refusal.to_string());
    }
    let scene = Scene::new();
    let scenario = if shutdown {
        "daemon_shutdown"
    } else {
        "daemon"
    };
    let mut command = Host::command(&scene, scenario, 2);
    command.env(CONTAINMENT, mode.name());
    let mut host = Host::spawn(command);
    host.answer("@ready");
    if shutdown {
        host.answer("@shut");
        assert!(host.wait().success());
    } else {
        // Two workers and their daemons.
        assert!(scene.left().len() >= 4, "{:?}", scene.left());
        host.signal(Signal::SIGKILL);
        host.wait();
    }
    let took = scene.none_left(NONE);
    scene.clean(NONE);
    row.holds(format!("nothing left after {}", ms(took)));
}

#[test]
fn row_05_shim_host_sigkill() {
    let fault = "daemon of a worker below a shim, host SIGKILL";
    a_daemon_dies(Containment::Shim, fault, false);
}

#[test]
fn row_05_shim_shutdown() {
    let fault = "daemon of a worker below a shim, shutdown";
    a_daemon_dies(Containment::Shim, fault, true);
}

#[test]
fn row_05_cgroup_host_sigkill() {
    let fault = "daemon of a worker in a control group, host SIGKILL";
    a_daemon_dies(Containment::Cgroup, fault, false);
}

#[test]
fn row_05_cgroup_shutdown() {
    let fault = "daemon of a worker in a control group, shutdown";
    a_daemon_dies(Containment::Cgroup, fault, true);
}

#[test]
fn row_05_pid_namespace_host_sigkill() {
    let fault = "daemon of a worker in a pid namespace, host SIGKILL";
    a_daemon_dies(Containment::PidNamespace, fault, false);
}

#[test]
fn row_05_pid_namespace_shutdown() {
    let fault = "daemon of a worker in a pid namespace, shutdown";
    a_daemon_dies(Containment::PidNamespace, fault, true);
}
