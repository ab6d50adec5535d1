//! Reading of interpreters that are intact, damaged, or change meanwhile.

use proptest::prelude::*;
use snakepit_walker::Outcome;
use snakepit_walker::fuzzing::{KINDS, Sketch, walk};

#[test]
fn a_whole_interpreter_is_read_as_it_is() {
    for kind in 0..KINDS {
        let stacks = Sketch::of(kind).read_all();
        let [(busy, whole, lines), (idle, nothing, none)] = &stacks[..] else {
            panic!("kind {kind}: {stacks:?}");
        };
        assert_eq!((busy.ident, busy.holds_gil), (101, true), "kind {kind}");
        assert_eq!((idle.ident, idle.holds_gil), (102, false), "kind {kind}");
        assert_eq!(
            (whole, nothing),
            (&Outcome::Whole, &Outcome::Whole),
            "kind {kind}"
        );
        assert!(none.is_empty(), "kind {kind}: {none:?}");
        let lines: Vec<_> = lines
            .iter()
            .map(|(function, file, line)| (&**function, &**file, *line))
            .collect();
        let expected = [
            ("leaf", "tools.py", 11),
            ("generator", "tools.py", 21),
            ("outer", "tools.py", 31),
        ];
        assert_eq!(lines, expected, "kind {kind}");
    }
}

fn changes() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        any::<u64>(),
        Just(0),
        Just(u64::MAX),
        Just(u64::MAX - 7),
        (0x10_0000..0x11_0000_u64).prop_map(|address| address & !7),
    ];
    let place = prop_oneof![any::<u16>(), any::<u16>().prop_map(|place| place & !7)];
    let change = (place, word)
        .prop_map(|(place, word)| [&place.to_le_bytes()[..], &word.to_le_bytes()].concat());
    prop::collection::vec(change, 0..120).prop_map(|changes| changes.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn a_damaged_interpreter_is_read_or_refused(kind in 0..KINDS, before: u8, changes in changes()) {
        walk(&[&[kind, before][..], &changes].concat());
    }

    #[test]
    fn arbitrary_words_are_read_or_refused(words in prop::collection::vec(any::<u64>(), 0..300)) {
        let words: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        walk(&[&[KINDS, 0][..], &words].concat());
    }
}
