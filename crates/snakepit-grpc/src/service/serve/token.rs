//! The secret that authenticates clients on TCP.

use std::fmt;
use std::hint::black_box;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use tonic::Status;

/// Smallest size of a token in bytes.
const MIN: usize = 16;

/// The secret that authenticates clients on TCP. It is never shown, not even by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Creates a random token of 256 bits.
    ///
    /// # Errors
    /// The operating system's source of randomness failed.
    pub fn generate() -> Result<Self, TokenError> {
        let mut bytes = [0_u8; 32];
        getrandom::fill(&mut bytes).map_err(|_| TokenError::NoRandomNumbers)?;
        Ok(Self(
            bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        ))
    }

    /// Creates a token that clients know already.
    ///
    /// # Errors
    /// The token has fewer than 16 bytes, or bytes other than visible ASCII.
    pub fn new(text: impl Into<String>) -> Result<Self, TokenError> {
        let text = text.into();
        if text.len() < MIN || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError::Unusable);
        }
        Ok(Self(text))
    }

    /// Returns the secret itself, to be given to a client.
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// Checks the metadata of a request.
    #[cfg(test)]
    fn check(&self, headers: &HeaderMap) -> Result<(), Status> {
        Self::find(headers, [(self, ())])
    }

    /// Returns the value of the token in the metadata of a request. All known tokens are compared,
    /// so the time does not depend on the one that matches.
    pub(super) fn find<'a, T>(
        headers: &HeaderMap,
        known: impl IntoIterator<Item = (&'a Self, T)>,
    ) -> Result<T, Status> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(Status::unauthenticated(
                "exactly one `authorization: Bearer <token>` is needed in the metadata",
            ));
        };
        let given = value.as_bytes().split_at_checked("bearer ".len());
        let given = given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "));
        let Some((_, given)) = given else {
            return Err(Status::unauthenticated(
                "the scheme of `authorization` is not `Bearer`",
            ));
        };
        let mut found = None;
        for (token, belongs) in known {
            if token.is(given) {
                found = Some(belongs);
            }
        }
        found.ok_or_else(|| Status::unauthenticated("the token is wrong"))
    }

    /// Compares in a time that depends only on the lengths.
    fn is(&self, given: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let difference = own
            .iter()
            .zip(given)
            .fold(0, |all, (a, b)| black_box(all | (a ^ b)));
        own.len() == given.len() && black_box(difference) == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// The reason there is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The token is too short, or has characters other than visible ASCII.
    #[error("a token needs at least {MIN} bytes of visible ASCII")]
    Unusable,
    /// The operating system's source of randomness failed.
    #[error("the operating system provides no random numbers")]
    NoRandomNumbers,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_itself_is_taken() {
        let token = Token::generate().unwrap();
        assert_eq!(
            (token.secret().len(), format!("{token:?}").as_str()),
            (64, "Token(…)")
        );
        assert_ne!(token, Token::generate().unwrap());
        let check = |values: &[String]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, value.parse().unwrap());
            }
            token.check(&headers).is_ok()
        };
        let secret = token.secret();
        let right = format!("Bearer {secret}");
        assert!(check(std::slice::from_ref(&right)) && check(&[format!("bearer {secret}")]));
        for wrong in [
            vec![],
            vec![right.clone(), right.clone()],
            vec![secret.to_owned()],
            vec!["Bearer ".to_owned()],
            vec![String::new()],
            vec![format!("Bearer {}", &secret[1..])],
            vec![format!("Bearer {secret}0")],
            vec![format!("Basic {secret}")],
        ] {
            assert!(!check(&wrong), "{wrong:?}");
        }
        assert!(Token::new("short").is_err() && Token::new("with a space in it").is_err());
    }
}
