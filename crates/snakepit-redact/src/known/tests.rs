//! Tests of values that are known to be secret.

use std::time::Duration;

use super::*;
use crate::MASK;
use crate::tests::computed;

fn known(values: &[&str]) -> Known {
    let known = Known::default();
    for value in values {
        known.add(value).unwrap();
    }
    known
}

#[test]
fn a_value_is_masked_wherever_it_stands() {
    let known = known(&["correct horse", "battery/staple+9"]);
    let text = "it was correct horse, and xbattery/staple+9x";
    assert_eq!(known.redact(text), "it was <redacted>, and x<redacted>x");
    assert_eq!(known.mask(text), "it was <redacted>, and x<redacted>x");
}

#[test]
fn escaped_forms_of_a_value_are_masked() {
    let known = known(&["it's \"a\" <b>\\c/ü9&"]);
    for text in [
        r#"'it\'s "a" <b>\\c/ü9&'"#,
        r#"b'it\'s "a" <b>\\c/\xc3\xbc9&'"#,
        r#"{"x": "it's \"a\" <b>\\c/\u00fc9&"}"#,
        r#"{"x": "it's \"a\" <b>\\c/ü9&"}"#,
        r#"{"x": "it's \"a\" <b>\\c\/ü9&"}"#,
        r#""{\"x\": \"it's \\\"a\\\" <b>\\\\c/ü9&\"}""#,
        r#""{\"x\": \"it's \\\"a\\\" <b>\\\\c/\u00fc9&\"}""#,
        r#""{\"x\": \"it's \\\"a\\\" <b>\\\\c/\\u00fc9&\"}""#,
        "?q=it%27s%20%22a%22%20%3Cb%3E%5Cc%2F%C3%BC9%26&r=1",
        "?q=it%27s+%22a%22+%3Cb%3E%5Cc%2F%C3%BC9%26&r=1",
        "?q=it%27s%20%22a%22%20%3cb%3e%5cc/%c3%bc9%26&r=1",
        "<p>it&#x27;s &quot;a&quot; &lt;b&gt;\\c/ü9&amp;</p>",
    ] {
        let masked = known.mask(text);
        let inner = ["it", "s", "a", "b", "c"];
        let outside = masked.replace("<redacted>", "");
        assert!(masked.contains("<redacted>"), "{text} became {masked}");
        assert!(
            !inner.iter().all(|part| outside.contains(part)),
            "{text} became {masked}"
        );
    }
}

#[test]
fn a_backslash_before_an_escaped_character_belongs_to_the_value() {
    let known = known(&[
        "Qa1Ws2\\\u{c9}d3Rf4",
        "Zz1Wsw2\\\u{1f600}d3d4",
        "U7BT4d'K4bLqt",
    ]);
    for text in [
        r"Qa1Ws2\&#201;d3Rf4",
        r"Qa1Ws2\&#xC9;d3Rf4",
        r"Qa1Ws2\\xc9d3Rf4",
        r"Qa1Ws2\\\\xc9d3Rf4",
        r"Zz1Wsw2\&#128512;d3d4",
        r"Zz1Wsw2\\U0001f600d3d4",
        r"U7BT4d&amp;#x27;\&amp;#x27;&amp;#x27;K4bLqt",
    ] {
        assert_eq!(known.mask(text), "<redacted>", "{text}");
    }
}

#[test]
fn base64_of_a_longer_text_hides_the_value() {
    use base64::Engine as _;
    let known = known(&["correcthorsebattery"]);
    for before in ["", "u", "us", "usr:"] {
        let text = format!("{before}correcthorsebattery:and more");
        let encoded = base64::engine::general_purpose::STANDARD.encode(&text);
        let masked = known.mask(&encoded);
        assert!(masked.contains("<redacted>"), "{masked}");
        assert!(
            masked.len() < encoded.len() - 10,
            "{encoded} became {masked}"
        );
    }
}

#[test]
fn each_line_of_a_value_is_masked() {
    let known = known(&["-- first line\nthe second\nend\n"]);
    assert_eq!(known.mask("-- first line"), "<redacted>");
    assert_eq!(known.mask("x the second y"), "x <redacted> y");
    assert_eq!(known.mask("the end"), "the end");
}

