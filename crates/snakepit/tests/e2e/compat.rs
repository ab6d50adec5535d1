//! `snakepit compat`.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::cli_support::{Run, command};

/// Runs the command with exactly these distributions added to the interpreter's own.
fn compat(dir: &Path, distributions: &[(&str, &str)], arguments: &[&str]) -> Run {
    let site = dir.join("site");
    for (name, version) in distributions {
        let info = site.join(format!("{name}-{version}.dist-info"));
        fs::create_dir_all(&info).unwrap();
        let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n");
        fs::write(info.join("METADATA"), metadata).unwrap();
    }
    let mut command = command(dir);
    command
        .env("PYTHONPATH", site)
        .env("SNAKEPIT_DATA_DIR", dir.join("pit"));
    let output = command.arg("compat").args(arguments).output().unwrap();
    Run {
        status: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn json(run: &Run) -> Value {
    serde_json::from_str(&run.stdout).unwrap_or_else(|_| panic!("{run:?}"))
}

#[test]
fn libraries_are_judged_with_the_versions_that_are_there() {
    let dir = tempfile::tempdir().unwrap();
    let have = [("cryptography", "46.0.1"), ("matplotlib", "3.10.0")];
    let run = compat(
        dir.path(),
        &have,
        &["cryptography", "matplotlib", "no-such-lib", "--json"],
    );
    assert_eq!(run.status, Some(1), "{run:?}");
    let told = json(&run);
    let libraries = told["libraries"].as_array().unwrap();
    let suitabilities: Vec<_> = libraries
        .iter()
        .map(|it| it["suitability"].as_str().unwrap())
        .collect();
    assert_eq!(suitabilities, ["ok", "unsafe", "unknown"]);
    assert_eq!(libraries[0]["installed"], "46.0.1");
    assert_eq!(libraries[1]["known"]["import"], "matplotlib");
    assert_eq!(libraries[2]["installed"], Value::Null);
    assert_eq!(told["recommendation"]["profile"], "process");
    assert_eq!(told["interpreter"]["implementation"], "cpython");
    // The run has left no directory behind.
    assert_eq!(
        fs::read_dir(dir.path().join("pit/runs")).unwrap().count(),
        0
    );
}

#[test]
fn without_names_it_tells_of_what_is_installed() {
    let dir = tempfile::tempdir().unwrap();
    let run = compat(dir.path(), &[("opencv_python_headless", "4.10.0")], &[]);
    assert_eq!(run.status, Some(0), "{run:?}");
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert!(lines[0].starts_with("cpython 3."), "{run:?}");
    assert!(lines[1].contains("threads"), "{run:?}");
    assert!(
        run.stdout.contains("care     opencv-python (4.10.0)"),
        "{run:?}"
    );
    assert!(run.stdout.contains("\n         help: "), "{run:?}");
    assert!(
        !run.stdout.contains("celery"),
        "it is not installed: {run:?}"
    );
    assert!(
        lines
            .last()
            .unwrap()
            .starts_with("for mixed work: profile "),
        "{run:?}"
    );

    let run = compat(dir.path(), &[], &["--all"]);
    assert_eq!(run.status, Some(0), "{run:?}");
    assert!(
        run.stdout.contains("unsafe   celery (not installed)"),
        "{run:?}"
    );
}

#[test]
fn in_processes_nothing_is_shared() {
    let dir = tempfile::tempdir().unwrap();
    let arguments = ["pandas", "--profile", "process", "--workload", "io-bound"];
    let run = compat(dir.path(), &[("pandas", "3.1.0")], &arguments);
    assert_eq!(run.status, Some(0), "{run:?}");
    assert!(run.stdout.contains("ok       pandas (3.1.0)"), "{run:?}");
    assert!(
        run.stdout.contains("threads must not use `pandas`"),
        "{run:?}"
    );
}

#[test]
fn what_cannot_be_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for arguments in [
        &["--profile", "fibre"][..],
        &["numpy", "--all"],
        &["--workload", "none"],
    ] {
        assert_eq!(
            compat(dir.path(), &[], arguments).status,
            Some(2),
            "{arguments:?}"
        );
    }
    let run = compat(dir.path(), &[], &["numpy", "--python", "/bin/ls", "--json"]);
    assert_eq!(run.status, Some(1), "{run:?}");
    let error: Value = serde_json::from_str(&run.stderr).unwrap();
    assert!(error.to_string().contains("/bin/ls"), "{error}");
}
