//! Checks that `docs/configuration.md` describes every key. `UPDATE_DOCS=1` writes it.

use std::fmt::Write as _;

use super::catalogue::{Key, Kind, Part, flat, of_host, of_pool, sample, toml};
use super::schema::check;

const INTRODUCTION: &str = include_str!("introduction.md");

/// The sources of the builders' methods.
const HOST_BUILDER: &str = concat!(
    include_str!("../../builder.rs"),
    include_str!("../../diagnostics.rs")
);
const POOL_BUILDER: &str = concat!(
    include_str!("../../pool_builder.rs"),
    include_str!("../../command_pool.rs")
);

fn has_method(source: &str, name: &str) -> bool {
    source.contains(&format!(" fn {name}(")) || source.contains(&format!(" fn {name}<"))
}

/// Returns the way to set a key of the host in code.
fn of_host_in_code(path: &[String]) -> String {
    match path {
        [one] if has_method(HOST_BUILDER, one) => format!("`SnakepitBuilder::{one}`"),
        [table, key] if table == "sessions" => {
            format!("`configure_state`: `state.sessions.{key}`")
        }
        [_, key] if path[0] == "host_tools" => format!("`configure_state`: `state.tools.{key}`"),
        _ => "`SnakepitBuilder::telemetry`".to_owned(),
    }
}

/// Returns the way to set a key of a pool in code.
fn of_pool_in_code(part: Part, path: &[String]) -> String {
    let [first, rest @ ..] = path else {
        return String::new();
    };
    match (first.as_str(), rest) {
        ("adapter", _) => "`PoolBuilder::new`".to_owned(),
        ("threads_per_worker", _) => "`PoolBuilder::profile`".to_owned(),
        ("tools", [_, key]) => format!("`PoolBuilder::tool`: `tool.{key}`"),
        (first, []) if has_method(POOL_BUILDER, first) => format!("`PoolBuilder::{first}`"),
        (first, [key]) if has_method(POOL_BUILDER, first) => {
            format!("`PoolBuilder::{first}`: `{key}`")
        }
        (_, _) if part == Part::Python => format!("`configure_python`: `python.{first}`"),
        ("env" | "inherit_env" | "dependent" | "containment" | "working_dir", _) => {
            format!("`configure_python`, `configure_command`: `{first}`")
        }
        _ => format!("`configure`: `pool.{}`", path.join(".")),
    }
}

/// Returns the type of a key and, where there is one, its unit.
fn kind(kind: &Kind) -> String {
    match kind {
        Kind::Flag => "`true` or `false`".to_owned(),
        Kind::Integer {
            least: 0,
            most: None,
        } => "integer".to_owned(),
        Kind::Integer { least, most: None } => format!("integer from {least}"),
        Kind::Integer {
            least,
            most: Some(most),
        } => format!("integer, {least} to {most}"),
        Kind::Number => "number".to_owned(),
        Kind::Duration => "duration (text, or seconds)".to_owned(),
        Kind::Size => "size (text, or bytes)".to_owned(),
        Kind::Text { .. } => "text".to_owned(),
        Kind::Words(words) => {
            let words: Vec<String> = words
                .iter()
                .map(|(word, _)| format!("`\"{word}\"`"))
                .collect();
            words.join(", ")
        }
        Kind::List(inner) => format!("list of {}", self::kind(inner)),
        Kind::Map(inner) => format!("table of {}", self::kind(inner)),
        Kind::Table(_) => "table".to_owned(),
    }
}

/// Returns the default: that of the struct, else the words after "Default:".
fn default(key: &Key) -> String {
    if !key.default.is_null() {
        return format!("`{}`", toml(&key.default));
    }
    let told = key.text.split_once("Default: ").map(|(_, rest)| rest);
    match told {
        Some(told) => {
            let told = told.split(';').next().unwrap_or(told);
            let told = told.split(". ").next().unwrap_or(told);
            told.trim_end_matches('.').to_owned()
        }
        None if key.text.contains("available parallelism") => "available parallelism".to_owned(),
        None => "–".to_owned(),
    }
}

fn row(page: &mut String, key: &Key, table: &str, in_code: &str) {
    let name = key.path.join(".");
    let variable = [table, &name]
        .iter()
        .filter(|it| !it.is_empty())
        .map(|it| it.to_uppercase())
        .collect::<Vec<_>>();
    let variable = variable.join(".").replace('.', "__");
    let mut text = key.text.clone();
    if let Kind::Words(words) = &key.kind {
        for (word, meaning) in words.iter().filter(|(_, meaning)| !meaning.is_empty()) {
            let _ = write!(text, " `\"{word}\"`: {meaning}");
        }
    }
    let cells = [
        format!("`{name}`"),
        kind(&key.kind),
        default(key),
        text,
        format!("`SNAKEPIT_{variable}`"),
        in_code.to_owned(),
        format!("`{}`", toml(&sample(key))),
    ];
    let cells = cells.map(|cell| cell.replace('|', "\\|"));
    let _ = writeln!(page, "| {} |", cells.join(" | "));
}

fn head(page: &mut String, title: &str, text: &str) {
    let _ = writeln!(
        page,
        "\n## {title}\n\n{text}\n\n\
         | key | type | default | meaning | variable | in code | example |\n\
         |---|---|---|---|---|---|---|"
    );
}

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    let host = of_host();
    let (tables, single): (Vec<_>, Vec<_>) = host
        .iter()
        .partition(|key| matches!(key.kind, Kind::Table(_)));
    head(
        &mut page,
        "The host",
        "These keys stand before the first table.",
    );
    for key in single {
        row(&mut page, key, "", &of_host_in_code(&key.path));
    }
    for table in tables {
        head(&mut page, &format!("`[{}]`", table.path[0]), &table.text);
        for key in flat(table) {
            row(&mut page, &key, "", &of_host_in_code(&key.path));
        }
    }
    for (part, title, text) in [
        (
            Part::All,
            "Every pool",
            "In `[pools.NAME]`, or in `[defaults]` for every pool.",
        ),
        (
            Part::Python,
            "Pools of Python workers",
            "These keys are for pools with an `adapter`.",
        ),
        (
            Part::Command,
            "Pools of commands",
            "These keys are for pools with a `command`, which need the feature `command`.",
        ),
    ] {
        let keys: Vec<Key> = of_pool()
            .into_iter()
            .filter(|(of, _)| *of == part)
            .map(|(_, key)| key)
            .collect();
        head(&mut page, title, text);
        for key in keys
            .iter()
            .filter(|key| flat(key).len() == 1 && flat(key)[0].path == key.path)
        {
            row(
                &mut page,
                key,
                "pools.main",
                &of_pool_in_code(part, &key.path),
            );
        }
        for table in keys.iter().filter(|key| flat(key)[0].path != key.path) {
            let inner = flat(table);
            let name = inner[0].path[..inner[0].path.len() - 1].join(".");
            head(&mut page, &format!("`[pools.NAME.{name}]`"), &table.text);
            for key in inner {
                row(
                    &mut page,
                    &key,
                    "pools.main",
                    &of_pool_in_code(part, &key.path),
                );
            }
        }
    }
    page
}

#[test]
fn the_page_of_settings_is_that_of_the_structs() {
    check("configuration.md", &page());
}
