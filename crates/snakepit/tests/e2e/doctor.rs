//! `snakepit doctor`.

use std::fs;

use crate::cli_support::run;

fn checks(stdout: &str) -> Vec<(String, String)> {
    let checks: serde_json::Value = serde_json::from_str(stdout).unwrap();
    let text = |check: &serde_json::Value, key: &str| check[key].as_str().unwrap().to_owned();
    let checks = checks.as_array().unwrap().iter();
    checks
        .map(|check| (text(check, "name"), text(check, "status")))
        .collect()
}

#[test]
fn everything_is_tried_out_and_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("pit");
    let doctor = run(
        dir.path(),
        ["doctor", "--json", "--data-dir", data.to_str().unwrap()],
    );
    assert_eq!(doctor.status, Some(0), "{doctor:?}");
    let names: Vec<_> = checks(&doctor.stdout)
        .into_iter()
        .filter(|(_, status)| status != "failed")
        .map(|(name, _)| name)
        .collect();
    let expected = [
        "containment",
        "strict modes",
        "open files",
        "orphan reaping",
        "orphans",
        "data directory",
        "registry",
        "interpreter",
        "extension",
        "worker",
    ];
    assert_eq!(names, expected);
    assert_eq!(fs::read_dir(data.join("runs")).unwrap().count(), 0);
}

#[test]
fn a_data_directory_that_cannot_be_used_fails_with_help() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let doctor = run(dir.path(), ["doctor", "--data-dir", "file"]);
    assert_eq!(doctor.status, Some(1), "{doctor:?}");
    assert!(
        doctor.stdout.contains("FAILED   data directory"),
        "{doctor:?}"
    );
    assert!(
        doctor.stdout.contains("help: choose a directory"),
        "{doctor:?}"
    );
}

#[test]
fn an_interpreter_that_is_none_fails_before_a_worker_is_tried() {
    let dir = tempfile::tempdir().unwrap();
    let arguments = [
        "doctor",
        "--data-dir",
        "pit",
        "--python",
        "/bin/ls",
        "--json",
    ];
    let doctor = run(dir.path(), arguments);
    assert_eq!(doctor.status, Some(1), "{doctor:?}");
    let checks = checks(&doctor.stdout);
    let last = ("interpreter".to_owned(), "failed".to_owned());
    assert_eq!(checks.last(), Some(&last));
}

#[test]
fn a_place_for_temporary_files_that_is_missing_is_told_with_help() {
    let dir = tempfile::tempdir().unwrap();
    let mut doctor = crate::cli_support::command(dir.path());
    doctor.args(["doctor", "--data-dir", "pit"]);
    let output = doctor.env("TMPDIR", "/nonexistent").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("SP9011") && text.contains("TMPDIR"), "{text}");
}
