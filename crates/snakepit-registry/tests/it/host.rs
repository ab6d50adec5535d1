//! The subject: a host in a process of its own, which the tests kill in many ways.
#![expect(
    clippy::print_stdout,
    reason = "the subject answers on its standard output"
)]

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use snakepit_registry::{
    CommandSpec, Error, Exit, Output, Registration, Registry, RegistryConfig, RunId, SpawnProblem,
};

use crate::support::{LONG, alive, daemoniser, eventually, first_line, sh, signal, sleeper, start};

const SCENARIO: &str = "REGISTRY_TEST_SCENARIO";
const DATA: &str = "REGISTRY_TEST_DATA";

/// A running subject.
pub(crate) struct Host {
    child: Child,
    lines: BufReader<ChildStdout>,
    pub(crate) run: RunId,
    pub(crate) pids: Vec<i32>,
}

impl Host {
    /// Starts the subject and waits until it reports that it is ready.
    pub(crate) fn start(scenario: &str, data: &Path) -> Self {
        Self::wrapped(&[], scenario, data)
    }

    /// Starts the subject through another program such as `setpriv`.
    pub(crate) fn wrapped(wrapper: &[&str], scenario: &str, data: &Path) -> Self {
        let mut child = command(wrapper, scenario, data)
            .spawn()
            .expect("the subject starts");
        let lines = BufReader::new(child.stdout.take().expect("piped"));
        let mut host = Self {
            child,
            lines,
            run: RunId::random().expect("randomness"),
            pids: vec![],
        };
        let words = host.answer("@ready");
        host.run = words[0].parse().expect("a run id");
        host.pids = words[1..]
            .iter()
            .map(|word| word.parse().expect("a pid"))
            .collect();
        host
    }

    /// Returns the words after `mark` in the subject's output.
    pub(crate) fn answer(&mut self, mark: &str) -> Vec<String> {
        let mut line = String::new();
        loop {
            line.clear();
            let read = self
                .lines
                .read_line(&mut line)
                .expect("the subject's output");
            assert_ne!(read, 0, "the subject ended before it said {mark}");
            if let Some((_, words)) = line.split_once(mark) {
                return words.split_whitespace().map(str::to_owned).collect();
            }
        }
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid")
    }

    /// Sends SIGKILL and returns when the subject is dead.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }

    /// Sends SIGKILL to the subject of scenario `escapee` and returns when only the escapee is
    /// left.
    pub(crate) fn kill_but_escapee(&mut self) {
        self.kill();
        let [escapee, parent] = self.pids[..] else {
            panic!("two pids")
        };
        eventually(LONG, "the parent is gone", || !alive(parent));
        assert!(alive(escapee), "it is out of reach of the death pipe");
    }

    /// Waits until the subject has ended by itself.
    pub(crate) fn wait(&mut self) -> std::process::ExitStatus {
        self.child.wait().expect("wait")
    }
}

/// Returns the command that starts the subject.
pub(crate) fn command(wrapper: &[&str], scenario: &str, data: &Path) -> Command {
    let exe = std::env::current_exe().expect("the path of this binary");
    let mut line: Vec<std::ffi::OsString> = wrapper.iter().map(Into::into).collect();
    line.push(exe.into());
    let mut command = Command::new(&line[0]);
    command
        .args(&line[1..])
        .args(["--exact", "host::subject", "--nocapture"])
        .env(SCENARIO, scenario)
        .env(DATA, data)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .process_group(0);
    command
}

