//! Edges between the modules of a crate, and circles between the files of one module.

mod tables;

use std::collections::{BTreeMap, BTreeSet};

use super::{Violation, paths};
use tables::{CORE, NATIVE, Table};

/// The module whose files must not import each other in a circle.
const ACYCLIC: &str = "pool";

/// Parts of [`ACYCLIC`], from the bottom, and the parts that each must not use.
const PARTS: &[(&str, &[&str])] = &[
    ("pool/state", &["pool/shared", "pool/call", "pool/upkeep"]),
    ("pool/shared", &["pool/call", "pool/upkeep"]),
    ("pool/call", &["pool/upkeep"]),
    ("pool/upkeep", &["pool/call"]),
];

const HELP: &str = "import the item from its module, for example `value::Payload`";

/// A source file as a module.
struct File<'a> {
    name: &'a str,
    module: Vec<String>,
    paths: Vec<paths::Path>,
}

/// Checks the source files of the workspace, given as names and texts.
pub(super) fn check(files: &[(String, String)]) -> Vec<Violation> {
    let mut violations = rootless(files);
    violations.extend(edges(&read(files, &NATIVE), &NATIVE));
    let files = read(files, &CORE);
    violations.extend(edges(&files, &CORE));
    violations.extend(circles(&files));
    violations
}

/// Reads the files of the crate, without those that only tests have.
fn read<'a>(files: &'a [(String, String)], table: &Table) -> Vec<File<'a>> {
    let module = |name: &str| -> Option<Vec<String>> {
        let path = name.strip_prefix(table.sources)?.strip_suffix(".rs")?;
        let path = if path == "lib" { "" } else { path };
        Some(
            path.split('/')
                .filter(|it| !it.is_empty())
                .map(str::to_owned)
                .collect(),
        )
    };
    let mut declared = BTreeSet::from([Vec::new()]);
    let mut children = BTreeMap::new();
    for (name, text) in files {
        if let Some(module) = module(name) {
            let own = paths::modules(text);
            declared.extend(
                own.iter()
                    .map(|child| [module.as_slice(), std::slice::from_ref(child)].concat()),
            );
            children.insert(module, own);
        }
    }
    let known = |module: &[String]| (0..=module.len()).all(|n| declared.contains(&module[..n]));
    let files = files.iter().filter_map(|(name, text)| {
        let module = module(name).filter(|module| known(module))?;
        let paths = paths::of(&module, &children[&module], text);
        Some(File {
            name,
            module,
            paths,
        })
    });
    files.collect()
}

/// Finds names that other crates take from the root of the crate, where there are none.
fn rootless(files: &[(String, String)]) -> Vec<Violation> {
    let root = ["snakepit_core", "::"].concat();
    let capital = |rest: &str| rest.trim_start_matches('{').starts_with(char::is_uppercase);
    let lines = files.iter().flat_map(|(name, text)| {
        let lines = text.lines().enumerate();
        lines.map(move |(n, line)| (name, n + 1, line))
    });
    let lines = lines.filter(|(_, _, line)| line.split(&root).skip(1).any(capital));
    lines
        .map(|(name, line, _)| {
            let message = format!("`{root}` is followed by a name that is not a module");
            Violation::new(name, line, message, HELP)
        })
        .collect()
}

