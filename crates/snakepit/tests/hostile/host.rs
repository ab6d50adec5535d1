//! The host under attack: a separate process with a memory limit, whose report the tests read.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use snakepit::{CallOptions, PoolBuilder, Snakepit, Telemetry, args};
use snakepit_core::events::TraceContext;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::{LONG, bridge, pool};
use crate::values;

const MODE: &str = "SNAKEPIT_HOSTILE_MODE";
const DIR: &str = "SNAKEPIT_HOSTILE_DIR";

/// The mode in which the host itself is the problem: it has no descriptor left.
pub(crate) const FULL: &str = "before_the_host_is_full";

/// Address space that the attack may use; [`limit_memory`] adds what the idle host uses.
const MEMORY: u64 = 1 << 30;

/// Time-out of a call of the hostile worker.
const PATIENCE: Duration = Duration::from_secs(2);

/// Maximum time of an innocent call, as a multiple of its slowest time before the attack; at least
/// [`BUSY`].
const SLOWER: u32 = 50;

/// Time below which an innocent call is never late, since the machine may be busy with other tests.
const BUSY: Duration = Duration::from_secs(3);

/// The host's report on an attack.
#[derive(Debug)]
pub(crate) struct Report {
    /// Outcomes of the hostile worker's start and of its calls.
    pub(crate) outcomes: Vec<String>,
    /// All output of the host, including the log.
    pub(crate) text: String,
    /// Peak growth of the host's memory during the attack, in KiB.
    pub(crate) grown: u64,
    /// Size of the page of metrics in bytes.
    pub(crate) page: u64,
}

/// Lets a worker of this mode attack a host; returns the host's report.
#[track_caller]
pub(crate) fn attack(mode: &str) -> Report {
    bridge();
    let dir = tempfile::tempdir().unwrap();
    let Output {
        status,
        stdout,
        stderr,
    } = run(mode, dir.path());
    let text = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
    assert!(
        status.success(),
        "{mode}: the host ended with {status}:\n{text}"
    );
    let marked = |mark: &'static str| text.lines().filter_map(move |line| line.strip_prefix(mark));
    assert_eq!(
        marked("@innocent ").collect::<Vec<_>>(),
        ["in time"],
        "{mode}:\n{text}"
    );
    assert!(
        !text.contains('\u{1b}'),
        "{mode}: a raw escape sequence: {text:?}"
    );
    let outcomes = marked("@outcome ").map(str::to_owned).collect();
    let number = |mark| marked(mark).next().and_then(|number| number.parse().ok());
    let (grown, page) = (number("@grown "), number("@page "));
    Report {
        outcomes,
        grown: grown.unwrap(),
        page: page.unwrap_or_default(),
        text,
    }
}

/// Runs the host to its end. If the host hangs, it is killed and the test fails.
#[track_caller]
fn run(mode: &str, dir: &Path) -> Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut command = tokio::process::Command::new(std::env::current_exe().unwrap());
        let child = command
            .args(["--exact", "host::host", "--nocapture"])
            .env(MODE, mode)
            .env(DIR, dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let ended = tokio::time::timeout(LONG, child.wait_with_output()).await;
        ended
            .unwrap_or_else(|_| panic!("{mode}: the host hangs"))
            .unwrap()
    })
}

/// Returns the directory of the hostile runtime, with the files that the search for a runtime
/// expects.
fn hostile(dir: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile/worker/snakepit_bridge");
    let package = dir.join("runtime/snakepit_bridge");
    std::fs::create_dir_all(&package).unwrap();
    for entry in std::fs::read_dir(source).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), package.join(entry.file_name())).unwrap();
        }
    }
    std::fs::write(package.join("_native.abi3.so"), "").unwrap();
    dir.join("runtime")
}

/// Not a test: the main function of the host. Does nothing without a mode.
#[test]
fn host() {
    let (Ok(mode), Some(dir)) = (std::env::var(MODE), std::env::var_os(DIR)) else {
        return;
    };
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(under_attack(&mode, Path::new(&dir)));
}