impl Drop for Host {
    fn drop(&mut self) {
        // The subject may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn say_ready(registry: &Registry, pids: &[u32]) {
    let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
    println!("@ready {} {}", registry.run_id(), pids.join(" "));
}

pub(crate) fn park() -> ! {
    loop {
        std::thread::park();
    }
}

/// The subject's main function, which is no test. Does nothing if no scenario is named.
#[test]
fn subject() {
    let (Ok(scenario), Some(data)) = (std::env::var(SCENARIO), std::env::var_os(DATA)) else {
        return;
    };
    let mut config = RegistryConfig::new(data);
    config.spawn_retry = Duration::from_millis(300);
    // The name of a scenario is followed by the containment that it runs in.
    let (scenario, mode) = scenario.split_once('/').unwrap_or((&scenario, "group"));
    config.containment = mode.parse().expect("a containment");
    let registry = match Registry::open(config) {
        Err(refused) if scenario == "refused" => {
            println!("@refused {} {refused}", refused.code());
            return;
        }
        other => other.expect("open"),
    };
    match scenario {
        "sleepers" | "abort" | "exit" | "panic" => sleepers(&registry, scenario),
        "daemon" => daemon(&registry),
        "unmarked" => unmarked(&registry),
        "once" => once(&registry),
        "escapee" => escapee(&registry),
        "cleared" | "cleared_independent" | "cleared_beside_escapee" => {
            crate::cleared::host(&registry, scenario);
        }
        "reserved" => {
            let _reservation = registry.reserve("never").expect("reserve");
            say_ready(&registry, &[]);
            park();
        }
        "churn" => churn(&registry),
        "rows" => rows(&registry),
        "independent" => {
            let mut spec = sleeper();
            spec.dependent = false;
            let (_child, spawned) = start(&registry, "free", &spec);
            say_ready(&registry, &[spawned.pid]);
            park();
        }
        "family" => {
            let mut spec = sh("sleep 600 & exec sleep 600");
            spec.dependent = false;
            let (_child, spawned) = start(&registry, "free", &spec);
            eventually(LONG, "the child has a child", || {
                crate::support::tagged(registry.run_id()).len() == 2
            });
            say_ready(&registry, &[spawned.pid]);
            park();
        }
        "armed" => {
            let (child, spawned) = start(&registry, "one", &sleeper());
            say_ready(&registry, &[spawned.pid]);
            println!("@armed {}", spawned.armed);
            child.release().expect("release");
        }
        "io" => io_errors(&registry),
        "nproc" => limited(&registry, nix::sys::resource::Resource::RLIMIT_NPROC),
        "nofile" => limited(&registry, nix::sys::resource::Resource::RLIMIT_NOFILE),
        "sigchld" => ignored_exit(&registry),
        "masked" => masked(&registry),
        other => panic!("no scenario is named {other}"),
    }
}

/// Three children: one stopped, one with a child of its own, one plain.
fn sleepers(registry: &Registry, ending: &str) {
    let (plain, a) = start(registry, "plain", &sleeper());
    let (stopped, b) = start(registry, "stopped", &sleeper());
    let (family, c) = start(registry, "family", &sh("sleep 600 & sleep 600"));
    for child in [&plain, &stopped, &family] {
        child.ready().expect("ready");
    }
    signal(i32::try_from(b.pid).expect("a pid"), libc::SIGSTOP);
    say_ready(registry, &[a.pid, b.pid, c.pid]);
    #[expect(
        clippy::exit,
        reason = "the scenario is a host that ends without destructors"
    )]
    match ending {
        "abort" => std::process::abort(),
        "exit" => std::process::exit(7),
        "panic" => {
            let _children: Vec<Registration> = vec![plain, stopped, family];
            panic!("the scenario");
        }
        _ => park(),
    }
}

/// A child that leaves its group, out of reach of the death pipe.
fn escapee(registry: &Registry) {
    let spec = CommandSpec::new("/bin/sh")
        .arg("-c")
        .arg("setsid sh -c 'echo $$; exec sleep 600' & exec sleep 600")
        .env("PATH", "/usr/bin:/bin");
    let (child, spawned) = start(registry, "parent", &spec);
    child.ready().expect("ready");
    let mut line = String::new();
    let stdout = std::fs::File::from(spawned.stdout.expect("piped"));
    BufReader::new(stdout)
        .read_line(&mut line)
        .expect("the escapee's pid");
    say_ready(
        registry,
        &[line.trim().parse().expect("a pid"), spawned.pid],
    );
    park();
}

/// A child with a daemon that has left its group, its session and its parents.
fn daemon(registry: &Registry) {
    let (child, spawned) = start(registry, "worker", &daemoniser());
    child.ready().expect("ready");
    first_line(spawned.stdout);
    say_ready(registry, &[spawned.pid, child.shim_pid().expect("a shim")]);
    park();
}

/// A child with a daemon that carries neither mark. Reports the daemon's process id as well.
fn unmarked(registry: &Registry) {
    let mut spec = sh("setsid env -i sh -c 'prlimit --pid $$ --locks=unlimited:; \
         sleep 601 >/dev/null & echo $!'; exec sleep 600");
    spec.stdout = Output::Pipe;
    let (child, spawned) = start(registry, "worker", &spec);
    let daemon = first_line(spawned.stdout).parse().expect("a pid");
    let shim = child.shim_pid().expect("a shim");
    say_ready(registry, &[spawned.pid, shim, daemon]);
    park();
}

/// A child that writes to the output of this process.
fn once(registry: &Registry) {
    let mut spec = sh("echo @worker");
    spec.stdout = Output::Inherit;
    let (child, _) = start(registry, "worker", &spec);
    assert_eq!(child.wait(LONG), Some(Exit::Code(0)));
    child.release().expect("release");
    println!("@host");
}

/// Starts and stops children until it is killed.
fn churn(registry: &Registry) {
    say_ready(registry, &[]);
    let mut children = Vec::new();
    for turn in 0_u64.. {
        let (child, _) = start(registry, &format!("c{turn}"), &sh("sleep 600 & sleep 600"));
        children.push(child);
        if children.len() == 8 {
            for child in children.drain(..4) {
                child.release().expect("release");
            }
        }
    }
}

