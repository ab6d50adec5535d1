//! Tests of the oracle itself: it must find a leak of each kind, and nothing without a leak.

use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use snakepit::args;
use tokio::task::JoinSet;

use crate::oracle::{COOKIE, Scene, eventually, gauges};
use crate::support::file;

/// Checks that the oracle, without waiting, reports exactly one leak of this kind.
#[track_caller]
fn sees(scene: &Scene, kind: &str) {
    let leaks = scene.leaks(Duration::ZERO);
    let [leak] = &leaks[..] else {
        panic!("one leak: {leaks:?}");
    };
    assert!(leak.starts_with(kind), "{leak}");
}

/// Returns whether each test has its own process, so that its counts are meaningful.
fn alone() -> bool {
    std::env::var_os("NEXTEST_EXECUTION_MODE").is_some()
}

#[test]
fn a_living_process_is_seen() {
    let scene = Scene::new();
    let mut child = Command::new("/bin/sleep")
        .arg("600")
        .env(COOKIE, &scene.cookie)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    eventually("it carries the mark", || !scene.left().is_empty());
    sees(&scene, "processes");
    child.kill().unwrap();
    child.wait().unwrap();
    scene.clean(Duration::ZERO);
}

#[test]
fn a_run_that_is_left_is_seen() {
    let scene = Scene::new();
    fs::create_dir_all(scene.data().join("runs/left")).unwrap();
    sees(&scene, "runs");
}

#[test]
fn a_zombie_is_seen() {
    if !alone() {
        return;
    }
    let scene = Scene::new();
    let mut child = Command::new("/bin/true").spawn().unwrap();
    eventually("it has ended", || !crate::support::alive(child.id()));
    sees(&scene, "zombies");
    child.wait().unwrap();
    scene.clean(Duration::ZERO);
}

#[test]
fn an_open_file_is_seen() {
    if !alone() {
        return;
    }
    let scene = Scene::new();
    let open = File::open("/dev/null").unwrap();
    sees(&scene, "descriptors");
    drop(open);
    scene.clean(Duration::ZERO);
}

#[test]
fn a_thread_that_goes_on_is_seen() {
    if !alone() {
        return;
    }
    let scene = Scene::new();
    let (sender, receiver) = mpsc::channel::<()>();
    let thread = std::thread::spawn(move || receiver.recv());
    sees(&scene, "threads");
    drop(sender);
    assert!(thread.join().unwrap().is_err());
    scene.clean(Duration::ZERO);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_goes_on_is_seen() {
    let scene = Scene::new();
    let snakepit = scene.host(scene.pool(1)).start().await.unwrap();
    let (other, mut calls) = (snakepit.clone(), JoinSet::new());
    let arguments = args! { "started" => scene.text("started"), "go" => scene.text("go") };
    calls.spawn(async move { other.execute::<i64>("wait", arguments).await });
    file(&scene.path("started")).await;
    assert_eq!(gauges(&snakepit), ["main: 0 queued, 1 running"]);
    fs::write(scene.path("go"), "go").unwrap();
    assert!(calls.join_next().await.unwrap().unwrap().is_ok());
    scene.close(snakepit).await;
}
