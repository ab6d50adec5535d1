//! Starting processes: inheritance, failures, and the gate.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use nix::unistd::{Pid, getpgid, getsid};
use snakepit_registry::{
    CommandSpec, Error, Output, ProcessState, Registry, SpawnProblem, Support, Tier,
};

use crate::host::Host;
use crate::support::{
    LONG, close, data_dir, eventually, in_time, is_root, now, open, sh, skip, sleeper, start, state,
};

#[track_caller]
fn fails(registry: &Registry, spec: &CommandSpec) -> SpawnProblem {
    let begun = now();
    let reservation = registry.reserve("doomed").expect("reserve");
    let error = registry
        .spawner()
        .spawn(reservation, spec)
        .expect_err("it cannot start");
    assert!(in_time(begun, Duration::from_secs(1)), "it fails at once");
    assert_eq!(error.code(), "SP6009");
    assert!(error.to_string().starts_with("cannot start "), "{error}");
    eventually(LONG, "the reservation is given back", || {
        registry.list().expect("list").is_empty()
    });
    let Error::Spawn { problem, .. } = error else {
        panic!("{error}")
    };
    problem
}

#[test]
fn row_40_programs_that_cannot_run() {
    let (dir, data) = data_dir();
    let registry = open(&data);
    let file = |name: &str, text: &str, mode| {
        let path = dir.path().join(name);
        fs::write(&path, text).expect("write");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
        CommandSpec::new(path)
    };
    use SpawnProblem as P;
    let missing = CommandSpec::new(dir.path().join("missing"));
    assert!(matches!(fails(&registry, &missing), P::NotFound));
    assert!(matches!(
        fails(&registry, &CommandSpec::new("sleep")),
        P::NotAbsolute
    ));
    assert!(matches!(
        fails(&registry, &file("plain", "x", 0o644)),
        P::NotExecutable
    ));
    assert!(matches!(
        fails(&registry, &CommandSpec::new(dir.path())),
        P::NotExecutable
    ));
    assert!(matches!(
        fails(&registry, &file("bang", "#!/no/such\n", 0o755)),
        P::BadFormat
    ));
    assert!(matches!(
        fails(&registry, &file("noise", "\u{1}\u{2}", 0o755)),
        P::BadFormat
    ));
    let mut lost = sleeper();
    lost.cwd = Some(dir.path().join("nowhere"));
    assert!(matches!(fails(&registry, &lost), P::WorkingDir(_)));
    assert!(matches!(
        fails(&registry, &sleeper().arg("a\0b")),
        P::BadArgument(_)
    ));
    assert!(matches!(
        fails(&registry, &sleeper().env("A=B", "c")),
        P::BadArgument(_)
    ));
    assert!(matches!(
        fails(&registry, &sleeper().env("", "c")),
        P::BadArgument(_)
    ));
    close(&registry);
}

#[test]
fn row_41_no_process_to_spare() {
    if !is_root() {
        skip("the limit needs a user of its own");
        return;
    }
    let (dir, data) = data_dir();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
    fs::create_dir(&data).expect("mkdir");
    // A user id of this test's own, so that no other process counts.
    let user = 61_234;
    std::os::unix::fs::chown(&data, Some(user), Some(user)).expect("chown");
    let id = format!("--reuid={user}");
    let mut host = Host::wrapped(&["setpriv", &id, "--clear-groups"], "nproc", &data);
    let answer = host.answer("@limited");
    assert_eq!(
        &answer[..2],
        ["resources=true", "serving=true"],
        "{answer:?}"
    );
    assert!(host.wait().success());
}

#[test]
fn row_42_no_descriptor_to_spare() {
    let (_dir, data) = data_dir();
    let mut host = Host::start("nofile", &data);
    let answer = host.answer("@limited");
    assert_eq!(
        &answer[..2],
        ["resources=true", "serving=true"],
        "{answer:?}"
    );
    // The spawner waits for 300 ms; a busy loop would use all of that.
    let used: u64 = answer[3]
        .trim_start_matches("cpu_ms=")
        .parse()
        .expect("a number");
    assert!(used < 100, "{answer:?}");
    assert!(host.wait().success());
}

