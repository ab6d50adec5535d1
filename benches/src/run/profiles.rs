//! Process profile against thread profile: what do many slots in one interpreter gain, and what do
//! they cost?

use std::path::Path;

use snakepit::{PoolBuilder, PythonProfile, Snakepit};
use tokio::time::Instant;

use crate::Result;
use crate::cli::Plan;
use crate::contest::{Entrant, Figures, alternate};
use crate::host::{Caller, Host, multi_thread};
use crate::load::closed;
use crate::row::{Row, Target};
use crate::run::memory::weigh_all;
use crate::run::{CALLS, rows};

const BENCH: &str = "profiles";

/// Slots of the wide pools.
const WIDE: usize = 16;

/// Iterations of the pure-Python loop: some milliseconds.
const ROUNDS: u32 = 50_000;

/// An interpreter, and the label of its results.
struct Python<'a> {
    path: &'a Path,
    name: String,
    parallel: bool,
}

pub(crate) fn run(plan: &Plan) -> Result<Vec<Row>> {
    let mut table = Vec::new();
    let paths = [Some(&plan.pythons.ours), plan.pythons.threads.as_ref()];
    for path in paths.into_iter().flatten() {
        let python = Python::ask(path)?;
        table.extend(waiting(plan, &python)?);
        table.extend(computing(plan, &python)?);
        table.extend(sharing(plan, &python)?);
        table.extend(echo(plan, &python)?);
        table.extend(starting(plan, &python)?);
        table.extend(napping(plan, &python)?);
    }
    Ok(table)
}

impl<'a> Python<'a> {
    fn ask(path: &'a Path) -> Result<Self> {
        let script = "import platform, sys\n\
            gil = getattr(sys, '_is_gil_enabled', lambda: True)()\n\
            print(platform.python_version(), 'GIL' if gil else 'no GIL')";
        let output = std::process::Command::new(path)
            .args(["-c", script])
            .output()?;
        let name = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok(Self {
            path,
            parallel: name.ends_with("no GIL"),
            name,
        })
    }

    fn case(&self, what: &str) -> String {
        format!("{what}, {}", self.name)
    }
}

/// The slots of a pool, and their distribution over processes.
#[derive(Clone, Copy)]
enum Shape {
    Processes(usize),
    Threads(usize),
    Tasks(u32),
}

fn start(python: &Python<'_>, shape: Shape) -> Result<Host> {
    let tools = format!("{}/profile_tools.py", crate::HOME);
    let pool = PoolBuilder::new("bench", tools)
        .python(python.path)
        .queue_limit(100_000);
    let pool = match shape {
        Shape::Processes(workers) => pool.workers(workers),
        Shape::Threads(slots) => pool.workers(1).profile(PythonProfile::Thread {
            threads_per_worker: u16::try_from(slots)?,
        }),
        Shape::Tasks(slots) => pool.workers(1).concurrency(u16::try_from(slots)?),
    };
    Host::with(multi_thread()?, pool)
}

/// Creates one side of a contest: `callers` callers of `tool` on a pool of this shape, which lives
/// as long as the entrant.
fn entrant<'a, F, T>(
    plan: &'a Plan,
    python: &Python<'_>,
    (name, shape): (&str, Shape),
    callers: usize,
    call: F,
) -> Result<Entrant<'a>>
where
    F: Fn(Snakepit) -> T + Clone + Send + 'static,
    T: Future<Output = Result<()>> + Send + 'static,
{
    let host = start(python, shape)?;
    let caller = host.caller();
    Ok(Entrant::new(name, move || {
        let (caller, call) = (caller.clone(), call.clone());
        let once = move || call(caller.snakepit().clone());
        let load = host.runtime().block_on(closed(callers, plan.turn, once))?;
        Ok(load.figures())
    }))
}

const OURS: &str = crate::contest::OURS;

/// Measures tools that wait: 5 ms each, 16 at once.
fn waiting(plan: &Plan, python: &Python<'_>) -> Result<Vec<Row>> {
    let call = |snakepit: Snakepit| async move {
        snakepit.execute::<()>("wait", (0.005,)).await?;
        Ok(())
    };
    let mut entrants = [
        entrant(plan, python, (OURS, Shape::Threads(WIDE)), WIDE, call)?,
        entrant(
            plan,
            python,
            ("processes", Shape::Processes(WIDE)),
            WIDE,
            call,
        )?,
        entrant(plan, python, ("1 slot", Shape::Processes(1)), WIDE, call)?,
    ];
    let series = alternate(plan.rounds, &mut entrants)?;
    let case = python.case("I/O-bound: 5 ms of waiting, 16 threads against 16 processes");
    Ok(rows((BENCH, &case), &CALLS, &series, &[]))
}

