//! Python processes that act as floor or peer: one JSON line in starts a round, one JSON line out
//! ends it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use crate::Result;
use crate::contest::Figures;

/// Time limit of one answer of a peer; a peer that hangs must not hang the run.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running script of `peers/`. Dropping it ends the process.
#[derive(Debug)]
pub(crate) struct Peer {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    script: String,
}

impl Peer {
    /// Starts `peers/SCRIPT` and waits for its first line, `{"ready": true}` or `{"missing": "…"}`.
    /// `None` if the script lacks a package.
    pub(crate) fn start(
        python: &Path,
        script: &str,
        arguments: &[impl AsRef<OsStr>],
    ) -> Result<Option<Self>> {
        let mut child = Command::new(python)
            .arg(Path::new(crate::HOME).join("peers").join(script))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start {} for {script}: {error}", python.display()))?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().ok_or("the peer has no stdout")?;
        let (sender, lines) = channel();
        // A thread, so that a silent peer is noticed; it ends with the peer's stdout.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut peer = Self {
            child,
            stdin,
            lines,
            script: script.to_owned(),
        };
        let first = peer.answer()?;
        Ok(first.get("missing").is_none().then_some(peer))
    }

    /// Process id of the peer.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Runs one round: sends the request and waits for the answer.
    pub(crate) fn ask(&mut self, question: &Value) -> Result<Value> {
        let stdin = self.stdin.as_mut().ok_or("the peer has no stdin")?;
        writeln!(stdin, "{question}")?;
        self.answer()
    }

    /// Runs one round whose answer is an object of numbers. Keeps the requested metrics.
    pub(crate) fn figures(
        &mut self,
        question: &Value,
        metrics: &[&'static str],
    ) -> Result<Figures> {
        let answer = self.ask(question)?;
        let number = |metric: &&'static str| Some((*metric, answer.get(*metric)?.as_f64()?));
        Ok(metrics.iter().filter_map(number).collect())
    }

    fn answer(&mut self) -> Result<Value> {
        let line = self
            .lines
            .recv_timeout(PATIENCE)
            .map_err(|_| format!("{} ended or gave no answer", self.script))?;
        let answer: Value = serde_json::from_str(&line)
            .map_err(|error| format!("{} answered {line:?}: {error}", self.script))?;
        match answer.get("error").and_then(Value::as_str) {
            Some(error) => Err(format!("{}: {error}", self.script).into()),
            None => Ok(answer),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // The end of its stdin tells the script to end its own children.
        drop(self.stdin.take());
        let patience = std::time::Duration::from_secs(3);
        let begin = tokio::time::Instant::now();
        while begin.elapsed() < patience {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The interpreters: the one of our workers and of the floor, and the one that has the peers'
/// packages.
#[derive(Clone, Debug)]
pub(crate) struct Pythons {
    /// The interpreter of floors and of our workers.
    pub(crate) ours: PathBuf,
    /// The interpreter of the peers.
    pub(crate) peers: PathBuf,
    /// A second interpreter for the profiles, for example a free-threaded one.
    pub(crate) threads: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::Peer;

    #[test]
    fn a_peer_answers_and_a_missing_package_is_no_error() {
        let python = Path::new("python3");
        let mut peer = Peer::start(python, "pools.py", &["ppe", "1"])
            .unwrap()
            .unwrap();
        let round = json!({"op": "closed", "callers": 2, "seconds": 0.05, "size": 32});
        let figures = peer.figures(&round, &["rate", "p50", "nonsense"]).unwrap();
        assert!(figures["rate"] > 1.0 && figures["p50"] > 1.0 && figures.len() == 2);
        let error = peer.ask(&json!({"op": "fly"})).unwrap_err().to_string();
        assert!(error.contains("fly"), "{error}");
        assert!(
            Peer::start(python, "pools.py", &["no_such_pool", "1"])
                .unwrap()
                .is_none()
        );
        assert!(Peer::start(Path::new("/nowhere/python"), "pools.py", &["ppe", "1"]).is_err());
    }
}