#[test]
fn colours_within_a_value_change_nothing() {
    let known = known(&["correcthorse"]);
    assert_eq!(known.mask("a correct\u{1b}[1mhorse b"), "a <redacted> b");
}

#[test]
fn number_and_size_of_values_are_bounded() {
    let known = Known::default();
    assert_eq!(known.add("abc"), Err(Refused::Short));
    assert_eq!(known.add(&"x".repeat(GIVEN.bytes + 1)), Err(Refused::Full));
    for n in 0..GIVEN.values {
        known.add(&format!("value {n}")).unwrap();
    }
    assert_eq!(known.add("one more"), Err(Refused::Full));
    assert_eq!(known.add("value 0"), Ok(()));
    assert_eq!(format!("{known:?}"), "Known { values: 64, .. }");
}

#[test]
fn variables_with_names_of_secrets_have_known_values() {
    let known = Known::of_variables([
        ("DB_PASSWORD", "hunter2 and more"),
        ("API_KEY_2", "0123abcd4567"),
        ("SECRET_KEY_BASE", "correcthorsebattery"),
        ("ADMIN_PASSWORD", "changeme"),
        ("MY_TOKEN", "1234567890"),
        ("PASSWORD", "short"),
        ("GPG_KEY", "A035C8C19219BA821ECEA86B64E628F8D684696D"),
        ("OLDPWD", "/srv/somebody"),
        ("TOKENIZERS_PARALLELISM", "disabled"),
        ("HOME", "correcthorse"),
    ]);
    let text = "hunter2 and more 0123abcd4567 correcthorsebattery";
    assert_eq!(known.mask(text), "<redacted> <redacted> <redacted>");
    for text in [
        "changeme",
        "1234567890",
        "short",
        "A035C8C19219BA821ECEA86B64E628F8D684696D",
        "/srv/somebody",
        "correcthorse",
    ] {
        assert_eq!(known.mask(text), text);
    }
}

#[test]
fn keys_of_services_and_logins_in_addresses_are_known() {
    let known = Known::of_variables([
        ("STRIPE_KEY", "stripekey0123"),
        ("DEPLOY_SSH_KEY_PROD", "sshkey012345"),
        ("LICENSE_KEY", "license-0123"),
        ("SUDO_PASS", "pass-word-0123"),
        ("X_AUTH", "authauth0123"),
        ("DATABASE_URL", "postgres://user:p%40ssw0rd-9@host/db"),
        (
            "SENTRY_DSN",
            "https://0123456789abcdef0123@o1.ingest.sentry.io/2",
        ),
        ("REDIS_URL", "redis://:redis-pass-1@host:6379"),
    ]);
    for text in [
        "stripekey0123",
        "sshkey012345",
        "license-0123",
        "pass-word-0123",
        "authauth0123",
        "p%40ssw0rd-9",
        "p@ssw0rd-9",
        "0123456789abcdef0123",
        "redis-pass-1",
    ] {
        assert_eq!(known.mask(text), MASK, "{text}");
    }
    let known = Known::of_variables([
        ("SORT_KEY", "created_at_0"),
        ("PUBLIC_KEY", "0123456789ab"),
        ("X_AUTH", "kerberos"),
        ("COMPASS", "north-0123"),
        ("BASE_URL", "https://example.org/a:b@c0123456789abcdef"),
        ("DATABASE_URL", "postgres://postgres:postgres@localhost/db"),
        ("GIT_URL", "ssh://git@host/x"),
    ]);
    assert_eq!(known.read().len(), 0);
}

/// Asserts that nothing of a value is left of its form in a text.
#[track_caller]
fn is_hidden(known: &Known, form: &str) {
    let text = format!("form {form} end");
    assert_eq!(known.mask(&text), "form <redacted> end", "{form}");
}

