//! Measures the costs of the registry and how fast the children of a dead host are gone: `cargo run
//! --release -p snakepit-registry --example figures`.
#![expect(clippy::print_stdout, reason = "the figures are the program's output")]

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use snakepit_registry::{
    Change, CommandSpec, Containment, Cookie, HostTable, Output, PidFd, ProcessIdentity,
    ProcessState, ProcessTable, Record, Registration, Registry, RegistryConfig, RunId, Store,
    StoreSize,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The first argument of this program if it is to be the host that dies.
const HOST: &str = "host";
const LIMIT: Duration = Duration::from_secs(10);

fn main() -> Result<()> {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|arg| arg == HOST) {
        return host(Path::new(&args.next().ok_or("no data directory")?));
    }
    let memory = tempfile::tempdir_in("/dev/shm")?;
    let disk = tempfile::tempdir()?;
    reserve(memory.path(), "tmpfs")?;
    reserve(disk.path(), "disk")?;
    start(memory.path())?;
    contained(memory.path())?;
    sweep(&memory.path().join("sweep"))?;
    host_death(&memory.path().join("death"))
}

#[expect(clippy::disallowed_methods, reason = "this program measures real time")]
fn now() -> Instant {
    Instant::now()
}

fn sleeper() -> CommandSpec {
    CommandSpec::new("/bin/sleep")
        .arg("600")
        .output(Output::Null)
}

fn spawn(registry: &Registry, id: &str, spec: &CommandSpec) -> Result<(Registration, u32)> {
    let (child, spawned) = registry.spawner().spawn(registry.reserve(id)?, spec)?;
    Ok((child, spawned.pid))
}

fn tagged(run: RunId) -> Result<Vec<i32>> {
    let ours = HostTable.tagged()?.into_iter();
    let ours = ours.filter(|one| one.cookies.iter().any(|cookie| cookie.run() == run));
    Ok(ours.map(|one| one.pid).collect())
}

/// Waits until this many processes of a run live.
fn until(run: RunId, count: usize) -> Result<Vec<i32>> {
    let start = now();
    loop {
        let pids = tagged(run)?;
        if pids.len() == count {
            return Ok(pids);
        }
        if start.elapsed() > LIMIT {
            return Err(format!("{} processes live, not {count}", pids.len()).into());
        }
        std::thread::yield_now();
    }
}

/// Measures 250 threads that make two commits each, as reserving and activating a worker does.
fn reserve(dir: &Path, name: &str) -> Result<()> {
    let registry = Registry::open(RegistryConfig::new(dir.join("reserve")))?;
    let barrier = Barrier::new(251);
    let took = std::thread::scope(|scope| -> Result<Duration> {
        let threads: Vec<_> = (0..250)
            .map(|at| {
                let (registry, barrier) = (&registry, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    let reserved = registry.reserve(format!("w{at}"));
                    (reserved, registry.reserve(format!("x{at}")))
                })
            })
            .collect();
        barrier.wait();
        let start = now();
        let done: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
        let took = start.elapsed();
        for one in done {
            let (first, second) = one.map_err(|_| "a thread panicked")?;
            drop((first?, second?));
        }
        Ok(took)
    })?;
    println!("250 x reserve + activate at once, {name}: {took:?}");
    let _ = registry.close()?;
    Ok(())
}

fn start(dir: &Path) -> Result<()> {
    let registry = Registry::open(RegistryConfig::new(dir.join("start")))?;
    let begun = now();
    let children: Vec<_> = (0..250)
        .map(|at| spawn(&registry, &format!("w{at}"), &sleeper()))
        .collect::<Result<_>>()?;
    println!(
        "250 x reserve + start /bin/sleep + activate, one after the other: {:?}",
        begun.elapsed()
    );
    let begun = now();
    drop(children);
    until(registry.run_id(), 0)?;
    println!("250 x drop, to the last one gone: {:?}", begun.elapsed());
    let _ = registry.close()?;
    Ok(())
}

/// Measures the cost of a worker in each containment, and the memory of its shim.
fn contained(dir: &Path) -> Result<()> {
    const COUNT: u32 = 100;
    for mode in Containment::ALL {
        if let Err(refusal) = mode.probe() {
            println!("containment {mode}: {refusal}");
            continue;
        }
        let registry = Registry::open(RegistryConfig::new(dir.join(mode.name())))?;
        let spec = sleeper().containment(mode);
        let begun = now();
        let children: Vec<_> = (0..COUNT)
            .map(|at| spawn(&registry, &format!("w{at}"), &spec))
            .collect::<Result<_>>()?;
        let started = begun.elapsed() / COUNT;
        let private: u32 = tagged(registry.run_id())?
            .into_iter()
            .filter_map(shim_memory)
            .sum();
        let begun = now();
        for (child, _) in children {
            child.release()?;
        }
        println!(
            "containment {mode}: {started:?} a start, {:?} an end, {} KiB private in shims",
            begun.elapsed() / COUNT,
            private / COUNT,
        );
        let _ = registry.close()?;
    }
    Ok(())
}

