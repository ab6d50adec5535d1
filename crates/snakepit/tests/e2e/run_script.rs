//! `snakepit run-script`, and `run_as_script` in a program.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill, raise};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use snakepit::{Snakepit, args};

use crate::cli_support::{command, run};
use crate::support::{pool, pool_of};

const TOOLS: &str = r#"
import os
from snakepit_bridge import tool

@tool
def mean(xs: list[float]) -> float:
    return sum(xs) / len(xs)

@tool
def pid() -> int:
    return os.getpid()

@tool
def wait(path: str) -> str:
    with open(path) as pipe:
        return pipe.read()
"#;

#[test]
fn the_calls_of_a_file_are_made_in_one_pool() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("tools.py"), TOOLS).unwrap();
    let script = "# two of them\nmean {\"xs\": [1, 2, 6]}\n\npid\npid\nmean [[4.0]]\n";
    fs::write(dir.path().join("calls"), script).unwrap();
    let made = run(dir.path(), ["run-script", "tools.py", "calls"]);
    assert_eq!(made.status, Some(0), "{made:?}");
    let lines: Vec<_> = made.stdout.lines().collect();
    assert_eq!(
        (lines.len(), lines[0], lines[3]),
        (4, "3.0", "4.0"),
        "{made:?}"
    );
    assert_eq!(lines[1], lines[2], "the same worker");
    fs::write(
        dir.path().join("calls"),
        "pid\nmean {\"xs\": \"oops\"}\npid\n",
    )
    .unwrap();
    let failed = run(dir.path(), ["run-script", "tools.py", "calls"]);
    assert_eq!(
        (failed.status, failed.stdout.lines().count()),
        (Some(1), 1),
        "{failed:?}"
    );
    assert!(failed.stderr.contains("error[SP2003]"), "{failed:?}");
    fs::write(dir.path().join("calls"), "pid\nmean 3\n").unwrap();
    let wrong = run(dir.path(), ["run-script", "tools.py", "calls"]);
    assert_eq!(wrong.status, Some(2), "{wrong:?}");
    assert!(wrong.stderr.contains("line 2 of calls"), "{wrong:?}");
    let none = run(dir.path(), ["run-script", "tools.py", "none"]);
    assert_eq!(none.status, Some(2), "{none:?}");
    fs::write(dir.path().join("calls"), b"\xff\xfe\n").unwrap();
    let bytes = run(dir.path(), ["run-script", "tools.py", "calls"]);
    assert_eq!(bytes.status, Some(2), "{bytes:?}");
    let told = "error[SP2006]: line 1 of calls is not UTF-8";
    assert!(bytes.stderr.starts_with(told), "{bytes:?}");
    fs::create_dir(dir.path().join("folder")).unwrap();
    let folder = run(dir.path(), ["run-script", "tools.py", "folder"]);
    assert_eq!(folder.status, Some(2), "{folder:?}");
    let told = "error[SP1006]: the script folder cannot be read";
    assert!(folder.stderr.starts_with(told), "{folder:?}");
    let script = "\u{feff}mean [[2.0]]\nmean [[]]\n";
    fs::write(dir.path().join("calls"), script).unwrap();
    let marked = run(dir.path(), ["run-script", "tools.py", "calls"]);
    assert_eq!(
        (marked.status, &*marked.stdout),
        (Some(1), "2.0\n"),
        "{marked:?}"
    );
    let told = "error[SP3001]: calls:2: ";
    assert!(marked.stderr.starts_with(told), "{marked:?}");
}

#[test]
fn a_call_whose_time_is_up_is_named_by_its_line() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("tools.py"), TOOLS).unwrap();
    mkfifo(&dir.path().join("pipe"), Mode::S_IRWXU).unwrap();
    fs::write(dir.path().join("calls"), "pid\n\nwait [\"pipe\"]\n").unwrap();
    let with = |limit: &str| {
        let arguments = ["run-script", "tools.py", "calls", "--timeout", limit];
        let late = run(dir.path(), arguments);
        assert_eq!(late.status, Some(124), "{late:?}");
        late
    };
    // The limit is for the start of the worker as well, which takes its time on a busy machine.
    let mut late = ["3s", "9s", "27s", "81s"]
        .into_iter()
        .map(|limit| (limit, with(limit)));
    let begun = late.find(|(_, late)| !late.stderr.contains("in phase start"));
    let (limit, late) = begun.expect("a worker starts");
    let told = format!("error[SP4003]: calls:3: no answer within {limit}");
    assert!(late.stderr.starts_with(&told), "{late:?}");
    assert!(late.stderr.contains("in wait"), "{late:?}");
}

#[test]
fn calls_come_from_a_pipe_as_long_as_it_is_open_and_a_signal_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("tools.py"), TOOLS).unwrap();
    let mut program = command(dir.path());
    program
        .args(["run-script", "tools.py", "-"])
        .stdin(Stdio::piped());
    let mut program = program.spawn().unwrap();
    let mut stdin = program.stdin.take().unwrap();
    stdin.write_all(b"mean {\"xs\": [2]}\n").unwrap();
    let mut answer = [0; 4];
    std::io::Read::read_exact(program.stdout.as_mut().unwrap(), &mut answer).unwrap();
    assert_eq!(&answer, b"2.0\n");
    kill(Pid::from_raw(program.id().cast_signed()), Signal::SIGINT).unwrap();
    assert_eq!(program.wait().unwrap().code(), Some(130));
    drop(stdin);
}

#[tokio::test]
async fn a_program_starts_works_and_ends_in_one_call() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("tools.py");
    fs::write(&file, TOOLS).unwrap();
    let builder = || {
        let pool = pool_of("main", &file.display().to_string());
        Snakepit::builder()
            .data_dir(home.path().join("pit"))
            .pool(pool)
    };
    let xs = [1.0, 2.0, 6.0];
    let work =
        async |snakepit: Snakepit| snakepit.execute::<f64>("mean", args! { "xs" => xs }).await;
    let end = builder().run_as_script(work).await.unwrap();
    assert_eq!((end.exit_code(), end.output.unwrap().unwrap()), (0, 3.0));
    assert_eq!(
        fs::read_dir(home.path().join("pit/runs")).unwrap().count(),
        0
    );
    let signalled = builder().run_as_script(async |_| {
        raise(Signal::SIGTERM).unwrap();
        std::future::pending::<()>().await;
    });
    let end = signalled.await.unwrap();
    assert_eq!(
        (end.signal, end.exit_code(), end.output),
        (Some(15), 143, None)
    );
    let wrong = Snakepit::builder().data_dir(home.path().join("pit"));
    let wrong = wrong.pool(pool("main", 1)).pool(pool("main", 1));
    assert!(wrong.run_as_script(async |_| ()).await.is_err());
}
