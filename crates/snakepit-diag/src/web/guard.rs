//! Access control: only the browser with the token in its address, and only for the server's own
//! page.

use std::net::SocketAddr;

use hyper::Uri;
use hyper::header::{HOST, HeaderMap, HeaderName, ORIGIN};
use hyper::http::uri::Scheme;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Length of a token in bytes.
const BYTES: usize = 24;

/// The conditions that a request has to meet.
#[derive(Debug)]
pub(super) struct Guard {
    token: String,
    /// The names under which a browser addresses the server.
    hosts: [String; 2],
}

/// The reason for which a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The `Host` header or the address names another host, as in DNS rebinding.
    Host,
    /// Another page sent the request.
    Origin,
    /// The token is missing or wrong.
    Token,
}

impl Guard {
    /// Creates a guard with a new token for a server at this address.
    pub(super) fn new(address: SocketAddr) -> Result<Self, getrandom::Error> {
        let port = address.port();
        let localhost = format!("localhost:{port}");
        Ok(Self {
            token: random()?,
            hosts: [address.to_string(), localhost],
        })
    }

    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// Checks the address and the headers of a request.
    pub(super) fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refused> {
        let own = |host: &str| self.hosts.iter().any(|own| own.eq_ignore_ascii_case(host));
        // A request in absolute form names its host twice.
        let named = uri.authority().is_none_or(|named| own(named.as_str()));
        let scheme = uri.scheme().is_none_or(|scheme| *scheme == Scheme::HTTP);
        if !named || !scheme || !only(headers, HOST).is_some_and(|host| host.is_some_and(own)) {
            return Err(Refused::Host);
        }
        // Browsers send `Origin` in most cross-origin requests, and newer ones always send
        // `Sec-Fetch-Site`.
        let origin = |origin: &str| origin.strip_prefix("http://").is_some_and(own);
        let site = |site: &str| matches!(site, "same-origin" | "none");
        let allowed = |name, allow: &dyn Fn(&str) -> bool| {
            only(headers, name).is_some_and(|value| value.is_none_or(allow))
        };
        if !allowed(ORIGIN, &origin) || !allowed(SEC_FETCH_SITE, &site) {
            return Err(Refused::Origin);
        }
        let query = uri.query().unwrap_or_default();
        let token = value(query, "token").unwrap_or_default();
        if same(token.as_bytes(), self.token.as_bytes()) {
            Ok(())
        } else {
            Err(Refused::Token)
        }
    }
}

impl Refused {
    /// Returns the message for the user.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Host => "unknown host name: open the address that the server printed\n",
            Self::Origin => {
                "requests from other pages are rejected: open the address that the server printed\n"
            }
            Self::Token => "the token is wrong: open the address that the server printed\n",
        }
    }
}

/// Returns the value of a header that may appear once, `Some(None)` if it is absent. `None` if it
/// is repeated. A value that is no text counts as empty.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<Option<&str>> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => None,
        (value, None) => Some(value.map(|value| value.to_str().unwrap_or_default())),
    }
}

/// Returns the value of a name in a query string.
pub(super) fn value<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(of, _)| *of == name).map(|(_, value)| value)
}

/// Returns an unguessable text.
pub(super) fn random() -> Result<String, getrandom::Error> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Compares two texts in a time that does not depend on where they differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    type Headers<'a> = &'a [(&'static str, &'a str)];

    fn guard() -> Guard {
        Guard::new("127.0.0.1:4000".parse().unwrap()).unwrap()
    }

    fn check(guard: &Guard, headers: Headers<'_>, query: &str) -> Result<(), Refused> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        guard.check(&format!("/?{query}").parse().unwrap(), &map)
    }

    #[test]
    fn only_the_own_page_with_the_token_may_ask() {
        let guard = guard();
        let token = format!("token={}", guard.token());
        let host = ("host", "127.0.0.1:4000");
        let cases: &[(Headers<'_>, Result<(), Refused>)] = &[
            (&[host], Ok(())),
            (&[("host", "LOCALHOST:4000")], Ok(())),
            (&[host, ("origin", "http://127.0.0.1:4000")], Ok(())),
            (&[host, ("sec-fetch-site", "none")], Ok(())),
            (&[], Err(Refused::Host)),
            (&[("host", "evil.example:4000")], Err(Refused::Host)),
            (&[("host", "127.0.0.1:4001")], Err(Refused::Host)),
            (&[("host", "127.0.0.1")], Err(Refused::Host)),
            (&[host, ("host", "127.0.0.1:4000")], Err(Refused::Host)),
            (
                &[host, ("origin", "http://evil.example")],
                Err(Refused::Origin),
            ),
            (
                &[host, ("origin", "https://127.0.0.1:4000")],
                Err(Refused::Origin),
            ),
            (&[host, ("origin", "null")], Err(Refused::Origin)),
            (
                &[
                    host,
                    ("origin", "http://127.0.0.1:4000"),
                    ("origin", "http://evil.example"),
                ],
                Err(Refused::Origin),
            ),
            (
                &[
                    host,
                    ("sec-fetch-site", "none"),
                    ("sec-fetch-site", "cross-site"),
                ],
                Err(Refused::Origin),
            ),
            (
                &[host, ("sec-fetch-site", "cross-site")],
                Err(Refused::Origin),
            ),
            (
                &[host, ("sec-fetch-site", "same-site")],
                Err(Refused::Origin),
            ),
        ];
        for (headers, expected) in cases {
            assert_eq!(check(&guard, headers, &token), *expected, "{headers:?}");
        }
        for query in [
            "",
            "token=",
            "token=x",
            "x",
            &token[..token.len() - 1],
            &format!("{token}0"),
        ] {
            assert_eq!(
                check(&guard, &[host], query),
                Err(Refused::Token),
                "{query}"
            );
        }
        let with_more = format!("worker=main-1&{token}");
        assert_eq!(check(&guard, &[host], &with_more), Ok(()));
        assert_eq!(guard.token().len(), 2 * BYTES);
        assert_ne!(guard.token(), self::guard().token());
    }

    #[test]
    fn a_request_in_absolute_form_names_the_server() {
        let guard = guard();
        let headers = HeaderMap::from_iter([(HOST, "127.0.0.1:4000".parse().unwrap())]);
        let token = guard.token();
        for (start, expected) in [
            ("http://127.0.0.1:4000", Ok(())),
            ("http://localhost:4000", Ok(())),
            ("http://evil.example", Err(Refused::Host)),
            ("http://127.0.0.1:4001", Err(Refused::Host)),
            ("http://user@127.0.0.1:4000", Err(Refused::Host)),
            ("https://127.0.0.1:4000", Err(Refused::Host)),
        ] {
            let uri = format!("{start}/?token={token}").parse().unwrap();
            assert_eq!(guard.check(&uri, &headers), expected, "{start}");
        }
    }

    #[test]
    fn a_server_of_the_newer_protocol_has_its_name_in_brackets() {
        let guard = Guard::new("[::1]:4000".parse().unwrap()).unwrap();
        let token = format!("token={}", guard.token());
        assert_eq!(check(&guard, &[("host", "[::1]:4000")], &token), Ok(()));
        assert_eq!(
            check(&guard, &[("host", "127.0.0.1:4000")], &token),
            Err(Refused::Host)
        );
    }
}
