//! Programs that tools start with an empty environment, in a session of their own.

use std::fs;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use snakepit::{PoolBuilder, Snakepit};

use crate::cli_support::{command, run};
use crate::support::{alive, file, pool_of};
use crate::worker_life::{eventually, threads};

/// Returns a pool of each profile with the tools of this test.
pub(crate) fn pools() -> [PoolBuilder; 3] {
    let pool = || {
        let adapter = format!("{}/tests/e2e/begun.py", env!("CARGO_MANIFEST_DIR"));
        pool_of("main", &adapter)
    };
    [pool(), threads(pool()), pool().concurrency(4)]
}

/// Starts a program from each kind of tool; returns the process ids.
async fn begin(snakepit: &Snakepit) -> Vec<u32> {
    let mut pids = Vec::new();
    for tool in ["function", "coroutine", "orphan"] {
        pids.push(snakepit.execute::<u32>(tool, ()).await.unwrap());
    }
    for tool in ["generator", "async_generator"] {
        let mut stream = snakepit.execute_stream::<u32>(tool, ()).await.unwrap();
        pids.push(stream.next().await.unwrap().unwrap());
    }
    assert!(pids.iter().all(|pid| alive(*pid)), "{pids:?}");
    pids
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_without_an_environment_end_with_the_run() {
    for pool in pools() {
        let snakepit = Snakepit::builder().pool(pool).start().await.unwrap();
        let mut pids = begin(&snakepit).await;
        // Programs of a replaced worker count as well.
        let old = snakepit.workers()[0].id.clone();
        snakepit.recycle(&old).await.unwrap();
        pids.extend(begin(&snakepit).await);
        let report = snakepit.shutdown().await;
        assert!(report.leftover.is_empty(), "{report:?}");
        let left: Vec<u32> = pids.into_iter().filter(|pid| alive(*pid)).collect();
        assert_eq!(left, [0_u32; 0]);
    }
}

/// A tool that starts a program, reports its process id, and waits forever.
const TOOLS: &str = "
import os, subprocess, time
from snakepit_bridge import tool

@tool
def begins(cleared: bool) -> None:
    env = {} if cleared else None
    pid = subprocess.Popen(['/bin/sleep', '3600'], env=env, start_new_session=True).pid
    with open('pid.tmp', 'w') as file:
        file.write(str(pid))
    os.rename('pid.tmp', 'pid')
    time.sleep(3600)  # the tool sleeps
";

#[tokio::test]
async fn a_program_in_a_session_of_its_own_is_found_when_its_host_was_killed() {
    for removed in [None, Some("data/runs")] {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        fs::write(dir.join("tools.py"), TOOLS).unwrap();
        let mut host = command(dir)
            .env("SNAKEPIT_DATA_DIR", dir.join("data"))
            .args(["call", "tools.py:begins"])
            .arg(format!("cleared={}", removed.is_none()))
            .spawn()
            .unwrap();
        let pid: u32 = file(&dir.join("pid")).await.parse().unwrap();
        let host_pid = Pid::from_raw(host.id().cast_signed());
        if let Some(path) = removed {
            // A stopped host cannot restore the directory before it is killed.
            kill(host_pid, Signal::SIGSTOP).unwrap();
            fs::remove_dir_all(dir.join(path)).unwrap();
        }
        kill(host_pid, Signal::SIGKILL).unwrap();
        host.wait().unwrap();
        assert!(alive(pid));
        let orphans = |dir: &Path, more: &[&str]| {
            let data = dir.join("data");
            let mut args = vec!["orphans", "--data-dir", data.to_str().unwrap()];
            args.extend(more);
            run(dir, args)
        };
        let listed = orphans(dir, &[]);
        assert!(
            listed.stdout.contains(&format!("orphan pid {pid}")),
            "{listed:?}"
        );
        let killed = orphans(dir, &["--kill"]);
        assert!(killed.stdout.contains("1 orphan ended"), "{killed:?}");
        eventually("it is gone", || !alive(pid)).await;
        assert_eq!(orphans(dir, &[]).stdout, "no runs\n");
    }
}
