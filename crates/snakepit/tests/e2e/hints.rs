//! Type hints: the examples of the documentation, and what is said of hints that are not checked.

use std::fs;
use std::path::Path;

use serde::Serialize;
use serde_json::Value as Json;
use snakepit::{Config, Error, ErrorCode, PoolBuilder, Report, Snakepit, args};

use crate::cli_support::{command, run};
use crate::support::pool_of;

const DOCS: &str = include_str!("../../../../docs/hints.md");

/// A line of the examples: parameter, argument as a shell reads it, and what the tool gets.
struct Example {
    parameter: String,
    argument: String,
    gets: String,
}

fn examples() -> Vec<Example> {
    let lines = DOCS.lines().filter(|line| line.starts_with("| `x:"));
    let examples = lines.map(|line| {
        let cells: Vec<_> = line.trim_matches(['|', ' ']).split(" | ").collect();
        let [parameter, argument, gets] = cells[..] else {
            panic!("{line}")
        };
        let plain = |cell: &str| cell.trim_matches('`').to_owned();
        Example {
            parameter: plain(parameter),
            argument: plain(argument).replace('\'', ""),
            gets: plain(gets),
        }
    });
    examples.collect()
}

fn adapter(examples: &[Example]) -> String {
    let definitions = DOCS.rsplit("```python\n").next().unwrap();
    let definitions = definitions.split("```").next().unwrap();
    let mut text = format!("from snakepit_bridge import tool\n{definitions}");
    for (index, example) in examples.iter().enumerate() {
        let parameter = &example.parameter;
        text += &format!("@tool\ndef t{index}({parameter}) -> str: return repr(x)\n");
    }
    text
}

#[test]
fn all_examples_of_the_documentation_can_be_called() {
    let (dir, examples) = (tempfile::tempdir().unwrap(), examples());
    assert!(examples.len() >= 40, "{}", examples.len());
    fs::write(dir.path().join("tools.py"), adapter(&examples)).unwrap();
    let listed = run(dir.path(), ["tools", "tools.py", "--json"]);
    assert_eq!(listed.status, Some(0), "{}", listed.stderr);
    assert!(!listed.stderr.contains("checked:"), "{}", listed.stderr);
    let tools: Vec<Json> = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(tools.len(), examples.len());
    for (tool, example) in tools.iter().zip(&examples) {
        let schema = &tool["parameters"]["properties"]["x"];
        let open = example.parameter == "x: Any";
        let empty = schema.as_object().is_none_or(serde_json::Map::is_empty);
        assert_eq!(empty, open, "{}: {schema}", example.parameter);
    }
    let all: Vec<_> = examples.iter().enumerate().collect();
    // Several at once: each starts a worker.
    for some in all.chunks(4) {
        let started = some.iter().map(|(index, example)| {
            let words = ["call", "tools.py", &format!("t{index}"), &example.argument];
            command(dir.path()).args(words).spawn().unwrap()
        });
        let started: Vec<_> = started.collect();
        for (child, (_, example)) in started.into_iter().zip(some) {
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            let Example { parameter, .. } = example;
            assert!(output.status.success(), "{parameter}: {said}");
            let got = String::from_utf8_lossy(&output.stdout);
            assert_eq!(got.trim_end(), example.gets, "{parameter}");
        }
    }
}

const ODD: &str = "from snakepit_bridge import tool\n
@tool
def f(a: int, b: 'Missing', c: list['Missing'] = []) -> int:
    return a
";

/// The refusal of an adapter, with its place.
async fn refused(pool: PoolBuilder) -> Option<(ErrorCode, String)> {
    match Snakepit::builder().pool(pool).start().await {
        Ok(snakepit) => {
            assert_eq!(snakepit.execute::<i64>("f", (1, 2)).await.unwrap(), 1);
            snakepit.shutdown().await;
            None
        }
        Err(error) => Some((error.code(), Report::from(&error).to_string())),
    }
}

