//! Commands that query a running host, as `docs/diagnostics.md` shows them.

use std::fs;
use std::io::{BufRead as _, Read as _};
use std::path::Path;
use std::process::{Child, Command};

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use serde_json::Value as Json;

use crate::cli_support::{Run, command, run};
use crate::support::{holds, root};

/// A program with a pool, which runs a tool that waits for a pipe.
pub(crate) struct Host {
    pub(crate) child: Child,
    home: tempfile::TempDir,
}

const TOOLS: &str = r#"
import sys
from snakepit_bridge import tool

@tool
def wait(path: str) -> str:
    print("waiting for the pipe", file=sys.stderr)
    with open(path) as pipe:
        return pipe.read()
"#;

impl Host {
    /// Starts the program and waits until its call runs.
    pub(crate) fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("tools.py"), TOOLS).unwrap();
        mkfifo(&home.path().join("pipe"), Mode::S_IRWXU).unwrap();
        let mut call = command(home.path());
        call.env("SNAKEPIT_DATA_DIR", home.path().join("pit"));
        call.args(["call", "tools.py:wait", "path=pipe"]);
        let host = Self {
            child: call.spawn().unwrap(),
            home,
        };
        let running = |status: &Json| {
            let calls = status["pools"][0]["calls"].as_array();
            calls.is_some_and(|calls| !calls.is_empty())
        };
        holds("the call runs", || running(&host.json(&["status"])));
        host
    }

    pub(crate) fn dir(&self) -> &Path {
        self.home.path()
    }

    /// Returns the command of another program that uses the same data directory.
    pub(crate) fn command(&self) -> Command {
        let mut command = command(self.dir());
        command.env("SNAKEPIT_DATA_DIR", self.dir().join("pit"));
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        let output = self.command().args(arguments).output().unwrap();
        Run {
            status: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Json {
        let run = self.run(&[arguments, &["--json"]].concat());
        serde_json::from_str(&run.stdout).unwrap_or_default()
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// Lets its call finish; returns the output.
    pub(crate) fn finish(mut self) -> String {
        fs::write(self.dir().join("pipe"), "done").unwrap();
        let mut text = String::new();
        self.child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        assert!(self.child.wait().unwrap().success());
        text
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Replaces figures by `#`, the run by `RUN` and the padding of columns, so that the texts of two
/// runs can be compared.
fn without_figures(text: &str) -> String {
    let mut words = Vec::new();
    for line in text.lines() {
        let mut out = Vec::new();
        for word in line.split_whitespace() {
            let word = match word.len() {
                26 if word.bytes().all(|byte| byte.is_ascii_alphanumeric()) => "RUN".to_owned(),
                _ => figures(word),
            };
            let unit = ["ms", "µs", "s", "min", "h", "KiB", "MiB", "GiB"].contains(&&*word);
            if !(unit && out.last().is_some_and(|last: &String| last.ends_with('#'))) {
                out.push(word);
            }
        }
        words.push(out.join(" "));
    }
    words.join("\n")
}

fn figures(word: &str) -> String {
    let mut out = String::new();
    for c in word.chars() {
        let figure = c.is_ascii_digit() || (c == '.' && out.ends_with('#'));
        match figure {
            true if out.ends_with('#') => {}
            true => out.push('#'),
            false => out.push(c),
        }
    }
    out
}

/// Normalises the limits of a machine: which ones exist depends on user and container, and their
/// order on the machine's size.
fn common_limits(text: &str) -> String {
    let (mut limits, mut rest) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let mut names = ["descriptors", "process ids", "processes  "].iter();
        match line.trim_start() {
            limit if line.starts_with("  ") && names.any(|name| limit.starts_with(name)) => {
                limits.push(line);
            }
            limit
                if ["user processes", "cgroup processes"]
                    .iter()
                    .any(|name| limit.starts_with(name)) => {}
            _ => rest.push(line),
        }
    }
    limits.sort_unstable();
    [rest, limits].concat().join("\n")
}

/// Returns the first line of a server's output, with the token masked. Kills the server.
fn first_line(host: &Host) -> String {
    let mut server = host.command().arg("web").spawn().unwrap();
    let mut line = String::new();
    let stdout = server.stdout.take().unwrap();
    std::io::BufReader::new(stdout)
        .read_line(&mut line)
        .unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    let (address, _) = line.split_once("token=").unwrap();
    format!("{address}token=TOKEN")
}

/// Returns the commands of the page with their output: blocks that begin with `$ snakepit`.
fn shown() -> Vec<(Vec<String>, String)> {
    let page = fs::read_to_string(root().join("docs/diagnostics.md")).unwrap();
    let blocks = page.split("```text\n$ snakepit ").skip(1);
    let shown = blocks.map(|block| {
        let block = block.split("```").next().unwrap();
        let (line, output) = block.split_once('\n').unwrap();
        let words = line.split_whitespace().map(str::to_owned);
        (words.collect(), output.trim_end().to_owned())
    });
    shown.collect()
}

#[test]
fn each_command_prints_what_the_page_shows() {
    let host = Host::start();
    let shown = shown();
    assert!(shown.len() >= 8, "{}", shown.len());
    let run_id = host.json(&["ps"])[0]["run"].as_str().unwrap().to_owned();
    let mut killed = false;
    for (words, expected) in shown {
        let of_dead = words.contains(&"report".to_owned()) && words.contains(&"RUN".to_owned());
        if of_dead && !killed {
            kill(
                Pid::from_raw(host.child.id().cast_signed()),
                Signal::SIGKILL,
            )
            .unwrap();
            holds("the host is gone", || {
                let hosts = host.json(&["ps"]);
                hosts.as_array().is_none_or(Vec::is_empty)
            });
            killed = true;
        }
        let words: Vec<_> = words
            .iter()
            .map(|word| if word == "RUN" { &*run_id } else { &**word })
            .collect();
        let printed = match &*words {
            ["web"] => first_line(&host),
            words => {
                let run = host.run(words);
                format!("{}{}", run.stdout, run.stderr)
            }
        };
        let home = format!("{}/", host.dir().display());
        let package = format!("{}/", root().join("python").display());
        let printed = printed.replace(&home, "").replace(&package, "");
        let short = format!("run {}\n", &run_id[..8]);
        let printed = printed.replace(&short, "run 4h8vq0c2\n");
        let printed = printed.replace(env!("CARGO_BIN_EXE_snakepit"), "target/debug/snakepit");
        assert_eq!(
            without_figures(&common_limits(printed.trim_end())),
            without_figures(&common_limits(&expected)),
            "`snakepit {}` printed\n{printed}",
            words.join(" ")
        );
    }
    assert!(
        killed,
        "the page shows what is left of a host that was killed"
    );
    let left = host.run(&["report", "--run", &run_id]);
    let swept = host.run(&["orphans", "--kill"]);
    assert_eq!(swept.status, Some(0), "{swept:?}");
    assert!(!host.dir().join("pit/runs").join(&run_id).exists());
    let kept = host.run(&["report", "--run", &run_id]);
    assert_eq!(
        (kept.status, kept.stdout),
        (Some(0), left.stdout),
        "the recording outlives the run"
    );
}

#[test]
fn a_look_is_quick_and_does_not_disturb_the_call() {
    let host = Host::start();
    let status = host.json(&["status"]);
    assert_eq!(status["pools"][0]["capacity_used"], 1);
    assert_eq!(status["pools"][0]["calls"][0]["tool"], "wait");
    assert!(
        status["pools"][0]["workers"][0]["memory_bytes"]
            .as_u64()
            .unwrap()
            > 1 << 20
    );
    let inspected = host.json(&["inspect", "--over", "0s", "--recommendations", "--detailed"]);
    let rules: Vec<_> = inspected["findings"].as_array().unwrap().iter().collect();
    assert!(
        rules.iter().any(|finding| finding["rule"] == "saturation"),
        "{rules:?}"
    );
    let unknown = host.run(&["inspect", "--over", "0s", "--pool", "gpu"]);
    assert_eq!(unknown.status, Some(2), "{unknown:?}");
    assert!(unknown.stderr.contains("SP1003"), "{unknown:?}");
    assert_eq!(host.finish(), "done\n");
}

#[test]
fn without_a_host_each_command_says_so_with_a_code() {
    let dir = tempfile::tempdir().unwrap();
    for arguments in [
        &["status"][..],
        &["inspect"],
        &["stack"],
        &["logs"],
        &["report"],
    ] {
        let run = run(dir.path(), [arguments, &["--data-dir", "pit"]].concat());
        assert_eq!((run.status, &*run.stdout), (Some(1), ""), "{run:?}");
        assert!(run.stderr.starts_with("error[SP9001]"), "{run:?}");
        assert!(run.stderr.contains("help:"), "{run:?}");
        let json = crate::cli_support::run(
            dir.path(),
            [arguments, &["--data-dir", "pit", "--json"]].concat(),
        );
        let error: Json = serde_json::from_str(&json.stderr).unwrap();
        assert_eq!(error["code"], "SP9001");
    }
    let ps = run(dir.path(), ["ps", "--data-dir", "pit"]);
    assert_eq!((ps.status, &*ps.stdout), (Some(0), "no hosts\n"));
    let unknown = run(dir.path(), ["explain", "SP0000"]);
    assert_eq!(unknown.status, Some(2), "{unknown:?}");
}

#[test]
fn a_host_that_switched_it_off_is_seen_and_not_looked_into() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("pit");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let snakepit = runtime.block_on(async {
        let builder = snakepit::Snakepit::builder().data_dir(&data).admin(false);
        builder
            .pool(crate::support::pool("main", 1))
            .start()
            .await
            .unwrap()
    });
    let status = run(home.path(), ["status", "--data-dir", "pit"]);
    assert!(status.stderr.starts_with("error[SP9006]"), "{status:?}");
    let report = snakepit.report();
    assert_eq!((report.pools.len(), report.pools[0].worker_count), (1, 1));
    runtime.block_on(snakepit.shutdown());
}

/// `docs/errors.md` agrees with the program. `UPDATE_DOCS=1` writes it.
#[test]
fn the_page_of_errors_is_up_to_date() {
    let mut page = "\
# Errors

Each error has a stable code; `snakepit explain CODE` prints the same. This page is generated from the tables in
`crates/snakepit-diag/src/explain/` (`UPDATE_DOCS=1 cargo nextest run --workspace --all-features -E 'test(page_of_errors)'`).

SP1xxx: configuration. SP2xxx: the input or output of a call. SP3xxx: the tool. SP4xxx: the pool. SP5xxx: workers. SP6xxx: the records of
worker processes. SP7xxx: sessions, variables and programs. SP8xxx: host tools. SP9xxx: diagnostics of a running host, and the program.
"
    .to_owned();
    for one in snakepit::diag::Explanation::all() {
        page.push_str(&format!(
            "\n## {}\n\n{}\n\n- **Cause.** {}\n- **Example.** `{}`\n- **Remedy.** {}\n",
            one.code,
            one.meaning,
            one.cause,
            one.example.replace('`', "'"),
            one.remedy
        ));
    }
    let path = root().join("docs/errors.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == page,
        "docs/errors.md is out of date: run this test with UPDATE_DOCS=1 and commit the page"
    );
}
