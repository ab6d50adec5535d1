//! Programs that end on signals, and workers that may outlive their host.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use snakepit::{Snakepit, args};
use snakepit_registry::{Reason, Registry};

use crate::oracle::{COOKIE, Scene, eventually, marked, tools};
use crate::record::Row;
use crate::support::{LONG, alive, file};

const DIR: &str = "SNAKEPIT_FAULT_SCRIPT_DIR";
const KIND: &str = "SNAKEPIT_FAULT_SCRIPT";

const NONE: Duration = Duration::from_millis(500);

/// A program around [`Snakepit::run_as_script`].
#[derive(Debug)]
struct Program {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Program {
    fn start(scene: &Scene, kind: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "script::program", "--nocapture"])
            .env(KIND, kind)
            .env(DIR, scene.dir())
            .env(COOKIE, &scene.cookie)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Returns the rest of the next line that contains this mark.
    fn says(&mut self, mark: &str) -> String {
        let mut lines = self.lines.by_ref().map(Result::unwrap);
        let found = lines.find_map(|line| Some(line.split_once(mark)?.1.trim().to_owned()));
        found.unwrap_or_else(|| panic!("the program does not say {mark}"))
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // If the test succeeded, it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Not a test: the main function of the program. Does nothing unless a kind is named.
#[test]
fn program() {
    let (Ok(kind), Some(dir)) = (std::env::var(KIND), std::env::var_os(DIR)) else {
        return;
    };
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    let code = runtime.block_on(run(&kind, dir.into()));
    drop(runtime);
    #[expect(clippy::exit, reason = "the exit status is what the tests look at")]
    std::process::exit(code.into())
}

async fn run(kind: &str, dir: PathBuf) -> u8 {
    let cookie = std::env::var(COOKIE).unwrap();
    let independent = kind == "independent";
    let pool = marked(&tools(), 1, &cookie)
        .configure(|pool| {
            pool.drain_timeout = if kind == "drain" {
                LONG * 2
            } else {
                Duration::ZERO
            };
            pool.stop_grace = if kind == "drain" {
                LONG
            } else {
                Duration::from_millis(200)
            };
        })
        .configure_python(|python| {
            python.dependent = !independent;
        });
    let builder = Snakepit::builder().data_dir(dir.join("pit")).pool(pool);
    let snakepit = builder.start().await.unwrap();
    println!("@ready {}", snakepit.workers()[0].pid.unwrap());
    let name = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let work = async {
        let arguments = args! { "started" => name("started"), "go" => name("go") };
        match kind {
            "quick" => snakepit.execute::<i64>("pid", ()).await,
            "independent" => {
                let arguments = args! { "started" => name("started"), "go" => name("go"), "done" => name("done") };
                snakepit.execute::<i64>("outlive", arguments).await
            }
            "drain" => snakepit.execute::<i64>("persist", arguments).await,
            _ => snakepit.execute::<i64>("wait", arguments).await,
        }
    };
    let closing = async {
        file(&dir.join("started")).await;
        while snakepit.execute::<i64>("pid", ()).await.is_ok() {}
        println!("@closing");
        std::future::pending::<()>().await;
    };
    let end = tokio::select! {
        end = snakepit.run_as_script(work) => end.unwrap(),
        () = closing, if kind == "drain" => unreachable!("it waits for ever"),
    };
    let (signal, report) = (end.signal.unwrap_or(0), &end.report);
    println!(
        "@end {signal} {} {}",
        report.leftover.len(),
        end.output.is_some()
    );
    assert_eq!(report.problem, None);
    end.exit_code()
}

fn ends_on(signal: Signal, code: i32) {
    let scene = Scene::new();
    let mut program = Program::start(&scene, "wait");
    program.says("@ready");
    eventually("the tool runs", || scene.path("started").exists());
    program.signal(signal);
    assert_eq!(program.says("@end"), format!("{} 0 false", signal as i32));
    assert_eq!(program.wait().code(), Some(code));
    drop(program);
    scene.clean(NONE);
}

#[test]
fn row_13_a_script_ends_on_its_signals() {
    let row = Row::new(13, "SIGINT and SIGTERM to a script whose tool runs");
    ends_on(Signal::SIGINT, 130);
    ends_on(Signal::SIGTERM, 143);
    row.holds("the work is dropped, workers gone, status 130 and 143");
}

#[test]
fn a_script_that_is_done_shuts_down() {
    let scene = Scene::new();
    let mut program = Program::start(&scene, "quick");
    let pid: u32 = program.says("@ready").parse().unwrap();
    assert_eq!(program.says("@end"), "0 0 true");
    assert!(!alive(pid));
    assert_eq!(program.wait().code(), Some(0));
    drop(program);
    scene.clean(NONE);
}

#[test]
fn row_14_a_second_signal_skips_the_waits() {
    let row = Row::new(14, "a second SIGTERM while running calls are waited for");
    let scene = Scene::new();
    let mut program = Program::start(&scene, "drain");
    program.says("@ready");
    eventually("the tool runs", || scene.path("started").exists());
    program.signal(Signal::SIGINT);
    // The call runs in the worker, and the shutdown would wait for it longer than the test takes.
    program.says("@closing");
    program.signal(Signal::SIGTERM);
    assert_eq!(program.says("@end"), "2 0 false");
    assert_eq!(program.wait().code(), Some(130));
    drop(program);
    let took = scene.clean(NONE);
    row.holds(format!(
        "ended at once, nothing left after {} ms",
        took.as_millis()
    ));
}

#[test]
fn row_2_an_independent_worker_goes_on_and_is_reported() {
    let row = Row::new(2, "host SIGKILL, worker with dependent = false");
    let scene = Scene::new();
    let mut program = Program::start(&scene, "independent");
    let pid: u32 = program.says("@ready").parse().unwrap();
    eventually("the tool runs", || scene.path("started").exists());
    program.signal(Signal::SIGKILL);
    program.wait();
    fs::write(scene.path("go"), "go").unwrap();
    eventually("the tool ends its work", || scene.path("done").exists());

    let report = Registry::sweep_data_dir(&scene.data(), LONG).unwrap();
    let [run] = &report.runs[..] else {
        panic!("{report:?}")
    };
    assert!(run.killed.is_empty() && run.leftover.is_empty(), "{run:?}");
    let left: Vec<_> = run
        .left
        .iter()
        .map(|left| (left.pid, left.reason))
        .collect();
    assert_eq!(left, [(pid.cast_signed(), Reason::Independent)]);
    assert!(alive(pid));

    let orphans = |more: &[&str]| {
        let data = scene.data();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_snakepit"));
        command.args(["orphans", "--data-dir"]).arg(data).args(more);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let told = orphans(&["--kill"]);
    assert!(
        told.contains("outlives its host") && told.contains("0 orphans ended"),
        "{told}"
    );
    assert!(alive(pid));
    let told = orphans(&["--kill", "--independent"]);
    assert!(told.contains("1 orphan ended"), "{told}");
    assert_eq!(orphans(&[]), "no runs\n");
    drop(program);
    scene.clean(LONG);
    row.holds("it finished its work, the sweep reports it and leaves it alone; `orphans --kill --independent` ends it");
}
