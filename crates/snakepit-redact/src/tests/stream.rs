//! Tests of values that continue over several lines of a stream.

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

#[test]
fn a_value_may_stand_in_the_line_below_its_name() {
    for (text, expected) in [
        (
            "{\n \"name\": \"DB_PASSWORD\",\n \"value\": \"hun ter\"\n}",
            "{\n \"name\": \"DB_PASSWORD\",\n \"value\": \"<redacted>\"\n}",
        ),
        (
            "- name: API_TOKEN\n  value: abcd1234\n- name: HOST\n  value: abcd1234",
            "- name: API_TOKEN\n  value: <redacted>\n- name: HOST\n  value: abcd1234",
        ),
        (
            "<password>\n  hun ter\n</password>\nbye",
            "<password>\n  <redacted>\n</password>\nbye",
        ),
        (
            "<key>password</key>\n<string>hun ter</string>\n<string>x</string>",
            "<key>password</key>\n<string><redacted></string>\n<string>x</string>",
        ),
        (
            "{\"password\":\n   \"hun ter\"}\n\"bye\"",
            "{\"password\":\n   \"<redacted>\"}\n\"bye\"",
        ),
        (
            "['--password',\n 'hun ter',\n 'bye']",
            "['--password',\n '<redacted>',\n 'bye']",
        ),
        (
            "Authorization: Bearer\n hush-hush-hush\nHost: x",
            "Authorization: Bearer\n <redacted>\nHost: x",
        ),
        (
            "1 validation error\npassword\n  Bad [type=x, input_value='hun ter', input_type=str]",
            "1 validation error\npassword\n  Bad [type=x, input_value='<redacted>', input_type=str]",
        ),
        (
            "machine h\n  login bob\n  password hunter\nbye",
            "machine h\n  login bob\n  password <redacted>\nbye",
        ),
    ] {
        check(text, expected);
    }
}

#[test]
fn a_list_of_values_goes_on_to_its_end() {
    check(
        "api_keys = [\n 'one two',\n 'three',\n 'four five',\n]\n'six'",
        "api_keys = [\n '<redacted>',\n '<redacted>',\n '<redacted>',\n]\n'six'",
    );
    check(
        "passwords:\n  - hunter2\n  - hunter3\n  - hunter4\nhosts:\n  - alpha1",
        "passwords:\n  - <redacted>\n  - <redacted>\n  - <redacted>\nhosts:\n  - alpha1",
    );
    check(
        "{'secrets': {'db': 'one',\n  'queue': 'two',\n  'mail': 'three'},\n 'a': 'four'}",
        "{'secrets': {'db': '<redacted>',\n  'queue': '<redacted>',\n  'mail': '<redacted>'},\n 'a': 'four'}",
    );
}

#[test]
fn a_list_that_is_not_closed_hides_a_bounded_number_of_lines() {
    let text = format!("api_keys = ['a'{}", ",\n'all is well'".repeat(200));
    let mut stream = Stream::default();
    let shown: Vec<_> = text.lines().map(|line| stream.mask(line)).collect();
    assert!(shown[1].is_some() && shown[150..].iter().all(Option::is_none));
}
