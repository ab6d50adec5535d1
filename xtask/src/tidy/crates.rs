//! Dependencies between crates, and their participation in the workspace's lints.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::Violation;

/// The allowed edges. Only dev-dependencies may point upwards.
const EDGES: &[(&str, &[&str])] = &[
    ("snakepit-core", &[]),
    ("snakepit-redact", &[]),
    ("snakepit-registry", &[]),
    ("snakepit-grpc", &["snakepit-core"]),
    ("snakepit-telemetry", &["snakepit-core"]),
    (
        "snakepit-profiles",
        &[
            "snakepit-core",
            "snakepit-grpc",
            "snakepit-redact",
            "snakepit-registry",
        ],
    ),
    ("snakepit-diag", &["snakepit-core", "snakepit-registry"]),
    (
        "snakepit",
        &[
            "snakepit-core",
            "snakepit-diag",
            "snakepit-grpc",
            "snakepit-profiles",
            "snakepit-registry",
            "snakepit-telemetry",
        ],
    ),
    ("snakepit-walker", &[]),
    (
        "snakepit-native",
        &["snakepit-grpc", "snakepit-redact", "snakepit-walker"],
    ),
];

/// Crates that may use everything; no crate depends on them.
const FREE: &[&str] = &["snakepit-benches", "xtask"];

/// Edges that require a feature, since the crate is useful without them.
const OPTIONAL: &[(&str, &str)] = &[
    ("snakepit-grpc", "snakepit-core"),
    ("snakepit-diag", "snakepit-registry"),
];

pub(super) fn check(metadata: &Value) -> Result<Vec<Violation>> {
    let packages = metadata["packages"]
        .as_array()
        .context("packages of cargo metadata")?;
    let names: Vec<&str> = packages
        .iter()
        .filter_map(|it| it["name"].as_str())
        .collect();
    let mut violations = Vec::new();
    for package in packages {
        let name = package["name"].as_str().context("name of a package")?;
        let file = manifest(package);
        let mut report = |message: String, help: &str| {
            violations.push(Violation::new(&file, 0, message, help));
        };
        if name != "xtask" && !inherits_lints(package) {
            report(
                format!("`{name}` leaves the workspace's lints out"),
                "add `[lints] workspace = true`",
            );
        }
        if FREE.contains(&name) {
            continue;
        }
        let Some((_, allowed)) = EDGES.iter().find(|(from, _)| *from == name) else {
            report(
                format!("`{name}` is not in the table of crates"),
                "add it to EDGES in xtask/src/tidy/crates.rs and to ARCHITECTURE.md",
            );
            continue;
        };
        for dependency in package["dependencies"].as_array().context("dependencies")? {
            let to = dependency["name"]
                .as_str()
                .context("name of a dependency")?;
            if !names.contains(&to) || dependency["kind"] == "dev" {
                continue;
            }
            if !allowed.contains(&to) {
                report(
                    format!("`{name}` must not depend on `{to}`"),
                    "see the crate graph in ARCHITECTURE.md",
                );
            } else if OPTIONAL.contains(&(name, to)) && dependency["optional"] != true {
                report(
                    format!("`{name}` must depend on `{to}` only by a feature"),
                    "set `optional = true`",
                );
            }
        }
    }
    Ok(violations)
}

/// Returns the folders of the workspace's crates.
pub(super) fn folders(metadata: &Value) -> Vec<PathBuf> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let manifests = packages.filter_map(|package| package["manifest_path"].as_str());
    manifests
        .filter_map(|path| Some(Path::new(path).parent()?.to_owned()))
        .collect()
}

fn manifest(package: &Value) -> String {
    let path = package["manifest_path"].as_str().unwrap_or_default();
    let root = crate::shell::root().to_string_lossy();
    path.strip_prefix(&*root)
        .unwrap_or(path)
        .trim_start_matches('/')
        .to_owned()
}

fn inherits_lints(package: &Value) -> bool {
    let path = package["manifest_path"].as_str().unwrap_or_default();
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split("[lints]").nth(1).is_some_and(|rest| {
        let section = rest.split("\n[").next().unwrap_or_default();
        section
            .lines()
            .any(|line| line.replace(' ', "") == "workspace=true")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Returns the messages for one package beside `snakepit-core`. Leaves out the rule about
    /// lints, which reads real manifests.
    fn messages(name: &str, dependency: Value) -> Vec<String> {
        let metadata = json!({"packages": [
            {"name": "snakepit-core", "manifest_path": "", "dependencies": []},
            {"name": name, "manifest_path": "", "dependencies": [dependency]},
        ]});
        let found = check(&metadata).unwrap().into_iter().map(|it| it.message);
        found.filter(|message| !message.contains("lints")).collect()
    }

    #[test]
    fn edges_outside_the_table_are_refused() {
        let core = json!({"name": "snakepit-core", "kind": null, "optional": false});
        assert!(messages("snakepit", core.clone()).is_empty());
        assert!(messages("snakepit-registry", core.clone())[0].contains("must not depend"));
        assert!(messages("snakepit-grpc", core.clone())[0].contains("only by a feature"));
        assert!(messages("snakepit-new", core)[0].contains("not in the table"));
    }

    #[test]
    fn edges_of_tests_and_to_other_crates_are_free() {
        let dev = json!({"name": "snakepit-core", "kind": "dev", "optional": false});
        assert!(messages("snakepit-registry", dev).is_empty());
        let other = json!({"name": "bytes", "kind": null, "optional": false});
        assert!(messages("snakepit-registry", other).is_empty());
    }
}
