//! `snakepit new`: the project builds, runs, and passes its test.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::cli_support::run;
use crate::support::{bridge, root};

/// Runs Cargo in the project. All runs of this test share the built libraries.
fn cargo(dir: &Path, arguments: &[&str]) -> (bool, String) {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(arguments).arg("--offline").current_dir(dir);
    cargo.env(
        "CARGO_TARGET_DIR",
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("new-project"),
    );
    cargo.env("SNAKEPIT_BRIDGE", bridge());
    cargo.env("SNAKEPIT_DATA_DIR", dir.join("pit"));
    // Settings with which the tests themselves are built and run.
    cargo
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    cargo
        .env("CARGO_INCREMENTAL", "0")
        .env("CARGO_PROFILE_DEV_DEBUG", "0");
    let output = cargo.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[test]
fn a_new_project_runs_at_once_and_its_test_passes() {
    let home = tempfile::tempdir().unwrap();
    let library = root().join("crates/snakepit");
    let library = library.to_str().unwrap();
    let made = run(home.path(), ["new", "my-tools", "--library", library]);
    assert_eq!(made.status, Some(0), "{made:?}");
    assert!(
        made.stdout.starts_with("wrote my-tools; try: cd my-tools"),
        "{made:?}"
    );
    let dir = home.path().join("my-tools");
    // The same versions, which are available offline.
    fs::copy(root().join("Cargo.lock"), dir.join("Cargo.lock")).unwrap();
    let (success, text) = cargo(&dir, &["run", "--quiet"]);
    assert!(success && text.contains("mean: 3"), "{text}");
    let (success, text) = cargo(&dir, &["test", "--quiet"]);
    assert!(success && text.contains("1 passed"), "{text}");
    let again = run(home.path(), ["new", "my-tools"]);
    assert_eq!(again.status, Some(2), "{again:?}");
    assert!(again.stderr.contains("not empty"), "{again:?}");
}

#[test]
fn names_and_places_that_cannot_be_are_refused_and_nothing_is_written() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("file"), "").unwrap();
    fs::create_dir(home.path().join("empty")).unwrap();
    for name in [
        "../other",
        "/tmp/x",
        "a b",
        "fn",
        "deps",
        "build",
        "tokio",
        "2nd",
        "",
        "file",
        "x\u{1b}[2J",
    ] {
        let refused = run(home.path(), ["new", name]);
        assert_eq!(refused.status, Some(2), "{name}: {refused:?}");
        assert!(
            refused.stderr.contains("error[SP1006]"),
            "{name}: {refused:?}"
        );
        assert!(!refused.stderr.contains('\u{1b}'), "{refused:?}");
    }
    std::os::unix::fs::symlink("nowhere", home.path().join("link")).unwrap();
    let link = run(home.path(), ["new", "link"]);
    assert_eq!(link.status, Some(2), "{link:?}");
    assert!(link.stderr.contains("a dangling symbolic link"), "{link:?}");
    assert!(link.stderr.contains("choose another name"), "{link:?}");
    fs::remove_file(home.path().join("link")).unwrap();
    let library = run(home.path(), ["new", "tools1", "--library", "file"]);
    assert_eq!(library.status, Some(2), "{library:?}");
    assert!(!home.path().join("tools1").exists());
    let made = run(home.path(), ["new", "empty", "--json"]);
    assert_eq!(made.status, Some(0), "{made:?}");
    let manifest = fs::read_to_string(home.path().join("empty/Cargo.toml")).unwrap();
    assert!(manifest.contains("name = \"empty\""), "{manifest}");
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 2);
}
