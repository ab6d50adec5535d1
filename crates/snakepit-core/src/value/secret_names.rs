//! Names whose values are secrets, in messages and in telemetry.

/// Parts of such names, in lower case and without separators.
const SECRETS: [&str; 16] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "apikey",
    "accesskey",
    "accountkey",
    "signingkey",
    "encryptionkey",
    "privatekey",
    "authorization",
    "credential",
    "cookie",
    "bearer",
    "token",
];

/// Words that contain such a part, but name a count.
const HARMLESS: [&str; 2] = ["tokens", "tokencount"];

/// Returns true if a name suggests that its value is a secret: `db_password`, `apiKey`,
/// `headers.authorization`.
pub fn is_secret_name(name: &str) -> bool {
    let letters = name.chars().filter(|c| c.is_alphanumeric());
    let name: String = letters.flat_map(char::to_lowercase).collect();
    let harmless = HARMLESS.iter().any(|word| name.ends_with(word));
    !harmless && SECRETS.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_in_any_spelling() {
        for name in [
            "password",
            "DB_PASSWORD",
            "http.request.header.authorization",
            "apiKey",
            "api-key",
            "aws.secret_access_key",
            "refresh_token",
            "pwd",
            "MYSQL_PWD",
            "PGPASSWORD",
            "azure.AccountKey",
            "Set-Cookie",
            "users[3].token",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in [
            "tool",
            "gen_ai.usage.input_tokens",
            "token_count",
            "key",
            "author",
            "",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
    }
}
