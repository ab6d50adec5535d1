//! Passwords among the arguments of commands: `sshpass -p …`, `mysql -p…`, `ENV DB_PASSWORD …`.

use std::ops::Range;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::named::{KEY, SUFFIX};
use super::patterns::regex;
use super::strings::is_template;
use super::unquoted::is_said;

/// The gap between two arguments, also in a list.
const GAP: &str = r#"(?:["'],?)?[ \t]{1,4}"#;

/// The arguments before the one with the password, with the end of the last of them. A class of all
/// characters would make the patterns large.
const BEFORE: &str = r#"[\t -%'-:<-{}~]*?[ \t"']"#;

/// An argument: one word, or one string in quotes.
const VALUE: &str =
    r#"(?:'(?P<single>[^'\r\n]*)|"(?P<double>[^"\r\n]*)|(?P<word>[^ \t\r\n"',;|]+))"#;

/// An option, followed by the password as the next argument.
static SPACED: LazyLock<Regex> = LazyLock::new(|| {
    regex(&format!(
        r#"(?:^|[^A-Za-z0-9_-])(?:(?:sshpass|mongo[a-z]{{0,10}}|(?:docker|podman|az){GAP}["']?login){BEFORE}-p|redis-cli{BEFORE}-a|ldap[a-z]{{2,12}}{BEFORE}-w|(?:un)?zip{BEFORE}-P){GAP}{VALUE}"#
    ))
});

/// An option and the password in one argument.
static GLUED: LazyLock<Regex> = LazyLock::new(|| {
    regex(&format!(
        r#"(?:^|[^A-Za-z0-9_-])(?:(?:sshpass|(?:mysql|mariadb)[a-z_-]{{0,12}}|7z[a-z]?){BEFORE}-p|openssl{BEFORE}pass:|smbclient{BEFORE}-U[ ]?["']?[A-Za-z0-9._\\-]{{1,60}}%){VALUE}"#
    ))
});

/// `echo … | sudo -S`
static PIPED: LazyLock<Regex> = LazyLock::new(|| {
    regex(&format!(
        r#"(?:^|[^A-Za-z0-9_-])echo[ \t]{{1,4}}(?:-n[ \t]{{1,4}})?{VALUE}["']?[ \t]{{0,4}}\|[\t -{{}}~]{{0,120}}?(?:--password-stdin|--with-token|sudo -S|passwd --stdin|chpasswd)"#
    ))
});

/// `ENV DB_PASSWORD …`: the rest of the line is the value.
static VARIABLE: LazyLock<Regex> = LazyLock::new(|| {
    regex(&format!(
        r#"(?:^|[^A-Za-z0-9_-])(?:ENV|setx|setenv|configure[ \t]set|set[ \t]-[A-Za-z]{{1,3}})[ \t]{{1,4}}{KEY}{SUFFIX}[ \t]{{1,4}}["']?(?P<word>[^ \t\r\n=][^\r\n]*)"#
    ))
});

/// `machine … login … password …`
static NETRC: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"(?:^|[^A-Za-z0-9_-])login[ \t\r\n]{1,8}[^ \t\r\n]+[ \t\r\n]{1,8}(?:account[ \t\r\n]{1,8}[^ \t\r\n]+[ \t\r\n]{1,8})?password[ \t\r\n]{1,8}(?P<word>[^ \t\r\n"']+)"#,
    )
});

/// Words of prose that follow a name in place of a value.
const PROSE: [&str; 12] = [
    "and", "can", "for", "has", "in", "is", "must", "not", "or", "should", "to", "was",
];

/// Adds the spans of passwords among arguments of commands.
pub(super) fn find(text: &str, spans: &mut Vec<Range<usize>>) {
    for pattern in [&*SPACED, &GLUED, &PIPED, &VARIABLE, &NETRC] {
        let values = pattern.captures_iter(text);
        spans.extend(values.filter_map(|found| value(&found)));
    }
}

fn value(found: &Captures<'_>) -> Option<Range<usize>> {
    let names = ["single", "double", "word"];
    let value = names.iter().find_map(|name| found.name(name))?;
    let shown = value.as_str().trim_end();
    let shown = &shown[..shown.find(r"\n").unwrap_or(shown.len())];
    let first = shown.split([' ', '\t']).next().unwrap_or_default();
    let template = is_template(shown) || shown.starts_with(['$', '<', '-', '[']);
    // A port, as in `-p3306:3306`.
    let port = || {
        shown
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b':')
    };
    let port = shown.contains(':') && port();
    let short = shown.chars().take(3).count() < 3;
    if template || port || short || is_said(first) || PROSE.contains(&first) {
        return None;
    }
    Some(value.start()..value.start() + shown.len())
}
