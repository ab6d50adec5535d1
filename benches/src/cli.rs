//! The command line, and the order of a run.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::Parser;

use crate::Result;
use crate::peer::Pythons;
use crate::row::{Row, save};
use crate::run::{ALL, Bench};
use crate::table::render;

/// Measure snakepit beside its floor and its peers.
#[derive(Debug, Parser)]
#[command(name = "snakepit-bench", version)]
struct Arguments {
    /// Benchmarks to run: scheduler, affinity, pool, codec, round_trip, foreign, session, stream,
    /// many, payload, large, frames, profiles, startup, telemetry, looks, profiling, memory; all
    /// when none is named.
    names: Vec<String>,
    /// Three short rounds instead of five long ones.
    #[arg(long)]
    quick: bool,
    /// Interpreter that runs our workers and the floors.
    #[arg(long, value_name = "PATH", default_value = "python3")]
    python: PathBuf,
    /// A second interpreter for the profiles, for example a free-threaded one.
    #[arg(long, value_name = "PATH")]
    threads_python: Option<PathBuf>,
    /// Interpreter that can import the peers (loky, pebble, ray, grpc); the standard library's pool
    /// is always there.
    #[arg(long, value_name = "PATH")]
    peers_python: Option<PathBuf>,
    /// Directory of NAME.json.
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    out: PathBuf,
    /// Given by `cargo bench`, without meaning here.
    #[arg(long, hide = true)]
    bench: bool,
}

/// The settings of a run, for every benchmark.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Number of rounds of each entrant.
    pub(crate) rounds: usize,
    /// Length of one round, where rounds have a length.
    pub(crate) turn: Duration,
    /// Short rounds were requested: the largest cases are left out.
    pub(crate) quick: bool,
    /// The interpreters.
    pub(crate) pythons: Pythons,
}

impl Plan {
    fn new(arguments: &Arguments) -> Result<Self> {
        let ours = resolve(&arguments.python)?;
        let peers = arguments.peers_python.as_deref().map(resolve).transpose()?;
        let peers = peers.unwrap_or_else(|| ours.clone());
        let threads = arguments
            .threads_python
            .as_deref()
            .map(resolve)
            .transpose()?;
        Ok(Self {
            rounds: if arguments.quick { 3 } else { 5 },
            turn: Duration::from_millis(if arguments.quick { 300 } else { 1000 }),
            quick: arguments.quick,
            pythons: Pythons {
                ours,
                peers,
                threads,
            },
        })
    }
}

/// Finds the interpreter behind a shim or a wrapper. A floor that started the wrapper each time
/// would be slower, and our ratio to it too good.
fn resolve(python: &Path) -> Result<PathBuf> {
    let mut command = Command::new(python);
    command.args(["-c", "import sys; print(sys.executable)"]);
    let output = command
        .output()
        .map_err(|error| format!("cannot run {}: {error}", python.display()))?;
    match String::from_utf8_lossy(&output.stdout).trim() {
        "" => Err(format!("{} is no Python interpreter", python.display()).into()),
        path => Ok(path.into()),
    }
}

/// Runs the program. Exit codes: 0 if everything was measured, 1 if a measurement failed, 2 for a
/// wrong command line.
///
/// A missed target is shown in the table, but does not change the exit code, because noise would
/// change it, too.
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the table is the output of the program"
)]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (chosen, plan) =
        match choose(&arguments.names).and_then(|it| Ok((it, Plan::new(&arguments)?))) {
            Ok(both) => both,
            Err(error) => {
                eprintln!("error: {error}");
                return ExitCode::from(2);
            }
        };
    let (mut rows, mut failed) = (Vec::new(), false);
    for bench in chosen {
        eprintln!("measuring {} …", bench.name);
        match measure(bench, &plan, &arguments.out) {
            Ok(more) => rows.extend(more),
            Err(error) => {
                eprintln!("error: {}: {error}", bench.name);
                let mut source = error.source();
                while let Some(cause) = source {
                    eprintln!("  because {cause}");
                    source = cause.source();
                }
                failed = true;
            }
        }
    }
    print!("{}", render(&rows));
    ExitCode::from(u8::from(failed))
}

fn measure(bench: &Bench, plan: &Plan, out: &Path) -> Result<Vec<Row>> {
    let rows = (bench.run)(plan)?;
    save(out, bench.name, &rows)?;
    Ok(rows)
}

fn choose(names: &[String]) -> Result<Vec<&'static Bench>> {
    if names.is_empty() {
        return Ok(ALL.iter().collect());
    }
    names
        .iter()
        .map(|name| {
            ALL.iter().find(|bench| bench.name == name).ok_or_else(|| {
                let known: Vec<_> = ALL.iter().map(|bench| bench.name).collect();
                format!(
                    "no benchmark is named `{name}`; there are {}",
                    known.join(", ")
                )
                .into()
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{Arguments, Plan, choose};

    #[test]
    fn names_choose_and_unknown_ones_are_refused() {
        assert_eq!(choose(&[]).unwrap().len(), 18);
        assert_eq!(choose(&["many".into()]).unwrap()[0].name, "many");
        let error = choose(&["manny".into()]).unwrap_err().to_string();
        assert!(
            error.contains("`manny`") && error.contains("round_trip"),
            "{error}"
        );
    }

    #[test]
    fn the_peers_interpreter_defaults_to_ours() {
        let plan = |line: &[&str]| Plan::new(&Arguments::try_parse_from(line).unwrap());
        let quick = plan(&["snakepit-bench", "--quick", "many"]).unwrap();
        assert_eq!(quick.pythons.peers, quick.pythons.ours);
        assert!(quick.pythons.ours.is_absolute() && quick.rounds == 3);
        assert!(plan(&["snakepit-bench", "--python", "/nowhere/python"]).is_err());
        assert!(plan(&["snakepit-bench", "--peers-python", "/bin/true"]).is_err());
    }
}
