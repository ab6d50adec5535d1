//! The life of a worker process: its signals, its appearance to other processes, its remains, its
//! end.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use snakepit::{
    CallOptions, ContainmentMode, Death, Error, ErrorCode, PoolBuilder, PythonProfile, Snakepit,
    ThreadSafetyChecks, args,
};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::support::{LONG, alive, file, pool_of};

pub(crate) fn pool() -> PoolBuilder {
    let adapter = format!(
        "{}/tests/e2e/worker_life.py:Life",
        env!("CARGO_MANIFEST_DIR")
    );
    pool_of("main", &adapter)
}

pub(crate) fn threads(pool: PoolBuilder) -> PoolBuilder {
    let threads = PythonProfile::Thread {
        threads_per_worker: 2,
    };
    pool.profile(threads)
        .configure_python(|python| python.thread_safety_checks = ThreadSafetyChecks::Off)
}

pub(crate) async fn start(pool: PoolBuilder) -> Snakepit {
    Snakepit::builder().pool(pool).start().await.unwrap()
}

pub(crate) fn worker(snakepit: &Snakepit) -> u32 {
    snakepit.workers()[0].pid.unwrap()
}

pub(crate) fn send(pid: u32, signal: Signal) {
    kill(Pid::from_raw(pid.cast_signed()), signal).unwrap();
}

pub(crate) fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        let mut tick = tokio::time::interval(Duration::from_millis(2));
        while !holds() {
            tick.tick().await;
        }
    };
    timeout(LONG, wait)
        .await
        .unwrap_or_else(|_| panic!("{what}"));
}

