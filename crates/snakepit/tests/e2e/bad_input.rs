//! Errors of wrong calls and adapters are precise, and nothing else breaks.

use serde::Serialize;
use snakepit::{BuildError, Error, ErrorCode, Report, Snakepit, ToolError, args};

use crate::support::{LONG, pool, pool_of, start};

/// Makes a call that must fail, returns its error, and checks that the worker still works.
async fn refused(snakepit: &Snakepit, tool: &str, args: impl Serialize) -> ToolError {
    let error = snakepit
        .execute::<snakepit::Value>(tool, args)
        .await
        .unwrap_err();
    assert_eq!(snakepit.execute::<i64>("later", (1,)).await.unwrap(), 2);
    match error {
        Error::Tool(error) => *error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn values_of_secret_arguments_are_not_shown() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tools.py");
    let code = concat!(
        "from snakepit_bridge import tool\n\n",
        "@tool\n",
        "def login(user: str, api_token: int = 0, more: dict[str, dict[str, int]] = {}) -> str:\n",
        "    return user\n",
    );
    std::fs::write(&path, code).unwrap();
    let pool = pool_of("main", path.to_str().unwrap());
    let snakepit = Snakepit::builder().pool(pool).start().await.unwrap();
    let nested = |name: &'static str| {
        let inner = std::collections::BTreeMap::from([(name, "hush-hush")]);
        std::collections::BTreeMap::from([("db", inner)])
    };
    for (args, shown) in [
        (
            args! { "user" => "ann", "api_token" => "hush-hush" },
            "`api_token` of tool `login` must be int, got string <redacted>",
        ),
        (
            args! { "user" => "ann", "more" => nested("password") },
            "`more[\"db\"][\"password\"]` of tool `login` must be int, got string <redacted>",
        ),
        (
            args! { "user" => "ann", "more" => nested("size") },
            "`more[\"db\"][\"size\"]` of tool `login` must be int, got string \"hush-hush\"",
        ),
        (
            args! { "user" => "ann", "more" => "password=hush-hush-1" },
            "`more` of tool `login` must be dict[str, dict[str, int]], got string \"password=<redacted>\"",
        ),
        (
            args! { "user" => 7 },
            "`user` of tool `login` must be str, got integer 7",
        ),
    ] {
        let error = snakepit.execute::<String>("login", args).await;
        let error = match error.unwrap_err() {
            Error::Tool(error) => error,
            other => panic!("{other:?}"),
        };
        assert_eq!(error.code, ErrorCode::WrongArgument);
        assert_eq!(error.message, format!("argument {shown}"));
    }
    snakepit.shutdown().await;
}

#[tokio::test]
async fn wrong_calls() {
    let snakepit = start(1).await;
    let error = refused(&snakepit, "maen", ()).await;
    assert_eq!(error.code, ErrorCode::UnknownTool);
    assert_eq!(error.message, "no tool is named `maen`");
    assert!(error.help.contains("mean"), "{}", error.help);

    let error = refused(&snakepit, "mean", args! { "xs" => "oops" }).await;
    assert_eq!(error.code, ErrorCode::WrongArgument);
    assert_eq!(
        error.message,
        "argument `xs` of tool `mean` must be list[float], got string \"oops\""
    );
    assert!(error.file.ends_with("tools.py") && error.line > 0);
    assert_eq!(error.source_line, "def mean(xs: list[float]) -> float");
    assert!(!error.help.is_empty());

    let error = refused(&snakepit, "mean", args! { "xs" => (1.0, "x") }).await;
    assert_eq!(
        error.message,
        "argument `xs[1]` of tool `mean` must be float, got string \"x\""
    );

    let error = refused(&snakepit, "mean", ()).await;
    assert_eq!(error.code, ErrorCode::MissingArgument);
    assert_eq!(
        error.message,
        "tool `mean` needs argument `xs` (list[float])"
    );

    let error = refused(&snakepit, "mean", args! { "xs" => [1.0], "y" => 1 }).await;
    assert_eq!(error.code, ErrorCode::UnknownArgument);
    assert_eq!(error.message, "tool `mean` has no argument `y`");

    let error = refused(&snakepit, "mean", 3).await;
    assert_eq!(error.code, ErrorCode::InvalidArguments);

    let error = refused(&snakepit, "unsendable", ()).await;
    assert_eq!(error.code, ErrorCode::UnsendableResult);
    assert!(error.message.contains("$[0].x"), "{}", error.message);
    snakepit.shutdown().await;
}

