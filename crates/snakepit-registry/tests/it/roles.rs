//! Helpers of tests that play a role in a process of their own: this binary, started again.
#![expect(
    clippy::print_stdout,
    reason = "a helper answers on its standard output"
)]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use snakepit_registry::Registry;

use crate::support::LONG;

const ROLE: &str = "REGISTRY_TEST_ROLE";
const DATA: &str = "REGISTRY_TEST_DATA";

/// A running helper.
pub(crate) struct Helper {
    child: Child,
    lines: BufReader<ChildStdout>,
}

/// Returns the command that starts a helper, through `wrapper` such as `setpriv` if there is one.
pub(crate) fn command(wrapper: &[&str], role: &str, data: &Path) -> Command {
    let exe = std::env::current_exe().expect("the path of this binary");
    let exe = exe.to_str().expect("a plain path");
    let mut line = wrapper.iter().copied().chain([exe]);
    let mut command = Command::new(line.next().expect("at least the binary"));
    command
        .args(line)
        .args(["--exact", "roles::role", "--nocapture"])
        .env(ROLE, role)
        .env(DATA, data)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

impl Helper {
    pub(crate) fn start(wrapper: &[&str], role: &str, data: &Path) -> Self {
        Self::of(command(wrapper, role, data))
    }

    pub(crate) fn of(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the helper starts");
        let lines = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, lines }
    }

    /// Returns the text after `mark` in the output. `None` if the helper ended without it.
    pub(crate) fn answer(&mut self, mark: &str) -> Option<String> {
        let mut line = String::new();
        loop {
            line.clear();
            if self.lines.read_line(&mut line).expect("its output") == 0 {
                return None;
            }
            if let Some((_, words)) = line.split_once(mark) {
                return Some(words.trim().to_owned());
            }
        }
    }

    /// Waits until the helper has ended by itself.
    pub(crate) fn wait(&mut self) {
        self.child.wait().expect("wait");
    }

    /// Sends SIGKILL and returns when the helper is dead.
    pub(crate) fn kill(&mut self) {
        // The helper may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The main function of helpers, which is no test. Does nothing if no role is named.
#[test]
fn role() {
    let (Ok(role), Some(data)) = (std::env::var(ROLE), std::env::var_os(DATA)) else {
        return;
    };
    let data = Path::new(&data);
    match role.as_str() {
        "reader" => read(data),
        "sweeper" => {
            let report = Registry::sweep_data_dir(data, LONG).expect("sweep");
            println!("@swept {}", serde_json::to_string(&report).expect("json"));
        }
        "reuse" => crate::reuse::stage(data),
        "reused" => crate::reuse::host(data),
        "copied_by_fork" => crate::copies::host(data, "fork"),
        "copied_by_clone" => crate::copies::host(data, "clone"),
        "copied_by_daemon" => crate::copies::host(data, "daemon"),
        "subreaper" => crate::heir::host(data, true),
        "first" => crate::heir::host(data, false),
        "operations" => crate::trust::operations(data),
        "unwinding" => crate::copies::unwinding(data),
        "unreadable" => crate::unreadable::host(data),
        other => panic!("no role is named {other}"),
    }
}

/// Reads the directory of a living host again and again.
fn read(data: &Path) {
    loop {
        let runs = Registry::inspect(data).expect("inspect");
        println!("@read {}", runs[0].workers.len());
    }
}
