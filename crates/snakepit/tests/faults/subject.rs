//! The subject: a host in a process and a session of its own, which tests kill.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use snakepit::{Snakepit, args};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::oracle::{COOKIE, Scene, marked, tools};
use crate::support::{LONG, file};

const SCENARIO: &str = "SNAKEPIT_FAULT_SCENARIO";
const DIR: &str = "SNAKEPIT_FAULT_DIR";
const WORKERS: &str = "SNAKEPIT_FAULT_WORKERS";

/// A running subject.
#[derive(Debug)]
pub(crate) struct Host {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Host {
    /// Starts the subject; it may not be ready yet.
    pub(crate) fn start(scene: &Scene, scenario: &str, workers: usize) -> Self {
        let exe = std::env::current_exe().unwrap();
        let mut child = Command::new("setsid")
            .arg(exe)
            .args(["--exact", "subject::subject", "--nocapture"])
            .env(SCENARIO, scenario)
            .env(DIR, scene.dir())
            .env(WORKERS, workers.to_string())
            .env(COOKIE, &scene.cookie)
            .env("SNAKEPIT_DATA_DIR", scene.data())
            .env("SNAKEPIT_CANARY_SECRET", "canary-7c1f")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
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

    /// Starts the subject and waits until it is ready; returns its workers.
    pub(crate) fn ready(scene: &Scene, scenario: &str, workers: usize) -> (Self, Vec<u32>) {
        let mut host = Self::start(scene, scenario, workers);
        let words = host.answer("@ready");
        let pids = words.iter().map(|word| word.parse().unwrap()).collect();
        (host, pids)
    }

    /// The words after a mark in the output.
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

    /// Waits for the end of the subject.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < LONG, "the subject does not end");
            // polls: the end of the subject, with a deadline
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// SIGKILL; returns when the subject is dead.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // It has ended already when the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn say(mark: &str, words: &[u32]) {
    let words: Vec<String> = words.iter().map(u32::to_string).collect();
    println!("@{mark} {}", words.join(" "));
}

fn park() -> ! {
    loop {
        std::thread::park();
    }
}

/// Not a test: the subject's main function. It does nothing when no scenario is named.
#[test]
fn subject() {
    let (Ok(scenario), Some(dir)) = (std::env::var(SCENARIO), std::env::var_os(DIR)) else {
        return;
    };
    let workers = std::env::var(WORKERS).unwrap().parse().unwrap();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    let dir = PathBuf::from(dir);
    let snakepit = runtime.block_on(run(&scenario, &dir, workers));
    match scenario.as_str() {
        "abort" => std::process::abort(),
        #[expect(clippy::exit, reason = "the scenario is an end without destructors")]
        "exit" => std::process::exit(7),
        // The first one ends the handler of the standard library, a later one the host.
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
        "shutdown" | "load_shutdown" => {
            runtime.block_on(snakepit.shutdown());
            println!("@shut");
            return;
        }
        _ => {}
    }
    park()
}

async fn run(scenario: &str, dir: &Path, workers: usize) -> Snakepit {
    let cookie = std::env::var(COOKIE).unwrap();
    println!("@starting");
    let pool = marked(&tools(), workers, &cookie, dir.join("pit"));
    let pool = pool.configure(|pool| {
        pool.drain_timeout = Duration::from_millis(500);
        pool.stop_grace = Duration::from_millis(500);
    });
    let builder = Snakepit::builder().data_dir(dir.join("pit")).pool(pool);
    let snakepit = match builder.start().await {
        Ok(snakepit) => snakepit,
        Err(error) => panic!("{error}"),
    };
    let mut pids: Vec<u32> = snakepit
        .workers()
        .iter()
        .filter_map(|one| one.pid)
        .collect();
    let mut calls = JoinSet::new();
    for index in 0..workers {
        let started = dir.join(format!("started.{index}"));
        let text = started.to_str().unwrap().to_owned();
        let snakepit = snakepit.clone();
        match scenario {
            "busy" => calls.spawn(async move {
                let arguments = args! { "started" => text, "go" => "/nonexistent" };
                let _ = snakepit.execute::<i64>("wait", arguments).await;
            }),
            "gil" => calls.spawn(async move {
                let arguments = args! { "started" => text, "amount" => 1_i64 << 40 };
                let _ = snakepit.execute::<i64>("hold_gil", arguments).await;
            }),
            "stopped" => calls.spawn(async move {
                let arguments = args! { "started" => text };
                let _ = snakepit.execute::<()>("stop_self", arguments).await;
            }),
            "load" | "load_shutdown" => calls
                .spawn(async move { while snakepit.execute::<i64>("pid", ()).await.is_ok() {} }),
            "family" => {
                pids.extend(snakepit.execute::<Vec<u32>>("family", ()).await.unwrap());
                continue;
            }
            "daemon" => {
                let arguments = args! { "file" => text };
                snakepit.execute::<i64>("daemon", arguments).await.unwrap();
                pids.push(file(&started).await.trim().parse().unwrap());
                continue;
            }
            "hide" => {
                snakepit.execute::<i64>("hide", ()).await.unwrap();
                continue;
            }
            _ => continue,
        };
        if !scenario.starts_with("load") {
            file(&started).await;
        }
    }
    say("ready", &pids);
    calls.detach_all();
    snakepit
}
