//! Hosts killed at random moments: during start, under load, during shutdown.

use std::time::Duration;

use crate::oracle::Scene;
use crate::random::Random;
use crate::record::{Row, ms};
use crate::subject::Host;

/// Variable with the number of rounds.
pub(crate) const ROUNDS: &str = "SNAKEPIT_FAULT_ROUNDS";

/// Name, scenario, the mark at which it begins, and the most microseconds from then to the kill.
const PHASES: [(&str, &str, &str, u64); 3] = [
    ("during start", "load", "@starting", 300_000),
    ("under load", "load", "@ready", 300_000),
    ("during shutdown", "load_shutdown", "@closing", 30_000),
];

/// Variable with the seed of the random moments.
const SEED: &str = "SNAKEPIT_FAULT_SEED";

#[test]
fn row_00_hosts_killed_at_random_moments() {
    let rounds: u64 = std::env::var(ROUNDS).map_or(10, |text| text.parse().unwrap());
    let row = Row::new(
        0,
        "host with 8 workers under load killed at a random moment",
    );
    let seed =
        std::env::var(SEED).map_or(u64::from(std::process::id()), |text| text.parse().unwrap());
    println!("seed {seed}");
    let mut random = Random::new(seed);
    let scene = Scene::new();
    let mut worst = Duration::ZERO;
    let mut rounds_of = [0; PHASES.len()];
    for round in 0..rounds {
        // The first rounds cover each phase once; the others are random.
        let phase = match usize::try_from(round) {
            Ok(round) if round < PHASES.len() => round,
            _ => usize::try_from(random.below(3)).unwrap(),
        };
        rounds_of[phase] += 1;
        let (_, scenario, mark, spread) = PHASES[phase];
        let mut host = Host::start(&scene, scenario, 8);
        host.answer(mark);
        // The fault is the moment itself.
        std::thread::sleep(Duration::from_micros(random.below(spread))); // polls: the random moment itself
        host.kill();
        worst = worst.max(scene.none_left(Duration::from_millis(500)));
    }
    let (mut host, _) = Host::ready(&scene, "shutdown", 8);
    host.answer("@shut");
    assert!(host.wait().success(), "the next host starts clean");
    let counts: Vec<String> = PHASES
        .iter()
        .zip(rounds_of)
        .map(|((name, ..), count)| format!("{count} {name}"))
        .collect();
    let counts = counts.join(", ");
    println!("{counts}; worst {worst:?}");
    row.holds(format!(
        "{counts}; last worker gone after {} at worst",
        ms(worst)
    ));
    scene.clean(Duration::from_millis(500));
}
