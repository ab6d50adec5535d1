//! The page `docs/migrating.md`: the names in its tables are in its blocks, which are run.

use std::process::Command;

use snakepit::Config;

use crate::support::root;

fn page() -> String {
    std::fs::read_to_string(root().join("docs/migrating.md")).unwrap()
}

/// Returns the section with this title.
fn section<'a>(page: &'a str, title: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("\n## {title}\n")).unwrap();
    rest.split("\n## ").next().unwrap()
}

/// Returns the only block of a section in this language.
fn block<'a>(section: &'a str, language: &str) -> &'a str {
    let fence = format!("```{language}\n");
    let mut parts = section.split(&fence).skip(1);
    let block = parts.next().unwrap().split("```").next().unwrap();
    assert!(parts.next().is_none());
    block
}

/// Returns the names between back-ticks in the last column of a section's table.
fn names(section: &str) -> Vec<&str> {
    let rows = section
        .lines()
        .filter(|line| line.starts_with("| `") || line.starts_with("| "));
    let cells = rows
        .skip(1)
        .filter_map(|row| row.trim_end_matches(" |").rsplit(" | ").next());
    let names: Vec<&str> = cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    assert!(names.len() > 5, "{names:?}");
    names
}

#[test]
fn every_name_of_the_host_api_is_in_the_block_that_compiles() {
    let page = page();
    let section = section(&page, "Host API");
    let code = block(section, "rust,no_run");
    for name in names(section) {
        // `call(tool)` is found as a method, `HostTool::sync(name, f)` as a path.
        let name = name.split('(').next().unwrap();
        if name == "Stream" || name == "run_as_script" {
            continue;
        }
        let last = name.rsplit('.').next().unwrap();
        assert!(code.contains(last), "`{name}` is not in the block");
    }
}

#[test]
fn every_setting_is_in_the_file_that_loads() {
    let page = page();
    let section = section(&page, "Settings");
    let text = block(section, "toml");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("snakepit.toml");
    std::fs::write(&file, text).unwrap();
    let config = Config::load(&file).unwrap();
    assert_eq!(config.pools.len(), 2);
    for name in names(section) {
        let told = [format!("{name} = "), format!("[{name}]")];
        assert!(
            told.iter().any(|told| text.contains(told)),
            "`{name}` is not in the file"
        );
    }
}

#[test]
fn every_command_exists() {
    let page = page();
    for name in names(section(&page, "Commands")) {
        let words: Vec<&str> = name.split(' ').collect();
        assert_eq!(words[0], "snakepit", "{name}");
        let mut command = Command::new(env!("CARGO_BIN_EXE_snakepit"));
        let output = command.args(&words[1..2]).arg("--help").output().unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{name}");
        for option in &words[2..] {
            assert!(help.contains(option), "{name}");
        }
    }
}
