//! Settings of one signal, which take the place of those of all signals.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Compression of requests to a collector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// No compression.
    #[default]
    None,
    /// Compression with gzip, which all collectors accept.
    Gzip,
}

impl Compression {
    /// Parses `gzip` or `none`, in any case. `None` if it is another text.
    pub fn parse(text: &str) -> Option<Self> {
        match &*text.to_lowercase() {
            "gzip" => Some(Self::Gzip),
            "none" => Some(Self::None),
            _ => None,
        }
    }
}

/// Settings of one signal. A setting that is `None` is that of all signals.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct SignalConfig {
    /// Headers of each request.
    pub headers: Option<BTreeMap<String, String>>,
    /// File with the root certificates (PEM) that the collector's certificate must descend from.
    pub certificate: Option<PathBuf>,
    /// File with the client certificate (PEM) that is presented to the collector.
    pub client_certificate: Option<PathBuf>,
    /// File with the key (PEM) of that certificate.
    pub client_key: Option<PathBuf>,
    /// Time limit of one request, including retries.
    pub timeout: Option<Duration>,
    /// Compression of requests.
    pub compression: Option<Compression>,
    /// Largest number of records that wait for export.
    pub queue: Option<usize>,
    /// Largest number of records in a request.
    pub batch: Option<usize>,
    /// Longest time that a record waits for further ones.
    pub delay: Option<Duration>,
}

impl SignalConfig {
    /// Replaces the settings that `by` has.
    pub(crate) fn change(&mut self, by: Self) {
        let old = std::mem::take(self);
        *self = Self {
            headers: by.headers.or(old.headers),
            certificate: by.certificate.or(old.certificate),
            client_certificate: by.client_certificate.or(old.client_certificate),
            client_key: by.client_key.or(old.client_key),
            timeout: by.timeout.or(old.timeout),
            compression: by.compression.or(old.compression),
            queue: by.queue.or(old.queue),
            batch: by.batch.or(old.batch),
            delay: by.delay.or(old.delay),
        };
    }
}

/// Shows only the names of headers, because their values are secrets.
impl fmt::Debug for SignalConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers = self.headers.as_ref();
        f.debug_struct("SignalConfig")
            .field("headers", &headers.map(|it| it.keys().collect::<Vec<_>>()))
            .field("certificate", &self.certificate)
            .field("client_certificate", &self.client_certificate)
            .field("timeout", &self.timeout)
            .field("compression", &self.compression)
            .field("queue", &self.queue)
            .field("batch", &self.batch)
            .field("delay", &self.delay)
            .finish_non_exhaustive()
    }
}
