//! Disturbances of a worker's start: foreign signals, and files that shadow modules.

use std::fs;
use std::path::Path;

use snakepit::{BuildError, ContainmentMode, Error, ErrorCode, PoolBuilder, Snakepit, StartError};

use crate::begun::pools;
use crate::cli_support::command;
use crate::support::pool_of;
use crate::worker_life::threads;

/// Runs in Python before the worker's own code, and has other processes send signals to this one.
const SITE: &str = "
import os, subprocess
for name in ('TERM', 'INT', 'HUP'):
    subprocess.run(['/bin/kill', '-' + name, str(os.getpid())], check=True)
open(os.environ['TOLD'], 'a').write('sent\\n')
";

fn with_path(pool: PoolBuilder, dir: &Path) -> PoolBuilder {
    pool.configure_python(|python| python.python_path = vec![dir.to_owned()])
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_of_others_do_not_end_a_worker_that_starts() {
    let dir = tempfile::tempdir().unwrap();
    let told = dir.path().join("told");
    fs::write(dir.path().join("sitecustomize.py"), SITE).unwrap();
    let mut starts = 0;
    for mode in [ContainmentMode::Group, ContainmentMode::Shim] {
        for pool in pools() {
            let pool = with_path(pool, dir.path()).configure_python(|python| {
                python.containment = mode;
                let told = told.to_str().unwrap().to_owned();
                python.env.insert("TOLD".to_owned(), told);
            });
            let snakepit = Snakepit::builder().pool(pool).start().await.unwrap();
            // Processes that a tool starts receive signals as usual.
            let blocked: String = snakepit.execute("blocked", ()).await.unwrap();
            assert_eq!(u64::from_str_radix(&blocked, 16), Ok(0));
            snakepit.shutdown().await;
            starts += 1;
            // The first worker of each pool started; no further one was necessary.
            let told = fs::read_to_string(&told).unwrap();
            assert_eq!(told.lines().count(), starts);
        }
    }
}

const TOOLS: &str = "
from snakepit_bridge import tool
@tool
async def one() -> int: return 1
";

/// Returns a pool of each profile with this adapter.
fn pool_of_each(adapter: &str) -> [PoolBuilder; 3] {
    let pool = pool_of("main", adapter);
    [pool.clone(), threads(pool.clone()), pool.concurrency(4)]
}

/// Returns the error for which a pool does not start.
async fn refused(pool: PoolBuilder) -> StartError {
    match Snakepit::builder().pool(pool).start().await {
        Err(BuildError::Start { error, .. }) => match *error {
            Error::Start { source, .. } => *source,
            other => panic!("{other:?}"),
        },
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("the pool has started"),
    }
}

/// Checks that the error names the shadowing file and advises to rename it.
#[track_caller]
fn names(error: &StartError, shadow: &Path, code: ErrorCode) {
    assert_eq!(error.code, code, "{error:?}");
    let help = error.help.as_deref().unwrap_or_default();
    assert!(error.permanent, "{error:?}");
    let path = shadow.to_str().unwrap();
    assert!(error.to_string().contains(path), "{error}");
    let file = shadow.iter().rfind(|name| *name != "__init__.py").unwrap();
    let renamed = format!("rename `{}`", file.to_str().unwrap());
    assert!(help.contains(&renamed), "{help}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_the_name_of_what_the_worker_needs_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().canonicalize().unwrap();
    for (number, name) in [
        "snakepit_bridge.py",
        "contextvars.py",
        "asyncio/__init__.py",
    ]
    .into_iter()
    .enumerate()
    {
        let place = dir.join(number.to_string());
        let (adapters, other) = (place.join("adapters"), place.join("other"));
        fs::create_dir_all(&adapters).unwrap();
        let adapter = adapters.join("tools.py");
        fs::write(&adapter, TOOLS).unwrap();
        let shadow = other.join(name);
        fs::create_dir_all(shadow.parent().unwrap()).unwrap();
        fs::write(&shadow, TOOLS).unwrap();
        let shadow = match shadow.ends_with("__init__.py") {
            true => shadow.parent().unwrap().to_owned(),
            false => shadow,
        };
        for pool in pool_of_each(adapter.to_str().unwrap()) {
            let here = pool
                .clone()
                .configure_python(|it| it.working_dir = Some(other.clone()));
            names(&refused(here).await, &shadow, ErrorCode::AdapterFailed);
            let on_path = with_path(pool, &other);
            if name == "snakepit_bridge.py" {
                // There the package takes precedence.
                let snakepit = Snakepit::builder().pool(on_path).start().await.unwrap();
                assert_eq!(snakepit.execute::<i64>("one", ()).await.unwrap(), 1);
                snakepit.shutdown().await;
            } else {
                let told = refused(on_path).await;
                names(&told, &shadow, ErrorCode::AdapterFailed);
            }
        }
        let own = adapters.join(name);
        if own
            .extension()
            .is_some_and(|_| !own.ends_with("__init__.py"))
        {
            fs::write(&own, TOOLS).unwrap();
            for pool in pool_of_each(own.to_str().unwrap()) {
                names(&refused(pool).await, &own, ErrorCode::AdapterFailed);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_the_name_of_what_python_needs_to_start_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().canonicalize().unwrap();
    let adapter = dir.join("tools.py");
    fs::write(&adapter, TOOLS).unwrap();
    let shadow = dir.join("other/encodings.py");
    fs::create_dir(dir.join("other")).unwrap();
    fs::write(&shadow, "").unwrap();
    for pool in pool_of_each(adapter.to_str().unwrap()) {
        let pool = with_path(pool, &dir.join("other"));
        names(&refused(pool).await, &shadow, ErrorCode::StartFailed);
    }
    let call = command(&dir)
        .args(["call", "tools.py:one"])
        .env("PYTHONPATH", dir.join("other"))
        .output()
        .unwrap();
    let told = String::from_utf8(call.stderr).unwrap();
    assert!(told.contains("error[SP5002]"), "{told}");
    assert!(told.contains(shadow.to_str().unwrap()), "{told}");
    assert!(told.contains("rename `encodings.py`"), "{told}");
}
