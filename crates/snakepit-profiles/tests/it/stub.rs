//! A worker runtime in plain Python, so that these tests need no compiled extension.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use snakepit_core::error::StartError;
use snakepit_core::events::Events;
use snakepit_core::worker::{StartContext, TelemetryControl, Worker, WorkerProfile as _};
use snakepit_profiles::{ProcessProfile, PythonConfig};

/// The common part of every script: the link, as specified in `proto/README.md`.
const COMMON: &str = r#"
import os, signal, socket, struct, sys, threading, time
env = os.environ
def dial(kind, token=None, raw=None):
    s = socket.socket(socket.AF_UNIX)
    s.connect(env["SNAKEPIT_WORKER_LINK"])
    worker = env["SNAKEPIT_WORKER_ID"].encode()
    token = token or bytes.fromhex(env["SNAKEPIT_WORKER_TOKEN"])
    s.sendall(raw or b"SNAKEPT1" + bytes([kind, 0, 0, 0]) + struct.pack("<H", len(worker)) + token + worker)
    return s
def exactly(s, n):
    data = b""
    while len(data) < n:
        more = s.recv(n - len(data))
        if not more:
            os._exit(0)
        data += more
    return data
def receive(s):
    kind, flags, _, head, body, call = struct.unpack("<BBHIQQ", exactly(s, 24))
    return kind, call, exactly(s, head), exactly(s, body)
def send(s, kind, call, head=b"", body=b"", flags=0):
    s.sendall(struct.pack("<BBHIQQ", kind, flags, 0, len(head), len(body), call) + head + body)
def text(number, value):
    value = value.encode()
    return bytes([number << 3 | 2, len(value)]) + value
DESCRIBED = b"\x08\x01" + text(2, "cpython") + text(3, "3.x")
control = slot = None
def connect():
    global control, slot
    # Held back since before the interpreter began.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
    control, slot = dial(1), dial(0)
def ready():
    connect()
    kind, call, _, _ = receive(slot)
    assert kind == 1
    send(slot, 16, call, DESCRIBED)
def watch_control(on_cancel=lambda call: None):
    def run():
        while True:
            kind, call, _, _ = receive(control)
            if kind == 32:
                on_cancel(call)
    threading.Thread(target=run, daemon=True).start()
def serve(on_call):
    while True:
        kind, call, head, body = receive(slot)
        if kind == 5:
            os._exit(0)
        on_call(kind, call, body)
"#;

/// Creates a profile whose workers run `script` after the common part.
pub(crate) async fn profile(dir: &Path, script: &str) -> ProcessProfile {
    let package = dir.join("snakepit_bridge");
    std::fs::create_dir_all(&package).unwrap();
    std::fs::write(package.join("__init__.py"), "").unwrap();
    std::fs::write(package.join("_native.abi3.so"), "").unwrap();
    std::fs::write(package.join("_boot.py"), format!("{COMMON}\n{script}")).unwrap();
    let mut config = PythonConfig::new("tools.py");
    config.bridge_path = Some(dir.to_owned());
    config.working_dir = Some(dir.to_owned());
    config.data_dir = Some(dir.join("pit"));
    ProcessProfile::new(config).await.unwrap()
}

/// Starts one worker.
pub(crate) async fn start(
    profile: &ProcessProfile,
    timeout: Duration,
) -> Result<Arc<dyn Worker>, StartError> {
    let context = StartContext {
        worker: "p-0".into(),
        pool: "p".into(),
        timeout,
        max_payload: 1 << 20,
        state: None,
        stacks: Duration::from_secs(1),
        events: Events::new(),
        telemetry: TelemetryControl::default(),
    };
    profile.start(context).await
}

/// Starts one worker with this script, with ample time.
pub(crate) async fn run(script: &str) -> Result<Arc<dyn Worker>, StartError> {
    let dir = tempfile::tempdir().unwrap();
    let profile = profile(dir.path(), script).await;
    start(&profile, Duration::from_secs(20)).await
}

/// Waits until the process is gone, not even a zombie.
pub(crate) async fn gone(pid: u32) {
    let proc = format!("/proc/{pid}");
    let wait = async {
        while Path::new(&proc).exists() {
            // polls: the end of a process that another process reaps
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait)
        .await
        .expect("the process is gone");
}