async fn under_attack(mode: &str, dir: &Path) {
    let adapter = dir.join("any.py");
    std::fs::write(&adapter, "").unwrap();
    let good = Snakepit::builder()
        .data_dir(dir.join("good"))
        .pool(pool("good", 1));
    let good = good.start().await.unwrap();
    let usual = innocent(&good, 20).await;
    limit_memory();
    let before = memory("VmRSS");
    std::fs::write("/proc/self/clear_refs", "5").unwrap();

    if mode == FULL {
        fifos(dir);
    }
    let together = mode.starts_with("recall_");
    let used = mode.starts_with("values_");
    let (runtime, mode) = (hostile(dir), mode.to_owned());
    let evil = PoolBuilder::new("evil", adapter.to_str().unwrap())
        .workers(1)
        .env("PYTHON_MODE", mode)
        .env("PYTHON_DIR", dir.to_str().unwrap())
        .configure_python(move |python| python.bridge_path = Some(runtime.clone()))
        .configure(|config| {
            config.start_timeout = Duration::from_secs(3);
            config.cancel_grace = Duration::from_millis(200);
            config.call_timeout = Some(PATIENCE);
        });
    let telemetry = Telemetry::builder()
        .prometheus(([127, 0, 0, 1], 0))
        .own_subscriber()
        .start()
        .unwrap();
    let evil = Snakepit::builder()
        .data_dir(dir.join("evil"))
        .telemetry(&telemetry)
        .pool(evil)
        .start();
    let attack = async move {
        let evil = match evil.await {
            Ok(evil) => evil,
            Err(error) => {
                let text = format!("{} {error}", error.code());
                return println!("@outcome start: {}", one_line(&text));
            }
        };
        let events = evil.default_pool().raw().events().clone();
        let _heard = events.on_event("*", |emitted| {
            let name = emitted.event.name();
            if name.contains("tool.") || name.contains("telemetry.") {
                println!("@event {name}");
            }
        });
        let mut options = CallOptions::new().timeout(PATIENCE);
        options.trace = Some(TraceContext::start(true));
        let kinds: &[_] = match used {
            true => &[],
            false => &["call", "stream", "many"],
        };
        for kind in kinds {
            println!("@outcome {kind}: {}", call(&evil, kind, &options).await);
        }
        if together {
            all_together(&evil, &options).await;
        }
        if used {
            values::use_all(&evil).await;
        }
        show_metrics(&telemetry).await;
        evil.shutdown().await;
        telemetry.shutdown().await;
    };
    // In a separate task: the caller of a hostile tool pays for reading its result.
    let mut attacks = JoinSet::new();
    attacks.spawn(attack);
    let mut slowest = Duration::ZERO;
    let ended = loop {
        match attacks.try_join_next() {
            Some(ended) => break ended,
            None => slowest = slowest.max(innocent(&good, 1).await),
        }
    };
    ended.unwrap();
    let after = innocent(&good, 20).await;
    let late = slowest.max(after) > BUSY.max(usual * SLOWER);
    println!("@innocent {}", if late { "late" } else { "in time" });
    println!("usual {usual:?}, during {slowest:?}, after {after:?}");
    println!("@grown {}", memory("VmHWM").saturating_sub(before));
    good.shutdown().await;
}

/// Makes many concurrent calls, some of which are sent ahead.
async fn all_together(evil: &Snakepit, options: &CallOptions) {
    let mut calls = JoinSet::new();
    for _ in 0..400 {
        let (evil, options) = (evil.clone(), options.clone());
        calls.spawn(async move { call(&evil, "call", &options).await });
    }
    while let Some(outcome) = calls.join_next().await {
        println!("@outcome together: {}", outcome.unwrap());
    }
}

