//! The address of the endpoint for Prometheus, in its text form.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::str::FromStr;
use std::{fmt, io};

use snakepit_core::config::ConfigError;

/// A host and a port to listen on: `127.0.0.1:9464`, `[::1]:9464`, `localhost:9464`. A name is
/// resolved when the endpoint is opened; the endpoint then listens on all addresses of that name.
///
/// ```
/// use snakepit_telemetry::ListenAddress;
///
/// let address: ListenAddress = "localhost:9464".parse()?;
/// assert_eq!(address.to_string(), "localhost:9464");
/// # Ok::<(), snakepit_core::config::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    host: String,
    port: u16,
}

impl ListenAddress {
    /// Returns the default address in OpenTelemetry's specification.
    pub(crate) fn standard() -> Self {
        ([127, 0, 0, 1], 9464).into()
    }

    /// Creates an address from a host, which may be an IP address, and a port; port 0 chooses a
    /// free port.
    ///
    /// # Errors
    /// The host is neither a valid name nor an IP address.
    pub fn new(host: &str, port: u16) -> Result<Self, ConfigError> {
        let host = host.trim();
        let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        let host = bare.unwrap_or(host);
        let fits = |it: char| it.is_alphanumeric() || matches!(it, '.' | '-' | '_' | ':' | '%');
        let fits = (1..=253).contains(&host.len()) && host.chars().all(fits);
        if !fits || host.contains(':') && host.parse::<IpAddr>().is_err() && !host.contains('%') {
            return Err(refused(host));
        }
        let host = host.to_owned();
        Ok(Self { host, port })
    }

    /// Changes the port.
    pub(crate) const fn set_port(&mut self, port: u16) {
        self.port = port;
    }

    /// Changes the host.
    pub(crate) fn set_host(&mut self, host: &str) -> Result<(), ConfigError> {
        *self = Self::new(host, self.port)?;
        Ok(())
    }

    /// Resolves the host to its addresses, each once. Blocks while the system's resolver works.
    ///
    /// # Errors
    /// The name cannot be resolved.
    pub fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let mut found: Vec<SocketAddr> = Vec::new();
        for address in (&*self.host, self.port).to_socket_addrs()? {
            if !found.contains(&address) {
                found.push(address);
            }
        }
        Ok(found)
    }
}

fn refused(text: &str) -> ConfigError {
    let message = format!("must be a host and a port, got \"{}\"", text.escape_debug());
    let help = "write for example 127.0.0.1:9464 or localhost:9464";
    ConfigError::new("prometheus", message, help)
}

impl FromStr for ListenAddress {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let parts = text.trim().rsplit_once(':');
        let (host, port) = parts.ok_or_else(|| refused(text))?;
        // Without brackets the port cannot be distinguished from the rest of an IPv6 address.
        let bracketed = host.starts_with('[') && host.ends_with(']');
        if host.contains(':') && !bracketed {
            return Err(refused(text));
        }
        let port = port.parse().map_err(|_| refused(text))?;
        Self::new(host, port).map_err(|_| refused(text))
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> Self {
        Self {
            host: address.ip().to_string(),
            port: address.port(),
        }
    }
}

impl<I: Into<IpAddr>> From<(I, u16)> for ListenAddress {
    fn from((ip, port): (I, u16)) -> Self {
        SocketAddr::new(ip.into(), port).into()
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_addresses_come_back_as_they_are_written() {
        for text in [
            "127.0.0.1:9464",
            "[::1]:0",
            "localhost:9464",
            "my-host.example.com:1",
        ] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), text);
        }
        for text in [
            "",
            ":1",
            "localhost",
            "localhost:",
            "localhost:70000",
            "::1:1",
            "a b:1",
            "[x:1",
            "a/b:1",
        ] {
            let error = text.parse::<ListenAddress>().unwrap_err();
            assert_eq!(error.key, "prometheus", "{text}");
        }
        assert_eq!(ListenAddress::new("::1", 7).unwrap().to_string(), "[::1]:7");
    }

    #[test]
    fn a_name_stands_for_its_addresses_each_once() {
        let found = ListenAddress::new("localhost", 7)
            .unwrap()
            .resolve()
            .unwrap();
        assert!(
            !found.is_empty()
                && found
                    .iter()
                    .all(|it| it.ip().is_loopback() && it.port() == 7)
        );
        let mut once = found.clone();
        once.dedup();
        assert_eq!(found, once);
        assert!(
            ListenAddress::new("no.such.host.invalid", 7)
                .unwrap()
                .resolve()
                .is_err()
        );
    }
}