#[tokio::test]
async fn nesting_is_limited_both_ways() {
    let snakepit = start(1).await;
    let mut bytes = vec![0x91_u8; 100_000];
    bytes.push(0xc0);
    let deep = snakepit::Payload::from_msgpack(bytes);
    let raw = snakepit.default_pool().raw();
    let error = raw
        .execute("echo", deep, &snakepit::CallOptions::new())
        .await
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidPayload);
    let error = refused(&snakepit, "deep", (100_000,)).await;
    assert_eq!(error.code, ErrorCode::UnsendableResult);
    snakepit.shutdown().await;
}

#[tokio::test]
async fn text_that_is_not_utf8_is_refused() {
    let snakepit = start(1).await;
    let bad = snakepit::Payload::from_msgpack(vec![0x91, 0xa2, 0xff, 0xfe]);
    let raw = snakepit.default_pool().raw();
    let error = raw
        .execute("echo", bad, &snakepit::CallOptions::new())
        .await
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidPayload);
    assert_eq!(snakepit.execute::<i64>("later", (1,)).await.unwrap(), 2);
    snakepit.shutdown().await;
}

#[tokio::test]
async fn payloads_over_the_limit_fail_alone() {
    let pool = pool("main", 1).max_payload(100_000);
    let snakepit = Snakepit::builder().pool(pool).start().await.unwrap();
    let pid: i64 = snakepit.execute("pid", ()).await.unwrap();
    let large = snakepit::Bytes::from(vec![0_u8; 200_000]);
    let error = snakepit
        .execute::<snakepit::Bytes>("echo", (&large,))
        .await
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::PayloadTooLarge);
    let error = snakepit
        .execute::<snakepit::Bytes>("blob", (200_000,))
        .await
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::PayloadTooLarge);
    assert_eq!(
        snakepit.execute::<i64>("pid", ()).await.unwrap(),
        pid,
        "the worker lives on"
    );
    snakepit.shutdown().await;
}

/// Starts a host with this adapter, which must fail; returns code and report.
async fn failed_start(text: Option<&str>) -> (ErrorCode, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tools.py");
    if let Some(text) = text {
        std::fs::write(&file, text).unwrap();
    }
    let start = Snakepit::builder()
        .pool(pool_of("main", file.to_str().unwrap()))
        .start();
    let error = tokio::time::timeout(LONG, start)
        .await
        .unwrap()
        .unwrap_err();
    (error.code(), Report::from(&error).to_string())
}

#[tokio::test]
async fn adapters_that_cannot_be_loaded() {
    let (code, report) = failed_start(None).await;
    assert_eq!(code, ErrorCode::AdapterFailed, "{report}");
    assert!(report.contains("tools.py"), "{report}");

    let (code, report) = failed_start(Some("def broken(:\n    pass\n")).await;
    assert_eq!(code, ErrorCode::AdapterFailed, "{report}");
    assert!(report.contains("tools.py:1"), "{report}");

    let (code, report) = failed_start(Some("x = 1\nraise ValueError('no luck')\n")).await;
    assert_eq!(code, ErrorCode::AdapterFailed, "{report}");
    assert!(
        report.contains("no luck") && report.contains("tools.py"),
        "{report}"
    );

    let (code, report) = failed_start(Some("import no_such_module_at_all\n")).await;
    assert_eq!(code, ErrorCode::AdapterFailed, "{report}");
    assert!(report.contains("no_such_module_at_all"), "{report}");

    let (code, report) = failed_start(Some("x = 1\n")).await;
    assert_eq!(code, ErrorCode::NoTools, "{report}");
}

