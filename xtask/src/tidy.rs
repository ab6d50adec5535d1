//! `tidy`: the house rules that a program can check. Also a test, so that `cargo test` finds
//! violations.

mod crates;
mod defects;
mod lock;
mod modules;
mod page;
mod paths;
mod sample;
mod source;

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::shell;

/// A violation of a rule.
#[derive(Debug, PartialEq, Eq)]
struct Violation {
    file: String,
    /// Line number from 1; 0 for the whole file.
    line: usize,
    message: String,
    help: String,
}

impl Violation {
    fn new(file: &str, line: usize, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line,
            message: message.into(),
            help: help.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}", self.file)?,
            line => write!(f, "{}:{line}", self.file)?,
        }
        write!(f, ": {}\n  help: {}", self.message, self.help)
    }
}

pub(crate) fn run(args: &[String]) -> Result<()> {
    if let Some(request) = sample::Request::read(args)? {
        return print_sample(request);
    }
    let violations = check()?;
    for violation in &violations {
        println!("{violation}");
    }
    match violations.len() {
        0 => {
            println!("tidy: all rules hold");
            Ok(())
        }
        n => bail!("tidy: {n} violation(s)"),
    }
}

/// Prints doc comments that are drawn at random.
fn print_sample(request: sample::Request) -> Result<()> {
    let files = files(&metadata()?)?;
    let docs = files
        .iter()
        .flat_map(|(name, text)| sample::docs(name, text));
    for doc in sample::draw(docs.collect(), request) {
        println!("{doc}");
    }
    Ok(())
}

fn metadata() -> Result<serde_json::Value> {
    let metadata = shell::read(&mut shell::cargo([
        "metadata",
        "--format-version=1",
        "--no-deps",
    ]))?;
    Ok(serde_json::from_str(&metadata)?)
}

/// Returns the names and the texts of all files of the repository that are text.
fn files(metadata: &serde_json::Value) -> Result<Vec<(String, String)>> {
    let root = shell::root();
    let mut paths = Vec::new();
    walk(root, &crates::folders(metadata), &mut paths)?;
    let mut files = Vec::new();
    for path in paths {
        let name = path.strip_prefix(root)?.to_string_lossy();
        if let Ok(text) = fs::read_to_string(&path) {
            files.push((name.replace('\\', "/"), text));
        }
    }
    Ok(files)
}

fn check() -> Result<Vec<Violation>> {
    let root = shell::root();
    let metadata = metadata()?;
    let mut violations = crates::check(&metadata)?;
    violations.extend(lock::check(&fs::read_to_string(root.join("Cargo.lock"))?));
    let files = files(&metadata)?;
    let mut functions = BTreeSet::new();
    for (name, text) in &files {
        violations.extend(source::check(name, text));
        if name.ends_with(".rs") {
            defects::functions(text, &mut functions);
        }
    }
    violations.extend(modules::check(&files));
    let architecture = fs::read_to_string(root.join(page::FILE))?;
    violations.extend(page::check(&architecture, |path| root.join(path).exists()));
    let index = fs::read_to_string(root.join(defects::FILE))?;
    violations.extend(defects::check(&index, &functions));
    Ok(violations)
}

/// Lists all files below `dir`, except built, fetched and generated ones, and crates outside the
/// workspace.
fn walk(dir: &Path, members: &[PathBuf], files: &mut Vec<PathBuf>) -> Result<()> {
    let skipped = ["target", "generated", "node_modules", "__pycache__"];
    let mut entries = fs::read_dir(dir)?.collect::<std::io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if entry.file_type()?.is_dir() {
            let hidden = name.starts_with('.') && !matches!(&*name, ".ci" | ".cargo" | ".github");
            let dir = entry.path();
            let foreign = dir.join("Cargo.toml").exists() && !members.contains(&dir);
            if !hidden && !foreign && !skipped.contains(&&*name) && !name.ends_with(".egg-info") {
                walk(&dir, members, files)?;
            }
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_repository_is_tidy() {
        let violations = super::check().unwrap();
        let text: Vec<_> = violations.iter().map(ToString::to_string).collect();
        assert!(text.is_empty(), "\n{}", text.join("\n"));
    }
}
