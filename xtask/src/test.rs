//! `test [rust|python|faults]`: all tests, and an honest total at the end.

mod free_threaded;
mod pytest;
mod rust;
mod totals;

use anyhow::{Result, ensure};

use crate::free_threaded::Effort;
use crate::{faults, python, shell, venv};
use totals::Totals;

pub(crate) fn run(args: &[String]) -> Result<()> {
    with(args, Effort::Look)
}

/// Like [`run`], with the effort to obtain a free-threaded interpreter.
pub(crate) fn with(args: &[String], effort: Effort) -> Result<()> {
    if args == ["faults"] {
        return faults::suite(false);
    }
    shell::only(args, &["rust", "python"])?;
    let wanted = |name: &str| args.is_empty() || args.iter().any(|arg| arg == name);

    // The end-to-end tests of Rust start Python workers, so both languages need the runtime.
    let mut totals = Totals::default();
    if wanted("rust") {
        python::build_with_tests()?;
    } else {
        python::build(false)?;
    }
    let free_threaded = free_threaded::prepare(&mut totals, effort)?;
    if wanted("rust") {
        // Some end-to-end tests use the libraries of the environment of Python's tests. Without a
        // network they skip themselves.
        if let Err(error) = venv::ensure() {
            eprintln!("without the libraries for data: {error:#}");
        }
        rust::run(&mut totals)?;
        if let Some(free_threaded) = &free_threaded {
            free_threaded.rust(&mut totals)?;
        }
    }
    if wanted("python") {
        let usual = pytest::interpreter(&mut totals)?;
        let other = free_threaded.as_ref();
        let other = other.and_then(|other| other.python(&mut totals));
        let mut runs = Vec::new();
        runs.extend(usual.as_deref().map(|python| ("pytest", python)));
        runs.extend(other.map(|python| ("pytest, free-threaded", python)));
        pytest::run(&mut totals, &runs)?;
    }
    for skipped in &totals.skips {
        println!("skipped: {skipped}");
    }
    for problem in &totals.problems {
        println!("problem: {problem}");
    }
    println!("{totals}");
    ensure!(
        totals.failed == 0 && totals.problems.is_empty(),
        "there are failures, see above"
    );
    Ok(())
}