#[tokio::test]
async fn strict_hints_refuse_an_adapter_with_file_line_parameter_and_reason() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tools.py");
    fs::write(&path, ODD).unwrap();
    let pool = pool_of("main", path.to_str().unwrap());
    assert!(refused(pool.clone()).await.is_none());
    let file = dir.path().join("snakepit.toml");
    let bridge = |pool: PoolBuilder| {
        pool.configure_python(|python| python.bridge_path = Some(crate::support::bridge().into()))
    };
    let configured = |text: &str| {
        fs::write(&file, text).unwrap();
        let config = Config::load(&file).unwrap();
        bridge(config.pools.into_iter().next().unwrap())
    };
    let main = "[pools.main]\nadapter = 'tools.py'\nworkers = 1\n";
    let everywhere = format!("[defaults]\nstrict_hints = true\n{main}");
    let own = format!("{main}strict_hints = true\n");
    for strict in [
        pool.clone().strict_hints(true),
        configured(&everywhere),
        configured(&own),
        pool.env("SNAKEPIT_STRICT_HINTS", "1"),
    ] {
        let (code, said) = refused(strict).await.unwrap();
        assert_eq!(code, ErrorCode::AdapterFailed, "{said}");
        for part in [
            "tools.py:4",
            "parameter `b` of tool `f` is not checked: `Missing` cannot be resolved",
            "annotate it with a type that is checked",
        ] {
            assert!(said.contains(part), "{said}");
        }
    }
    let off = format!("{everywhere}strict_hints = false\n");
    assert!(refused(configured(&off)).await.is_none());
}

#[test]
fn the_list_of_tools_says_what_is_not_checked() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("tools.py"), ODD).unwrap();
    let listed = run(dir.path(), ["tools", "tools.py"]);
    assert_eq!(listed.status, Some(0), "{}", listed.stderr);
    for line in [
        "    `b` is not checked: `Missing` cannot be resolved: NameError",
        "    `c` is only partly checked: `Missing` cannot be resolved: NameError",
    ] {
        assert!(listed.stdout.contains(line), "{}", listed.stdout);
    }
    let strict = command(dir.path())
        .args(["call", "tools.py:f", "a=1", "b=2"])
        .env("SNAKEPIT_STRICT_HINTS", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&strict.stderr);
    assert!(
        !strict.status.success() && said.contains("SP5003"),
        "{said}"
    );
}

const NESTED: &str = "from dataclasses import dataclass
from snakepit_bridge import tool

@dataclass
class Row:
    name: str
    sizes: dict[str, list[int]]

@tool
def f(x: list[Row]) -> int: return len(x)

@tool
def s(x: list[Row]):
    yield from range(len(x))

@tool
async def later(x: list[Row]) -> int: return len(x)

@tool
def numbers(x: dict[str, list[int]] | None) -> int: return 1
";

fn path(error: Error) -> (ErrorCode, String) {
    match error {
        Error::Tool(error) => (error.code, error.path),
        other => panic!("{other:?}"),
    }
}

#[derive(Serialize)]
struct Row {
    name: &'static str,
    sizes: std::collections::BTreeMap<&'static str, Vec<Json>>,
}

#[tokio::test]
async fn every_way_of_a_call_has_the_same_checks_and_paths() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tools.py");
    fs::write(&file, NESTED).unwrap();
    for calls in [0, 4] {
        let pool = pool_of("main", Path::to_str(&file).unwrap()).concurrency(calls);
        let snakepit = Snakepit::builder().pool(pool).start().await.unwrap();
        let row = |last: Json| Row {
            name: "a",
            sizes: [("b c", vec![Json::from(1), last])].into(),
        };
        let rows = |last: Json| args! { "x" => [row(1.into()), row(last)] };
        let expected = (
            ErrorCode::WrongArgument,
            "x[1].sizes[\"b c\"][1]".to_owned(),
        );
        let wrong = || rows(Json::from("2"));
        for tool in ["f", "later"] {
            let error = snakepit.execute::<i64>(tool, wrong()).await.unwrap_err();
            assert_eq!(path(error), expected, "{tool}");
            let session = snakepit.session("one");
            let error = session.execute::<i64>(tool, wrong()).await.unwrap_err();
            assert_eq!(path(error), expected, "{tool} in a session");
            let items = [rows(2.into()), wrong()];
            let mut many = snakepit.execute_many::<i64, _>(tool, items);
            assert_eq!(many.next().await.unwrap().unwrap(), 2);
            let error = many.next().await.unwrap().unwrap_err();
            assert_eq!(path(error), expected, "{tool} in a batch");
        }
        let stream = snakepit.execute_stream::<i64>("s", wrong()).await;
        let error = match stream {
            Err(error) => error,
            Ok(mut stream) => stream.next().await.unwrap().unwrap_err(),
        };
        assert_eq!(path(error), expected);
        // A violation of the schema is reported before anything is sent, with the same path.
        let sizes = args! { "x" => args! { "b c" => ["1"] } };
        let error = snakepit.execute::<i64>("numbers", sizes).await.unwrap_err();
        let place = (ErrorCode::WrongArgument, "x[\"b c\"][0]".to_owned());
        assert_eq!(path(error), place);
        snakepit.shutdown().await;
    }
}