#[tokio::test]
async fn a_process_that_exits_during_its_start_tells_status_and_output() {
    let text = "import os, sys\nprint('last words', file=sys.stderr, flush=True)\nos._exit(3)\n";
    let (code, report) = failed_start(Some(text)).await;
    assert_eq!(code, ErrorCode::StartFailed, "{report}");
    assert!(
        report.contains("status 3") && report.contains("last words"),
        "{report}"
    );
}

#[tokio::test]
async fn settings_out_of_range_are_named() {
    for workers in [0, 1025] {
        let error = Snakepit::builder()
            .pool(pool("main", workers))
            .start()
            .await
            .unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidConfig);
        let expected = format!("`pools.main.workers` must be between 1 and 1024, got {workers}");
        assert_eq!(error.to_string(), expected);
    }
    let error = Snakepit::builder().start().await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidConfig);
    let twice = Snakepit::builder().pool(pool("a", 1)).pool(pool("a", 1));
    assert_eq!(
        twice.start().await.unwrap_err().code(),
        ErrorCode::InvalidConfig
    );
    let unknown = Snakepit::builder().pool(pool("a", 1)).default_pool("b");
    assert_eq!(
        unknown.start().await.unwrap_err().code(),
        ErrorCode::UnknownPool
    );
    let empty = Snakepit::builder().pool(pool_of("a", " "));
    assert_eq!(
        empty.start().await.unwrap_err().code(),
        ErrorCode::InvalidConfig
    );
}

#[tokio::test]
async fn an_interpreter_that_is_none_is_an_error_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("python");
    for path in [missing.to_str().unwrap(), "/bin/true"] {
        let start = Snakepit::builder()
            .pool(pool("main", 1).python(path))
            .start();
        let error = tokio::time::timeout(LONG, start)
            .await
            .unwrap()
            .unwrap_err();
        assert_eq!(error.code(), ErrorCode::NoInterpreter, "{error:?}");
        assert!(matches!(error, BuildError::Profile { .. }));
        assert!(Report::from(&error).to_string().contains(path), "{error:?}");
    }
}

/// A program that uses the library does not have the options of `snakepit`.
#[tokio::test]
async fn errors_do_not_speak_the_command_line() {
    let snakepit = start(1).await;
    let mut said = Vec::new();
    for (tool, args) in [
        ("mean", args! { "xs" => "oops" }),
        ("mean", args! {}),
        ("mean", args! { "xs" => [1.0], "y" => 1 }),
        ("maen", args! {}),
        ("count", args! { "limit" => 2 }),
    ] {
        let error = refused(&snakepit, tool, args).await;
        assert!(!error.help.is_empty(), "{error}");
        said.push(Report::from(&Error::Tool(Box::new(error))).to_string());
    }
    snakepit.shutdown().await;
    let refused = Snakepit::builder()
        .pool(pool("main", 1).python("/bin/true"))
        .start();
    said.push(Report::from(&refused.await.unwrap_err()).to_string());
    for text in said {
        for word in ["JSON", "`--", "snakepit call", "snakepit stream"] {
            assert!(!text.contains(word), "{word}: {text}");
        }
    }
}

#[tokio::test]
async fn a_failed_start_shows_the_last_output_of_its_worker() {
    let dir = tempfile::tempdir().unwrap();
    let adapter = dir.path().join("tools.py");
    let text = "import os\nprint('this far', flush=True)\nos._exit(7)\n";
    std::fs::write(&adapter, text).unwrap();
    let pool = pool_of("main", adapter.to_str().unwrap());
    let error = Snakepit::builder().pool(pool).start().await.unwrap_err();
    let shown = error.to_string();
    assert!(shown.starts_with("pool `main` did not start: "), "{shown}");
    assert!(shown.ends_with("\n  last output:\n    this far"), "{shown}");
}

#[tokio::test]
async fn a_bridge_that_is_not_there_is_an_error_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let none = dir.path().join("bridge");
    let pool = pool("main", 1).configure_python(|python| python.bridge_path = Some(none));
    let error = Snakepit::builder().pool(pool).start().await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::NoBridge, "{error:?}");
}
