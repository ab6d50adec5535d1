//! One version of each crate in `Cargo.lock`.

use std::collections::{BTreeMap, BTreeSet};

use super::Violation;

/// Crates with several versions, and the reasons.
const DUPLICATES: &[(&str, &str)] = &[
    ("foldhash", "comes with `hashbrown`"),
    (
        "getrandom",
        "rand 0.9 below opentelemetry_sdk, and ring below tonic's TLS, are older than tempfile's",
    ),
    (
        "hashbrown",
        "petgraph and indexmap below prost-build disagree; only `xtask codegen` builds them",
    ),
    (
        "itertools",
        "criterion and prost-build are older than prost-derive and ratatui",
    ),
    ("r-efi", "comes with `getrandom`; UEFI alone"),
    (
        "rand",
        "opentelemetry_sdk has 0.9, proptest 0.10, and the code generators below lmdb-master-sys 0.8",
    ),
    ("rand_core", "comes with `rand`"),
    (
        "syn",
        "the derive macros of our dependencies are half-way from 2 to 3; build time only",
    ),
    (
        "unicode-width",
        "miette below protox is older than ratatui; only `xtask codegen` builds it",
    ),
    (
        "windows-sys",
        "ring is older than tokio; Windows alone, where nothing of this runs",
    ),
];

pub(super) fn check(lock: &str) -> Vec<Violation> {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in lock.split("[[package]]").skip(1) {
        let field = |name: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(name));
            line.map(|value| value.trim_matches([' ', '=', '"']))
        };
        if let (Some(name), Some(version)) = (field("name "), field("version ")) {
            versions.entry(name).or_default().insert(version);
        }
    }
    let mut violations = Vec::new();
    for (name, found) in &versions {
        let known = DUPLICATES.iter().any(|(known, _)| known == name);
        let list = found.iter().copied().collect::<Vec<_>>().join(", ");
        match (known, found.len()) {
            (false, 2..) => violations.push(Violation::new(
                "Cargo.lock",
                0,
                format!("`{name}` is there in several versions: {list}"),
                format!("see `cargo tree -i {name}@VERSION`; where it cannot be helped, give the reason in xtask/src/tidy/lock.rs"),
            )),
            (true, 1) => violations.push(Violation::new(
                "xtask/src/tidy/lock.rs",
                0,
                format!("`{name}` has one version again"),
                "remove it from DUPLICATES",
            )),
            _ => {}
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_version_is_reported() {
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n\n\
                    [[package]]\nname = \"a\"\nversion = \"2.0.0\"\n\n[[package]]\nname = \"b\"\nversion = \"1.0.0\"\n";
        let found: Vec<_> = check(lock).into_iter().map(|it| it.message).collect();
        let found: Vec<_> = found
            .iter()
            .filter(|message| message.contains("several"))
            .collect();
        assert_eq!(found, ["`a` is there in several versions: 1.0.0, 2.0.0"]);
    }
}
