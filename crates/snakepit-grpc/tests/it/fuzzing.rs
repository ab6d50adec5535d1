//! The targets of `fuzz/` over their seeds, damaged seeds and arbitrary bytes.

#[path = "../../../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "it is a crate of its own elsewhere")]
mod targets;

use std::fs;
use std::path::Path;

use proptest::prelude::*;

type Target = fn(&[u8]);

const TARGETS: [(&str, Target); 11] = [
    ("frames", targets::frames),
    ("preamble", targets::preamble),
    ("heads", targets::heads),
    ("msgpack", targets::msgpack),
    ("arrays", targets::arrays),
    ("data_frames", targets::data_frames),
    ("json", targets::json),
    ("batches", targets::batches),
    ("any", targets::any),
    ("databases", targets::databases),
    ("walker", targets::walker),
];

/// Returns the seeds of each target.
fn seeds() -> Vec<(Target, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let mut seeds = Vec::new();
    for (name, target) in TARGETS {
        let before = seeds.len();
        for seed in fs::read_dir(root.join(name)).unwrap() {
            seeds.push((target, fs::read(seed.unwrap().path()).unwrap()));
        }
        assert!(seeds.len() > before, "{name} has no seeds");
    }
    seeds
}

#[test]
fn every_seed_passes() {
    for (target, seed) in seeds() {
        target(&seed);
        for end in 0..seed.len() {
            target(&seed[..end]);
        }
    }
}

/// A change to a seed: bytes replaced, doubled or removed.
#[derive(Clone, Debug)]
enum Damage {
    Replace(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Replace(at, byte)),
        (at(), prop::collection::vec(any::<u8>(), 1..9))
            .prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        (at(), 1..9_usize).prop_map(|(at, count)| Damage::Remove(at, count)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn damaged_seeds_pass(index: prop::sample::Index, damages in prop::collection::vec(damage(), 1..4)) {
        let seeds = seeds();
        let (target, mut bytes) = seeds[index.index(seeds.len())].clone();
        for damage in damages {
            let length = bytes.len();
            match damage {
                Damage::Replace(at, byte) if length > 0 => bytes[at.index(length)] = byte,
                Damage::Insert(at, new) => {
                    let at = at.index(length + 1);
                    bytes.splice(at..at, new);
                }
                Damage::Remove(at, count) if length > 0 => {
                    let at = at.index(length);
                    bytes.drain(at..length.min(at + count));
                }
                _ => {}
            }
        }
        target(&bytes);
    }

    #[test]
    fn arbitrary_bytes_pass(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for (_, target) in TARGETS {
            target(&bytes);
        }
    }
}
