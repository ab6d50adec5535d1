//! Floors: the least that any design with a separate process must spend.

use std::hint::black_box;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

use crate::Result;
use crate::contest::Figures;
use crate::load::Load;
use crate::peer::Peer;

const SILENCE: Duration = Duration::from_secs(20);

/// A Python process at the other end of a Unix socket that echoes its input: the floor of a call.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: UnixStream,
    buffer: Vec<u8>,
    peer: Peer,
    _dir: TempDir,
}

impl Socket {
    /// Starts the process; messages will have `size` bytes.
    pub(crate) fn start(python: &Path, size: usize) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("socket");
        let listener = UnixListener::bind(&path)?;
        let arguments = [path.as_os_str(), size.to_string().as_ref()].map(ToOwned::to_owned);
        let peer = Peer::start(python, "socket_echo.py", &arguments)?
            .ok_or("socket_echo.py is missing")?;
        let (stream, _) = listener.accept()?;
        stream.set_read_timeout(Some(SILENCE))?;
        Ok(Self {
            stream,
            buffer: vec![7; size],
            peer,
            _dir: dir,
        })
    }

    /// Process id of the other end.
    pub(crate) fn pid(&self) -> u32 {
        self.peer.pid()
    }

    /// Measures echoes, one at a time, for `duration`.
    pub(crate) fn round(&mut self, duration: Duration) -> Result<Figures> {
        let Self { stream, buffer, .. } = self;
        let load = Load::blocking(duration, || {
            stream.write_all(buffer)?;
            Ok(stream.read_exact(buffer)?)
        })?;
        Ok(load.figures())
    }

    /// Measures chunks a second while the process sends `count` messages and this end reads them:
    /// the floor of a stream.
    pub(crate) fn flood(&mut self, count: u64) -> Result<Figures> {
        let begin = Instant::now();
        // A message that begins with a zero byte and a count requests that many.
        let mut request = vec![0; self.buffer.len()];
        request[1..9].copy_from_slice(&count.to_le_bytes());
        self.stream.write_all(&request)?;
        let mut left = count * self.buffer.len() as u64;
        let mut buffer = vec![0; 64 * 1024];
        while left > 0 {
            let read = self.stream.read(&mut buffer)?;
            if read == 0 {
                return Err("socket_echo.py closed the socket".into());
            }
            left = left.saturating_sub(read as u64);
        }
        Ok(Figures::from([(
            "rate",
            count as f64 / begin.elapsed().as_secs_f64(),
        )]))
    }
}

/// Runs `python -c pass` `count` times, `parallel` at a time, and waits for all: the floor of a
/// start, in seconds.
pub(crate) fn starts(python: &Path, count: usize, parallel: usize) -> Result<Figures> {
    let begin = Instant::now();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..parallel)
            .map(|lane| {
                scope.spawn(move || -> Result<()> {
                    for _ in (lane..count).step_by(parallel) {
                        let status = Command::new(python).args(["-c", "pass"]).status()?;
                        if !status.success() {
                            return Err(format!("`python -c pass` ended with {status}").into());
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| "a starting thread panicked")?)
    })?;
    Ok(Figures::from([("ready", begin.elapsed().as_secs_f64())]))
}

/// An idle `python -c` that has imported nothing: the floor of a worker's memory.
#[derive(Debug)]
pub(crate) struct Idle(Child);

impl Idle {
    /// Starts the process and waits until it is idle.
    pub(crate) fn start(python: &Path) -> Result<Self> {
        let script = "import sys\nprint(flush=True)\nsys.stdin.read()";
        let mut child = Command::new(python)
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut byte = [0];
        child
            .stdout
            .as_mut()
            .ok_or("no stdout")?
            .read_exact(&mut byte)?;
        Ok(Self(child))
    }

    /// Process id of the interpreter.
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Copies `size` bytes four times between warm buffers: the floor of a round trip that copies; in
/// milliseconds.
pub(crate) fn four_copies(size: usize, duration: Duration) -> Figures {
    let (mut a, mut b) = (vec![1_u8; size], vec![2_u8; size]);
    let begin = Instant::now();
    let mut rounds = 0_u32;
    while rounds < 3 || begin.elapsed() < duration {
        for _ in 0..2 {
            black_box(&mut b).copy_from_slice(black_box(&a));
            black_box(&mut a).copy_from_slice(black_box(&b));
        }
        rounds += 1;
    }
    Figures::from([(
        "p50",
        begin.elapsed().as_secs_f64() * 1e3 / f64::from(rounds),
    )])
}