#[test]
fn each_way_to_write_a_value_is_masked() {
    let known = known(&["it's \"a\" <b>\\c/ü&9$\u{1f600}"]);
    for form in [
        // `printf %q`, `bash -x`, and a shell without UTF-8.
        r#"it\'s\ \"a\"\ \<b\>\\c/ü\&9\$😀"#,
        r#"'it'\''s "a" <b>\c/ü&9$😀'"#,
        r#"$'it\'s "a" <b>\\c/\303\274&9$\360\237\230\200'"#,
        r#"'it'"'"'s "a" <b>\c/ü&9$😀'"#,
        // Markup.
        "it&apos;s &#34;a&#34; &lt;b&gt;\\c/&#252;&amp;9$&#x1F600;",
        "it&#39;s &quot;a&quot; &#60;b&#62;\\c/&#xfc;&#38;9$😀",
        // JSON of Go and .NET, `ascii`, and literals of Rust and JavaScript.
        r#"it's \"a\" \u003cb\u003e\\c/ü\u00269$😀"#,
        r#"it\u0027s \u0022a\u0022 \u003Cb\u003E\\c/\u00FC\u00269$\uD83D\uDE00"#,
        r#"it\'s "a" <b>\\c/\xfc&9$\U0001f600"#,
        r#"it's \"a\" <b>\\c/\u{fc}&9$\u{1f600}"#,
        // URLs, once and twice.
        "it%27s+%22a%22+%3Cb%3E%5Cc%2F%C3%BC%269%24%F0%9F%98%80",
        "it%2527s%2520%2522a%2522%2520%253Cb%253E%255Cc%252F%25C3%25BC%25269%2524%25F0%259F%2598%2580",
        // Several ways in one text.
        r#"it%27s \"a\" &lt;b\u003e\\c/\xc3\xbc&amp;9$😀"#,
        r#"it&#39;s \\\"a\\\" \\u003cb\\u003e\\\\c/ü&amp;9$😀"#,
        // Doubled quotes of SQL and CSV.
        r#"it''s ""a"" <b>\c/ü&9$😀"#,
    ] {
        let inner = form.trim_start_matches('$');
        let inner = inner
            .strip_prefix('\'')
            .and_then(|it| it.strip_suffix('\''));
        is_hidden(&known, inner.unwrap_or(form));
    }
}

#[test]
fn escapes_around_a_value_and_in_it_hide_nothing() {
    for value in [
        "nsecret-41",
        "41 and more",
        r"C:\new\table%41&amp;",
        "'quoted'",
    ] {
        let known = known(&[value]);
        for before in [
            "", "\\", "%", "%25", "100%", "&", "'", "\\\\", "\u{e9}", "\\x",
        ] {
            for after in ["", "'", ";", "41", "\\"] {
                let text = format!("{before}{value}{after}");
                assert!(!known.mask(&text).contains(value), "{text}");
            }
        }
        let json = serde_json::to_string(value).unwrap();
        assert_eq!(known.mask(&json), "\"<redacted>\"");
        let json = serde_json::to_string(&json).unwrap();
        assert!(known.mask(&json).ends_with("<redacted>\\\"\""), "{json}");
    }
}

#[test]
fn values_with_invisible_and_control_characters_are_masked() {
    let value = "pass\u{200b}word\u{1b}[1m-nine\u{7}";
    let known = known(&[value]);
    for form in [
        value,
        r"pass\u200bword\x1b[1m-nine\x07",
        r"pass\u200bword\u001b[1m-nine\u0007",
        r"pass\342\200\213word\E[1m-nine\a",
        "pass%E2%80%8Bword%1B%5B1m-nine%07",
    ] {
        is_hidden(&known, form);
    }
    // As a terminal shows it.
    assert_eq!(known.mask("password-nine\u{7}"), MASK);
}

#[test]
fn no_part_of_overlapping_values_is_left() {
    let known = known(&["one-and-two", "two-and-three", "and-three"]);
    let text = "x one-and-two-and-three y";
    assert_eq!(known.mask(text), "x <redacted> y");
    assert_eq!(known.mask("two-and-three"), MASK);
}

#[test]
fn short_values_are_masked_in_their_escaped_forms() {
    let known = known(&["a'b4"]);
    for text in [r"a\'b4", "a%27b4", "a&#39;b4", r"a\u0027b4"] {
        is_hidden(&known, text);
    }
}

