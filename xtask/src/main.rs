//! The repository's own commands: `cargo xtask help`.

mod bench;
mod cancellation;
mod ci;
mod codegen;
mod demo;
mod faults;
mod free_threaded;
mod python;
mod shell;
mod test;
mod tidy;
mod venv;

use std::process::ExitCode;

use anyhow::{Result, bail};

const HELP: &str = "\
cargo xtask <command>

  demo [--release]          build everything and run the demonstration
  test [rust|python]        all tests of one language, or of both
  test faults               the fault suite alone, and its table
  faults [--write]          the same; --write keeps the table in docs/faults.md
  cancellation [--write]    what stops which tool; --write keeps the table in docs/cancellation.md
  bench [NAME…] [OPTIONS]   benchmarks; results in target/bench/*.json
      --quick                 short runs
      --save NAME             keep the results as the baseline NAME
      --baseline NAME         compare with the baseline NAME
      --check                 fail when a ratio is more than 10 % worse
      --peers-python PATH     interpreter that has grpcio, loky, ray, …
  python [--release]        build the worker runtime and put it beside the Python package
      --free-threaded [PATH]  for a free-threaded interpreter; without PATH one is looked for, and built if need be
  codegen [--check]         proto to committed Rust; --check only compares
  tidy                      the rules of CONTRIBUTING.md that a program can check
      --sample-docs N         print N doc comments, drawn at random, for a person to read
      --seed N                draw others
  lint                      formatting, clippy, tidy, ruff, pyright
  ci                        all that continuous integration runs, in order";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let command = args.next();
    let args: Vec<String> = args.collect();
    match command.as_deref() {
        Some("bench") => bench::run(&args),
        Some("cancellation") => cancellation::run(&args),
        Some("ci") => ci::run(&args),
        Some("codegen") => codegen::run(&args),
        Some("demo") => demo::run(&args),
        Some("faults") => faults::run(&args),
        Some("lint") => ci::lint(&args),
        Some("python") => python::run(&args),
        Some("test") => test::run(&args),
        Some("tidy") => tidy::run(&args),
        Some("help" | "--help" | "-h") => {
            println!("{HELP}");
            Ok(())
        }
        Some(other) => bail!("no command is named `{other}`\n\n{HELP}"),
        None => bail!("a command is missing\n\n{HELP}"),
    }
}
