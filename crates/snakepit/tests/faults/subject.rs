//! The subject: a host in a separate process and session, which tests kill.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::Instant;

use crate::oracle::{COOKIE, Scene};
use crate::scenario;
use crate::support::LONG;

const SCENARIO: &str = "SNAKEPIT_FAULT_SCENARIO";
const DIR: &str = "SNAKEPIT_FAULT_DIR";
const WORKERS: &str = "SNAKEPIT_FAULT_WORKERS";

/// Variable with a socket. If set, the subject is not a host but a foreign client of that socket.
pub(crate) const KNOCK: &str = "SNAKEPIT_FAULT_KNOCK";

/// Variable with the way in which the subject copies itself once it is ready.
pub(crate) const COPY: &str = "SNAKEPIT_FAULT_COPY";

/// A running subject.
#[derive(Debug)]
pub(crate) struct Host {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Host {
    /// Starts the subject, without waiting until it is ready.
    pub(crate) fn start(scene: &Scene, scenario: &str, workers: usize) -> Self {
        Self::spawn(Self::command(scene, scenario, workers))
    }

    /// Returns the command that starts the subject, for the caller to change.
    pub(crate) fn command(scene: &Scene, scenario: &str, workers: usize) -> Command {
        let mut command = Command::new("setsid");
        command
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "subject::subject", "--nocapture"])
            .env(SCENARIO, scenario)
            .env(DIR, scene.dir())
            .env(WORKERS, workers.to_string())
            .env(COOKIE, &scene.cookie)
            .env("SNAKEPIT_DATA_DIR", scene.data())
            .env("SNAKEPIT_CANARY_SECRET", "canary-7c1f")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        command
    }

    /// Starts the subject with a changed command.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// Starts the subject and waits until it is ready; returns the process ids of its workers.
    pub(crate) fn ready(scene: &Scene, scenario: &str, workers: usize) -> (Self, Vec<u32>) {
        let mut host = Self::start(scene, scenario, workers);
        let pids = host.workers();
        (host, pids)
    }

    /// Waits until the subject is ready; returns the process ids of its workers.
    #[track_caller]
    pub(crate) fn workers(&mut self) -> Vec<u32> {
        let words = self.answer("@ready");
        words.iter().map(|word| word.parse().unwrap()).collect()
    }

    /// Waits for a line with this mark in the output; returns its words.
    #[track_caller]
    pub(crate) fn answer(&mut self, mark: &str) -> Vec<String> {
        loop {
            let line = self
                .lines
                .recv_timeout(LONG)
                .unwrap_or_else(|_| panic!("the subject does not say {mark}"));
            if let Some((_, words)) = line.split_once(mark) {
                return words.split_whitespace().map(str::to_owned).collect();
            }
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        kill(pid, signal).unwrap();
    }

    /// Types into the terminal that the command has created.
    pub(crate) fn type_in(&mut self, text: &str) {
        let input = self.child.stdin.as_mut().unwrap();
        input.write_all(text.as_bytes()).unwrap();
    }

    /// Returns the subject's stderr, for which the command must request a pipe.
    pub(crate) fn errors(&mut self) -> ChildStderr {
        self.child.stderr.take().unwrap()
    }

    /// Waits until one more call of the scenario `tally` has succeeded; returns the counts so far.
    #[track_caller]
    pub(crate) fn tally(&mut self) -> Tally {
        while self.lines.try_recv().is_ok() {}
        let first = self.count();
        let start = Instant::now();
        loop {
            let now = self.count();
            if now.fine > first.fine {
                return now;
            }
            assert!(start.elapsed() < LONG, "calls do not go on: {now:?}");
        }
    }

    #[track_caller]
    fn count(&mut self) -> Tally {
        let words = self.answer("@tally");
        let number = |at: usize| words[at].parse().unwrap();
        Tally {
            fine: number(0),
            failed: number(1),
            wall_seconds: number(2),
        }
    }

    /// Waits for the end of the subject.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                // Closes the pipe, since the caller next checks what the test still holds.
                drop(self.child.stdin.take());
                return status;
            }
            assert!(start.elapsed() < LONG, "the subject does not end");
            // polls: the end of the subject, with a deadline
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Sends SIGKILL; returns once the subject is dead.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // If the test succeeded, it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The counts of the scenario `tally`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tally {
    pub(crate) fine: u64,
    pub(crate) failed: u64,
    /// The subject's wall clock, in seconds since 1970.
    pub(crate) wall_seconds: u64,
}

pub(crate) fn say(mark: &str, words: &[u32]) {
    let words: Vec<String> = words.iter().map(u32::to_string).collect();
    println!("@{mark} {}", words.join(" "));
}

/// Creates a copy of the subject with all of its descriptors, which lives until it is killed.
#[expect(unsafe_code, reason = "the fault is a fork without exec")]
fn copy_itself() {
    let copy = match std::env::var(COPY).as_deref() {
        // SAFETY: the copy only waits.
        Ok("fork") => match unsafe { nix::unistd::fork() }.unwrap() {
            nix::unistd::ForkResult::Parent { child } => child.as_raw().cast_unsigned(),
            nix::unistd::ForkResult::Child => park(),
        },
        // The subject ends in this call; the copy returns from it.
        Ok("daemon") => {
            nix::unistd::daemon(true, true).unwrap();
            std::process::id()
        }
        _ => return,
    };
    say("copy", &[copy]);
}

fn park() -> ! {
    loop {
        std::thread::park();
    }
}

/// Not a test: the subject's main function. Does nothing unless a scenario is named.
#[test]
fn subject() {
    let (Ok(scenario), Some(dir)) = (std::env::var(SCENARIO), std::env::var_os(DIR)) else {
        return knock();
    };
    let workers = std::env::var(WORKERS).unwrap().parse().unwrap();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    let dir = PathBuf::from(dir);
    match scenario.as_str() {
        "pools" => return runtime.block_on(crate::many::pools(&dir)),
        "graceful" => return runtime.block_on(crate::signals::graceful(&dir)),
        "asking" => return runtime.block_on(crate::signals::asking(&dir)),
        _ => {}
    }
    let snakepit = runtime.block_on(scenario::run(&scenario, &dir, workers));
    copy_itself();
    match scenario.as_str() {
        "abort" => std::process::abort(),
        #[expect(clippy::exit, reason = "the scenario is an end without destructors")]
        "exit" => std::process::exit(7),
        // The first signal ends the handler of the standard library, a later one the host.
        "segv" => loop {
            kill(Pid::this(), Signal::SIGSEGV).unwrap();
            std::thread::yield_now();
        },
        "panic" => panic!("the scenario"),
        "drop_runtime" => {
            drop(runtime);
            println!("@dropped");
            drop(snakepit);
        }
        "drop_handle" => {
            drop(snakepit);
            println!("@dropped");
        }
        "hog" => {
            let mut memory = Vec::new();
            loop {
                memory.push(vec![1_u8; 1 << 20]);
            }
        }
        "shutdown" | "load_shutdown" | "daemon_shutdown" => {
            println!("@closing");
            runtime.block_on(snakepit.shutdown());
            println!("@shut");
            return;
        }
        _ => {}
    }
    park()
}

/// Connects as a foreign client to the named socket, if any, and prints the outcome.
fn knock() {
    let Some(path) = std::env::var_os(KNOCK) else {
        return;
    };
    let answer = UnixStream::connect(path).and_then(|mut stream| {
        stream.write_all(&[0; 256])?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)
    });
    println!("@knock {answer:?}");
}
