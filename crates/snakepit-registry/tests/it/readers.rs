//! Readers of a living host's records die at any moment.

use snakepit_registry::Registry;

use crate::roles::Helper;
use crate::support::{close, data_dir, open, sleeper, start};

#[test]
fn row_37_three_hundred_readers_killed_while_reading() {
    let (_dir, data) = data_dir();
    let registry = open(&data);
    let (first, _) = start(&registry, "first", &sleeper());
    first.ready().expect("ready");
    for turn in 0..30 {
        let mut readers: Vec<Helper> = (0..10)
            .map(|_| Helper::start(&[], "reader", &data))
            .collect();
        for reader in &mut readers {
            assert!(reader.answer("@read").is_some(), "it reads");
        }
        // The host writes while the readers read and die.
        let (child, _) = start(&registry, &format!("w{turn}"), &sleeper());
        drop(readers);
        child.release().expect("release");
    }
    let seen = Registry::inspect(&data).expect("inspect");
    assert_eq!(seen[0].problem, None);
    assert_eq!(seen[0].workers.len(), 1, "{seen:?}");
    first.release().expect("release");
    close(&registry);
}
