//! Workers below a shim: their inputs, the report of their end, and rejected modes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use snakepit_registry::{
    CommandSpec, Containment, Error, Exit, Output, Record, Registry, SpawnProblem, Support,
};

use crate::host::command;
use crate::strict::{modes, open, pid};
use crate::support::{
    LONG, close, data_dir, eventually, is_root, none_left, sh, skip, sleeper, start, state,
};

fn record(registry: &Registry) -> Record {
    let mut records = registry.list().expect("list");
    assert_eq!(records.len(), 1);
    records.remove(0)
}

#[test]
fn the_end_of_a_worker_is_reported_exactly() {
    for mode in [vec![Containment::Group], modes()].concat() {
        let (_dir, data) = data_dir();
        let registry = open(&data, mode);
        let ends = |script: &str| {
            let (child, spawned) = start(&registry, "worker", &sh(script));
            let exit = child.wait(LONG).expect("it ends");
            let outcome = child.release().expect("release");
            assert_eq!(state(pid(spawned.pid)), None, "it is reaped");
            assert_eq!(outcome.exit, Some(exit));
            assert!(!outcome.killed, "{mode}: {script}: nothing was left");
            exit
        };
        for code in [0, 1, 3, 77, 126, 255] {
            assert_eq!(ends(&format!("exit {code}")), Exit::Code(code), "{mode}");
        }
        for number in [1, 2, 6, 9, 11, 13, 15, 35, 63] {
            let script = format!("ulimit -c 0; kill -{number} $$");
            assert_eq!(ends(&script), Exit::Signal(number), "{mode}");
        }
        close(&registry);
    }
}

#[test]
fn the_output_of_a_worker_ends_with_it() {
    for mode in modes() {
        let (_dir, data) = data_dir();
        let registry = open(&data, mode);
        let mut spec = sh("echo one; echo two >&2; exit 5");
        (spec.stdout, spec.stderr) = (Output::Pipe, Output::Pipe);
        let (child, spawned) = start(&registry, "worker", &spec);
        let all = |end: Option<std::os::fd::OwnedFd>| {
            std::io::read_to_string(fs::File::from(end.expect("piped"))).expect("its output")
        };
        assert_eq!(all(spawned.stdout), "one\n", "{mode}");
        assert_eq!(all(spawned.stderr), "two\n", "{mode}");
        assert_eq!(child.wait(LONG), Some(Exit::Code(5)), "{mode}");
        child.release().expect("release");
        close(&registry);
    }
}

fn status(pid: i32, name: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.expect("the line").trim().to_owned()
}

fn exe(path: &str) -> Option<(u64, u64)> {
    let meta = fs::metadata(path).ok()?;
    use std::os::unix::fs::MetadataExt;
    Some((meta.dev(), meta.ino()))
}

#[test]
fn row_29_a_worker_below_a_shim_has_what_it_is_given_and_nothing_else() {
    for mode in modes() {
        let (_dir, data) = data_dir();
        let registry = open(&data, mode);
        let spec = CommandSpec::new("/bin/sleep").arg("600").env("A", "b");
        let (child, spawned) = start(&registry, "worker", &spec);
        let (worker, shim) = (pid(spawned.pid), pid(child.shim_pid().expect("a shim")));
        assert!(spawned.armed, "{mode}");
        let fds = || {
            let fds = fs::read_dir(format!("/proc/{worker}/fd")).expect("/proc");
            let mut names: Vec<_> = fds.map(|fd| fd.expect("entry").file_name()).collect();
            names.sort();
            names
        };
        // The dynamic linker opens files briefly; inherited descriptors stay.
        eventually(LONG, mode.name(), || fds() == ["0", "1", "2"]);
        let environ = fs::read_to_string(format!("/proc/{worker}/environ")).expect("environ");
        let mut variables: Vec<_> = environ
            .split_terminator('\0')
            .filter_map(|entry| Some(entry.split_once('=')?.0))
            .collect();
        variables.sort_unstable();
        assert_eq!(
            variables,
            [
                "A",
                "SNAKEPIT_WORKER_COOKIES",
                "SNAKEPIT_WORKER_HOST_PID",
                "SNAKEPIT_WORKER_ORIGIN"
            ],
            "{mode}"
        );
        // In a namespace the parent is its first process.
        let inside = mode == Containment::PidNamespace;
        let parent = if inside { 1 } else { shim };
        assert!(
            environ.contains(&format!("SNAKEPIT_WORKER_HOST_PID={parent}\0")),
            "{environ}"
        );
        let numbers = status(worker, "NSpid:");
        assert_eq!(numbers.split_whitespace().count() == 2, inside, "{numbers}");
        assert_eq!(
            status(worker, "SigBlk:").trim_start_matches('0'),
            "",
            "{mode}"
        );
        let row = record(&registry);
        let identity = row.identity.expect("it is identified");
        assert_eq!((identity.pid, identity.pgid), (worker, worker), "{mode}");
        assert_eq!(identity.exe, exe("/bin/sleep"), "{mode}");
        assert_eq!(row.shim.expect("recorded").pid, shim, "{mode}");
        assert_eq!(row.cgroup.is_some(), mode == Containment::Cgroup);
        assert_eq!(status(shim, "Threads:"), "1", "{mode}");
        let roll = fs::read_to_string(format!("/proc/{shim}/smaps_rollup")).expect("smaps");
        let of = |name| roll.lines().find(|line| line.starts_with(name));
        eprintln!("{mode}: {:?} {:?}", of("Rss:"), of("Private_Dirty:"));
        child.release().expect("release");
        close(&registry);
    }
}

