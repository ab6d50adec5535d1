//! Properties over generated names, separators, quotings and values.

use proptest::prelude::*;
use proptest::sample::select;

use super::super::redact;

const NAMES: [&str; 12] = [
    "password",
    "DB_PASSWORD",
    "db.password",
    "userPassword",
    "api_key",
    "x-api-key",
    "client_secret",
    "AccountKey",
    "PGPASSWORD",
    "passphrase",
    "MYSQL_PWD",
    "auth_token",
];

fn repr(text: &str, quote: char) -> String {
    let escaped = text.replace('\\', r"\\");
    let escaped = escaped.replace(quote, &format!("\\{quote}"));
    format!("{quote}{escaped}{quote}")
}

fn json(text: &str) -> String {
    serde_json::to_string(text).expect("a string is JSON")
}

fn percent(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

fn markup(text: &str) -> String {
    let text = text.replace('&', "&amp;");
    let text = text.replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;")
}

/// The texts that name and value are written in, each with the value as it stands there.
fn written(name: &str, value: &str, blanks: &str, sign: &str) -> Vec<(String, String)> {
    let inner = |quoted: String| quoted[1..quoted.len() - 1].to_owned();
    let object = format!("{{{}:{blanks}{}}}", json(name), json(value));
    let twice = json(&object);
    let thrice = json(&twice);
    let once = inner(json(value));
    let mut texts = vec![
        (object.clone(), once.clone()),
        (twice.clone(), inner(json(&once))),
        (thrice, inner(json(&inner(json(&once))))),
        (format!("[{object}, {object}]"), once.clone()),
        (
            format!("{{\"name\": {}, \"value\": {}}}", json(name), json(value)),
            once,
        ),
        (format!("<{name}>{}</{name}>", markup(value)), markup(value)),
        (
            format!("<a {name}=\"{}\" b=\"c\">", markup(value)),
            markup(value),
        ),
        (
            format!("?a=b&{name}={}&c=d", percent(value)),
            percent(value),
        ),
        (
            percent(&format!("?a=b&{name}={}&c=d", percent(value))),
            percent(&percent(value)),
        ),
        (
            format!("a:\n  {name}: |\n    {value}\n    {value}\nb: c"),
            value.to_owned(),
        ),
    ];
    // `get(` is code, `b''` a string.
    if !value.contains(['(', '[', '\'', '"', '`']) {
        let name = name.to_uppercase().replace(['.', '-'], "_");
        let text = format!("export X=1\nexport {name}={value}\n");
        texts.push((text, value.to_owned()));
    }
    if !value.contains('\\') {
        let doubled = value.replace('\'', "''");
        let text = format!("{name}{blanks}{sign}{blanks}'{doubled}'");
        texts.push((text, doubled));
    }
    for quote in ['\'', '"'] {
        let quoted = inner(repr(value, quote));
        for (before, after) in [
            ("", ""),
            ("call(", ", n=1)"),
            ("Secret(a=b, ", ")"),
            ("{", "}"),
        ] {
            for prefix in ["", "b", "r", "f", "Rb", "SecretStr("] {
                let text = format!("{name}{blanks}{sign}{blanks}{prefix}{quote}{quoted}{quote}");
                texts.push((format!("{before}{text}{after}"), quoted.clone()));
            }
        }
        texts.push((
            format!("('{name}',{blanks}{quote}{quoted}{quote})"),
            quoted.clone(),
        ));
        texts.push((
            format!("--{name} {quote}{quoted}{quote} -v"),
            quoted.clone(),
        ));
        if !value.contains(quote) {
            let three = String::from_iter([quote; 3]);
            let text = format!("{name} = {three}{value}\n{value}{three} # and more");
            texts.push((text, value.to_owned()));
        }
    }
    texts
}

/// No part of five characters of the value is left.
fn leaks(masked: &str, text: &str, value: &str) -> bool {
    let chars: Vec<char> = value.chars().collect();
    let outside = text.replace(value, "");
    let telling = |part: &&[char]| part.iter().any(|c| c.is_alphanumeric());
    let masked = masked.replace("<redacted>", "\0");
    chars.windows(5).filter(telling).any(|part| {
        let part = String::from_iter(part);
        masked.contains(&part) && !outside.contains(&part)
    })
}

proptest! {
    #[test]
    fn a_secret_never_appears(
        name in select(&NAMES[..]),
        value in "[A-Za-z0-9][ -~ü]{4,20}[0-9]",
        blanks in "[ \t]{0,3}",
        sign in select(vec!["=", ":", "=>", ":="]),
    ) {
        for (text, value) in written(name, &value, &blanks, sign) {
            let masked = redact(&text);
            prop_assert!(!leaks(&masked, &text, &value), "{text:?} became {masked:?}");
        }
    }

    #[test]
    fn a_password_in_a_url_never_appears(
        user in "[a-z]{0,6}", value in "[A-Za-z0-9][A-Za-z0-9@:!$_.%~+-]{4,20}[0-9]", after in "(/db|:5432/db|)",
    ) {
        let url = format!("postgres://{user}:{value}@host{after}");
        for text in [url.clone(), format!("dsn='{url}'"), format!("\u{1b}]8;;{url}\u{7}here\u{1b}]8;;\u{7}")] {
            let masked = redact(&text);
            prop_assert!(!leaks(&masked, &text, &value), "{text:?} became {masked:?}");
        }
    }

    #[test]
    fn a_text_without_a_name_of_a_secret_stays(
        text in "([a-z]{1,8}|[0-9]{1,5}|[ -/:-@\\[-`{-~\n\tü]{1,3}){0,60}",
    ) {
        let words = [
            "password", "passwd", "passphrase", "pwd", "secret", "token", "key", "pass", "credential", "bearer", "basic", "cookie",
            "authorization", "-u", "://", "%3", "sig", "sk-", "/\\/",
        ];
        if !words.iter().any(|word| text.contains(word)) {
            prop_assert_eq!(&*redact(&text), &*text);
        }
    }
}
