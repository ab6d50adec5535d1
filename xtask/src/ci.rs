//! `ci`: everything that continuous integration runs, in order; `lint`: its static checks.

use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context as _, Result};

use crate::free_threaded::Effort;
use crate::{shell, test, tidy, venv};

/// Crates that other projects may depend on directly. Each is checked with its default features and
/// with none.
const ALONE: &[&str] = &[
    "snakepit-core",
    "snakepit-diag",
    "snakepit-grpc",
    "snakepit-profiles",
    "snakepit-redact",
    "snakepit-telemetry",
    "snakepit",
    "snakepit-native",
];

/// Features that other projects may enable one at a time. Each is checked alone.
const FEATURES: &[(&str, &str)] = &[
    ("snakepit-telemetry", "otlp"),
    ("snakepit-telemetry", "prometheus"),
    ("snakepit-diag", "admin"),
    ("snakepit-diag", "top"),
    ("snakepit-diag", "web"),
    ("snakepit", "diag"),
    ("snakepit", "telemetry"),
    ("snakepit", "command"),
    ("snakepit", "tls"),
    ("snakepit", "cli"),
];

type Step = (&'static str, fn() -> Result<()>);

const LINTS: &[Step] = &[
    ("format", || {
        shell::run(&mut shell::cargo(["fmt", "--all", "--check"]))
    }),
    ("tidy", || tidy::run(&[])),
    ("clippy, ruff and pyright", || beside(clippy, python_lints)),
];

const REST: &[Step] = &[
    ("each crate alone", each_crate_alone),
    ("docs", || {
        let mut doc = shell::cargo(["doc", "--workspace", "--all-features", "--no-deps"]);
        shell::run(doc.arg("--quiet").env("RUSTDOCFLAGS", "-D warnings"))
    }),
    ("fuzz targets", fuzz_targets),
    ("a Prometheus server for the tests", || obtain("prometheus")),
    ("a Chromium for the tests", || obtain("chromium")),
    // Last, so that its total ends the output.
    ("tests", || test::with(&[], Effort::Obtain)),
];

pub(crate) fn run(args: &[String]) -> Result<()> {
    shell::only(args, &[])?;
    steps(&[LINTS, REST].concat())
}

pub(crate) fn lint(args: &[String]) -> Result<()> {
    shell::only(args, &[])?;
    steps(LINTS)
}

/// Runs steps until one fails. Prints the timings before the last step, whose total ends the
/// output.
fn steps(steps: &[Step]) -> Result<()> {
    let n_steps = steps.len();
    let mut timings = Vec::new();
    for (n, (name, step)) in steps.iter().enumerate() {
        if n + 1 == n_steps {
            for (name, took) in &timings {
                eprintln!("{took:>7.1} s  {name}");
            }
        }
        eprintln!("=== {}/{n_steps} {name}", n + 1);
        let start = SystemTime::now();
        step().with_context(|| format!("step `{name}` failed"))?;
        let took = start.elapsed().unwrap_or_default().as_secs_f64();
        eprintln!("=== {name}: {took:.1} s");
        timings.push((name, took));
    }
    Ok(())
}

/// Runs two checks side by side. The error of the first is reported first.
fn beside(first: fn() -> Result<()>, second: fn() -> Result<()>) -> Result<()> {
    std::thread::scope(|scope| {
        let second = scope.spawn(second);
        first()?;
        second.join().expect("no check panics")
    })
}

fn clippy() -> Result<()> {
    let mut clippy = shell::cargo(["clippy", "--workspace", "--all-targets", "--all-features"]);
    shell::run(clippy.args(["--", "-D", "warnings"]))
}

/// Finds crates that build only because another crate enables a feature.
fn each_crate_alone() -> Result<()> {
    for name in ALONE {
        shell::run(&mut shell::cargo(["check", "--quiet", "--package", name]))?;
        let mut bare = shell::cargo(["check", "--quiet", "--package", name]);
        shell::run(bare.arg("--no-default-features"))?;
    }
    for (name, feature) in FEATURES {
        let mut one = shell::cargo(["check", "--quiet", "--package", name]);
        shell::run(one.args(["--no-default-features", "--features", feature]))?;
    }
    Ok(())
}

/// Obtains a program. Without it, the tests that need it are skipped, or fail if everything has to
/// run.
fn obtain(program: &str) -> Result<()> {
    let status = Command::new(shell::root().join(".ci").join(program)).status();
    if !status.is_ok_and(|status| status.success()) {
        eprintln!("without it: see the reason above");
    }
    Ok(())
}

/// Builds the targets of `fuzz/` if cargo-fuzz and a nightly toolchain are installed.
fn fuzz_targets() -> Result<()> {
    let nightly = || {
        let mut cargo = Command::new("cargo");
        cargo.args(["+nightly", "fuzz"]).current_dir(shell::root());
        // These name the toolchain of this process, not the requested one.
        for variable in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN"] {
            cargo.env_remove(variable);
        }
        cargo
    };
    let found = nightly().arg("--version").output();
    if !found.is_ok_and(|found| found.status.success()) {
        eprintln!("skipped: cargo-fuzz or a nightly toolchain is not installed");
        return Ok(());
    }
    shell::run(nightly().arg("build"))
}

fn python_lints() -> Result<()> {
    let python = venv::ensure()?;
    let dir = shell::root().join("python");
    let module = |name: &str| {
        let mut command = Command::new(&python);
        command.args(["-m", name]).current_dir(&dir);
        command
    };
    shell::run(module("ruff").args(["check", "."]))?;
    shell::run(module("ruff").args(["format", "--check", "."]))?;
    shell::run(module("pyright").arg("--pythonpath").arg(&python))
}
