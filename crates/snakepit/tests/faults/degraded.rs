//! The data directory disappears: running workers continue. The host restores it if possible;
//! otherwise nothing new is started, and the status reports that.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use snakepit::Snakepit;
use tokio::time::timeout;

use crate::oracle::Scene;
use crate::record::Row;
use crate::support::LONG;

fn degraded(snakepit: &Snakepit) -> Option<String> {
    snakepit.status()[0].containment.degraded.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn row_38_no_worker_is_started_that_cannot_be_recorded() {
    let row = Row::new(38, "data directory replaced by a file, then a worker dies");
    let scene = Scene::new();
    let snakepit = scene.host(scene.pool(2)).start().await.unwrap();
    assert_eq!(degraded(&snakepit), None);
    let workers = snakepit.workers();
    fs::remove_dir_all(scene.data()).unwrap();
    fs::write(scene.data(), "").unwrap();
    let victim = workers[0].pid.unwrap();
    kill(Pid::from_raw(victim.cast_signed()), Signal::SIGKILL).unwrap();
    let seen = async {
        while degraded(&snakepit).is_none() {
            // polls: a state without an event
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    };
    timeout(LONG, seen).await.unwrap();
    let left = workers[1].pid.unwrap();
    for _ in 0..10 {
        assert_eq!(snakepit.execute::<u32>("pid", ()).await.unwrap(), left);
    }
    assert_eq!(scene.left(), [left], "no worker without a record");
    fs::remove_file(scene.data()).unwrap();
    snakepit.shutdown().await;
    drop(snakepit);
    scene.clean(LONG);
    row.holds("the other worker serves, none is started, the status says why");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_38_a_worker_is_replaced_when_the_data_directory_is_gone() {
    let row = Row::new(38, "data directory deleted, then a worker dies");
    let scene = Scene::new();
    let snakepit = scene.host(scene.pool(2)).start().await.unwrap();
    let victim = snakepit.workers()[0].pid.unwrap();
    fs::remove_dir_all(scene.data()).unwrap();
    kill(Pid::from_raw(victim.cast_signed()), Signal::SIGKILL).unwrap();
    let replaced = async {
        // For a moment after its death the victim still counts as ready.
        let listed = || snakepit.workers().iter().any(|it| it.pid == Some(victim));
        while listed() || snakepit.status()[0].ready < 2 {
            // polls: a state without an event
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    };
    timeout(LONG, replaced).await.unwrap();
    assert_eq!(degraded(&snakepit), None);
    assert!(scene.data().join("runs").exists());
    snakepit.execute::<u32>("pid", ()).await.unwrap();
    scene.close(snakepit).await;
    row.holds("directory and socket are put back, the worker is replaced");
}
