//! The table of values holds in both directions, in every kind of call, and `docs/values.md` is
//! made of it.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use arrow_array::{RecordBatch, RecordBatchReader as _};
use serde::Deserialize;
use snakepit::{Error, ErrorCode, HostTool, Snakepit, Value, args};

use crate::support::{pool_of, root};
use crate::values_elements::{ELEMENTS, REFUSED};
use crate::values_table::{ROWS, Row, Sample};

/// Stand before and after what is generated.
const BEGIN: &str = "<!-- Generated from crates/snakepit/tests/e2e/values_table.rs: begin -->\n";
const END: &str = "<!-- Generated: end -->\n";

#[derive(Deserialize, schemars::JsonSchema)]
struct GiveBack {
    value: Value,
}

/// An interpreter with the libraries of the Python tests, or else the usual one.
fn interpreter() -> Option<PathBuf> {
    let own = std::env::var_os("SNAKEPIT_PYTHON").map(PathBuf::from);
    let found = [own, Some(root().join(".venv/bin/python"))];
    found.into_iter().flatten().find(|python| {
        let mut command = Command::new(python);
        command.args(["-c", "import numpy"]);
        command.output().is_ok_and(|output| output.status.success())
    })
}

async fn start() -> Snakepit {
    let adapter = format!("{}/tests/e2e/values_tools.py", env!("CARGO_MANIFEST_DIR"));
    let mut pool = pool_of("main", &adapter);
    if let Some(python) = interpreter() {
        pool = pool.python(&python);
    }
    let give_back = |_, GiveBack { value }: GiveBack| Ok(value);
    let builder = Snakepit::builder().pool(pool);
    let builder = builder.host_tool(HostTool::sync("give_back", give_back).exposed());
    builder.start().await.unwrap()
}

/// The libraries that the samples can use; with `CI` a missing one is a failure.
async fn libraries(snakepit: &Snakepit) -> HashSet<String> {
    let rows = ROWS.iter().map(|row| row.library);
    let wanted: HashSet<&str> = rows
        .chain(REFUSED.iter().map(|one| one.library))
        .flatten()
        .collect();
    let wanted: Vec<&str> = wanted.into_iter().collect();
    let there: Vec<String> = snakepit.execute("libraries", (&wanted,)).await.unwrap();
    let missing = wanted
        .iter()
        .filter(|name| !there.iter().any(|it| it == *name));
    for name in missing {
        let what = format!("no interpreter has {name}; `cargo xtask test python` makes one");
        assert!(std::env::var_os("CI").is_none(), "{what}");
        // Past the capture of the test harness.
        let _ = std::io::stderr().write_fmt(format_args!("skipped: {what}\n"));
    }
    there.into_iter().collect()
}

/// All samples whose library is there.
fn samples(there: &HashSet<String>) -> Vec<&'static Sample> {
    let usable = |library: Option<&str>| library.is_none_or(|name| there.contains(name));
    let rows = ROWS.iter().filter(|row| usable(row.library));
    let elements = ELEMENTS.iter().filter(|_| usable(Some("numpy")));
    rows.flat_map(|row| row.samples)
        .chain(elements.flat_map(|(.., samples)| *samples))
        .collect()
}

/// A value as text: not-a-number is equal to itself, and a data frame to one of the same columns,
/// whoever has written it.
fn text(value: &Value) -> String {
    match value {
        Value::DataFrame(frame) => {
            let batches = Vec::<RecordBatch>::try_from(frame).unwrap();
            let columns = batches.iter().map(RecordBatch::columns);
            let fields = frame.batches().unwrap().schema();
            let names: Vec<_> = fields.fields().iter().map(|field| field.name()).collect();
            format!(
                "{} {names:?} {:?}",
                frame.kind(),
                columns.collect::<Vec<_>>()
            )
        }
        Value::List(items) => format!("{:?}", items.iter().map(text).collect::<Vec<_>>()),
        other => format!("{other:?}"),
    }
}

