//! Run, registry and state of a host: each is accessible, and there is only one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use snakepit::profiles::Run;
use snakepit::{
    BuildError, Error, ErrorCode, HostState, HostStateConfig, PoolConfig, PoolState,
    ProcessProfile, PythonConfig, Snakepit, Value, WorkerProfile, args,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::support::{LONG, alive, bridge, pool_of};

const ADAPTER: &str = "\
from snakepit_bridge import Context, tool

@tool
def put(ctx: Context, n: int) -> int:
    ctx['n'] = n
    return n

@tool
def count(n: int):
    yield from range(n)
";

fn adapter() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("one_state_tools.py");
    std::fs::write(&path, ADAPTER).unwrap();
    (dir, path)
}

fn python(adapter: &std::path::Path) -> PythonConfig {
    let mut python = PythonConfig::new(adapter.to_str().unwrap());
    python.bridge_path = Some(bridge().to_owned());
    python
}

fn config(name: &str) -> PoolConfig {
    let mut config = PoolConfig::new(name);
    config.workers = 1;
    config
}

/// Checks that callers see a value that a tool puts into its session.
async fn is_one(snakepit: &Snakepit) {
    let session = snakepit.session("a");
    let n: i64 = session.execute("put", args! { "n" => 7 }).await.unwrap();
    let stored = session.state().unwrap().variable("n").unwrap();
    assert_eq!((n, &*stored.value), (7, &Value::Int(7)));
    let listed = snakepit.sessions().list(None, 10).sessions;
    assert_eq!(listed.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_with_a_run_of_its_own_has_the_state_of_the_whole() {
    let (dir, adapter) = adapter();
    let run = Run::open(Some(dir.path())).unwrap();
    let profile = ProcessProfile::with_run(python(&adapter), run.clone()).await;
    let profile = profile.unwrap();
    assert!(profile.state().is_none());
    let builder = Snakepit::builder().run(run.clone());
    let builder = builder.pool_with_profile(config("main"), Arc::new(profile));
    let snakepit = builder.start().await.unwrap();
    is_one(&snakepit).await;
    let id = run.registry().run_id().to_string();
    assert_eq!(snakepit.run_id(), Some(id));
    assert!(
        snakepit
            .run()
            .is_some_and(|own| own.data_dir() == run.data_dir())
    );
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_with_a_state_of_its_own_gives_it_to_the_whole() {
    let (dir, adapter) = adapter();
    let run = Run::open(Some(dir.path())).unwrap();
    let state = HostState::new(HostStateConfig::new()).unwrap();
    let profile = ProcessProfile::with_run(python(&adapter), run.clone()).await;
    let profile = Arc::new(profile.unwrap().with_state(state.clone()));
    let other = HostState::new(HostStateConfig::new()).unwrap();
    let refused = Snakepit::builder()
        .host_state(other)
        .pool_with_profile(
            config("main"),
            Arc::clone(&profile) as Arc<dyn WorkerProfile>,
        )
        .start()
        .await
        .unwrap_err();
    assert!(matches!(&refused, BuildError::Config { .. }), "{refused}");
    assert_eq!(refused.code(), ErrorCode::InvalidConfig);
    let builder = Snakepit::builder().run(run);
    let builder = builder.pool_with_profile(config("main"), profile);
    let snakepit = builder.start().await.unwrap();
    assert!(snakepit.host_state().is_same(&state));
    is_one(&snakepit).await;
    snakepit.shutdown().await;
}

#[test]
fn everything_is_closed_once_the_runtime_of_the_start_is_gone() {
    let (_dir, adapter) = adapter();
    let first = Runtime::new().unwrap();
    let pool = pool_of("main", adapter.to_str().unwrap());
    let snakepit = first.block_on(Snakepit::builder().pool(pool).start());
    let snakepit = snakepit.unwrap();
    let pids: Vec<u32> = snakepit
        .workers()
        .iter()
        .filter_map(|one| one.pid)
        .collect();
    assert_eq!(pids.len(), 1);
    let (sent, under_way) = std::sync::mpsc::channel();
    let caller = snakepit.clone();
    // A stream that another runtime is reading when the first runtime ends.
    let reader = std::thread::spawn(move || {
        Runtime::new().unwrap().block_on(async {
            let arguments = args! { "n" => 1_u64 << 40 };
            let stream = caller.execute_stream::<i64>("count", arguments).await;
            let mut stream = stream.unwrap();
            stream.next().await.unwrap().unwrap();
            sent.send(()).unwrap();
            let rest = async { while stream.next().await.is_some_and(|item| item.is_ok()) {} };
            timeout(LONG, rest).await.expect("the stream ends");
        });
    });
    under_way.recv().unwrap();
    first.shutdown_timeout(Duration::from_secs(5));
    reader.join().unwrap();
    let all = async {
        let closed = |error: Option<Error>| matches!(error, Some(Error::Closed(_)));
        let arguments = || args! { "n" => 1 };
        let of_session = snakepit.session("a");
        let called = of_session.execute::<i64>("put", arguments());
        assert!(closed(called.await.err()));
        let stream = snakepit.execute_stream::<i64>("count", arguments()).await;
        assert!(closed(stream.err()));
        let mut many = snakepit.execute_many::<i64, _>("put", [(1,), (2,)]);
        for _ in 0..2 {
            assert!(closed(many.next().await.unwrap().err()));
        }
        assert!(many.next().await.is_none());
        assert_eq!(snakepit.status()[0].state, PoolState::Closed);
        let report = snakepit.shutdown().await;
        assert!(report.leftover.is_empty(), "{report:?}");
    };
    let other = Runtime::new().unwrap();
    let all = async { timeout(LONG, all).await };
    other.block_on(all).expect("nothing hangs");
    let gone = async {
        while pids.iter().any(|pid| alive(*pid)) {
            tokio::task::yield_now().await;
        }
    };
    let gone = async { timeout(LONG, gone).await };
    other.block_on(gone).expect("the workers have ended");
}

#[test]
fn a_start_without_a_usable_runtime_says_so() {
    let (_dir, adapter) = adapter();
    let start = || {
        let pool = pool_of("main", adapter.to_str().unwrap());
        Snakepit::builder().pool(pool).start()
    };
    let error = futures_util::FutureExt::now_or_never(start()).unwrap();
    let error = error.unwrap_err();
    assert_eq!(error.code(), ErrorCode::NoRuntime);
    assert!(error.to_string().contains("tokio runtime"), "{error}");
    let plain = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let error = plain.block_on(start()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::NoRuntime);
    assert!(error.to_string().contains("no timers"), "{error}");
    let timers = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let error = timers.block_on(start()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::NoRuntime);
    assert!(error.to_string().contains("no I/O"), "{error}");
}