fn edges(files: &[File<'_>], table: &Table) -> Vec<Violation> {
    let place = |name: &str| table.edges.iter().position(|(module, _)| *module == name);
    let leaf = |name: &str| table.leaves.iter().position(|leaf| *leaf == name);
    let mut violations = Vec::new();
    for file in files {
        let Some(own) = file.module.first() else {
            continue;
        };
        let Some(row) = place(own) else {
            violations.push(Violation::new(
                file.name,
                0,
                format!("module `{own}` is not in the table of modules"),
                "add it to xtask/src/tidy/modules/tables.rs and to ARCHITECTURE.md",
            ));
            continue;
        };
        for path in &file.paths {
            let Some(to) = path.segments.first().filter(|to| *to != own) else {
                continue;
            };
            let (message, help) = if place(to).is_none() {
                let message = format!("`crate::{to}` is not a module of the table");
                (
                    message,
                    "import the item from its module, for example `crate::value::Payload`",
                )
            } else if match (leaf(own), leaf(to)) {
                (Some(own), Some(to)) => to < own,
                (None, Some(_)) => true,
                (_, None) => table.edges[row].1.contains(&to.as_str()),
            } {
                continue;
            } else {
                let message = format!("`{own}` must not use `{to}`");
                (message, "see the modules of the crate in ARCHITECTURE.md")
            };
            violations.push(Violation::new(file.name, path.line, message, help));
        }
    }
    violations
}

fn circles(files: &[File<'_>]) -> Vec<Violation> {
    let by_module: BTreeMap<&[String], usize> = files
        .iter()
        .enumerate()
        .map(|(n, file)| (&*file.module, n))
        .collect();
    // The file in which an item is, by way of re-exports.
    let place = |segments: &[String]| -> Option<usize> {
        let mut segments = segments.to_vec();
        // No chain of re-exports is as long as this, unless it is a circle of its own.
        for _ in 0..8 {
            let depth = (1..=segments.len())
                .rev()
                .find(|n| by_module.contains_key(&segments[..*n]))?;
            let file = by_module[&segments[..depth]];
            let exported = segments.get(depth).and_then(|name| {
                let exports = files[file].paths.iter().filter(|path| path.exported);
                exports
                    .into_iter()
                    .find(|path| path.segments.last() == Some(name))
            });
            match exported {
                Some(path) => segments = path.segments.clone(),
                None => return Some(file),
            }
        }
        None
    };
    let related = |a: &File<'_>, b: &File<'_>| {
        a.module.starts_with(&b.module) || b.module.starts_with(&a.module)
    };
    let mut graph: Vec<BTreeMap<usize, usize>> = vec![BTreeMap::new(); files.len()];
    for (from, file) in files.iter().enumerate() {
        if file.module.first().is_none_or(|own| own != ACYCLIC) {
            continue;
        }
        for path in file.paths.iter().filter(|path| !path.exported) {
            if let Some(to) = place(&path.segments)
                && !related(file, &files[to])
                && files[to].module.first() == file.module.first()
            {
                graph[from].entry(to).or_insert(path.line);
            }
        }
    }
    let reach = |from: usize| {
        let mut seen = BTreeSet::new();
        let mut open = vec![from];
        while let Some(next) = open.pop() {
            open.extend(graph[next].keys().filter(|to| seen.insert(**to)));
        }
        seen
    };
    let reach: Vec<_> = (0..files.len()).map(reach).collect();
    let short = |n: usize| files[n].name.trim_start_matches(CORE.sources);
    let mut violations = Vec::new();
    for (from, edges) in graph.iter().enumerate() {
        for (to, line) in edges {
            if let Some(part) = forbidden(short(from), short(*to)) {
                violations.push(Violation::new(
                    files[from].name,
                    *line,
                    format!("`{}` must not use `{part}`", short(from)),
                    "see the parts of the pool in ARCHITECTURE.md",
                ));
            }
        }
        for (to, line) in edges.iter().filter(|(to, _)| reach[**to].contains(&from)) {
            violations.push(Violation::new(
                files[from].name,
                *line,
                format!("`{}` imports `{}` in a circle", short(from), short(*to)),
                "move what both need into a file below them, or send an event",
            ));
        }
    }
    violations
}

/// Returns the part that the file `to` belongs to, if the file `from` must not use it.
fn forbidden(from: &str, to: &str) -> Option<&'static str> {
    let belongs = |file: &str, part: &str| {
        let rest = file.strip_prefix(part);
        rest.is_some_and(|rest| rest.starts_with(['/', '.']))
    };
    let (_, others) = PARTS.iter().find(|(part, _)| belongs(from, part))?;
    others.iter().copied().find(|part| belongs(to, part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<_> = files
            .iter()
            .map(|(name, text)| (format!("{}{name}", CORE.sources), (*text).to_owned()))
            .collect();
        check(&files).into_iter().map(|it| it.message).collect()
    }

    const LIB: (&str, &str) = (
        "lib.rs",
        "mod code;\nmod id;\npub mod value;\npub mod state;\npub mod pool;\n",
    );

    #[test]
    fn edges_outside_the_table_are_refused() {
        let value = |text: &'static str| messages(&[LIB, ("value.rs", text)]);
        assert!(value("use crate::code::ErrorCode;\nuse crate::value::Payload;\n").is_empty());
        assert_eq!(
            value("use crate::state::Session;\n"),
            ["`value` must not use `state`"]
        );
        assert_eq!(
            value("fn f(a: &crate::Payload) {}\n"),
            ["`crate::Payload` is not a module of the table"]
        );
        assert_eq!(
            messages(&[LIB, ("code.rs", "use crate::id::Slot;\n")]),
            ["`code` must not use `id`"]
        );
        let new = ("lib.rs", "mod new;\n");
        assert_eq!(
            messages(&[new, ("new.rs", "\n")]),
            ["module `new` is not in the table of modules"]
        );
    }

    #[test]
    fn the_worker_runtime_has_its_own_table() {
        let files = |text: &str| {
            let file =
                |name: &str, text: &str| (format!("{}{name}", NATIVE.sources), text.to_owned());
            check(&[
                file("lib.rs", "mod link;\nmod process;\n"),
                file("link.rs", "use crate::process::clock;\n"),
                file("process.rs", text),
            ])
        };
        assert!(files("\n").is_empty());
        let message = |it: &Violation| it.message.clone();
        let refused: Vec<_> = files("use crate::link::Link;\n")
            .iter()
            .map(message)
            .collect();
        assert_eq!(refused, ["`process` must not use `link`"]);
    }

    #[test]
    fn circles_of_files_are_found_also_through_exports() {
        let pool = (
            "pool.rs",
            "mod a;\nmod b;\nmod c;\npub use b::B;\nuse a::A;\n",
        );
        let b = ("pool/b.rs", "use super::c::C;\nuse crate::pool::Pool;\n");
        let c = ("pool/c.rs", "\n");
        let circle = [
            LIB,
            pool,
            ("pool/a.rs", "use super::B;\n"),
            b,
            ("pool/c.rs", "use super::a::A;\n"),
        ];
        assert_eq!(
            messages(&circle),
            [
                "`pool/a.rs` imports `pool/b.rs` in a circle",
                "`pool/b.rs` imports `pool/c.rs` in a circle",
                "`pool/c.rs` imports `pool/a.rs` in a circle"
            ]
        );
        assert!(messages(&[LIB, pool, ("pool/a.rs", "use super::B;\n"), b, c]).is_empty());
    }

    #[test]
    fn calls_and_upkeep_do_not_know_each_other() {
        let pool = ("pool.rs", "mod call;\nmod state;\nmod upkeep;\n");
        let call = ("pool/call.rs", "use crate::pool::state::State;\n");
        let state = ("pool/state.rs", "\n");
        let upkeep = ("pool/upkeep.rs", "use super::call::Lease;\n");
        assert_eq!(
            messages(&[LIB, pool, call, state, upkeep]),
            ["`pool/upkeep.rs` must not use `pool/call`"]
        );
        let state = ("pool/state.rs", "use crate::pool::upkeep::Monitor;\n");
        let found = messages(&[LIB, pool, state, ("pool/upkeep.rs", "\n")]);
        assert_eq!(found, ["`pool/state.rs` must not use `pool/upkeep`"]);
    }

    #[test]
    fn a_module_and_its_parts_may_use_each_other() {
        let pool = ("pool.rs", "mod a;\nuse a::A;\n");
        let a = ("pool/a.rs", "mod b;\nuse b::B;\nuse super::Pool;\n");
        let b = ("pool/a/b.rs", "use super::A;\nuse crate::pool::Pool;\n");
        assert!(messages(&[LIB, pool, a, b]).is_empty());
    }

    #[test]
    fn the_root_has_no_names() {
        let root = |rest: &str| format!("use {}{rest};\n", ["snakepit_core", "::"].concat());
        let found = |text: String| check(&[("docs/a.md".to_owned(), text)]).len();
        assert_eq!(found(root("value::Payload")), 0);
        assert_eq!(found(root("testing::{Script, ScriptedProfile}")), 0);
        assert_eq!(found(root("Payload")), 1);
        assert_eq!(found(root("{Payload, value::Value}")), 1);
    }

    #[test]
    fn files_of_tests_are_free() {
        let lib = ("lib.rs", "pub mod value;\n#[cfg(test)]\nmod model;\n");
        let files = [lib, ("value.rs", "#[cfg(test)]\nmod tests;\n")];
        let tests = [
            ("value/tests.rs", "use crate::pool;\n"),
            ("model.rs", "use crate::Any;\n"),
        ];
        assert!(messages(&[&files[..], &tests[..]].concat()).is_empty());
    }
}
