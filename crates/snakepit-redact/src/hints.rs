//! Words that accompany secrets. Without one of its words a pattern is neither compiled nor tried.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

/// Names of secrets.
pub(super) const NAMES: u16 = 1;
/// Marks of private keys.
pub(super) const KEYS: u16 = 1 << 1;
/// Headers of HTTP.
pub(super) const HEADERS: u16 = 1 << 2;
/// The scheme `Bearer`.
pub(super) const BEARER: u16 = 1 << 3;
/// Signatures in URLs.
pub(super) const SIGNATURES: u16 = 1 << 4;
/// Users with their passwords.
pub(super) const LOGINS: u16 = 1 << 5;
/// Programs that take a password.
pub(super) const PROGRAMS: u16 = 1 << 6;
/// Options for passwords.
const OPTIONS: u16 = 1 << 7;
/// Clauses of SQL.
pub(super) const CLAUSES: u16 = 1 << 8;

/// The words in lower case, which are compared without regard to case, and the patterns that they
/// belong to.
const WORDS: &[(&str, u16)] = &[
    ("key", NAMES | OPTIONS),
    ("secret", NAMES | OPTIONS),
    ("token", NAMES | OPTIONS),
    ("pass", NAMES | OPTIONS),
    ("pw", NAMES | OPTIONS),
    ("_auth", NAMES | OPTIONS),
    ("-auth", NAMES | OPTIONS),
    ("credential", NAMES | OPTIONS),
    ("private key", KEYS),
    ("authorization", HEADERS),
    ("cookie", HEADERS),
    ("bearer", BEARER),
    ("sig", SIGNATURES),
    ("password ", CLAUSES),
    ("password(", CLAUSES),
    ("password\n", CLAUSES),
    ("passwd ", CLAUSES),
    ("identified", CLAUSES),
    (")=(", CLAUSES),
    ("duplicate entry", CLAUSES),
    ("://", LOGINS),
    ("/\\/", LOGINS),
    ("%3", LOGINS),
    ("-u", LOGINS | OPTIONS),
    ("basic", LOGINS),
    ("auth", LOGINS),
    ("netloc", LOGINS),
    ("userinfo", LOGINS),
    (".login", LOGINS),
    ("login", PROGRAMS),
    ("sshpass", PROGRAMS),
    ("mongo", PROGRAMS),
    ("redis-cli", PROGRAMS),
    ("ldap", PROGRAMS),
    ("zip", PROGRAMS),
    ("7z", PROGRAMS),
    ("mysql", PROGRAMS),
    ("mariadb", PROGRAMS),
    ("openssl", PROGRAMS),
    ("smbclient", PROGRAMS),
    ("echo", PROGRAMS),
    ("env ", PROGRAMS),
    ("setx", PROGRAMS),
    ("set -", PROGRAMS),
    ("configure set", PROGRAMS),
    ("-p", OPTIONS),
    ("-a", OPTIONS),
    ("-w", OPTIONS),
    ("stdin", OPTIONS),
    ("sudo", OPTIONS),
];

static FINDER: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .build(WORDS.iter().map(|(word, _)| word))
        .expect("a few words make a small automaton")
});

/// The kinds of words in a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hints(u16);

impl Hints {
    pub(super) fn of(text: &str) -> Self {
        let found = FINDER.find_overlapping_iter(text);
        Self(found.fold(0, |all, found| all | WORDS[found.pattern()].1))
    }

    pub(super) const fn has(self, kind: u16) -> bool {
        self.0 & kind != 0
    }

    /// Returns true if a command may have a password among its arguments.
    pub(super) const fn has_command(self) -> bool {
        self.has(PROGRAMS) && self.has(OPTIONS)
    }

    /// Returns true if the text may have a secret, or what stands before one.
    pub(super) const fn any(self) -> bool {
        self.has(!OPTIONS)
    }
}
