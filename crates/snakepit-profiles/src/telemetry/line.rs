//! Log records of workers in the log of the host.

use snakepit_core::events::record::Log;
use snakepit_core::printable::Printable;
use tracing::Level;

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