/// Prints the short samples of worker code on the page of metrics, and the size of the page.
async fn show_metrics(telemetry: &Telemetry) {
    let address = telemetry.prometheus_address().unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request =
        b"GET /metrics HTTP/1.1\r\nhost: x\r\naccept: application/openmetrics-text\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).await.unwrap();
    println!("@page {}", page.len());
    let (_, page) = page.split_once("\r\n\r\n").unwrap();
    let own = |line: &&str| !line.starts_with("snakepit_") && !line.starts_with("rpc_");
    let samples = page
        .lines()
        .filter(|line| !line.starts_with('#') && line.len() < 1000);
    for line in samples.filter(own) {
        println!("@metric {line}");
    }
}

/// Returns a figure of this process's memory in KiB.
fn memory(what: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(what)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Makes one call of the hostile worker and describes its outcome.
async fn call(evil: &Snakepit, kind: &str, options: &CallOptions) -> String {
    let ended = async {
        match kind {
            "call" => evil
                .call::<serde_json::Value>("t")
                .options(options)
                .await
                .map(|value| value.to_string().len()),
            "stream" => {
                let mut chunks = 0;
                let pool = evil.default_pool();
                let mut stream = pool
                    .call::<serde_json::Value>("s")
                    .options(options)
                    .stream()
                    .await?;
                while let Some(chunk) = stream.next().await {
                    chunk?;
                    chunks += 1;
                    if chunks == 10_000 {
                        break;
                    }
                }
                Ok(chunks)
            }
            _ => {
                let mut items = evil.execute_many::<serde_json::Value, _>("t", [(), ()]);
                let mut last = Ok(0);
                while let Some(item) = items.next().await {
                    last = item.map(|_| 1);
                }
                last
            }
        }
    };
    match tokio::time::timeout(LONG, ended).await {
        Ok(Ok(size)) => format!("ok {size}"),
        Ok(Err(error)) => one_line(&format!("{} {error}", error.code())),
        Err(_) => panic!("a {kind} of a hostile worker never ended"),
    }
}

/// Returns the beginning of a text as one line.
pub(crate) fn one_line(text: &str) -> String {
    text.chars()
        .take(200)
        .collect::<String>()
        .replace('\n', "\\n")
}

/// Makes a number of calls on the innocent worker and returns the time of the slowest.
async fn innocent(good: &Snakepit, calls: usize) -> Duration {
    let mut slowest = Duration::ZERO;
    for _ in 0..calls {
        let start = Instant::now();
        let echoed: String = good
            .execute("echo", args! { "value" => "still here" })
            .await
            .unwrap();
        assert_eq!(echoed, "still here");
        slowest = slowest.max(start.elapsed());
    }
    slowest
}

/// Takes all descriptors of this process when the worker is about to connect, and then lets it
/// connect.
fn fifos(dir: &Path) {
    let [waiting, go] = ["waiting", "go"].map(|name| dir.join(name));
    for fifo in [&waiting, &go] {
        nix::unistd::mkfifo(fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    }
    std::thread::spawn(move || {
        // Each open waits for the worker's.
        let _waiting = File::open(waiting).unwrap();
        let mut go = OpenOptions::new().write(true).open(go).unwrap();
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, 1000.min(hard), hard).unwrap();
        let mut taken = Vec::new();
        while let Ok(file) = File::open("/dev/null") {
            taken.push(file);
        }
        go.write_all(b"!").unwrap();
        loop {
            std::thread::park();
        }
    });
}

/// Limits the address space to its current size plus [`MEMORY`]: stacks of threads and the maps of
/// the records do not count as memory.
fn limit_memory() {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = status.split_whitespace().next().unwrap().parse().unwrap();
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)
        .unwrap()
        .unwrap();
    let taken = pages * u64::try_from(page).unwrap();
    let (_, hard) = getrlimit(Resource::RLIMIT_AS).unwrap();
    setrlimit(Resource::RLIMIT_AS, taken + MEMORY, hard).unwrap();
}