pub(crate) fn died(error: &Error) -> (&Death, &str) {
    match error {
        Error::WorkerDied { cause, reason, .. } => (cause, reason),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_of_others_do_not_end_a_worker() {
    let dir = tempfile::tempdir().unwrap();
    for (index, pool) in [pool(), threads(pool()), pool().concurrency(4)]
        .into_iter()
        .enumerate()
    {
        let snakepit = start(pool).await;
        let pid = worker(&snakepit);
        for given_back in [false, true] {
            if given_back && index == 0 {
                snakepit
                    .execute::<()>("gives_signals_back", ())
                    .await
                    .unwrap();
            }
            let name = |name: &str| dir.path().join(format!("{name}{index}{given_back}"));
            let (started, go) = (name("started"), name("go"));
            let mut running = JoinSet::new();
            running.spawn({
                let (snakepit, started, go) = (snakepit.clone(), text(&started), text(&go));
                async move {
                    let arguments = args! { "started" => started, "go" => go };
                    snakepit.execute::<u32>("waits", arguments).await
                }
            });
            file(&started).await;
            for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
                send(pid, signal);
            }
            fs::write(&go, "go").unwrap();
            assert_eq!(running.join_next().await.unwrap().unwrap().unwrap(), pid);
        }
        assert_eq!(snakepit.execute::<u32>("pid", ()).await.unwrap(), pid);
        snakepit.shutdown().await;
        assert!(!alive(pid));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn handlers_of_tools_and_signals_to_oneself_work_as_ever() {
    let dir = tempfile::tempdir().unwrap();
    let snakepit = start(pool()).await;
    let (pid, told) = (worker(&snakepit), dir.path().join("told"));
    let arguments = args! { "told" => text(&told) };
    snakepit
        .execute::<()>("handles_sigterm", arguments)
        .await
        .unwrap();
    send(pid, Signal::SIGTERM);
    // Python runs its handlers the next time it executes bytecode.
    assert_eq!(snakepit.execute::<u32>("pid", ()).await.unwrap(), pid);
    assert_eq!(file(&told).await, "told");
    let hup = args! { "number" => Signal::SIGHUP as i32 };
    let error = snakepit
        .execute::<()>("signals_itself", hup)
        .await
        .unwrap_err();
    assert_eq!(died(&error).0, &Death::Signal(1));
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hosts_own_signal_ends_a_busy_worker_before_its_grace_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let grace = Duration::from_secs(8);
    let snakepit = start(pool().configure(|pool| {
        pool.drain_timeout = Duration::from_millis(50);
        pool.stop_grace = grace;
    }))
    .await;
    let started = dir.path().join("started");
    let mut running = JoinSet::new();
    running.spawn({
        let (snakepit, started) = (snakepit.clone(), text(&started));
        async move {
            snakepit
                .execute::<()>("sticks", args! { "started" => started })
                .await
        }
    });
    file(&started).await;
    let clock = Instant::now();
    snakepit.shutdown().await;
    assert!(clock.elapsed() < grace, "SIGTERM came in between");
    let error = running.join_next().await.unwrap().unwrap().unwrap_err();
    let (cause, reason) = died(&error);
    assert_eq!(cause, &Death::Stopped);
    assert!(reason.contains("shut down"), "{reason}");
    assert!(reason.contains("drain_timeout"), "{reason}");
}

/// Starts a call that never ends by itself, and waits until its tool runs.
async fn sticking(snakepit: &Snakepit, started: &Path, options: CallOptions) -> Call {
    let (snakepit, arguments) = (snakepit.clone(), args! { "started" => text(started) });
    let mut running = JoinSet::new();
    running.spawn(async move {
        snakepit
            .call::<()>("sticks")
            .args(arguments)
            .options(&options)
            .await
    });
    file(started).await;
    running
}

type Call = JoinSet<Result<(), Error>>;

/// Returns the reason for which the worker of a running call was ended.
async fn why(mut call: Call) -> String {
    let error = call.join_next().await.unwrap().unwrap().unwrap_err();
    let (cause, reason) = died(&error);
    assert_eq!(cause, &Death::Stopped, "{reason}");
    reason.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_the_drain_of_a_recycled_worker_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let aged = pool().recycle(|recycle| {
        recycle.max_age = Some(Duration::from_millis(100));
        recycle.min_lifetime = Duration::ZERO;
    });
    let used = threads(pool()).recycle(|recycle| recycle.max_requests = Some(1));
    for (reason, pool) in [
        ("manual", pool()),
        ("age", aged),
        ("requests", used),
        ("stuck", threads(pool())),
    ] {
        let snakepit = start(pool.configure(|pool| {
            pool.recycle.max_drain = Duration::from_millis(100);
            pool.cancel_grace = Duration::from_millis(100);
            pool.stop_grace = Duration::from_secs(1);
        }))
        .await;
        let started = |name: &str| dir.path().join(format!("{reason}.{name}"));
        let call = sticking(&snakepit, &started("one"), CallOptions::new()).await;
        let mut other = None;
        match reason {
            "manual" => {
                let old = snakepit.workers()[0].id.clone();
                snakepit.recycle(&old).await.unwrap();
            }
            "requests" => {
                snakepit.execute::<u32>("pid", ()).await.unwrap();
            }
            "stuck" => {
                let options = CallOptions::new().timeout(Duration::from_secs(1));
                other = Some(sticking(&snakepit, &started("other"), options).await);
            }
            _ => {}
        }
        let why = why(call).await;
        assert!(why.contains(&format!("recycled ({reason})")), "{why}");
        assert!(why.contains("`max_drain` (100ms)"), "{why}");
        drop(other);
        snakepit.shutdown().await;
    }
}

#[tokio::test]
async fn a_stuck_call_whose_time_is_up_ends_its_worker_and_that_is_told() {
    let log = Log::default();
    let _guard = log.listen();
    let dir = tempfile::tempdir().unwrap();
    let grace = Duration::from_millis(100);
    let snakepit = start(pool().configure(|pool| pool.cancel_grace = grace)).await;
    let options = CallOptions::new().timeout(Duration::from_secs(1));
    let mut call = sticking(&snakepit, &dir.path().join("started"), options).await;
    let error = call.join_next().await.unwrap().unwrap().unwrap_err();
    assert_eq!(error.code(), ErrorCode::CallTimeout, "{error}");
    snakepit.execute::<u32>("pid", ()).await.unwrap();
    snakepit.shutdown().await;
    let told = "a cancelled call did not end within `cancel_grace` (100ms)";
    assert!(!log.lines(told).is_empty(), "{:?}", log.lines(""));
}

#[tokio::test]
async fn containment_is_set_with_this_crate_alone() {
    for mode in ContainmentMode::ALL {
        let builder = Snakepit::builder().pool(pool().containment(mode));
        let snakepit = match builder.start().await {
            Err(error) => {
                assert_eq!(error.code(), ErrorCode::NoContainment);
                let needs = [ContainmentMode::Cgroup, ContainmentMode::PidNamespace];
                assert!(needs.contains(&mode), "{error}");
                eprintln!("skipped: {error}");
                continue;
            }
            Ok(snakepit) => snakepit,
        };
        let status = snakepit.status().remove(0);
        assert_eq!(status.containment.mode, Some(mode.name()));
        // The parent of a contained worker is its shim.
        let stat = fs::read_to_string(format!("/proc/{}/stat", worker(&snakepit))).unwrap();
        let parent = stat.rsplit(") ").next().unwrap().split(' ').nth(1).unwrap();
        let own = parent.parse() == Ok(std::process::id());
        assert_eq!(own, mode == ContainmentMode::Group, "{mode}");
        snakepit.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn others_see_what_a_worker_is_and_not_its_token() {
    for (pool, slots) in [
        (pool(), 1),
        (threads(pool()), 2),
        (pool().concurrency(3), 3),
    ] {
        let snakepit = start(pool).await;
        let info = snakepit.workers()[0].clone();
        let pid = info.pid.unwrap();
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap();
        let line = String::from_utf8(line).unwrap();
        let line = line.trim_end_matches('\0');
        let run = line.rsplit(' ').next().unwrap();
        let shown = format!("snakepit worker {} pool main run {run}", info.id);
        assert_eq!(line, shown, "{slots} slots");
        assert!(run.len() >= 16, "{line}");
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap();
        let environ = String::from_utf8_lossy(&environ).into_owned();
        let token = environ
            .split('\0')
            .find_map(|one| one.strip_prefix("SNAKEPIT_WORKER_TOKEN="));
        let blotted = token.is_some_and(|token| token.bytes().all(|byte| byte == b'-'));
        assert!(blotted, "{token:?}");
        snakepit.shutdown().await;
    }
}

/// A log that keeps everything written to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Collects the log of this thread until the guard is dropped.
    pub(crate) fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let writer = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    /// Returns the lines that contain this text.
    pub(crate) fn lines(&self, text: &str) -> Vec<String> {
        let log = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines = log.lines().filter(|line| line.contains(text));
        lines.map(str::to_owned).collect()
    }
}

impl Write for Log {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn cleanup_has_the_whole_grace() {
    let dir = tempfile::tempdir().unwrap();
    for (index, pool) in [pool(), threads(pool()), pool().concurrency(2)]
        .into_iter()
        .enumerate()
    {
        for handler in [false, true] {
            if handler && index > 0 {
                continue;
            }
            let grace = Duration::from_secs(8);
            let snakepit = start(pool.clone().configure(|pool| pool.stop_grace = grace)).await;
            let cleaned = dir.path().join(format!("cleaned-{index}-{handler}"));
            // Longer than half the grace, after which the host sends its signal.
            let arguments = args! { "file" => text(&cleaned), "seconds" => 5.0 };
            snakepit
                .execute::<()>("cleans_up", arguments)
                .await
                .unwrap();
            if handler {
                snakepit
                    .execute::<()>("exits_on_sigterm", ())
                    .await
                    .unwrap();
            }
            snakepit.shutdown().await;
            assert!(cleaned.exists(), "profile {index}, handler {handler}");
        }
    }
}

#[tokio::test]
async fn a_cleanup_that_is_cut_short_is_told_by_name() {
    let log = Log::default();
    let _guard = log.listen();
    let dir = tempfile::tempdir().unwrap();
    for (seconds, grace, cut) in [(0.0, 20, 0), (3600.0, 2, 1)] {
        let grace = Duration::from_secs(grace);
        let snakepit = start(pool().configure(|pool| pool.stop_grace = grace)).await;
        let cleaned = dir.path().join("cleaned");
        let arguments = args! { "file" => text(&cleaned), "seconds" => seconds };
        snakepit
            .execute::<()>("cleans_up", arguments)
            .await
            .unwrap();
        snakepit.shutdown().await;
        assert!(dir.path().join("cleaned.began").exists());
        let warnings = log.lines("worker.cleanup_cut");
        assert_eq!(warnings.len(), cut, "{warnings:?}");
        assert!(
            warnings
                .iter()
                .all(|line| line.contains("WARN") && line.contains("Life"))
        );
    }
}
