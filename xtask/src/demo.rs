//! `demo [--release]`: builds everything and runs the demonstration.

use anyhow::Result;

use crate::{python, shell};

pub(crate) fn run(args: &[String]) -> Result<()> {
    shell::only(args, &["--release"])?;
    let release = args.iter().any(|arg| arg == "--release");
    python::build(release)?;
    let mut command = shell::cargo(["run", "--quiet", "--package", "snakepit"]);
    command.args(["--features", "cli", "--bin", "snakepit"]);
    if release {
        command.arg("--release");
    }
    shell::run(command.args(["--", "demo"]))
}