/// Returns the private memory of a process in KiB if it is a shim.
fn shim_memory(pid: i32) -> Option<u32> {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    let roll = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let field = |line: &str| line.split_whitespace().nth(1)?.parse::<u32>().ok();
    let private = roll.lines().filter(|line| line.starts_with("Private_"));
    (name.trim() == "snakepit-shim").then(|| private.filter_map(field).sum())
}

/// Creates a dead run with 1,000 records, half of which have the id of a living stranger.
fn sweep(data: &Path) -> Result<()> {
    let mut dead = Command::new(std::env::current_exe()?)
        .arg(HOST)
        .arg(data)
        .stdout(Stdio::piped())
        .spawn()?;
    let run = first_line(&mut dead)?;
    dead.kill()?;
    dead.wait()?;
    until(run, 0)?;
    let me = i32::try_from(std::process::id())?;
    let stranger = PidFd::open(1)?.and_then(|one| one.inode());
    let put = |at: u16| -> Result<Change> {
        let pid = if at.is_multiple_of(2) {
            4_100_000 + i32::from(at)
        } else {
            me
        };
        Ok(Change::Put(Box::new(Record {
            worker_id: format!("w{at}"),
            generation: at.into(),
            state: ProcessState::Ready,
            cookie: Cookie::random(run, true)?,
            armed: true,
            shim: None,
            cgroup: None,
            identity: Some(ProcessIdentity {
                pid,
                pgid: pid,
                start_ticks: 1,
                pidfs_inode: stranger,
                uid: 0,
                exe: None,
            }),
        })))
    };
    let db = data.join("runs").join(run.to_string()).join("db");
    let mut store = Store::open(&db, StoreSize::default())?;
    store.apply(&(0..1000).map(put).collect::<Result<Vec<_>>>()?)?;
    drop(store);
    let registry = Registry::open(RegistryConfig::new(data))?;
    let begun = now();
    let report = registry.sweep()?;
    let took = begun.elapsed();
    println!("sweep of {} dead records: {took:?}", report.runs[0].gone);
    let _ = registry.close()?;
    Ok(())
}

/// Three children: one of them is stopped and one has two children of its own.
fn host(data: &Path) -> Result<()> {
    let registry = Registry::open(RegistryConfig::new(data))?;
    let mut family = CommandSpec::new("/bin/sh")
        .arg("-c")
        .arg("sleep 600 & sleep 600 & wait");
    family = family.env("PATH", "/usr/bin:/bin").output(Output::Null);
    let _plain = spawn(&registry, "plain", &sleeper())?;
    let stopped = spawn(&registry, "stopped", &sleeper())?;
    let _family = spawn(&registry, "family", &family)?;
    if let Some(stopped) = PidFd::open(i32::try_from(stopped.1)?)? {
        stopped.signal(snakepit_registry::Scope::Process, libc::SIGSTOP)?;
    }
    println!("{}", registry.run_id());
    loop {
        std::thread::park();
    }
}

fn first_line(host: &mut std::process::Child) -> Result<RunId> {
    let mut line = String::new();
    BufReader::new(host.stdout.take().ok_or("no output")?).read_line(&mut line)?;
    Ok(line.trim().parse()?)
}

fn host_death(data: &Path) -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..100 {
        let mut host = Command::new(std::env::current_exe()?)
            .arg(HOST)
            .arg(data)
            .stdout(Stdio::piped())
            .spawn()?;
        let run = first_line(&mut host)?;
        let held: Vec<_> = until(run, 5)?
            .into_iter()
            .filter_map(|pid| PidFd::open(pid).transpose())
            .collect::<std::io::Result<_>>()?;
        let begun = now();
        host.kill()?;
        if !held.iter().all(|one| one.wait(LIMIT)) {
            return Err("a child has survived its host".into());
        }
        times.push(begun.elapsed());
        host.wait()?;
        until(run, 0)?;
    }
    times.sort_unstable();
    println!(
        "host SIGKILL to the last of 3 children and 2 grandchildren gone, 100 runs: p50 {:?}, worst {:?}",
        times[50], times[99]
    );
    let report = Registry::sweep_data_dir(data, LIMIT)?;
    println!(
        "the sweep of these {} runs killed {}",
        report.runs.len(),
        report.killed()
    );
    Ok(())
}