#[test]
fn a_program_that_cannot_run_is_refused_as_without_a_shim() {
    for mode in modes() {
        let (dir, data) = data_dir();
        let registry = open(&data, mode);
        let fails = |spec: &CommandSpec| {
            let reservation = registry.reserve("doomed").expect("reserve");
            let error = registry.spawner().spawn(reservation, spec);
            match error.expect_err("it cannot start") {
                Error::Spawn { problem, .. } => problem,
                other => panic!("{mode}: {other}"),
            }
        };
        let missing = CommandSpec::new(dir.path().join("missing"));
        assert!(matches!(fails(&missing), SpawnProblem::NotFound), "{mode}");
        let plain = dir.path().join("plain");
        fs::write(&plain, "x").expect("write");
        let problem = fails(&CommandSpec::new(&plain));
        assert!(matches!(problem, SpawnProblem::NotExecutable), "{mode}");
        fs::set_permissions(&plain, fs::Permissions::from_mode(0o755)).expect("chmod");
        let problem = fails(&CommandSpec::new(&plain));
        assert!(matches!(problem, SpawnProblem::BadFormat), "{mode}");
        let mut lost = sleeper();
        lost.cwd = Some(dir.path().join("nowhere"));
        assert!(
            matches!(fails(&lost), SpawnProblem::WorkingDir(_)),
            "{mode}"
        );
        none_left(registry.run_id(), Duration::from_secs(1));
        close(&registry);
    }
}

#[test]
fn a_worker_can_choose_its_own_containment() {
    for mode in modes() {
        let (_dir, data) = data_dir();
        let registry = crate::support::open(&data);
        let (child, _) = start(&registry, "own", &sleeper().containment(mode));
        assert!(child.shim_pid().is_some(), "{mode}");
        child.release().expect("release");
        let (plain, _) = start(&registry, "plain", &sleeper());
        assert_eq!(plain.shim_pid(), None);
        plain.release().expect("release");
        let mut free = sleeper().containment(mode);
        free.dependent = false;
        let place = registry.reserve("free").expect("reserve");
        let refused = registry.spawner().spawn(place, &free);
        let refused = refused.expect_err("it is to outlive its host");
        assert_eq!(refused.code(), "SP6011", "{refused}");
        close(&registry);
    }
}

#[test]
fn the_main_function_of_the_host_runs_once() {
    for mode in modes() {
        let (_dir, data) = data_dir();
        let output = command(&[], &format!("once/{mode}"), &data).output();
        let text = String::from_utf8(output.expect("the subject").stdout).expect("text");
        for line in ["running 1 test", "@worker", "@host"] {
            assert_eq!(text.matches(line).count(), 1, "{mode}: {line} in {text}");
        }
    }
}

#[test]
fn the_variable_alone_makes_no_shim() {
    let (_dir, data) = data_dir();
    let mut command = command(&[], "once/group", &data);
    let output = command.env("SNAKEPIT_SHIM", "1").output();
    let text = String::from_utf8(output.expect("the subject").stdout).expect("text");
    assert!(text.contains("@host"), "{text}");
}

#[test]
fn a_mode_that_does_not_work_is_an_error() {
    if !is_root() {
        skip("it takes rights away, which needs root");
        return;
    }
    let (dir, data) = data_dir();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
    fs::create_dir(&data).expect("mkdir");
    let user = 61_235;
    std::os::unix::fs::chown(&data, Some(user), Some(user)).expect("chown");
    let id = format!("--reuid={user}");
    let answer = |wrapper: &[&str], mode: &str, data: &Path| {
        let output = command(wrapper, &format!("refused/{mode}"), data).output();
        String::from_utf8(output.expect("the subject").stdout).expect("text")
    };
    let text = answer(&["setpriv", &id, "--clear-groups"], "cgroup", &data);
    let why = "@refused SP6011 containment `cgroup` does not work here: the control group";
    assert!(text.contains(why), "{text}");
    // A user namespace in which no process id namespace may be made.
    let script = "echo 0 > /proc/sys/user/max_pid_namespaces; exec \"$0\" \"$@\"";
    let (_own, data) = data_dir();
    let text = answer(
        &["unshare", "-Ur", "sh", "-c", script],
        "pid_namespace",
        &data,
    );
    let why = "does not work here: a process id namespace cannot be created: ";
    assert!(text.contains(why), "{text}");
}

#[test]
fn modes_are_named_and_probed() {
    for mode in Containment::ALL {
        assert_eq!(mode.to_string().parse(), Ok(mode));
        let json = serde_json::to_string(&mode).expect("a name");
        assert_eq!(json, format!("\"{mode}\""));
    }
    assert!("Shim".parse::<Containment>().is_err());
    let support = Support::modes();
    assert_eq!(support.len(), Containment::ALL.len());
    assert_eq!(support[0].refusal, None, "a group needs nothing");
    eprintln!("{support:?}");
}
