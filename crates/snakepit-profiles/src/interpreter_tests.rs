//! Tests of the search for an interpreter.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use super::*;

/// Opens a run in a directory of its own.
fn run(dir: &Path) -> Run {
    Run::open(Some(&dir.join("pit"))).unwrap()
}

/// Writes an executable script and returns its path.
fn script(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn real_path(name: &str) -> Option<OsString> {
    (name == "PATH").then(|| std::env::var_os("PATH").unwrap())
}

#[tokio::test]
async fn the_real_one_is_found_and_knows_itself() {
    let dir = tempfile::tempdir().unwrap();
    let found = Interpreter::find(&run(dir.path()), None, dir.path())
        .await
        .unwrap();
    assert!(found.executable.is_absolute());
    assert!(found.version >= (3, 10, 0));
    assert_eq!(found.version_text().split('.').count(), 3);
    // Found by its own path, it is the same.
    let again = Interpreter::find(&run(dir.path()), Some(&found.executable), dir.path())
        .await
        .unwrap();
    assert_eq!(again.version, found.version);
}

#[tokio::test]
async fn the_directory_of_a_virtual_environment_is_its_interpreter() {
    let dir = tempfile::tempdir().unwrap();
    let run = run(dir.path());
    let real = Interpreter::find(&run, None, dir.path()).await.unwrap();
    let bin = dir.path().join("venv/bin");
    std::fs::create_dir_all(&bin).unwrap();
    std::os::unix::fs::symlink(&real.executable, bin.join("python3")).unwrap();
    let venv = Path::new("venv");
    let found = Interpreter::find(&run, Some(venv), dir.path())
        .await
        .unwrap();
    assert_eq!(found.version, real.version);
    let error = Interpreter::find(&run, Some(&bin), dir.path())
        .await
        .unwrap_err();
    assert!(
        error.message.contains("bin/bin/python"),
        "{}",
        error.message
    );
}

#[tokio::test]
async fn an_explicit_one_is_never_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    let error = Interpreter::find(&run(dir.path()), Some(&missing), dir.path())
        .await
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::NoInterpreter);
    assert!(
        error
            .message
            .contains("/missing (given explicitly): there is no such file")
    );
    assert!(error.permanent && error.help.is_some());

    let env = |name: &str| match name {
        "SNAKEPIT_PYTHON" => Some("bin/mine".into()),
        other => real_path(other),
    };
    let error = Interpreter::find_with(&run(dir.path()), None, dir.path(), env)
        .await
        .unwrap_err();
    assert!(
        error.message.contains("bin/mine (from SNAKEPIT_PYTHON)"),
        "{}",
        error.message
    );
}

#[tokio::test]
async fn every_failure_is_listed() {
    let dir = tempfile::tempdir().unwrap();
    script(
        dir.path(),
        ".venv/bin/python",
        "#!/bin/sh\necho boom >&2\nexit 3\n",
    );
    let old = "#!/bin/sh\nprintf 'snakepit-probe\\000/old\\0003.9.1\\000cpython\\0000\\000/p\\000\\0001\\000x\\000'\n";
    script(dir.path(), "bin/python3", old);
    let sub = dir.path().join("a/b");
    std::fs::create_dir_all(&sub).unwrap();
    let bin = dir.path().join("bin");
    let env = |name: &str| match name {
        "PATH" => Some(bin.clone().into_os_string()),
        "VIRTUAL_ENV" => Some(bin.join("no-venv").into_os_string()),
        _ => None,
    };
    let message = Interpreter::find_with(&run(dir.path()), None, &sub, env)
        .await
        .unwrap_err()
        .message;
    assert!(message.contains("/no-venv/bin/python (from VIRTUAL_ENV): there is no such file"));
    assert!(
        message.contains("not a working Python (it exited with status 3): boom"),
        "{message}"
    );
    assert!(
        message.contains("it is Python 3.9.1, 3.10 or newer is needed"),
        "{message}"
    );
}

#[tokio::test]
async fn nothing_at_all_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let message = Interpreter::find_with(&run(dir.path()), None, dir.path(), |_| None)
        .await
        .unwrap_err()
        .message;
    assert!(
        message.contains("there is no `python3` on the PATH"),
        "{message}"
    );
}

