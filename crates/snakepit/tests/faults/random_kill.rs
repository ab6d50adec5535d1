//! The promise, at random moments: start, load, shutdown.

use std::time::Duration;

use tokio::time::Instant;

use crate::oracle::Scene;
use crate::record::{Row, ms};
use crate::subject::Host;

/// Variable with the number of rounds.
const ROUNDS: &str = "SNAKEPIT_FAULT_ROUNDS";

#[test]
fn row_00_hosts_killed_at_random_moments() {
    let rounds: u32 = std::env::var(ROUNDS).map_or(10, |text| text.parse().unwrap());
    let row = Row::new(
        0,
        "host with 8 workers under load killed at a random moment",
    );
    // The spread of the moments matters, not their secrecy.
    let mut seed = u64::from(std::process::id()) | 1;
    let mut random = move |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    let scene = Scene::new();
    let mut worst = Duration::ZERO;
    for round in 0..rounds {
        let scenario = ["load", "load_shutdown"][usize::from(round % 3 == 2)];
        let mut host = Host::start(&scene, scenario, 8);
        // A third dies while starting, a third under load, a third while shutting down.
        host.answer(if round % 3 == 0 {
            "@starting"
        } else {
            "@ready"
        });
        // The fault is the moment itself.
        std::thread::sleep(Duration::from_micros(random(300_000))); // polls: the random moment itself
        host.kill();
        let start = Instant::now();
        scene.none_left(Duration::from_millis(500));
        worst = worst.max(start.elapsed());
    }
    let (mut host, _) = Host::ready(&scene, "shutdown", 8);
    host.answer("@shut");
    assert!(host.wait().success(), "the next host starts clean");
    println!("{rounds} rounds, worst {worst:?}");
    row.holds(format!(
        "{rounds} rounds, last worker gone after {} at worst",
        ms(worst)
    ));
    scene.clean(Duration::from_millis(500));
}
