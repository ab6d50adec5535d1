//! Secrets do not spread from where they were set.

use std::fs;
use std::io::{self, Write};
use std::process::Command;
use std::sync::{Arc, Mutex};

use snakepit::{ErrorCode, args};

use crate::links::{report_tokens, token, variable};
use crate::oracle::{Scene, eventually_async};
use crate::record::Row;

const CANARY: &str = "canary-5f31c0d27e";

/// Everything that is logged at the finest level.
#[derive(Clone, Debug, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_85_no_secret_where_others_can_read() {
    let row = Row::new(
        85,
        "token and canaries in logs, command line, data directory",
    );
    let log = Captured::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .init();
    let scene = Scene::new();
    let pool = report_tokens(&scene, scene.pool(1).env("API_KEY", CANARY));
    let snakepit = scene.host(pool).start().await.unwrap();
    let pid = snakepit.workers()[0].pid.unwrap();
    assert_eq!(variable(pid, "API_KEY"), CANARY);
    let token = token(&scene);
    let arguments = args! { "ledger" => scene.text("ledger"), "text" => CANARY };
    let said: String = snakepit.execute("note", arguments).await.unwrap();
    assert_eq!(said, CANARY);
    let failed = snakepit.execute::<()>("fail", args! { "text" => CANARY });
    let error = failed.await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::ToolRaised);
    assert!(!error.to_string().contains(CANARY), "{error}");
    let wrong = snakepit.execute::<()>("fail", args! { "key" => CANARY });
    assert!(wrong.await.is_err());
    let died = snakepit.execute::<()>("die", args! { "how" => CANARY });
    assert_eq!(died.await.unwrap_err().code(), ErrorCode::WorkerDied);
    eventually_async("a worker is ready", || snakepit.status()[0].ready == 1).await;
    let line = fs::read(format!(
        "/proc/{}/cmdline",
        snakepit.workers()[0].pid.unwrap()
    ));
    let line = String::from_utf8_lossy(&line.unwrap()).into_owned();
    for secret in [CANARY, &token] {
        assert!(!line.contains(secret), "in a command line");
        let found = Command::new("grep")
            .args(["-r", "-q", "-s", "-a", "-D", "skip", secret])
            .arg(scene.data())
            .status()
            .unwrap();
        assert_eq!(found.code(), Some(1), "in the registry");
    }
    scene.close(snakepit).await;
    let log = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(log.contains("snakepit"), "something was logged");
    for secret in [CANARY, &token] {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "in the log");
    }
    let lines = log.lines().count();
    row.holds(format!(
        "in none of them; {lines} lines of log looked through"
    ));
}
