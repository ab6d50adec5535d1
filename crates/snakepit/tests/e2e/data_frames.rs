//! Data frames in both directions, with real pandas, polars and pyarrow.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use schemars::JsonSchema;
use serde::Deserialize;
use snakepit::{
    DataFrame, DataFrameKind, Error, HostTool, NewVariable, Snakepit, Value, VariableType, args,
};

use crate::support::{pool_of, root};

/// An interpreter that has the libraries; that of the Python tests, unless the host's own has them.
pub(crate) fn python() -> Option<PathBuf> {
    let own = std::env::var_os("SNAKEPIT_PYTHON").map(PathBuf::from);
    let found = [own, Some(root().join(".venv/bin/python"))];
    let found = found.into_iter().flatten().find(|python| {
        let mut command = Command::new(python);
        command.args(["-c", "import pandas, polars, pyarrow"]);
        command.output().is_ok_and(|output| output.status.success())
    });
    if found.is_none() {
        let missing =
            "no interpreter has pandas, polars and pyarrow; `cargo xtask test python` makes one";
        assert!(std::env::var_os("CI").is_none(), "{missing}");
        // Past the capture of the test harness.
        let _ = std::io::stderr().write_fmt(format_args!("skipped: {missing}\n"));
    }
    found
}

pub(crate) async fn start(python: &PathBuf) -> Snakepit {
    let adapter = root().join("crates/snakepit/tests/e2e/frames.py");
    let pool = pool_of("frames", adapter.to_str().unwrap()).python(python);
    Snakepit::builder().pool(pool).start().await.unwrap()
}

pub(crate) fn batch() -> RecordBatch {
    let numbers: ArrayRef = Arc::new(Float64Array::from(vec![2.5, 1.5]));
    let counts: ArrayRef = Arc::new(Int64Array::from(vec![2, 1]));
    RecordBatch::try_from_iter([("x", numbers), ("n", counts)]).unwrap()
}

