//! Lines by which a worker announces something to its host.

use std::sync::Arc;

use tokio::sync::mpsc;

/// The sender for the rest of each line that contains a known text. Nothing is sent once the
/// receiver is dropped.
#[derive(Clone, Debug)]
pub(super) struct Announcements {
    prefix: Arc<str>,
    way: mpsc::Sender<String>,
}

impl Announcements {
    /// Creates a sender of what follows `prefix` in a line.
    pub(super) fn new(prefix: &str, way: mpsc::Sender<String>) -> Self {
        let prefix = prefix.into();
        Self { prefix, way }
    }

    /// Sends what follows the prefix in a line. Drops it if the line has no prefix, or if the
    /// channel is full.
    pub(super) fn take(&self, line: &str) {
        if !self.way.is_closed()
            && let Some((_, rest)) = line.split_once(&*self.prefix)
        {
            let _ = self.way.try_send(rest.to_owned());
        }
    }
}