/// Asserts that two values are equal.
fn assert_same(found: &Value, expected: &Value, what: &str) {
    assert!(
        found == expected || text(found) == text(expected),
        "{what}: {found:?}, expected {expected:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_value_of_the_table_survives_both_ways_in_every_kind_of_call() {
    let snakepit = start().await;
    let there = libraries(&snakepit).await;
    for Sample { sent, back, value } in samples(&there) {
        let (expected, back) = (value(), back.unwrap_or(sent));
        let differs = async |value: &Value, way: &str| {
            let found: String = snakepit.execute("differs", (back, value)).await.unwrap();
            assert_eq!(found, "", "{sent}, {way}");
        };
        // From Python to Rust and back.
        let found: Value = snakepit.execute("made", (sent,)).await.unwrap();
        assert_same(&found, &expected, sent);
        differs(&found, "from Python").await;
        // From Rust to Python and back.
        differs(&expected, "from Rust").await;
        let found: Value = snakepit.execute("echo", (&expected,)).await.unwrap();
        assert_same(&found, &expected, "result");
        let inside = args! { "value" => vec![expected.clone()] };
        let found: Vec<Value> = snakepit.execute("echo", inside).await.unwrap();
        assert_same(&found[0], &expected, "inside of a list");
        let mut chunks = snakepit
            .execute_stream::<Value>("twice", (&expected,))
            .await
            .unwrap();
        while let Some(chunk) = chunks.next().await {
            assert_same(&chunk.unwrap(), &expected, "stream");
        }
        let batch = [(expected.clone(),), (expected.clone(),)];
        let mut batch = snakepit.execute_many::<Value, _>("echo", batch);
        while let Some(item) = batch.next().await {
            assert_same(&item.unwrap(), &expected, "batch");
        }
        let found: Value = snakepit.execute("asked", (&expected,)).await.unwrap();
        assert_same(&found, &expected, "host tool");
        let session = snakepit.session("s");
        session.execute::<()>("kept", (&expected,)).await.unwrap();
        let state = session.state().unwrap();
        let kept = state.variable("kept").unwrap();
        assert_same(
            &kept.value,
            &Value::List(vec![expected.clone()]),
            "variable",
        );
        let again = state.variable("again").unwrap();
        assert_same(
            again.value.get("x").unwrap(),
            &expected,
            "variable, read again",
        );
    }
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_value_that_is_refused_says_what_to_do() {
    let snakepit = start().await;
    let there = libraries(&snakepit).await;
    let usable = |library: Option<&str>| library.is_none_or(|name| there.contains(name));
    for one in REFUSED.iter().filter(|one| usable(one.library)) {
        let sent = format!("{{'x': [{}]}}", one.sent);
        let error = snakepit
            .execute::<Value>("made", (sent,))
            .await
            .unwrap_err();
        assert_eq!(error.code(), ErrorCode::UnsendableResult, "{error}");
        let Error::Tool(tool) = &error else {
            panic!("{error}")
        };
        let text = format!("{} {} {}", tool.message, tool.path, tool.help);
        assert!(text.contains("$.x[0]"), "{text}");
        for part in one.says {
            assert!(text.contains(part), "{}: {text}", one.sent);
        }
    }
    snakepit.shutdown().await;
}

#[cfg(feature = "ndarray")]
#[tokio::test(flavor = "multi_thread")]
async fn arrays_of_ndarray_go_to_numpy_and_back() {
    use ndarray::{Array, Ix1, Ix2, array};
    use snakepit::{NdArray, Tensor};

    let snakepit = start().await;
    if !libraries(&snakepit).await.contains("numpy") {
        snakepit.shutdown().await;
        return;
    }
    let numbers = array![[1.0_f32, 2.0, 3.0], [4.0, 5.0, 6.0]];
    let sent = NdArray(numbers.clone());
    let NdArray(back): NdArray<f32, Ix2> = snakepit.execute("turned", (&sent,)).await.unwrap();
    assert_eq!(back, numbers.t());
    let large = Array::from_iter(0..1_000_000_i64);
    let tensor = Tensor::try_from(large.clone()).unwrap();
    let back: Option<Tensor> = snakepit.execute("turned", (tensor,)).await.unwrap();
    assert_eq!(back.unwrap().to_ndarray::<i64, Ix1>().unwrap(), large);
    let error = snakepit
        .execute::<NdArray<f64, Ix2>>("turned", (&sent,))
        .await;
    let error = error.unwrap_err();
    assert_eq!(error.code(), ErrorCode::UnexpectedType);
    let text = error.to_string();
    assert!(
        text.contains("float32 (shape [3, 2])") && text.contains("float64"),
        "{text}"
    );
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_vectors_of_sessions_stay_what_they_are() {
    let snakepit = start().await;
    let session = snakepit.session("s");
    let numbers: Vec<i64> = session.execute("numbers", ()).await.unwrap();
    assert_eq!(numbers, [1, 2, 3, 4]);
    let state = session.state().unwrap();
    let list = Value::List(numbers.into_iter().map(Value::Int).collect());
    assert_eq!(*state.variable("x").unwrap().value, list);
    let rows: Vec<Vec<f64>> = session.execute("rows", ()).await.unwrap();
    assert_eq!(rows, [[1.0, 2.0], [3.0, 4.0]]);
    snakepit.shutdown().await;
}

fn table() -> String {
    let mut page = "\n| Python | on the wire | back in Python | Rust (`Value`) | type of Rust |\n|---|---|---|---|---|\n".to_owned();
    for Row {
        python,
        wire,
        back,
        value,
        typed,
        ..
    } in ROWS
    {
        let line = writeln!(page, "| {python} | {wire} | {back} | {value} | {typed} |");
        line.unwrap();
    }
    page.push_str("| anything else | refused, SP2007 (result) or SP2006 | | | |\n");
    page.push_str("\nElement types of arrays:\n\n| numpy | Rust |\n|---|---|\n");
    for (numpy, rust, _) in ELEMENTS {
        writeln!(page, "| {numpy} | {rust} |").unwrap();
    }
    page.push_str("\nExamples, each tested in both directions:\n\n| sent by Python | read by Python | `Value` |\n|---|---|---|\n");
    let elements = ELEMENTS.iter().flat_map(|(.., samples)| *samples);
    for Sample { sent, back, value } in ROWS.iter().flat_map(|row| row.samples).chain(elements) {
        let back = back.map_or("the same".to_owned(), |back| format!("`{back}`"));
        let value = match value() {
            // The bytes of a stream are its writer's affair.
            Value::DataFrame(frame) => format!("<{}>", frame.kind()),
            value => value.to_string(),
        };
        writeln!(page, "| `{sent}` | {back} | `{value}` |").unwrap();
    }
    page.push_str("\nRefused:\n\n| value | the error message contains |\n|---|---|\n");
    for one in REFUSED {
        let part = |part: &&str| format!("`{}`", part.replace('|', "\\|"));
        let says: Vec<String> = one.says.iter().map(part).collect();
        writeln!(page, "| `{}` | {} |", one.sent, says.join(", ")).unwrap();
    }
    page.push('\n');
    page
}

/// `docs/values.md` says what is tried. `UPDATE_DOCS=1` writes it.
#[test]
fn the_page_of_values_is_up_to_date() {
    let path = root().join("docs/values.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (generated, after) = rest.split_once(END).unwrap();
    let fresh = table();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{fresh}{END}{after}")).unwrap();
        return;
    }
    assert!(
        generated == fresh,
        "docs/values.md is out of date: run this test with UPDATE_DOCS=1 and commit the page"
    );
}
