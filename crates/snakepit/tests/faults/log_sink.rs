//! A host whose log is not read.

use std::io::Read as _;
use std::process::Stdio;
use std::time::Duration;

use nix::fcntl::{FcntlArg, fcntl};
use snakepit::{Snakepit, args};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::oracle::Scene;
use crate::record::Row;
use crate::subject::Host;

/// Calls that are timed together, and the number of such batches.
const CALLS: usize = 100;
const BATCHES: usize = 41;

/// Capacity of the pipe in bytes.
const PIPE: i32 = 4096;

/// Writes all events to stderr, synchronously on the thread that emits them.
pub(crate) fn install() {
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_writer(std::io::stderr)
        .init();
}

/// The subject: half of the workers write more than the log accepts while calls are timed.
pub(crate) async fn measure(snakepit: &Snakepit, workers: usize) {
    let mut shouts = JoinSet::new();
    for _ in 0..workers / 2 {
        let other = snakepit.clone();
        shouts.spawn(async move { other.execute::<i64>("shout", args! { "n" => 2000 }).await });
    }
    while let Some(shout) = shouts.join_next().await {
        shout.unwrap().unwrap();
    }
    println!("@loud");
    for _ in 0..BATCHES {
        let start = Instant::now();
        for _ in 0..CALLS {
            snakepit.execute::<i64>("pid", ()).await.unwrap();
        }
        println!("@batch {}", start.elapsed().as_micros());
    }
}

fn noisy(scene: &Scene) -> Host {
    let mut command = Host::command(scene, "noisy", 4);
    command.stderr(Stdio::piped());
    Host::spawn(command)
}

fn median(mut times: Vec<u64>) -> f64 {
    times.sort_unstable();
    let micros = u32::try_from(times[times.len() / 2]).unwrap();
    f64::from(micros)
}

#[test]
fn row_46_nobody_reads_the_log() {
    let row = Row::new(46, "the host's log is a pipe that is full");
    let scene = Scene::new();
    // Two hosts side by side, so that both have an equal share of the machine.
    let (mut blocked, mut read) = (noisy(&scene), noisy(&scene));
    let mut unread = blocked.errors();
    fcntl(&unread, FcntlArg::F_SETPIPE_SZ(PIPE)).unwrap();
    let mut log = read.errors();
    let reading = std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    blocked.answer("@loud");
    read.answer("@loud");
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..BATCHES {
        with.push(blocked.answer("@batch")[0].parse().unwrap());
        without.push(read.answer("@batch")[0].parse().unwrap());
    }
    let ratio = median(with) / median(without);
    // A blocking log would stop the calls for good; smaller differences are noise.
    assert!(ratio < 5.0, "calls took {ratio:.2} times as long");
    blocked.kill();
    read.kill();
    assert!(reading.join().unwrap().unwrap() > 0);
    let mut written = Vec::new();
    unread.read_to_end(&mut written).unwrap();
    let room = usize::try_from(PIPE).unwrap();
    assert!(
        written.len() + 256 > room,
        "the pipe was full: {}",
        written.len()
    );
    drop(unread);
    scene.clean(Duration::from_millis(500));
    row.holds(format!(
        "{} calls take {ratio:.2} times as long as beside it, where the log is read",
        BATCHES * CALLS
    ));
}