#[test]
fn row_29_descriptors_of_a_child() {
    let (_dir, data) = data_dir();
    let registry = open(&data);
    let (first, _) = start(&registry, "first", &sleeper());
    let spec = CommandSpec::new("/bin/sleep").arg("600");
    let (second, spawned) = start(&registry, "second", &spec);
    let fds = Path::new("/proc").join(spawned.pid.to_string()).join("fd");
    // The dynamic linker opens files briefly; inherited descriptors stay.
    eventually(LONG, "only the pipes are open", || {
        fs::read_dir(&fds).expect("/proc").count() == 3
    });
    let mut open: Vec<(String, String)> = fs::read_dir(fds)
        .expect("/proc")
        .map(|entry| entry.expect("entry").path())
        .map(|path| {
            let link = fs::read_link(&path).expect("link");
            let name = path
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            (name, link.to_string_lossy().into_owned())
        })
        .collect();
    open.sort();
    let names: Vec<&str> = open.iter().map(|(name, _)| name.as_str()).collect();
    // Standard input is the death pipe and the outputs are pipes; nothing else is inherited.
    assert_eq!(names, ["0", "1", "2"], "{open:?}");
    assert!(
        open.iter().all(|(_, link)| link.starts_with("pipe:")),
        "{open:?}"
    );
    first.release().expect("release");
    second.release().expect("release");
    close(&registry);
}

#[test]
fn children_that_others_start_do_not_get_the_database() {
    let (_dir, data) = data_dir();
    let registry = open(&data);
    let list = std::process::Command::new("/bin/ls")
        .args(["-l", "/proc/self/fd"])
        .output();
    let list = String::from_utf8_lossy(&list.expect("ls").stdout).into_owned();
    assert!(!list.contains(&*data.to_string_lossy()), "{list}");
    close(&registry);
}

#[test]
fn row_48_signals_that_the_host_blocks_or_ignores_are_open_in_the_child() {
    let (_dir, data) = data_dir();
    let mut host = Host::start("masked", &data);
    assert_eq!(host.answer("@signals"), ["blocked=0", "ignored=0"]);
    host.wait();
}

#[test]
fn a_child_gets_exactly_the_environment_that_is_named() {
    let (dir, data) = data_dir();
    let registry = open(&data);
    let mut spec = sh("tr '\\0' '\\n' < /proc/self/environ; pwd; cat").env("COLOUR", "green");
    spec.stdout = Output::Pipe;
    spec.cwd = Some(dir.path().canonicalize().expect("a path"));
    let (child, spawned) = start(&registry, "env", &spec);
    let mut lines = std::io::BufReader::new(fs::File::from(spawned.stdout.expect("piped")));
    let mut text = String::new();
    let cwd = spec.cwd.expect("set above").display().to_string();
    while !text.contains(&format!("\n{cwd}\n")) {
        assert_ne!(
            std::io::BufRead::read_line(&mut lines, &mut text).expect("its output"),
            0
        );
    }
    let names: Vec<&str> = text
        .lines()
        .filter_map(|line| Some(line.split_once('=')?.0))
        .collect();
    let mut expected = [
        "PATH",
        "COLOUR",
        "SNAKEPIT_WORKER_COOKIES",
        "SNAKEPIT_WORKER_HOST_PID",
    ]
    .to_vec();
    expected.retain(|name| !names.contains(name));
    assert!(expected.is_empty(), "missing: {expected:?} in {text}");
    assert!(
        !names.contains(&"HOME") && !names.contains(&"CARGO"),
        "{text}"
    );
    assert!(
        child.try_wait().is_none(),
        "cat reads the death pipe and gets nothing"
    );
    child.release().expect("release");
    close(&registry);
}