/// Writes rows until it is killed.
fn rows(registry: &Registry) {
    say_ready(registry, &[]);
    let mut kept = Vec::new();
    for turn in 0_u64.. {
        kept.push(registry.reserve(format!("r{turn}")).expect("reserve"));
        if turn % 3 == 0 {
            drop(kept.remove(0));
        }
    }
}

/// Writes rows while single writes to the disk fail.
fn io_errors(registry: &Registry) {
    say_ready(registry, &[]);
    let results: Vec<_> = (0..20)
        .map(|at| registry.reserve(format!("w{at}")))
        .collect();
    let kept = results.iter().filter(|result| result.is_ok()).count();
    let coded = results
        .iter()
        .flat_map(|r| r.as_ref().err())
        .all(|e| e.code().starts_with("SP6"));
    let last = results.last().is_some_and(Result::is_ok);
    let rows = registry.list().expect("list").len();
    let valid = registry.validate().is_ok();
    println!(
        "@io {} {}",
        20 - kept,
        rows == kept && coded && last && valid
    );
}

/// Asserts that spawning at a resource limit fails in time and works again later.
fn limited(registry: &Registry, limit: nix::sys::resource::Resource) {
    use nix::sys::resource::{UsageWho, getrlimit, getrusage, setrlimit};
    let (first, spawned) = start(registry, "first", &sleeper());
    say_ready(registry, &[spawned.pid]);
    let (soft, hard) = getrlimit(limit).expect("getrlimit");
    setrlimit(limit, 3.min(hard), hard).expect("setrlimit");
    let reservation = registry.reserve("second").expect("reserve");
    let cpu = || {
        let usage = getrusage(UsageWho::RUSAGE_SELF).expect("getrusage");
        let (user, system) = (usage.user_time(), usage.system_time());
        (user.tv_sec() + system.tv_sec()) * 1000 + (user.tv_usec() + system.tv_usec()) / 1000
    };
    let before = cpu();
    let refused = registry.spawner().spawn(reservation, &sleeper());
    let used = cpu() - before;
    let resources = matches!(
        refused,
        Err(Error::Spawn {
            problem: SpawnProblem::Resources(_),
            ..
        })
    );
    setrlimit(limit, soft, hard).expect("setrlimit");
    // The first child was not touched, and resources are available again.
    let serving = first.try_wait().is_none();
    let (again, _) = start(registry, "third", &sleeper());
    let rows = registry.list().expect("list").len();
    again.release().expect("release");
    first.release().expect("release");
    println!("@limited resources={resources} serving={serving} rows={rows} cpu_ms={used}");
}

#[expect(unsafe_code, reason = "the scenario is a host that ignores SIGCHLD")]
fn ignored_exit(registry: &Registry) {
    use nix::sys::signal::{SigHandler, Signal};
    // SAFETY: ignoring a signal runs no code.
    unsafe { nix::sys::signal::signal(Signal::SIGCHLD, SigHandler::SigIgn) }.expect("signal");
    let (child, spawned) = start(registry, "one", &sleeper());
    say_ready(registry, &[spawned.pid]);
    signal(i32::try_from(spawned.pid).expect("a pid"), libc::SIGKILL);
    let unknown = child.wait(LONG) == Some(Exit::Unknown);
    child.release().expect("release");
    println!("@exit unknown={unknown}");
}

/// A host that blocks and ignores signals.
#[expect(unsafe_code, reason = "the scenario is a host that ignores signals")]
fn masked(registry: &Registry) {
    use nix::sys::signal::{SigHandler, SigSet, Signal};
    SigSet::all().thread_block().expect("block");
    for ignored in [Signal::SIGINT, Signal::SIGHUP, Signal::SIGPIPE] {
        // SAFETY: ignoring a signal runs no code.
        unsafe { nix::sys::signal::signal(ignored, SigHandler::SigIgn) }.expect("signal");
    }
    let spec = CommandSpec::new("/bin/sleep")
        .arg("600")
        .output(Output::Inherit);
    let (child, spawned) = start(registry, "one", &spec);
    say_ready(registry, &[spawned.pid]);
    let status = std::fs::read_to_string(format!("/proc/{}/status", spawned.pid)).expect("status");
    let mask = |name: &str| {
        let line = status
            .lines()
            .find(|line| line.starts_with(name))
            .expect("the line");
        u64::from_str_radix(line.trim_start_matches(name).trim(), 16).expect("a mask")
    };
    // The C library ignores its two internal signals (32 and 33) until it needs them.
    let ignored = mask("SigIgn:") & !(0b11 << 31);
    println!("@signals blocked={} ignored={ignored}", mask("SigBlk:"));
    child.release().expect("release");
}