#[test]
fn a_worker_and_its_host_count_alike() {
    let variables = |count: usize| {
        let names = (0..count).map(|n| (format!("TOKEN_{n}"), format!("value-{n}-of-a-variable")));
        let names: Vec<_> = names.collect();
        Known::of_variables(names.iter().map(|(name, value)| (&**name, &**value)))
    };
    let worker = Known::over(Arc::new(variables(70)), None);
    let host = Known::over(Arc::new(variables(2)), Some(Arc::new(Known::shared())));
    for known in [&worker, &host] {
        for n in 0..GIVEN.values {
            known.add(&format!("value-{n}-of-a-variable")).unwrap();
        }
        assert_eq!(known.add("one more"), Err(Refused::Full));
        assert_eq!(known.mask("value-63-of-a-variable"), MASK);
    }
    assert_eq!(worker.mask("value-69-of-a-variable"), MASK);
}

#[test]
fn variables_without_room_are_counted() {
    let count = SHARED.values + 3;
    let variables = (0..count).map(|n| (format!("TOKEN_{n}"), format!("value-{n}-x")));
    let variables: Vec<_> = variables.collect();
    let known = Known::of_variables(variables.iter().map(|(name, value)| (&**name, &**value)));
    assert_eq!(known.left_out(), 3);
}

#[test]
fn workers_of_a_host_mask_what_one_of_them_gives() {
    let shared = Arc::new(Known::shared());
    let worker = || Known::over(Arc::default(), Some(Arc::clone(&shared)));
    let (one, other) = (worker(), worker());
    one.add("correcthorse").unwrap();
    one.add("short").unwrap();
    assert_eq!(other.mask("a correcthorse"), "a <redacted>");
    assert_eq!(
        worker().redact("a correcthorse"),
        "a <redacted>",
        "a later worker"
    );
    assert_eq!(other.mask("a short one"), "a short one");
    // Names of types are a worker's own matter.
    assert_eq!(one.mask_name("correcthorseError"), "<redacted>Error");
    assert_eq!(other.mask_name("correcthorseError"), "correcthorseError");
    for n in 0..GIVEN.values * 6 {
        let _ = worker().add(&format!("value number {n}"));
    }
    let last = worker();
    last.add("the last value").unwrap();
    assert_eq!(last.mask("the last value"), MASK, "its own set has room");
}

/// Repeats hostile parts: time grows with the length of the text, whatever the values are.
#[test]
fn known_values_are_found_in_linear_time() {
    let known = Known::default();
    for n in 4..60 {
        known.add(&"a".repeat(n)).unwrap();
    }
    known.add(&"\\%25'".repeat(100)).unwrap();
    // Almost all of a value is before and behind each ellipsis.
    known.add(&format!("b{}b", "a".repeat(4_000))).unwrap();
    let parts = [
        "…",
        "a…",
        "aaaaaaaaaaaaaaaa…\"\"\"\"\"\"\"\"aaaaaaaaaaaaaaaa",
        "a",
        "\\",
        "%",
        "%25",
        "&",
        "&amp;",
        "&#",
        "'",
        "\"",
        "''",
        "'\"'\"'",
        "\\x",
        "\\x61",
        "\\u00e9",
        "\\xe9",
        "\\u{",
        "\\ud83d",
        "\u{1b}[1m",
        "\u{200b}",
        "a\u{1b}[1m",
        "\\%25'",
        "é",
    ];
    for part in parts {
        let cost = |size: usize| {
            let text = part.repeat(size);
            let began = computed();
            let _ = known.mask(&text);
            computed() - began
        };
        cost(100);
        let small = (0..3).map(|_| cost(2_000)).min().expect("three");
        // Eight times the text: quadratic would be 64 times as much.
        let most = 30 * small + Duration::from_millis(50);
        let large: Vec<_> = (0..3)
            .map(|_| cost(16_000))
            .take_while(|it| *it >= most)
            .collect();
        assert!(large.len() < 3, "{part}: {small:?} {large:?}");
    }
}
