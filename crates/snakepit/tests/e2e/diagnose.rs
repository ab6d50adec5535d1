//! `snakepit diagnose` with few real workers, all of which are gone afterwards.

use std::io::{BufRead as _, BufReader};
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value as Json, json};

use crate::cli_support::{Run, command, run};

/// Runs the command to its end, after the shell commands `before`.
fn diagnose(dir: &Path, before: &str, arguments: &str) -> Run {
    let program = command(dir).get_program().to_owned();
    let mut shell = std::process::Command::new("/bin/sh");
    let script = format!("{before} exec \"$0\" diagnose --data-dir pit {arguments}");
    shell.args(["-c", &script]).arg(program).current_dir(dir);
    shell.env("SNAKEPIT_BRIDGE", crate::support::bridge());
    let output = shell.output().unwrap();
    Run {
        status: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Checks that no worker is left.
fn nothing_is_left(dir: &Path) {
    let left = run(dir, ["orphans", "--json", "--data-dir", "pit"]);
    assert_eq!(left.status, Some(0), "{left:?}");
    let runs: Json = serde_json::from_str(&left.stdout).unwrap();
    for run in runs.as_array().unwrap() {
        assert_eq!(
            (&run["workers"], &run["would_kill"]),
            (&json!([]), &json!([])),
            "{run}"
        );
    }
}

#[test]
fn everything_is_tried_and_what_breaks_first_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let found = diagnose(dir.path(), "", "--steps 5,8 --json");
    assert_eq!(found.status, Some(0), "{found:?}");
    for part in [
        "starting a worker of the thread profile",
        "reserving records",
        "growing to 5 workers",
        "growing to 8 workers",
        "ending the workers",
    ] {
        assert!(found.stderr.contains(part), "{part}: {found:?}");
    }
    let found: Json = serde_json::from_str(&found.stdout).unwrap();
    let profiles: Vec<_> = found["profiles"].as_array().unwrap().iter().collect();
    assert_eq!(
        (&profiles[0]["profile"], &profiles[0]["slots"]),
        (&"thread".into(), &4.into())
    );
    assert_eq!(
        (&profiles[1]["profile"], &profiles[1]["slots"]),
        (&"process".into(), &1.into())
    );
    assert!(
        profiles
            .iter()
            .all(|it| it["memory_bytes"].as_u64() > Some(1 << 20)),
        "{found}"
    );
    assert_eq!(found["registry"]["reservations"], 110);
    assert_eq!(found["registry"]["failed"], 0, "{found}");
    assert_eq!(found["spawn"]["made"], 64);
    assert_eq!(found["connections"]["made"], 16);
    for (step, workers) in [(0, 5), (1, 8)] {
        let step = &found["steps"][step];
        assert_eq!(
            (&step["ready"], &step["answered"]),
            (&workers.into(), &workers.into())
        );
        assert_eq!(step["stop"], Json::Null, "{step}");
    }
    let cost = &found["cost"];
    assert!(cost["memory_bytes"].as_f64() > Some(1e6), "{cost}");
    assert!(cost["descriptors"].as_f64() > Some(1.0), "{cost}");
    assert!(cost["tasks"].as_f64() >= Some(1.0), "{cost}");
    let limits: Vec<_> = found["limits"].as_array().unwrap().iter().collect();
    for name in ["descriptors", "memory", "processes", "process_ids", "ports"] {
        assert!(
            limits.iter().any(|limit| limit["name"] == name),
            "{name}: {found}"
        );
    }
    nothing_is_left(dir.path());
}

#[test]
fn it_stops_before_descriptors_or_memory_are_used_up() {
    let dir = tempfile::tempdir().unwrap();
    let few = diagnose(dir.path(), "ulimit -n 96;", "--steps 6,400 --json");
    assert_eq!(few.status, Some(0), "{few:?}");
    let few: Json = serde_json::from_str(&few.stdout).unwrap();
    assert_eq!(few["steps"][0]["stop"], Json::Null, "{few}");
    assert_eq!(few["steps"][1]["stop"]["kind"], "would_exceed", "{few}");
    assert_eq!(few["steps"][1]["started"], 0);
    assert_eq!(few["breaks_first"]["what"], "descriptors");
    assert!(
        few["breaks_first"]["action"]
            .as_str()
            .unwrap()
            .contains("ulimit -n")
    );
    let small = diagnose(dir.path(), "", "--max-memory 100MB --steps 5,400");
    assert_eq!(small.status, Some(0), "{small:?}");
    for part in [
        "not started: memory would run out",
        "memory breaks first",
        "do:",
    ] {
        assert!(small.stdout.contains(part), "{part}: {}", small.stdout);
    }
    assert!(!small.stdout.contains('\x1b'), "{small:?}");
    nothing_is_left(dir.path());
}

#[test]
fn a_signal_ends_every_worker() {
    let dir = tempfile::tempdir().unwrap();
    let mut program = command(dir.path());
    program.args(["diagnose", "--data-dir", "pit", "--steps", "40"]);
    let mut program = program.spawn().unwrap();
    let stderr = BufReader::new(program.stderr.take().unwrap());
    let mut lines = stderr.lines().map(Result::unwrap);
    assert!(lines.any(|line| line == "growing to 40 workers"));
    kill(Pid::from_raw(program.id().cast_signed()), Signal::SIGINT).unwrap();
    assert!(lines.any(|line| line == "ending the workers"));
    assert_eq!(program.wait().unwrap().code(), Some(130));
    nothing_is_left(dir.path());
}

#[test]
fn an_interpreter_that_is_none_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let none = diagnose(dir.path(), "", "--python /bin/false");
    assert_eq!(none.status, Some(1), "{none:?}");
    assert!(none.stderr.contains("error[SP"), "{none:?}");
    let wrong = diagnose(dir.path(), "", "--steps x");
    assert_eq!(wrong.status, Some(2), "{wrong:?}");
    for steps in [
        "--steps 0",
        "--steps 5,3",
        "--steps 3,3",
        "--steps 3 --max-workers 0",
    ] {
        let refused = diagnose(dir.path(), "", steps);
        assert_eq!(refused.status, Some(2), "{refused:?}");
        assert!(refused.stderr.contains("error[SP1006]"), "{refused:?}");
    }
    let hurried = diagnose(dir.path(), "", "--step-timeout 1ms");
    assert!(hurried.stderr.contains("`--step-timeout`"), "{hurried:?}");
    let json = diagnose(dir.path(), "", "--python /bin/false --json");
    let (_, error) = json.stderr.trim_end().rsplit_once('\n').unwrap();
    let error: Json = serde_json::from_str(error).unwrap();
    assert!(error["code"].is_string(), "{error}");
    // Progress cannot be written.
    let unheard = diagnose(dir.path(), "exec 2>/dev/full;", "--steps 1 --json");
    assert_eq!(unheard.status, Some(0), "{unheard:?}");
    let found: Json = serde_json::from_str(&unheard.stdout).unwrap();
    assert_eq!(found["connections"]["made"], 2, "{found}");
    nothing_is_left(dir.path());
}
