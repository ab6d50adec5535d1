//! Jumps of the wall clock, which must not affect any measured time.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use tokio::time::Instant;

use crate::host_death::next;
use crate::oracle::Scene;
use crate::record::Row;
use crate::scenario::{CLOCK, PRELOAD};
use crate::subject::{Host, Tally};
use crate::support::{LONG, alive};

const HOUR: i64 = 3600;

/// Compiles the library that falsifies the clock. Returns the compiler's error if that fails.
fn shim(scene: &Scene) -> Result<PathBuf, String> {
    let source = format!("{}/tests/faults/clock.c", env!("CARGO_MANIFEST_DIR"));
    let library = scene.path("clock.so");
    let compiler = Command::new("gcc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&library)
        .arg(source)
        .output()
        .map_err(|error| format!("gcc cannot run: {error}"))?;
    if compiler.status.success() {
        return Ok(library);
    }
    Err(String::from_utf8_lossy(&compiler.stderr).into_owned())
}

fn host(scene: &Scene, shim: &Path, clock: &Path, scenario: &str) -> (Host, Vec<u32>) {
    let mut command = Host::command(scene, scenario, 2);
    command.env(PRELOAD, shim).env(CLOCK, clock);
    let mut host = Host::spawn(command);
    let pids = host.workers();
    (host, pids)
}

/// Returns the error of the subject's clock in seconds.
fn off(tally: Tally) -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let signed = |seconds: u64| i64::try_from(seconds).unwrap();
    signed(tally.wall_seconds) - signed(now.unwrap().as_secs())
}

#[test]
fn row_25_the_wall_clock_jumps() {
    let row = Row::new(25, "wall clock steps by an hour, forth and back");
    let scene = Scene::new();
    let shim = match shim(&scene) {
        Ok(shim) => shim,
        Err(why) => return row.skip(&why),
    };
    let path = scene.path("clock");
    fs::write(&path, [0; 4096]).unwrap();
    let clock = File::options().read(true).write(true).open(&path).unwrap();
    let (mut first, pids) = host(&scene, &shim, &path, "tally");
    first.tally();
    for step in [HOUR, -HOUR, 0] {
        clock.write_all_at(&step.to_ne_bytes(), 0).unwrap();
        let begun = Instant::now();
        while (off(first.tally()) - step).abs() > HOUR / 2 {
            assert!(begun.elapsed() < LONG, "the step is not seen");
        }
        assert_eq!(first.tally().failed, 0, "no call failed");
        // A host with another idea of the time sweeps the same directory.
        let (mut second, _) = host(&scene, &shim, &path, "shutdown");
        second.answer("@shut");
        assert!(second.wait().success());
        assert!(pids.iter().all(|pid| alive(*pid)), "no worker was replaced");
    }
    first.kill();
    scene.none_left(LONG);
    next(&scene);
    let mut asked = [0; 8];
    clock.read_exact_at(&mut asked, 8).unwrap();
    let asked = u64::from_ne_bytes(asked);
    assert!(asked > 0);
    drop(clock);
    scene.clean(LONG);
    row.holds("steps of +1 h and -1 h: no call failed, no worker replaced, no living run swept");
}
