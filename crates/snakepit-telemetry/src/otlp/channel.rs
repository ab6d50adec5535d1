//! Connections to collectors.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use tonic::metadata::MetadataMap;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::{OtlpConfig, TelemetryError};

/// Idle time after which a connection is probed, and time limit of the answer.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));

/// Describes a connection, which the first request opens. The collector may start later, stop and
/// return.
///
/// Must be called within a runtime, which then drives the connection.
pub(super) fn channel(endpoint: &str, config: &OtlpConfig) -> Result<Channel, TelemetryError> {
    let text = endpoint.trim();
    // By the specification an endpoint without a scheme is a secure one; in practice the missing
    // scheme is usually a mistake.
    if !text.starts_with("http://") && !text.starts_with("https://") {
        let help = "write for example http://localhost:4317 or https://collector.example.com:4317";
        let message = format!("must begin with http:// or https://, got \"{text}\"");
        return Err(TelemetryError::setting("otlp", message, help));
    }
    let parsed = Endpoint::from_shared(text.to_owned()).ok();
    let parsed = parsed.filter(|parsed| parsed.uri().host().is_some_and(|host| !host.is_empty()));
    let Some(parsed) = parsed else {
        let message = format!("is not an address of a collector: \"{text}\"");
        let help = "write for example http://localhost:4317";
        return Err(TelemetryError::setting("otlp", message, help));
    };
    let secure = text.starts_with("https://");
    let parsed = if secure {
        let tls = tls(config)?;
        parsed.tls_config(tls).map_err(|error| {
            let message = format!("cannot be used: {}", chain(&error));
            let help = "give files with certificates and a key in PEM";
            TelemetryError::setting("certificate", message, help)
        })?
    } else {
        parsed
    };
    let (interval, answer) = KEEP_ALIVE;
    Ok(parsed
        .connect_timeout(config.timeout)
        .timeout(config.timeout)
        .http2_keep_alive_interval(interval)
        .keep_alive_timeout(answer)
        .user_agent(concat!("snakepit/", env!("CARGO_PKG_VERSION")))
        .expect("it is a valid header")
        .connect_lazy())
}

fn tls(config: &OtlpConfig) -> Result<ClientTlsConfig, TelemetryError> {
    let mut tls = ClientTlsConfig::new();
    tls = match &config.certificate {
        Some(path) => tls.ca_certificate(Certificate::from_pem(pem("certificate", path)?)),
        None => tls.with_native_roots(),
    };
    if let (Some(certificate), Some(key)) = (&config.client_certificate, &config.client_key) {
        let certificate = pem("client_certificate", certificate)?;
        tls = tls.identity(Identity::from_pem(certificate, pem("client_key", key)?));
    }
    Ok(tls)
}

fn pem(setting: &str, path: &Path) -> Result<Vec<u8>, TelemetryError> {
    let help = "name a file in PEM";
    let shown = path.display();
    let read = std::fs::read(path).map_err(|error| {
        let message = format!("cannot be read from {shown}: {error}");
        TelemetryError::setting(setting, message, help)
    })?;
    if !read.windows(10).any(|part| part == b"-----BEGIN") {
        let message = format!("is not PEM: {shown}");
        return Err(TelemetryError::setting(setting, message, help));
    }
    Ok(read)
}

/// Parses headers. Their values are secrets, so errors contain only the names.
pub(super) fn metadata(headers: &BTreeMap<String, String>) -> Result<MetadataMap, TelemetryError> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let shown = name.escape_debug();
        let refused = |message: String| {
            let help = "write name = \"value\" with visible ASCII characters";
            TelemetryError::setting("headers", message, help)
        };
        let header = HeaderName::try_from(name.to_lowercase()).map_err(|_| {
            refused(format!(
                "has a name that is not a valid header name: \"{shown}\""
            ))
        })?;
        let mut value = HeaderValue::try_from(value).map_err(|_| {
            refused(format!(
                "has a value that is not a valid header value: that of \"{shown}\""
            ))
        })?;
        value.set_sensitive(true);
        map.insert(header, value);
    }
    Ok(MetadataMap::from_headers(map))
}

/// Returns the text of an error with its causes.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(endpoint: &str, config: &OtlpConfig) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let _entered = runtime.enter();
        channel(endpoint, config).unwrap_err().to_string()
    }

    #[test]
    fn endpoints_that_cannot_be_used_are_refused() {
        let config = OtlpConfig::default();
        for endpoint in [
            "",
            "localhost:4317",
            "http://",
            "ftp://a",
            "http://a b",
            "http://:4317",
        ] {
            assert!(refused(endpoint, &config).contains("`otlp`"), "{endpoint}");
        }
    }

    #[test]
    fn certificates_that_cannot_be_used_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        let config = OtlpConfig {
            certificate: Some(file.clone()),
            ..OtlpConfig::default()
        };
        let missing = refused("https://localhost:1", &config);
        assert!(
            missing.contains("`certificate` cannot be read"),
            "{missing}"
        );
        std::fs::write(&file, "no certificate").unwrap();
        let other = refused("https://localhost:1", &config);
        assert!(other.contains("`certificate` is not PEM"), "{other}");
    }

    #[test]
    fn headers_that_cannot_be_sent_are_refused_without_their_values() {
        let one = |name: &str, value: &str| {
            metadata(&BTreeMap::from([(name.to_owned(), value.to_owned())]))
        };
        assert_eq!(one("Authorization", "Bearer x").unwrap().len(), 1);
        for (name, value) in [("a b", "x"), ("", "x"), ("a", "hush\nhush")] {
            let error = one(name, value).unwrap_err().to_string();
            assert!(
                error.contains("`headers`") && !error.contains("hush"),
                "{error}"
            );
        }
    }
}
