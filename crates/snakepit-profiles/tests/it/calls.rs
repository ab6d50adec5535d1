//! Calls, streams and shutdowns of live workers.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use snakepit_core::call::Request;
use snakepit_core::id::Slot;
use snakepit_core::value::Payload;
use snakepit_core::worker::{CallError, Worker};

use crate::stub::{gone, run};

const ECHO: &str = r"
ready(); watch_control()
serve(lambda kind, call, body: send(slot, 17, call, body=body))
";

fn request(bytes: &[u8]) -> Request {
    Request::new("echo", Payload::from_msgpack(bytes.to_vec()))
}

async fn call(worker: &Arc<dyn Worker>, bytes: &[u8]) -> Result<Payload, CallError> {
    Arc::clone(worker).call(Slot(0), request(bytes)).await
}

#[tokio::test]
async fn it_echoes_and_stops() {
    let worker = run(ECHO).await.unwrap();
    assert_eq!(worker.info().runtime, "cpython");
    let pid = worker.info().pid.unwrap();
    for size in [0, 1, 5000, 900_000] {
        let bytes = vec![1; size];
        assert_eq!(call(&worker, &bytes).await.unwrap().bytes, bytes);
    }
    let large = call(&worker, &vec![0; (1 << 20) + 1]).await.unwrap_err();
    assert!(matches!(large, CallError::TooLarge { .. }));
    assert!(call(&worker, b"x").await.is_ok());
    worker.stop(Duration::from_secs(10)).await;
    let exit = worker.closed().await;
    assert_eq!(exit.reason, "exited with status 0");
    assert!(exit.expected);
    let error = call(&worker, b"x").await.unwrap_err();
    assert!(
        matches!(
            error,
            CallError::Died {
                ambiguous: false,
                ..
            }
        ),
        "{error:?}"
    );
    gone(pid).await;
}

#[tokio::test]
async fn a_killed_worker_fails_its_call_with_the_signal() {
    let script = "ready(); watch_control(); \
                  serve(lambda *a: (print('dying', flush=True), os.kill(os.getpid(), 9)))";
    let worker = run(script).await.unwrap();
    let Err(CallError::Died { exit, ambiguous }) = call(&worker, b"x").await else {
        panic!("the worker is dead");
    };
    assert!(ambiguous && !exit.expected);
    assert_eq!(exit.reason, "killed by signal 9 (SIGKILL)");
    assert_eq!(exit.output, ["dying"]);
    assert_eq!(worker.closed().await, *exit);
}

#[tokio::test]
async fn a_stream_ends_with_the_signal_too() {
    let script = r"
def on_call(kind, call, body):
    send(slot, 19, call, body=b'\x01'); send(slot, 19, call, body=b'\x02')
    if body: os.kill(os.getpid(), 9)
    send(slot, 20, call)
ready(); watch_control(); serve(on_call)
";
    let worker = run(script).await.unwrap();
    let stream = Arc::clone(&worker)
        .stream(Slot(0), request(b""))
        .await
        .unwrap();
    assert_eq!(stream.collect::<Vec<_>>().await.len(), 2);
    let mut stream = Arc::clone(&worker)
        .stream(Slot(0), request(b"die"))
        .await
        .unwrap();
    assert!(stream.next().await.unwrap().is_ok() && stream.next().await.unwrap().is_ok());
    let error = stream.next().await.unwrap().unwrap_err();
    assert!(error.to_string().contains("SIGKILL"), "{error}");
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn cancel_reaches_a_busy_worker() {
    let script = r"
cancelled = threading.Event()
def on_call(kind, call, body):
    cancelled.wait()
    send(slot, 17, call, body=b'stopped')
ready(); watch_control(lambda call: cancelled.set()); serve(on_call)
";
    let worker = run(script).await.unwrap();
    let request = request(b"x");
    let id = request.call;
    let running = Arc::clone(&worker).call(Slot(0), request);
    let (result, ()) = tokio::join!(running, async { worker.cancel(id, Duration::from_secs(5)) });
    assert_eq!(result.unwrap().bytes.as_ref(), b"stopped");
}

#[tokio::test]
async fn a_worker_that_ignores_the_end_is_killed() {
    let script = "ready(); time.sleep(99)";
    let worker = run(script).await.unwrap();
    worker.stop(Duration::from_millis(50)).await;
    assert_eq!(
        worker.closed().await.reason,
        "killed by signal 15 (SIGTERM)"
    );
    let deaf = "import signal; signal.signal(15, signal.SIG_IGN); ready(); time.sleep(99)";
    let worker = run(deaf).await.unwrap();
    worker.stop(Duration::from_millis(50)).await;
    assert_eq!(worker.closed().await.reason, "killed by signal 9 (SIGKILL)");
    let again = run(script).await.unwrap();
    again.stop(Duration::ZERO).await;
    assert!(again.closed().await.expected);
}

#[tokio::test]
async fn garbage_kills_the_worker() {
    let script = "ready(); watch_control(); serve(lambda *a: slot.sendall(b'y' * 50))";
    let worker = run(script).await.unwrap();
    assert!(matches!(
        call(&worker, b"x").await,
        Err(CallError::Died { .. })
    ));
    let exit = worker.closed().await;
    assert!(
        exit.reason
            .starts_with("broke the protocol: unknown frame kind"),
        "{exit:?}"
    );
    assert!(!exit.expected);
}

#[tokio::test]
async fn a_dropped_worker_takes_its_children_along() {
    let script = r"
import subprocess
child = subprocess.Popen(['sleep', '99'])
ready(); watch_control()
serve(lambda kind, call, body: send(slot, 17, call, body=str(child.pid).encode()))
";
    let worker = run(script).await.unwrap();
    let child = call(&worker, b"").await.unwrap().bytes;
    let child: u32 = std::str::from_utf8(&child).unwrap().parse().unwrap();
    let pid = worker.info().pid.unwrap();
    drop(worker);
    gone(pid).await;
    // No process here may reap an orphan, so a zombie counts as gone.
    let stat = format!("/proc/{child}/stat");
    let dead = async {
        while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z")) {
            // polls: the end of an orphan
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), dead)
        .await
        .expect("the child is dead");
}

#[tokio::test]
async fn a_flood_of_output_does_not_block() {
    let script = r"
ready(); watch_control()
def on_call(kind, call, body):
    for _ in range(20000): print('x' * 79)
    send(slot, 17, call)
serve(on_call)
";
    let worker = run(script).await.unwrap();
    call(&worker, b"").await.unwrap();
}
