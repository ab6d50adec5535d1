//! `cancellation [--write]`: measures which step stops which tool, and prints the table.

use std::fs;

use anyhow::{Context as _, Result, ensure};

use crate::{python, shell};

const TABLE: &str = "docs/cancellation.md";

/// The line above the measured table.
const MARK: &str = "<!-- `cargo xtask cancellation --write` writes what follows. -->\n";

/// `cargo xtask cancellation [--write]`.
pub(crate) fn run(args: &[String]) -> Result<()> {
    shell::only(args, &["--write"])?;
    python::build(false)?;
    let out = python::target().join("cancellation.md");
    if out.exists() {
        fs::remove_file(&out).with_context(|| out.display().to_string())?;
    }
    let mut command = shell::cargo(["nextest", "run", "--color", "never"]);
    command.args(["-p", "snakepit", "--all-features"]);
    command.args(["-E", "test(/^cancellation::/)"]);
    command.env("SNAKEPIT_CANCELLATION_OUT", &out);
    let (status, _) = shell::tee(&mut command)?;
    ensure!(status.success(), "there are failures, see above");
    let table = fs::read_to_string(&out).context("the test has written no table")?;
    println!("{table}");
    if args.iter().any(|arg| arg == "--write") {
        let path = shell::root().join(TABLE);
        let page = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        fs::write(path, with_table(&page, &table)?)?;
    }
    Ok(())
}

/// Replaces the table at the end of the page.
fn with_table(page: &str, table: &str) -> Result<String> {
    let (text, _) = page
        .split_once(MARK)
        .with_context(|| format!("{TABLE} has lost the line that its table stands behind"))?;
    Ok(format!("{text}{MARK}\n{table}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_table_is_replaced() {
        let page = format!("# Text\n\n{MARK}\nold\n");
        let new = with_table(&page, "new\n").unwrap();
        assert_eq!(new, format!("# Text\n\n{MARK}\nnew\n"));
        assert!(with_table("# Text\n", "new").is_err());
    }
}
