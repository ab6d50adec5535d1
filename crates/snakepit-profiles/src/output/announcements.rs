//! Lines by which a worker announces something to its host.

use std::sync::Arc;

use tokio::sync::mpsc;

/// Receivers of the rest of a line that begins with a known text. Dropping a receiver removes it.
#[derive(Clone, Debug)]
pub(super) struct Announcements {
    prefix: Arc<str>,
    way: mpsc::Sender<String>,
}

impl Announcements {
    /// Passes on what follows `prefix` in a line.
    pub(super) fn new(prefix: &str, way: mpsc::Sender<String>) -> Self {
        let prefix = prefix.into();
        Self { prefix, way }
    }

    /// Passes on the rest of a line if it has the prefix. What has no room is dropped.
    pub(super) fn take(&self, line: &str) {
        if !self.way.is_closed()
            && let Some((_, rest)) = line.split_once(&*self.prefix)
        {
            let _ = self.way.try_send(rest.to_owned());
        }
    }
}
