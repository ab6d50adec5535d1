//! Log records of workers in the log of the host.

use std::borrow::Cow;

use snakepit_core::events::record::Log;
use snakepit_core::printable::Printable;
use snakepit_redact::{KeyLines, redact};
use tracing::Level;

/// Redacts secrets, for the log and the recorders. A private key may span several records.
pub(super) fn without_secrets(log: &mut Log, keys: &mut KeyLines) {
    let mut hide = |text: &mut String| {
        if let Some(masked) = keys.mask_lines(text) {
            *text = masked;
        }
        if let Cow::Owned(redacted) = redact(text) {
            *text = redacted;
        }
    };
    hide(&mut log.message);
    if let Some(exception) = &mut log.exception {
        hide(exception);
    }
}

/// Writes a record to the log of the host.
pub(super) fn write(log: &Log) {
    macro_rules! write_at {
        ($level:expr) => {
            tracing::event!(
                target: "snakepit::python",
                $level,
                logger = &*log.logger,
                pool = %log.origin.pool,
                worker = %log.origin.worker,
                call = log.origin.call.map(|call| call.0),
                exception = log.exception.as_deref().map(|text| tracing::field::display(Printable(text))),
                "{}",
                Printable(&log.message)
            )
        };
    }
    match log.level {
        Level::ERROR => write_at!(Level::ERROR),
        Level::WARN => write_at!(Level::WARN),
        Level::INFO => write_at!(Level::INFO),
        Level::DEBUG => write_at!(Level::DEBUG),
        _ => write_at!(Level::TRACE),
    }
}
