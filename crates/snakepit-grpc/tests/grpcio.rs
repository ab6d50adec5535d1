//! A Python client on `grpcio` that uses only our proto file, against a real server:
//! `python/tests/grpc`.
//!
//! The client needs packages from PyPI. Without them the test reports that and passes, except in
//! continuous integration (`CI=true`).
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "it/service/host.rs"]
mod host;
#[path = "it/venv.rs"]
mod venv;

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use snakepit_core::host_tools::HostStateConfig;
use snakepit_grpc::service::{ServeOptions, Token};

use crate::venv::{interpreter, run};

#[test]
fn row_83_and_84_grpcio_client_uses_every_rpc_and_rests_with_keepalive() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = match interpreter(
        &root.join("python/tests/grpc/requirements.txt"),
        "grpcio-venv",
    ) {
        Ok(python) => python,
        Err(reason) if std::env::var("CI").is_ok_and(|ci| ci == "true") => panic!("{reason}"),
        Err(reason) => {
            eprintln!("SKIP: grpcio is not there: {reason}");
            skipped(&format!("grpcio is not there: {}", last_line(&reason)));
            return;
        }
    };
    let directory = tempfile::tempdir().unwrap();
    let stubs = directory.path();
    let proto = root.join("proto");
    let out = |kind: &str| format!("--{kind}_out={}", stubs.display());
    let mut generate = Command::new(&python);
    generate
        .args(["-m", "grpc_tools.protoc", "-I"])
        .arg(&proto)
        .args([out("python"), out("grpc_python")])
        .arg(proto.join("snakepit_bridge.proto"));
    run(&mut generate).unwrap();

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _entered = runtime.enter();
    let (server, _state, _signals) = host::server(HostStateConfig::new());
    let (token, options) = (Token::generate().unwrap(), ServeOptions::new());
    let (tcp, unix) = runtime.block_on(async {
        let loopback = (Ipv4Addr::LOCALHOST, 0).into();
        let tcp = server.serve_tcp(loopback, token.clone(), &options);
        let unix = server.serve_unix(stubs.join("s/host.sock"), &options);
        (tcp.await.unwrap(), unix.await.unwrap())
    });
    let mut pytest = Command::new(&python);
    pytest
        .args([
            "-m",
            "pytest",
            "-q",
            "--color=no",
            "-p",
            "no:cacheprovider",
            "-c",
            "/dev/null",
        ])
        .args(["--confcutdir", ".", "--rootdir", ".", "."])
        .current_dir(root.join("python/tests/grpc"))
        .env("PYTHONPATH", stubs)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("SNAKEPIT_GRPC_TCP", tcp.address().to_string())
        .env("SNAKEPIT_GRPC_UNIX", unix.address().to_string())
        .env("SNAKEPIT_GRPC_TOKEN", token.secret());
    let output = run(&mut pytest);
    println!("{}", output.as_deref().unwrap_or_else(|failure| failure));
    assert!(output.is_ok(), "the client's tests have failed");
}

/// Reports to the table of faults that its rows were not examined.
fn skipped(why: &str) {
    let Some(out) = std::env::var_os("FAULTS_OUT") else {
        return;
    };
    let name = std::thread::current().name().unwrap().to_owned();
    fs::create_dir_all(&out).unwrap();
    let file = Path::new(&out).join(format!("skipped-{name}.txt"));
    fs::write(file, why).unwrap();
}

fn last_line(text: &str) -> &str {
    text.trim_end().lines().last().unwrap_or_default()
}