#[derive(Debug, PartialEq, Deserialize)]
struct Described {
    class: String,
    columns: Vec<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn record_batches_go_to_python_and_come_back() {
    let Some(python) = python() else { return };
    let snakepit = start(&python).await;
    let frame = DataFrame::try_from(&batch()).unwrap();
    for (kind, class) in [
        (DataFrameKind::Arrow, "pyarrow.Table"),
        (DataFrameKind::PandasFrame, "pandas.DataFrame"),
        (DataFrameKind::PolarsFrame, "polars.DataFrame"),
    ] {
        let frame = frame.clone().with_kind(kind);
        let got: Described = snakepit.execute("described", (&frame,)).await.unwrap();
        let columns = vec!["x".to_owned(), "n".to_owned()];
        let class = class.to_owned();
        assert_eq!(got, Described { class, columns });
    }
    let twice: DataFrame = snakepit
        .execute("doubled", args! { "value" => &frame })
        .await
        .unwrap();
    assert_eq!(twice.kind(), DataFrameKind::PandasFrame);
    let back = twice.batches().unwrap().next().unwrap().unwrap();
    let numbers = back.column_by_name("x").unwrap();
    assert_eq!(numbers.as_primitive::<Float64Type>().values(), &[5.0, 3.0]);
    let sorted: DataFrame = snakepit
        .execute("sorted_by", args! { "value" => &frame, "column" => "n" })
        .await
        .unwrap();
    let back = sorted.batches().unwrap().next().unwrap().unwrap();
    assert_eq!(back.column(1).as_primitive::<Int64Type>().values(), &[1, 2]);
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_python_sent_comes_back_to_it_as_it_was() {
    let Some(python) = python() else { return };
    let snakepit = start(&python).await;
    let frame: Value = snakepit.execute("indexed", ()).await.unwrap();
    let Value::DataFrame(inner) = &frame else {
        panic!("{frame}")
    };
    assert_eq!(inner.kind(), DataFrameKind::PandasFrame);
    assert!(
        snakepit
            .execute::<bool>("same_indexed", (&frame,))
            .await
            .unwrap()
    );
    let text = frame.json_text().unwrap().to_string();
    assert!(
        text.contains(r#""c":"x""#) && text.contains(r#""key":"a""#),
        "{text}"
    );
    let series: DataFrame = snakepit.execute("column", ()).await.unwrap();
    assert!(series.kind().is_column());
    let records = series.to_records().unwrap();
    assert_eq!(
        records,
        Value::List(vec![Value::Int(1), Value::Null, Value::Int(3)])
    );
    snakepit.shutdown().await;
}

#[derive(Deserialize, JsonSchema)]
struct Rows {
    frame: DataFrame,
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_cross_in_streams_batches_sessions_and_host_tools() {
    let Some(python) = python() else { return };
    let adapter = root().join("crates/snakepit/tests/e2e/frames.py");
    let pool = pool_of("frames", adapter.to_str().unwrap()).python(&python);
    let rows = HostTool::sync("rows", |_, Rows { frame }: Rows| {
        let batches = frame.batches()?.collect::<Result<Vec<_>, _>>()?;
        Ok(batches.iter().map(RecordBatch::num_rows).sum::<usize>())
    })
    .exposed();
    let with_rows = HostTool::sync("with_rows", |_, Rows { frame }: Rows| {
        let batches = Vec::<RecordBatch>::try_from(&frame)?;
        let again = DataFrame::from_batches(&batches[0].schema(), &batches)?;
        Ok(again.with_kind(frame.kind()))
    });
    let snakepit = Snakepit::builder()
        .pool(pool)
        .host_tool(rows)
        .host_tool(with_rows.exposed())
        .start()
        .await
        .unwrap();
    let mut stream = snakepit
        .execute_stream::<DataFrame>("parts", (3,))
        .await
        .unwrap()
        .record_batches();
    let mut numbers = Vec::new();
    while let Some(batch) = stream.next().await {
        let batch = batch.unwrap();
        numbers.extend_from_slice(batch.column(0).as_primitive::<Int64Type>().values());
    }
    assert_eq!(numbers, [0, 1, 1, 2, 2, 3]);
    let session = snakepit.session("s");
    let got: Value = session.execute("through_the_host", ()).await.unwrap();
    assert_eq!(got, Value::List(vec!["DataFrame".into(), Value::Int(2)]));
    let frame = DataFrame::try_from(&batch()).unwrap();
    let items = vec![(frame.clone(),), (frame,)];
    let mut many = snakepit.execute_many::<DataFrame, _>("doubled", items);
    while let Some(item) = many.next().await {
        assert_eq!(item.unwrap().kind(), DataFrameKind::PandasFrame);
    }
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_keep_frames_for_both_ends() {
    let Some(python) = python() else { return };
    let snakepit = start(&python).await;
    let session = snakepit.session("s");
    let kinds: Vec<String> = session.execute("remembered", ()).await.unwrap();
    let read = [
        "DataFrame",
        "DataFrame",
        "Table",
        "Series",
        "Series",
        "Int64Array",
        "Table",
    ];
    let expected: Vec<_> = read
        .into_iter()
        .flat_map(|kind| ["data_frame", kind])
        .collect();
    assert_eq!(kinds, expected);
    let state = session.state().unwrap();
    let variable = state.variable("polars").unwrap();
    assert_eq!(variable.kind, VariableType::DataFrame);
    let Value::DataFrame(frame) = &*variable.value else {
        panic!("{}", variable.value)
    };
    assert_eq!(frame.kind(), DataFrameKind::PolarsFrame);
    assert!(variable.value_bytes() >= frame.ipc().len());
    let frame = DataFrame::try_from(&batch()).unwrap();
    let frame = frame.with_kind(DataFrameKind::PandasFrame);
    let new = NewVariable::new("from_rust", VariableType::DataFrame, frame.clone());
    state.register(new).unwrap();
    let got: Value = session.execute("from_rust", ()).await.unwrap();
    let numbers = Value::List(vec![2.into(), 1.into()]);
    assert_eq!(got, Value::List(vec!["DataFrame".into(), numbers]));
    assert_eq!(state.set("from_rust", frame, Some(1)).unwrap().version, 2);
    let error = state.set("from_rust", 5, None).unwrap_err();
    assert_eq!(error.code().as_str(), "SP7103");
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_json_lacks_is_its_text_or_its_parts() {
    let Some(python) = python() else { return };
    let snakepit = start(&python).await;
    let rows = async |tool: &str| {
        let frame: DataFrame = snakepit.execute(tool, ()).await.unwrap();
        let Value::List(rows) = frame.to_records().unwrap() else {
            panic!("no rows")
        };
        rows
    };
    let stepped = rows("stepped").await;
    let days = stepped.iter().map(|row| row.get("day").cloned().unwrap());
    assert_eq!(days.collect::<Vec<_>>(), [10.into(), 8.into(), 6.into()]);
    for row in rows("periods").await {
        let Value::Map(pairs) = &row else {
            panic!("{row}")
        };
        for (name, text) in pairs {
            if let Value::Str(name) = name
                && let Some(name) = name.strip_suffix(" text")
            {
                assert_eq!(row.get(name), Some(text), "{name}");
            }
        }
        assert_eq!(row.get("month"), row.get("M text"));
    }
    let text = Value::List(rows("stand_ins").await)
        .json_text()
        .unwrap()
        .to_string();
    let first = r#"{"interval":{"left":0,"right":1,"closed":"right"},"uuid":"30313233-3435-3637-3839-616263646566","flag":true}"#;
    assert!(text.starts_with(&format!("[{first},")), "{text}");
    assert!(text.ends_with(r#""flag":false}]"#), "{text}");
    snakepit.shutdown().await;
}

#[expect(dead_code, reason = "its main function is not called here")]
#[path = "../../examples/dataframes.rs"]
mod example;

#[tokio::test(flavor = "multi_thread")]
async fn the_example_runs() {
    let Some(python) = python() else { return };
    let adapter = root().join("crates/snakepit/examples/dataframes.py");
    let pool = pool_of("main", adapter.to_str().unwrap()).python(&python);
    let lines = example::run(pool).await.unwrap();
    let expected = [
        r#"means (pandas.DataFrame): [{"symbol":"ants","price":3.0},{"symbol":"bees","price":5.0}]"#,
        r#"in another currency (polars.DataFrame): [{"symbol":"ants","price":1.0},{"symbol":"bees","price":10.0},{"symbol":"ants","price":2.0}]"#,
        "a part of 2 rows",
        "a part of 1 rows",
        r#"the last trade: {"symbol": "ants", "price": 4.0}"#,
    ];
    assert_eq!(lines, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_frames_are_refused_at_their_place() {
    let Some(python) = python() else { return };
    let snakepit = start(&python).await;
    let code = |error: Error| (error.code().as_str(), error.to_string());
    let error = snakepit.execute::<Value>("refused", ()).await.unwrap_err();
    let (number, text) = code(error);
    assert_eq!(number, "SP2007");
    assert!(text.contains("$['mixed']"), "{text}");
    let damaged = DataFrame::from_ipc(vec![255; 40]);
    let error = snakepit
        .execute::<Value>("doubled", args! { "value" => damaged })
        .await
        .unwrap_err();
    let (number, text) = code(error);
    assert_eq!(number, "SP2006");
    assert!(text.contains("argument `value`"), "{text}");
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(200 << 20)]));
    let large = RecordBatch::try_from_iter([("t", texts)]).unwrap();
    let large = DataFrame::try_from(&large).unwrap();
    let error = snakepit.execute::<Value>("described", (large,)).await;
    assert_eq!(code(error.unwrap_err()).0, "SP2005");
    snakepit.shutdown().await;
}
