//! Failing starts, each with its own error.

use std::time::Duration;

use snakepit_core::error::ErrorCode;
use snakepit_core::worker::WorkerProfile as _;
use snakepit_profiles::{ProcessProfile, PythonConfig};

use crate::stub::{gone, profile, run, start};

#[tokio::test]
async fn a_worker_that_dies_tells_status_and_output() {
    let error = run("print('last words', file=sys.stderr); sys.exit(3)")
        .await
        .unwrap_err();
    assert_eq!(
        error.message,
        "worker `p-0` exited with status 3 before it was ready"
    );
    assert_eq!(error.exit.as_deref(), Some("exited with status 3"));
    assert_eq!(error.output, ["last words"]);
    assert!(error.help.is_some() && !error.permanent);

    let error = run("os.kill(os.getpid(), 11)").await.unwrap_err();
    assert!(
        error.message.contains("was killed by signal 11 (SIGSEGV)"),
        "{}",
        error.message
    );
}

#[tokio::test]
async fn a_missing_module_is_named() {
    let error = run("import numpyy.linalg").await.unwrap_err();
    assert!(
        error
            .help
            .as_deref()
            .unwrap()
            .contains("what provides `numpyy`")
    );
    assert!(error.permanent);
}

#[tokio::test]
async fn a_silent_worker_is_killed_when_time_is_up() {
    let dir = tempfile::tempdir().unwrap();
    let script =
        "open('pid', 'w').write(str(os.getpid())); os.rename('pid', 'there'); time.sleep(99)";
    let profile = profile(dir.path(), script).await;
    let error = start(&profile, Duration::from_millis(1500))
        .await
        .unwrap_err();
    assert!(
        error.message.contains("did not connect within 1.5s"),
        "{}",
        error.message
    );
    assert!(!error.permanent);
    let pid = std::fs::read_to_string(dir.path().join("there"))
        .unwrap()
        .parse()
        .unwrap();
    gone(pid).await;
}

#[tokio::test]
async fn a_worker_that_loads_for_ever_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let profile = profile(dir.path(), "connect(); time.sleep(99)").await;
    let error = start(&profile, Duration::from_millis(1500))
        .await
        .unwrap_err();
    assert!(
        error
            .message
            .contains("did not load `tools.py` within 1.5s"),
        "{}",
        error.message
    );
}

#[tokio::test]
async fn dropping_a_start_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let script =
        "open('pid', 'w').write(str(os.getpid())); os.rename('pid', 'there'); time.sleep(99)";
    let profile = profile(dir.path(), script).await;
    let there = dir.path().join("there");
    let appears = async {
        while !there.exists() {
            // polls: the file that the worker writes
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        result = start(&profile, Duration::from_secs(20)) => panic!("{result:?}"),
        () = appears => {}
    }
    gone(std::fs::read_to_string(there).unwrap().parse().unwrap()).await;
}

#[tokio::test]
async fn an_adapter_error_is_passed_on_and_permanent() {
    let script = "connect(); receive(slot); send(slot, 18, 0, text(1, 'SP5004') + \
                  text(4, 'no tools') + text(11, 'add one')); sys.exit(1)";
    let error = run(script).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::NoTools);
    assert_eq!(error.help.as_deref(), Some("add one"));
    assert_eq!(
        error.exit, None,
        "the reason is known, its exit says no more"
    );
    assert_eq!(error.tool_error.unwrap().message, "no tools");
    assert!(error.permanent);
}

#[tokio::test]
async fn another_link_version_is_refused() {
    let script = "connect(); receive(slot); send(slot, 16, 0, b'\\x08\\x09'); time.sleep(99)";
    let error = run(script).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::NoBridge);
    assert!(error.message.contains("link version 9"));
}

#[tokio::test]
async fn garbage_instead_of_a_description() {
    let error = run("connect(); receive(slot); slot.sendall(b'x' * 99); time.sleep(99)").await;
    let error = error.unwrap_err();
    assert_eq!(error.code, ErrorCode::Protocol);
    assert!(
        error.message.contains("unknown frame kind 120"),
        "{}",
        error.message
    );
}

#[tokio::test]
async fn strangers_on_the_socket_do_not_disturb() {
    let script = r"
dial(0, token=b'x' * 32)
dial(0, raw=b'GET / HTTP/1.1\r\n' + b'x' * 100)
hang = dial(0, raw=b'SNAK')
ready()
second = dial(0)
assert second.recv(1) == b''
serve(lambda kind, call, body: send(slot, 17, call, body=body))
";
    let worker = run(script).await.unwrap();
    worker.stop(Duration::from_secs(5)).await;
    assert!(worker.closed().await.expected);
}

#[tokio::test]
async fn bad_settings_fail_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = PythonConfig::new("tools.py");
    config.working_dir = Some(dir.path().join("missing"));
    let error = ProcessProfile::new(config).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidConfig);

    let mut config = PythonConfig::new("tools.py");
    config.bridge_path = Some(dir.path().to_owned());
    let error = ProcessProfile::new(config).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::NoBridge);
    assert!(error.help.unwrap().contains("cargo xtask python"));

    let mut config = PythonConfig::new("tools.py");
    config.interpreter = Some(dir.path().join("python"));
    let error = ProcessProfile::new(config).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::NoInterpreter);
}

#[tokio::test]
async fn a_worker_has_one_slot() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(profile(dir.path(), "").await.slots().get(), 1);
}
