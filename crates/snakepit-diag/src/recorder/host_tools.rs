//! The recorder of host tools, whose file the first call creates: most hosts have no such tools.

use std::fmt;
use std::sync::OnceLock;

use snakepit_core::call::{CallObserver, EndedCall, SentCall};
use snakepit_registry::{RECORDING, Registry};

use super::Recorder;

/// End of the name of the file, after [`RECORDING`].
pub(crate) const HOST_TOOLS: &str = "tools";

/// Name of the host tools in the place of a pool.
const NAME: &str = "host tools";

/// The recorder of the host tools of one host.
pub(crate) struct HostToolRecorder {
    registry: Registry,
    /// Contains `None` if there is no room for a file.
    recorder: OnceLock<Option<Recorder>>,
}

impl HostToolRecorder {
    pub(crate) fn new(registry: &Registry) -> Self {
        Self {
            registry: registry.clone(),
            recorder: OnceLock::new(),
        }
    }

    fn create(&self) -> Option<Recorder> {
        let file = format!("{RECORDING}{HOST_TOOLS}");
        let words = self.registry.share_words(&file, Recorder::WORDS);
        let words = words.inspect_err(|error| {
            tracing::warn!(%error, "the calls of host tools are not recorded");
        });
        Some(Recorder::new(words.ok()?, NAME))
    }
}

impl CallObserver for HostToolRecorder {
    fn sent(&self, call: &SentCall<'_>) -> u32 {
        let recorder = self.recorder.get_or_init(|| self.create());
        recorder.as_ref().map_or(0, |recorder| recorder.sent(call))
    }

    fn ended(&self, call: &EndedCall<'_>) {
        if let Some(Some(recorder)) = self.recorder.get() {
            recorder.ended(call);
        }
    }
}

impl fmt::Debug for HostToolRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostToolRecorder").finish_non_exhaustive()
    }
}