#[tokio::test]
async fn modules_in_the_working_directory_do_not_shadow() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("os.py"), "raise SystemExit(9)").unwrap();
    std::fs::write(dir.path().join("json.py"), "raise SystemExit(9)").unwrap();
    Interpreter::find_with(&run(dir.path()), None, dir.path(), real_path)
        .await
        .unwrap();
}

#[test]
fn answers_that_are_none() {
    for bytes in [
        &b""[..],
        b"snakepit-probe",
        b"hello",
        b"snakepit-probe\0/x\x003.x.1\0c\x000\0/p\0\0",
    ] {
        assert!(parse(bytes).is_none());
    }
    let noisy = b"hello from sitecustomize\nsnakepit-probe\0/x\x003.14.0\0cpython\x001\0/p\0/b\x000\0linux-x86_64\0.so/.x.so\0";
    let (found, _) = parse(noisy).unwrap().unwrap();
    assert!(found.free_threaded && !found.gil_enabled);
    assert_eq!(found.platform, "linux-x86_64");
    assert_eq!(found.extension_suffixes, [".so", ".x.so"]);
    assert_eq!(
        found.describe(),
        "cpython 3.14.0, free-threaded, without the GIL"
    );
    assert_eq!(found.bridge.as_deref(), Some(Path::new("/b")));
    assert!(
        parse(b"snakepit-probe\0\x003.14.0\0cpython\x001\0/p\0\x001\0x\0")
            .unwrap()
            .is_err()
    );
}

#[tokio::test]
async fn a_script_is_run_as_given_or_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let run = run(dir.path());
    let real = Interpreter::find(&run, None, dir.path()).await.unwrap();
    let python = real.executable.display();
    let wrap = |name: &str, text: String| script(dir.path(), name, &format!("#!/bin/sh\n{text}\n"));
    for (name, text) in [
        (
            "sets",
            format!("export OF_THE_SCRIPT=1\nexec {python} \"$@\""),
        ),
        ("adds", format!("exec {python} -B \"$@\"")),
        ("only", format!("exec {python} \"$@\"")),
    ] {
        let wrapper = wrap(name, text);
        let found = Interpreter::find(&run, Some(&wrapper), dir.path())
            .await
            .unwrap();
        assert_eq!((found.executable, found.version), (wrapper, real.version));
    }
    for (name, text, reason) in [
        ("child", format!("{python} \"$@\"\nexit $?"), "exec"),
        (
            "empty",
            format!("exec env -i {python} \"$@\""),
            "environment",
        ),
    ] {
        let wrapper = wrap(name, text);
        let error = Interpreter::find(&run, Some(&wrapper), dir.path())
            .await
            .unwrap_err();
        assert!(error.message.contains(reason), "{}", error.message);
    }
    // The script on the path was not named by the user and changes nothing, so it is not used.
    wrap("bin/python3", format!("exec {python} \"$@\""));
    let bin = dir.path().join("bin");
    let env = |name: &str| (name == "PATH").then(|| bin.clone().into_os_string());
    let found = Interpreter::find_with(&run, None, dir.path(), env)
        .await
        .unwrap();
    assert_eq!(found.executable, real.executable);
}

#[tokio::test]
async fn one_that_is_asked_is_recorded_and_dies_with_the_question() {
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("pid");
    let slow = format!(
        "#!/bin/sh\necho $$ > {0}.new; mv {0}.new {0}\nsleep 99\n",
        pid.display()
    );
    let slow = script(dir.path(), "bin/python3", &slow);
    let run = run(dir.path());
    let asking = Interpreter::find(&run, Some(&slow), dir.path());
    let asked = async {
        while !pid.exists() {
            // polls: a file that a shell writes
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        found = asking => panic!("{found:?}"),
        () = asked => {}
    }
    let pid: i32 = std::fs::read_to_string(pid)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let dead = || {
        std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| {
            stat.rsplit(") ").next().unwrap().starts_with('Z')
        })
    };
    while !dead() {
        // polls: the end of a process
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    while !run.registry().list().unwrap().is_empty() {
        // polls: the row goes when the process has been reaped
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
