//! Values that go on over several lines of a stream.

use super::super::{Stream, redact};

#[track_caller]
fn check(text: &str, expected: &str) {
    let mut stream = Stream::default();
    let shown = |line: &str| {
        let masked = stream.mask(line);
        redact(masked.as_deref().unwrap_or(line)).into_owned()
    };
    let lines: Vec<String> = text.lines().map(shown).collect();
    assert_eq!(lines.join("\n"), expected);
}

#[test]
fn a_value_goes_on_to_its_quote() {
    check(
        "start\npassword='''hunter\nmore x\nlast''' and\nall is well",
        "start\npassword='''<redacted>\n<redacted>\n<redacted>''' and\nall is well",
    );
    check(
        "password=\"\"\"\n  hunter\n\"\"\"\nall is well",
        "password=\"\"\"\n  <redacted>\n\"\"\"\nall is well",
    );
    check(
        "{'password': 'hunter\nmore', 'a': 1}\nall is well",
        "{'password': '<redacted>\n<redacted>', 'a': 1}\nall is well",
    );
}

#[test]
fn a_string_that_pprint_has_broken_is_one_value() {
    check(
        "{'a': 1,\n 'password': 'hunter and '\n             'more of '\n             'it'}\n 'all'",
        "{'a': 1,\n 'password': '<redacted>'\n             <redacted>'\n             <redacted>'}\n 'all'",
    );
}

#[test]
fn a_block_of_yaml_is_over_with_its_depth() {
    check(
        "db:\n  password: |\n    hunter\n    more\n  host: x",
        "db:\n  password: |\n    <redacted>\n    <redacted>\n  host: x",
    );
}

#[test]
fn a_value_may_be_printed_below_its_name() {
    check("Password:\nhunter2\nbye", "Password:\n<redacted>\nbye");
    check(
        "Password:\nall is well\nhunter2",
        "Password:\nall is well\nhunter2",
    );
}

#[test]
fn a_quote_that_is_not_closed_hides_a_few_lines_at_most() {
    let text = format!(
        "can't parse password: 'hunter{}",
        "\nall is well".repeat(12)
    );
    let mut stream = Stream::default();
    let shown: Vec<_> = text.lines().map(|line| stream.mask(line)).collect();
    assert!(
        shown[1].is_some() && shown[9..].iter().all(Option::is_none),
        "{shown:?}"
    );
}

#[test]
fn lines_without_secrets_stay() {
    let text = "print(\"password:\")\nprint('x')\nunknown token:\nthe next one\npassword: the one in the vault\nx";
    check(text, text);
}
