//! Tests of texts that are masked, and of texts that are not.

mod properties;
mod stream;

use std::time::Duration;

use nix::time::ClockId;
use proptest::prelude::*;
use serde::Deserialize;

use super::*;

/// Texts with secrets and without.
#[derive(Deserialize)]
struct Cases {
    masked: Vec<(String, String)>,
    /// The masked text.
    exact: Vec<(String, String)>,
    kept: Vec<String>,
}

fn cases() -> Cases {
    let text = include_str!("tests/redaction.json");
    serde_json::from_str(text).expect("it is written for this")
}

#[test]
fn secrets_are_masked() {
    let missed: Vec<_> = cases()
        .masked
        .into_iter()
        .map(|(text, secret)| (redact(&text).into_owned(), text, secret))
        .filter(|(got, _, secret)| got.contains(secret) || !got.contains(MASK))
        .collect();
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn nothing_else_is_masked_with_them() {
    let wrong: Vec<_> = cases()
        .exact
        .into_iter()
        .map(|(text, expected)| (redact(&text).into_owned(), expected, text))
        .filter(|(got, expected, _)| got != expected)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn other_lines_stay() {
    let changed: Vec<_> = cases()
        .kept
        .into_iter()
        .map(|text| (redact(&text).into_owned(), text))
        .filter(|(got, text)| got != text)
        .collect();
    assert!(changed.is_empty(), "{changed:#?}");
}

#[test]
fn a_second_pass_changes_nothing() {
    let Cases { masked, exact, .. } = cases();
    for (text, _) in masked.into_iter().chain(exact) {
        let once = redact(&text).into_owned();
        assert_eq!(redact(&once), once, "{text}");
    }
}

#[test]
fn colours_around_a_secret_stay() {
    let text = "the \u{1b}[1mpassword\u{1b}[0m=\u{1b}[31mhun\u{1b}[32mter2x\u{1b}[0m !";
    let masked = "the \u{1b}[1mpassword\u{1b}[0m=\u{1b}[31m<redacted>\u{1b}[0m !";
    assert_eq!(redact(text), masked);
}

fn lines(text: &[&str]) -> Vec<String> {
    let mut keys = KeyLines::default();
    let shown = |line: &&str| {
        let masked = keys.mask(line);
        redact(masked.as_deref().unwrap_or(line)).into_owned()
    };
    text.iter().map(shown).collect()
}

#[test]
fn a_key_is_followed_through_lines_with_prefixes_and_lines_of_others() {
    let shown = lines(&[
        "INFO -----BEGIN EC PRIVATE KEY-----",
        "INFO MHcCAQEEIIrYSSNQFaA2Hwf1duRSxKtLYX5CB04fSeQ6tF1aY",
        "a worker started",
        "INFO PQ3tKw==",
        "INFO -----END EC PRIVATE KEY-----",
        "INFO the digest is MHcCAQEEIIrYSSNQFaA2Hwf1duRSxKtLYX5CB04f",
    ]);
    let expected = [
        "INFO -----BEGIN EC PRIVATE KEY-----",
        "INFO <redacted>",
        "a worker <redacted>",
        "INFO <redacted>",
        "INFO -----END EC PRIVATE KEY-----",
        "INFO the digest is MHcCAQEEIIrYSSNQFaA2Hwf1duRSxKtLYX5CB04f",
    ];
    assert_eq!(shown, expected);
}

#[test]
fn a_key_without_an_end_is_over_after_some_lines() {
    let mut text = vec![
        "-----BEGIN PRIVATE KEY-----",
        "MHcCAQEEIIrYSSNQFaA2Hwf1duRSx",
    ];
    text.extend(["all is well"; 40]);
    let shown = lines(&text);
    assert_eq!(shown[1], MASK);
    assert_eq!(shown[41], "all is well");
}

#[test]
fn the_end_of_one_key_and_the_begin_of_the_next_may_share_a_line() {
    let shown = lines(&[
        "-----BEGIN PRIVATE KEY-----",
        "AAAA-----END PRIVATE KEY----- -----BEGIN PRIVATE KEY-----",
        "BBBB",
        "-----END PRIVATE KEY-----",
        "CCCC",
    ]);
    assert!(!shown.concat().contains("AAAA") && !shown.concat().contains("BBBB"));
    assert_eq!(shown[4], "CCCC");
}

/// Returns the CPU time of this thread, which other work on the machine does not affect.
pub(crate) fn computed() -> Duration {
    let clock = ClockId::CLOCK_THREAD_CPUTIME_ID;
    clock.now().expect("threads have a clock").into()
}

/// Repeats hostile parts: time grows with the length, not with its square.
#[test]
fn masking_takes_linear_time() {
    let parts = [
        "a_",
        "a-",
        "a.",
        "token",
        "token=",
        "a://",
        "bearer ",
        "'",
        "sk-",
        "secret: ",
        "token='",
        "authorization: ",
        "cookie: ",
        "cookie=a",
        "-----BEGIN PRIVATE KEY-----",
        "-----END PRIVATE KEY-----",
        "\u{1b}[",
        "\u{1b}]",
        "\u{200b}",
        "eyJaaaaaaaaaa.",
        "SG.aaaaaaaaaaaaaaaaaa",
        "1:AA",
        "--password ",
        "token='a'b",
        "'password=x1y2 a=b ",
        "bad token: '",
        "pad_token='",
        "token=${",
        "password:",
        "password: |\n",
        "password\n",
        "password='x\n",
        "password='''",
        "password=\\\"",
        "password=%22",
        "password=a,",
        "password=${,",
        "a://b:",
        "a://b:c@",
        "://:",
        "<password>",
        "<a \"password\"",
        "&lt;password>",
        "&lt;password&gt;",
        "token%3Da",
        "%3A%2F%2Fa%3A",
        "basic aaaa",
        "cookies={",
        "<Cookie a=",
        "Cookie(value='",
        "\\",
        "\"",
        "    ",
        "password,\n value=",
        "-u a:",
        "password=[",
        "password=['a",
        "password=[a(",
        "passwords:\n- a",
        "<password>\n",
        "<input type=\"password\"",
        "<a type=password ",
        "password 'a",
        "identified by 'a' ",
        "Key (password)=(",
        "sshpass -p ",
        "mysql -pa",
        "ENV PASSWORD a ",
        "login a password ",
        "echo a | ",
        "auth=('a', 'b",
        "netloc='a:",
        "\npassword\n a input_value=",
        "Authorization: Bearer\n ",
        "password 'a'\"'\"'",
        "API key: ",
    ];
    for part in parts {
        let cost = |size: usize| {
            let text = format!("password{}", part.repeat(size));
            let began = computed();
            let _ = redact(&text);
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

/// Returns the readable text like `Plain`, but reads one character at a time.
fn naive_plain(text: &str) -> String {
    let visible = |c: &char| !matches!(c, '\u{200b}' | '\u{feff}');
    text.chars().filter(visible).collect()
}

proptest! {
    #[test]
    fn a_value_behind_a_key_is_masked_wherever_it_stands(
        before in "[ a-z(,]{0,20}",
        key in "(api_key|MY_TOKEN|password|db-pwd|PGPASSWORD|passphrase|AccountKey)",
        quote in "['\"]",
        value in "[A-Za-z0-9/+]{8,40}",
        after in "[ a-z),]{0,20}",
    ) {
        let line = format!("{before} {key}={quote}{value}{quote}{after}");
        prop_assert!(!redact(&line).contains(&value), "{}", redact(&line));
        let line = format!("{before} {{{quote}{key}{quote}: {quote}{value}{quote}}}{after}");
        prop_assert!(!redact(&line).contains(&value), "{}", redact(&line));
    }

    #[test]
    fn no_line_breaks_it(line in "[a_\\-.:/@'\"\\\\=\\[ \u{1b}\u{200b}m;?&,(sktokenbearerpasswordcookie1]{0,300}") {
        let once = redact(&line).into_owned();
        prop_assert!(redact(&once).matches(MASK).count() >= once.matches(MASK).count());
    }

    #[test]
    fn colours_and_characters_without_width_change_nothing(
        text in "(password|token|user)[=:]? ?['\"]?[a-z0-9]{0,12}['\"]? [a-z]{0,5}",
        at in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        what in "(\u{1b}\\[1;31m|\u{200b}|\u{feff})",
    ) {
        let mut dressed: Vec<char> = text.chars().collect();
        for at in at {
            let at = at.index(dressed.len() + 1);
            // Not into a sequence that is there already.
            if !dressed[..at].contains(&'\u{1b}') {
                dressed.splice(at..at, what.chars());
            }
        }
        let dressed: String = dressed.into_iter().collect();
        let masked = |text: &str| redact(text).contains(MASK);
        prop_assert_eq!(masked(&dressed), masked(&text), "{:?}", dressed);
        if !dressed.contains('\u{1b}') {
            let plain = Plain::of(&dressed);
            prop_assert_eq!(plain.text(), naive_plain(&dressed));
        }
    }

    #[test]
    fn parts_of_a_plain_text_are_found_again(
        text in "[ab\u{200b}ü]{0,20}", from in 0..20_usize, until in 0..20_usize,
    ) {
        let plain = Plain::of(&text);
        let at = |index: usize| plain.text().char_indices().nth(index).map(|(at, _)| at);
        if let (Some(from), Some(until)) = (at(from), at(until)) && from < until {
            let place = plain.place(&(from..until));
            prop_assert_eq!(naive_plain(&text[place.clone()]), &plain.text()[from..until]);
            prop_assert!(!text[place].starts_with('\u{200b}'), "the part alone");
        }
    }

    #[test]
    fn the_start_of_a_line_is_that_of_the_masked_line(
        text in "[a-z ]{0,20}(password=[a-z]{6,12}|ghp_[a-z0-9]{24})[a-z ]{0,20}", most in 0..60_usize,
    ) {
        let (start, whole) = (redact_start(&text, most), redact(&text));
        prop_assert!(whole.starts_with(&*start), "{start:?} of {whole:?}");
    }
}
