//! `bench [NAME…]`: runs the benchmarks in release mode, keeps baselines, and compares.

mod compare;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{python, shell, venv};
use compare::Rows;

#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    names: Vec<String>,
    quick: bool,
    check: bool,
    save: Option<String>,
    baseline: Option<String>,
    peers_python: Option<String>,
    threads_python: Option<String>,
}

pub(crate) fn run(args: &[String]) -> Result<()> {
    let options = parse(args)?;
    let out = python::target().join("bench");
    let baselines = out.join("baselines");
    if let Some(name) = &options.baseline {
        let hint = format!("no baseline `{name}`\n  help: make it with --save {name}");
        ensure!(baselines.join(name).is_dir(), hint);
    }
    python::build(true)?;
    // Results of an earlier run must not be taken for results of this one.
    for (path, _) in results(&out, &options.names)? {
        fs::remove_file(path)?;
    }
    let mut command = shell::cargo([
        "run",
        "--quiet",
        "--release",
        "--package",
        "snakepit-benches",
    ]);
    command
        .args(["--bin", "snakepit-bench", "--"])
        .args(&options.names);
    if options.quick {
        command.arg("--quick");
    }
    command
        .arg("--python")
        .arg(venv::interpreter()?)
        .arg("--out")
        .arg(&out);
    if let Some(path) = &options.peers_python {
        command.args(["--peers-python", path]);
    }
    if let Some(path) = &options.threads_python {
        command.args(["--threads-python", path]);
    }
    shell::run(&mut command)?;

    if let Some(name) = &options.baseline {
        compare(
            &baselines.join(name),
            &results(&out, &options.names)?,
            options.check,
        )?;
    }
    if let Some(name) = &options.save {
        let dir = baselines.join(name);
        fs::create_dir_all(&dir)?;
        for (path, file) in results(&out, &options.names)? {
            fs::copy(path, dir.join(file))?;
        }
        eprintln!("saved as baseline `{name}`");
    }
    Ok(())
}

fn parse(args: &[String]) -> Result<Options> {
    let mut options = Options::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || {
            args.next()
                .cloned()
                .with_context(|| format!("{arg} needs a value"))
        };
        match arg.as_str() {
            "--quick" => options.quick = true,
            "--check" => options.check = true,
            "--save" => options.save = Some(plain(value()?)?),
            "--baseline" => options.baseline = Some(plain(value()?)?),
            "--threads-python" => options.threads_python = Some(value()?),
            "--peers-python" => options.peers_python = Some(value()?),
            flag if flag.starts_with('-') => bail!("unknown option `{flag}`"),
            name => options.names.push(name.to_owned()),
        }
    }
    ensure!(
        !options.check || options.baseline.is_some(),
        "--check compares with a baseline\n  help: add --baseline NAME"
    );
    Ok(options)
}

/// Rejects a baseline name that is not a plain folder name.
fn plain(name: String) -> Result<String> {
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    ensure!(
        !name.is_empty() && !name.starts_with('.') && name.chars().all(good),
        "`{name}` is not a valid baseline name\n  help: use letters, digits, `-`, `_` and `.`"
    );
    Ok(name)
}

/// A result: its path and the name of the file.
type ResultFile = (PathBuf, OsString);

/// Returns the results in a folder; only those of `names`, unless that is empty.
fn results(dir: &Path, names: &[String]) -> Result<Vec<ResultFile>> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Ok(Vec::new());
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        let is_result = path
            .extension()
            .is_some_and(|extension| extension == "json");
        let bench = path.file_stem().unwrap_or_default();
        if is_result && (names.is_empty() || names.iter().any(|name| bench == name.as_str())) {
            files.push((path, entry.file_name()));
        }
    }
    files.sort();
    Ok(files)
}

fn compare(baseline: &Path, fresh: &[ResultFile], check: bool) -> Result<()> {
    let mut regressions = 0;
    for (path, file) in fresh {
        let Ok(old) = fs::read_to_string(baseline.join(file)) else {
            println!("{}: not in the baseline", file.to_string_lossy());
            continue;
        };
        let name = || path.display().to_string();
        let old = Rows::parse(&old).with_context(|| format!("baseline of {}", name()))?;
        let new = Rows::parse(&fs::read_to_string(path)?).with_context(name)?;
        for change in new.against(&old) {
            println!("{change}");
            regressions += usize::from(change.is_regression());
        }
    }
    println!(
        "{regressions} of the figures are more than {}% worse",
        compare::LIMIT_PERCENT
    );
    ensure!(!check || regressions == 0, "slower than the baseline");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options> {
        parse(
            &line
                .split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn the_command_line_is_read_and_bad_ones_are_refused() {
        let options = parsed("many --quick --baseline main --check").unwrap();
        assert_eq!(options.names, ["many"]);
        assert!(options.quick && options.check && options.baseline.as_deref() == Some("main"));
        for bad in [
            "--fast",
            "--save",
            "--save ../x",
            "--check",
            "--save .hidden",
        ] {
            assert!(parsed(bad).is_err(), "{bad}");
        }
    }
}
