//! Checks of the kernel and of limits.

use std::fs;

use snakepit_registry::{Support, Tier};
use tokio::time::Instant;

use super::{Check, CheckStatus};

/// Descriptors that a pool of a few dozen workers needs.
const ENOUGH_FILES: u64 = 1024;

/// Time in which an orphan that has ended is reaped.
const ORPHAN: std::time::Duration = std::time::Duration::from_secs(1);

/// Checks the layers that kill workers when their host dies.
pub(super) fn containment(support: &Support) -> Check {
    let layers = [
        ("death pipe", support.death_pipe),
        ("private descriptors", support.private_descriptors),
        ("pidfd", support.pidfd),
        ("pidfs inode", support.pidfs_inode),
        ("group signal", support.group_signal),
        ("parent death signal", support.parent_death_signal),
        ("marks without environment", support.stamp),
    ];
    let list = |wanted: bool| {
        let names = layers.iter().filter(|(_, there)| *there == wanted);
        names.map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    };
    let (tier, status, help) = match support.tier() {
        Tier::Full => ("full", CheckStatus::Ok, None),
        Tier::Kernel => (
            "kernel",
            CheckStatus::Ok,
            Some("Linux 6.9 or newer also closes the last races in recognising processes"),
        ),
        Tier::Sweep => (
            "sweep",
            CheckStatus::Warning,
            Some("this kernel does not end workers with their host; the next start ends them"),
        ),
    };
    let mut detail = format!("tier {tier}: {}", list(true));
    if tier != "full" {
        detail.push_str(&format!("; missing: {}", list(false)));
    }
    Check::new("containment", status, detail, help.map(str::to_owned))
}

/// Checks the modes that also contain processes that leave their process group.
pub(super) fn strict() -> Check {
    let modes = Support::modes();
    let modes = modes.iter().filter(|it| it.mode.is_strict());
    let words: Vec<_> = modes
        .map(|it| match &it.refusal {
            None => format!("{} works", it.mode),
            Some(refusal) => format!("{} does not work: {refusal}", it.mode),
        })
        .collect();
    Check::ok("strict modes", words.join("; "))
}

/// Checks that orphaned processes are reaped: by this process if it inherits them, else by the
/// first process of the system. Starts an orphan that ends at once to find out.
pub(super) fn reaper() -> Check {
    const NAME: &str = "orphan reaping";
    if Support::probe().inherits_orphans {
        return Check::ok(
            NAME,
            "this program inherits orphans and reaps those of its workers",
        );
    }
    let made = std::process::Command::new("/bin/sh")
        .args(["-c", "sleep 0.05 >/dev/null & echo $!"])
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .output();
    let pid = made.ok().and_then(|made| {
        let text = String::from_utf8(made.stdout).ok()?;
        text.trim().parse::<u32>().ok()
    });
    let Some(pid) = pid else {
        return Check::ok(NAME, "not tried: /bin/sh does not start a process");
    };
    let started = Instant::now();
    let state = || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.chars().next()
    };
    while state().is_some() {
        if started.elapsed() > ORPHAN {
            let help = "use an init process that reaps orphans, such as `docker run --init`, \
                        tini or dumb-init; or run this program as PID 1";
            let detail = "the init process (PID 1) does not reap orphans: zombies remain";
            return Check::new(NAME, CheckStatus::Warning, detail, Some(help.to_owned()));
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    Check::ok(NAME, "the init process (PID 1) reaps orphans")
}

/// Checks the soft limit of open files: each worker takes six descriptors of its host.
pub(super) fn open_files() -> Check {
    const NAME: &str = "open files";
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let limit = line.and_then(|line| line.split_whitespace().next());
    match limit.map(str::parse::<u64>) {
        Some(Ok(limit)) if limit < ENOUGH_FILES => Check::new(
            NAME,
            CheckStatus::Warning,
            format!("the limit is {limit}"),
            Some(format!("raise it: ulimit -n {ENOUGH_FILES}")),
        ),
        Some(Ok(limit)) => Check::ok(NAME, format!("the limit is {limit}")),
        _ => Check::ok(NAME, "no limit is known"),
    }
}
