//! Running other programs: directory, environment, and output.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;

use anyhow::{Context as _, Result, ensure};

/// Returns the repository's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the root")
}

/// Rejects arguments that a command does not have.
pub(crate) fn only(args: &[String], known: &[&str]) -> Result<()> {
    for arg in args {
        ensure!(
            known.contains(&arg.as_str()),
            "unknown argument `{arg}`\n  help: this command takes {}",
            if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            }
        );
    }
    Ok(())
}

/// Creates a cargo command in the root.
///
/// Removes the variables that `cargo run` sets for this program: with them, cargo would run build
/// scripts again.
pub(crate) fn cargo<const N: usize>(args: [&str; N]) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(args).current_dir(root());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&*name);
        }
    }
    command
}

/// Runs a command to its end. Any exit status but 0 is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = describe(command);
    eprintln!("$ {shown}");
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("`{shown}` cannot be started"))?;
    ensure!(status.success(), "`{shown}` failed: {status}");
    Ok(())
}

/// Runs a command and returns its stdout.
pub(crate) fn read(command: &mut Command) -> Result<String> {
    let shown = describe(command);
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("`{shown}` cannot be started"))?;
    ensure!(
        output.status.success(),
        "`{shown}` failed: {}",
        output.status
    );
    String::from_utf8(output.stdout).with_context(|| format!("output of `{shown}`"))
}

/// Runs a command and returns its output, without showing any.
pub(crate) fn collect(command: &mut Command) -> Result<(ExitStatus, String)> {
    show(command, |_| false)
}

/// Runs a command, shows its output immediately, and returns all of it.
pub(crate) fn tee(command: &mut Command) -> Result<(ExitStatus, String)> {
    show(command, |_| true)
}

/// Like [`tee`], but does not show lines that begin with `start` after white space.
pub(crate) fn tee_without(command: &mut Command, start: &str) -> Result<(ExitStatus, String)> {
    let start = start.as_bytes();
    show(command, |line| !line.trim_ascii_start().starts_with(start))
}

fn show(
    command: &mut Command,
    shown_line: impl Fn(&[u8]) -> bool + Sync,
) -> Result<(ExitStatus, String)> {
    let shown = describe(command);
    eprintln!("$ {shown}");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("`{shown}` cannot be started"))?;
    let stdout = child.stdout.take().expect("piped above");
    let stderr = child.stderr.take().expect("piped above");
    let text = Mutex::new(String::new());
    std::thread::scope(|scope| {
        scope.spawn(|| copy(stdout, std::io::stdout(), &text, &shown_line));
        scope.spawn(|| copy(stderr, std::io::stderr(), &text, &shown_line));
    });
    let status = child.wait()?;
    Ok((status, text.into_inner().expect("both copies have ended")))
}

fn copy(from: impl Read, mut to: impl Write, text: &Mutex<String>, shown: &dyn Fn(&[u8]) -> bool) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
        // A closed stdout must not stop the tests.
        if shown(&line) {
            let _ = to.write_all(&line).and_then(|()| to.flush());
        }
        text.lock()
            .expect("no copy panics")
            .push_str(&String::from_utf8_lossy(&line));
        line.clear();
    }
}

/// Formats a command as one would type it.
fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut text = program
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    for arg in command.get_args() {
        let _ = write!(text, " {}", arg.to_string_lossy());
    }
    text
}