/// Measures tools that compute in pure Python, on two slots.
fn computing(plan: &Plan, python: &Python<'_>) -> Result<Vec<Row>> {
    let call = |snakepit: Snakepit| async move {
        snakepit.execute::<u64>("spin", (ROUNDS,)).await?;
        Ok(())
    };
    let mut entrants = [
        entrant(plan, python, (OURS, Shape::Threads(2)), 2, call)?,
        entrant(plan, python, ("processes", Shape::Processes(2)), 2, call)?,
        entrant(plan, python, ("1 slot", Shape::Threads(1)), 1, call)?,
    ];
    let series = alternate(plan.rounds, &mut entrants)?;
    let case = python.case("CPU-bound: pure Python, 2 threads against 2 processes");
    // With the GIL the slots take turns, so there is nothing to gain.
    let targets: &[_] = if python.parallel {
        &[
            ("rate", Target::PeerAtLeast("1 slot", 1.85)),
            ("rate", Target::PeerAtLeast("processes", 0.95)),
        ]
    } else {
        &[]
    };
    Ok(rows((BENCH, &case), &CALLS, &series, targets))
}

/// Measures tools that read one large table: speed on two slots, and the memory of 16 slots.
fn sharing(plan: &Plan, python: &Python<'_>) -> Result<Vec<Row>> {
    let call = |snakepit: Snakepit| async move {
        snakepit.execute::<f64>("look", (123_456, 2_000)).await?;
        Ok(())
    };
    let mut entrants = [
        entrant(plan, python, (OURS, Shape::Threads(2)), 2, call)?,
        entrant(plan, python, ("processes", Shape::Processes(2)), 2, call)?,
        entrant(plan, python, ("1 slot", Shape::Threads(1)), 1, call)?,
    ];
    let series = alternate(plan.rounds, &mut entrants)?;
    let case = python.case("shared table: 2,000 look-ups, 2 threads against 2 processes");
    let mut table = rows((BENCH, &case), &CALLS, &series, &[]);

    let weigh = |shape| {
        let host = start(python, shape)?;
        weigh_all(&host.pids())
    };
    let threads = || weigh(Shape::Threads(WIDE));
    let processes = || weigh(Shape::Processes(WIDE));
    let mut entrants = [Entrant::ours(threads), Entrant::new("processes", processes)];
    let series = alternate(plan.rounds.min(3), &mut entrants)?;
    let case = python.case("shared table of 32 MB: 1 worker of 16 slots against 16 workers");
    let target = [("pss", Target::PeerAtMost("processes", 0.125))];
    table.extend(rows((BENCH, &case), &[("pss", "MiB")], &series, &target));
    Ok(table)
}

/// Measures a small call, one at a time.
fn echo(plan: &Plan, python: &Python<'_>) -> Result<Vec<Row>> {
    let call = |snakepit: Snakepit| async move {
        snakepit
            .execute::<String>("echo", ("0123456789abcdef0123456789abcdef",))
            .await?;
        Ok(())
    };
    let mut entrants = [
        entrant(plan, python, (OURS, Shape::Threads(WIDE)), 1, call)?,
        entrant(plan, python, ("processes", Shape::Processes(1)), 1, call)?,
    ];
    let series = alternate(plan.rounds, &mut entrants)?;
    let case = python.case("echo, a slot of 16 against a worker");
    let target = [("p50", Target::PeerAtMost("processes", 1.3))];
    Ok(rows((BENCH, &case), &CALLS, &series, &target))
}

/// Measures the time to a ready worker.
fn starting(plan: &Plan, python: &Python<'_>) -> Result<Vec<Row>> {
    let ready = |shape| {
        let begin = Instant::now();
        let host = start(python, shape)?;
        let seconds = begin.elapsed().as_secs_f64();
        drop(host);
        Ok(Figures::from([("ready", seconds)]))
    };
    let mut entrants = [
        Entrant::ours(|| ready(Shape::Threads(WIDE))),
        Entrant::new("processes", || ready(Shape::Processes(1))),
    ];
    let series = alternate(plan.rounds, &mut entrants)?;
    let case = python.case("start of a worker of 16 slots against one of 1");
    let target = [("ready", Target::PeerAtMost("processes", 1.3))];
    Ok(rows((BENCH, &case), &[("ready", "s")], &series, &target))
}

/// Measures a thousand coroutines that wait for 0.1 s.
fn napping(plan: &Plan, python: &Python<'_>) -> Result<Vec<Row>> {
    const CALLERS: usize = 1000;
    let host = start(python, Shape::Tasks(u32::try_from(CALLERS)?))?;
    let caller = host.caller();
    let ours = || {
        let begin = Instant::now();
        host.runtime().block_on(all_nap(&caller, CALLERS))?;
        let seconds = begin.elapsed().as_secs_f64();
        Ok(Figures::from([("all", seconds)]))
    };
    let series = alternate(plan.rounds, &mut [Entrant::ours(ours)])?;
    let case = python.case("1,000 coroutines that wait 0.1 s on one worker");
    let target = [("all", Target::AtMost(0.25))];
    Ok(rows((BENCH, &case), &[("all", "s")], &series, &target))
}

async fn all_nap(caller: &Caller, callers: usize) -> Result<()> {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..callers {
        let snakepit = caller.snakepit().clone();
        tasks.spawn(async move { snakepit.execute::<()>("nap", (0.1,)).await });
    }
    while let Some(joined) = tasks.join_next().await {
        joined??;
    }
    Ok(())
}
