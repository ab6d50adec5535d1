//! The paths in `ARCHITECTURE.md`: every one exists.

use super::Violation;

pub(super) const FILE: &str = "ARCHITECTURE.md";

/// The folders behind the abbreviations that the page explains.
const FOLDERS: &[(&str, &str)] = &[
    ("core/", "crates/snakepit-core/src/"),
    ("diag/", "crates/snakepit-diag/src/"),
    ("grpc/", "crates/snakepit-grpc/src/"),
    ("native/", "python/native/src/"),
    ("profiles/", "crates/snakepit-profiles/src/"),
    ("registry/", "crates/snakepit-registry/src/"),
    ("snakepit/", "crates/snakepit/src/"),
    ("snakepit_bridge/", "python/snakepit_bridge/"),
    ("telemetry/", "crates/snakepit-telemetry/src/"),
    ("walker/", "python/walker/src/"),
];

/// Folders of a running host, not of the repository.
const ELSEWHERE: &[&str] = &["s/", "s/admin"];

/// Finds paths of the page that do not exist. A path is text in backticks with a slash.
pub(super) fn check(page: &str, exists: impl Fn(&str) -> bool) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (number, line) in (1..).zip(page.lines()) {
        for path in line
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|text| is_path(text))
        {
            let mut folders = FOLDERS.iter();
            let full = folders.find_map(|(short, folder)| {
                path.strip_prefix(short)
                    .map(|rest| format!("{folder}{rest}"))
            });
            if !exists(full.as_deref().unwrap_or(path)) {
                violations.push(Violation::new(
                    FILE,
                    number,
                    format!("there is no `{path}`"),
                    "name the file as it is called now",
                ));
            }
        }
    }
    violations
}

fn is_path(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    text.contains('/')
        && !text.starts_with('/')
        && text.chars().all(plain)
        && !ELSEWHERE.contains(&text)
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn a_path_that_does_not_exist_is_found() {
        let page = "Read `core/pool.rs`,\nthen `core/gone.rs`, `cargo xtask tidy` and `docs/`.";
        let exists = |path: &str| ["crates/snakepit-core/src/pool.rs", "docs/"].contains(&path);
        let found: Vec<_> = check(page, exists)
            .into_iter()
            .map(|violation| (violation.line, violation.message))
            .collect();
        assert_eq!(found, [(2, "there is no `core/gone.rs`".to_owned())]);
    }
}
