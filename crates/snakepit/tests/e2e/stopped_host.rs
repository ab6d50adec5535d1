//! A host stopped by a signal is reported as stopped, and continues unharmed.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::diagnostics::Host;

#[test]
fn a_host_that_is_stopped_is_told_so_by_every_command() {
    let host = Host::start();
    let pid = host.child.id();
    let send = |signal| kill(Pid::from_raw(pid.cast_signed()), signal).unwrap();
    assert_eq!(host.json(&["ps"])[0]["stopped"], false);
    send(Signal::SIGSTOP);
    while host.json(&["ps"])[0]["stopped"] == false {
        // The signal has not taken effect yet.
        std::thread::yield_now();
    }
    let listed = host.run(&["ps"]);
    assert!(listed.stdout.contains("stopped"), "{listed:?}");
    let commands: [&[&str]; 5] = [
        &["status"],
        &["top", "--once"],
        &["stack"],
        &["logs"],
        &["profile", "--duration", "1s"],
    ];
    for command in commands {
        let told = host.run(command);
        assert_ne!(told.status, Some(0), "{command:?}: {told:?}");
        assert!(
            told.stderr.contains("error[SP9010]"),
            "{command:?}: {told:?}"
        );
        let remedy = format!("kill -CONT {pid}");
        assert!(told.stderr.contains(&remedy), "{command:?}: {told:?}");
    }
    // A recording can be read without the host.
    assert_eq!(host.run(&["report"]).status, Some(0));
    send(Signal::SIGCONT);
    let status = host.run(&["status"]);
    assert_eq!(status.status, Some(0), "{status:?}");
}