#[test]
fn states_follow_each_other_on_disk() {
    let (_dir, data) = data_dir();
    let registry = open(&data);
    let on_disk = || {
        let mut runs = Registry::inspect(&data).expect("inspect");
        let run = runs.pop().expect("one run");
        assert!(run.would_kill.is_empty(), "its host lives");
        run.workers
            .first()
            .map(|worker| (worker.state, worker.pid.is_some()))
    };
    assert_eq!(on_disk(), None);
    let reservation = registry.reserve("w").expect("reserve");
    assert_eq!(reservation.worker_id(), "w");
    assert_eq!(on_disk(), Some((ProcessState::Reserved, false)));
    let (child, _) = registry
        .spawner()
        .spawn(reservation, &sleeper())
        .expect("spawn");
    assert_eq!(on_disk(), Some((ProcessState::Spawned, true)));
    child.ready().expect("ready");
    assert_eq!(on_disk(), Some((ProcessState::Ready, true)));
    child.stopping().expect("stopping");
    assert_eq!(
        (on_disk(), child.state()),
        (Some((ProcessState::Stopping, true)), ProcessState::Stopping)
    );
    child.release().expect("release");
    assert_eq!(on_disk(), None);
    assert_eq!(registry.validate().expect("validate"), 0);
    close(&registry);
}

#[test]
fn row_69_nothing_is_born_after_the_gate_is_closed() {
    let (_dir, data) = data_dir();
    let registry = open(&data);
    let run = registry.run_id();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let registry = &registry;
            scope.spawn(move || {
                for at in 0.. {
                    let Ok(place) = registry.reserve(format!("t{thread}-{at}")) else {
                        break;
                    };
                    match registry.spawner().spawn(place, &sleeper()) {
                        Ok((child, _)) => drop(child),
                        Err(Error::GateClosed | Error::Closed) => break,
                        Err(other) => panic!("{other}"),
                    }
                }
            });
        }
        eventually(LONG, "some are born", || {
            !crate::support::tagged(run).is_empty()
        });
        registry.close_gate();
        let place = registry
            .reserve("late")
            .expect("the gate is about processes");
        let refused = registry
            .spawner()
            .spawn(place, &sleeper())
            .expect_err("closed");
        assert!(matches!(refused, Error::GateClosed));
    });
    close(&registry);
}

#[test]
fn row_49_many_cycles_leak_nothing() {
    let (_dir, data) = data_dir();
    let registry = open(&data);
    let mine = |what: &str| {
        fs::read_dir(format!("/proc/self/{what}"))
            .expect("/proc")
            .count()
    };
    let before = mine("fd");
    let mut last = 0;
    for turn in 0..200 {
        let (child, spawned) = start(&registry, &format!("w{turn}"), &sleeper());
        last = i32::try_from(spawned.pid).expect("a pid");
        if turn % 2 == 0 {
            child.release().expect("release");
            assert_eq!(state(last), None, "it is reaped");
        } else {
            drop(child);
        }
    }
    eventually(LONG, "the last one is reaped", || state(last).is_none());
    eventually(LONG, "all rows are gone", || {
        registry.list().expect("list").is_empty()
    });
    // Other tests of this process run beside this one and have descriptors too.
    eventually(LONG, "descriptors are closed", || mine("fd") < before + 150);
    close(&registry);
}

#[test]
fn this_kernel_is_probed() {
    let support = Support::probe();
    assert!(support.pidfd && support.parent_death_signal, "{support:?}");
    assert!(support.tier() >= Tier::Kernel, "{support:?}");
    eprintln!("{support:?}: {:?}", support.tier());
}

#[test]
fn a_worker_leads_a_session_only_where_its_host_has_a_terminal() {
    let (_dir, data) = data_dir();
    let registry = open(&data);
    let (_registration, worker) = start(&registry, "apart", &sleeper());
    let here = Pid::from_raw(0);
    let pid = Pid::from_raw(worker.pid.cast_signed());
    assert_eq!(getpgid(Some(pid)), Ok(pid));
    let terminal = fs::File::open("/dev/tty").is_ok();
    let session = if terminal {
        Ok(pid)
    } else {
        getsid(Some(here))
    };
    assert_eq!(getsid(Some(pid)), session);
    close(&registry);
}
