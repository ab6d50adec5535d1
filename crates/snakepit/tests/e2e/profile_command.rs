//! `snakepit profile` beside a program whose tool waits.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;

use crate::diagnostics::Host;
use crate::support::holds;

#[test]
fn a_profile_is_written_in_each_format() {
    let host = Host::start();
    for (file, beginning, function) in [
        ("profile.txt", "main-1/MainThread;", "wait (tools.py:"),
        ("profile.json", "{", "speedscope"),
        ("profile.svg", "<?xml", "wait (tools.py:"),
    ] {
        let run = host.run(&["profile", "--duration", "100ms", "-o", file]);
        assert_eq!(run.status, Some(0), "{run:?}");
        assert!(run.stdout.contains("samples in"), "{run:?}");
        let written = fs::read_to_string(host.dir().join(file)).unwrap();
        let home = format!("{}/", host.dir().display());
        let written = written.replace(&home, "");
        assert!(written.starts_with(beginning), "{written}");
        assert!(written.contains(function), "{written}");
    }
    let format = ["profile", "--duration", "100ms", "--format", "collapsed"];
    let collapsed = host.run(&format);
    let (stack, count) = collapsed.stdout.trim_end().rsplit_once(' ').unwrap();
    assert!(stack.starts_with("main-1/MainThread;wait ("), "{stack}");
    assert!(count.parse::<u64>().unwrap() > 0);
    let summary = host.json(&[
        "profile",
        "--duration",
        "100ms",
        "--tool",
        "wait",
        "--hz",
        "500",
    ]);
    assert_eq!(summary["functions"][0]["function"], "wait", "{summary}");
    assert_eq!(summary["hz"], 500);
    let none = host.json(&["profile", "--duration", "50ms", "--gil"]);
    assert_eq!(none["stacks"], 0, "a tool that waits has no GIL: {none}");
    assert_eq!(host.finish(), "done\n");
}

#[test]
fn what_is_not_there_cannot_be_profiled() {
    let host = Host::start();
    for (arguments, code, status) in [
        (["--pool", "gpu"], "SP1003", 2),
        (["--worker", "main-9"], "SP1004", 2),
        (["--tool", "mean"], "SP2001", 1),
        (["--call", "77"], "SP8009", 1),
    ] {
        let run = host.run(&[&["profile", "--duration", "50ms"][..], &arguments].concat());
        assert_eq!(run.status, Some(status), "{run:?}");
        assert!(run.stderr.contains(code), "{run:?}");
    }
    let bad = host.run(&["profile", "--hz", "0"]);
    assert_eq!(bad.status, Some(2), "{bad:?}");
    for short in ["0s", "1ns", "900us"] {
        let bad = host.run(&["profile", "--duration", short]);
        assert_eq!(bad.status, Some(2), "{bad:?}");
        assert!(bad.stderr.contains("SP1006"), "{bad:?}");
    }
    let nowhere = host.run(&["profile", "--duration", "50ms", "-o", "none/such.svg"]);
    assert_eq!(nowhere.status, Some(1), "{nowhere:?}");
    assert!(nowhere.stderr.starts_with("error[SP9011]"), "{nowhere:?}");
    let worker = host.json(&["status"])["pools"][0]["workers"][0]["pid"].as_i64();
    let worker = Pid::from_raw(i32::try_from(worker.unwrap()).unwrap());
    kill(worker, Signal::SIGSTOP).unwrap();
    let stopped = loop {
        let run = host.run(&["profile", "--duration", "1ms"]);
        if run.status != Some(0) {
            break run;
        }
    };
    kill(worker, Signal::SIGCONT).unwrap();
    assert!(stopped.stderr.starts_with("error[SP9009]"), "{stopped:?}");
    let told = format!("process {worker} is stopped");
    assert!(stopped.stderr.contains(&told), "{stopped:?}");
}

#[test]
fn a_host_that_is_killed_ends_the_profile_and_its_worker() {
    let mut host = Host::start();
    let start = |host: &Host| {
        let mut long = host.command();
        long.args(["profile", "--duration", "10min"])
            .spawn()
            .unwrap()
    };
    let mut profile = start(&host);
    while !host
        .run(&["profile", "--duration", "1ms"])
        .stderr
        .contains("SP9009")
    {
        // It may have collided with a short profile and been rejected.
        if profile.try_wait().unwrap().is_some() {
            profile = start(&host);
        }
    }
    let worker = host.json(&["status"])["pools"][0]["workers"][0]["pid"].as_u64();
    host.kill();
    let output = profile.wait_with_output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.starts_with("error[SP9003]"), "{errors}");
    let worker = u32::try_from(worker.unwrap()).unwrap();
    holds("the worker has ended", || !crate::support::alive(worker));
}
