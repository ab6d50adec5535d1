//! Output in the log of the host.

use tracing::Level;

use super::{Line, What};

/// Returns the level that a number of Python stands for.
pub(super) fn level_of(python: u8) -> Level {
    match python {
        40.. => Level::ERROR,
        30.. => Level::WARN,
        20.. => Level::INFO,
        10.. => Level::DEBUG,
        _ => Level::TRACE,
    }
}

/// Writes an item to the log.
pub(super) fn log(line: &Line) {
    let Line { worker, stream, .. } = line;
    match &line.what {
        What::Progress(text) => {
            let text = text.shown();
            tracing::debug!(target: "snakepit::progress", %worker, stream, "{text}");
        }
        What::Line(level, text) => {
            let text = text.shown();
            match level_of(*level) {
                Level::ERROR => {
                    tracing::error!(target: "snakepit::worker", %worker, stream, "{text}")
                }
                Level::WARN => {
                    tracing::warn!(target: "snakepit::worker", %worker, stream, "{text}")
                }
                Level::INFO => {
                    tracing::info!(target: "snakepit::worker", %worker, stream, "{text}")
                }
                Level::DEBUG => {
                    tracing::debug!(target: "snakepit::worker", %worker, stream, "{text}")
                }
                Level::TRACE => {
                    tracing::trace!(target: "snakepit::worker", %worker, stream, "{text}")
                }
            }
        }
        What::Dropped(count) => {
            tracing::warn!(target: "snakepit::worker", %worker, stream, count, "{count} lines were dropped");
        }
    }
}
