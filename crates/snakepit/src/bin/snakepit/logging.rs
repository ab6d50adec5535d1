//! Log on stderr: events of the program, and output of workers.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use snakepit::Printable;

use crate::failure::wants_colour;

/// Variable that sets detailed levels, for example `info,snakepit_core=debug`.
const VARIABLE: &str = "SNAKEPIT_LOG";

/// Target of the output of workers.
const WORKER: &str = "snakepit::worker";

/// Target of what workers show in a line that they write again: progress bars.
const PROGRESS: &str = "snakepit::progress";

/// A progress bar stands in the last line of stderr.
static PROGRESS_SHOWN: AtomicBool = AtomicBool::new(false);

/// Target of the log records of worker code.
const PYTHON: &str = "snakepit::python";

/// Installs the subscriber.
pub(crate) fn install(verbose: u8) {
    let levels = match verbose {
        0 => {
            "off,snakepit::worker=info,snakepit::progress=debug,snakepit::python=info,snakepit::telemetry=warn"
        }
        1 => "info,snakepit::progress=debug",
        _ => "debug",
    };
    let filter = std::env::var(VARIABLE)
        .ok()
        .and_then(|levels| EnvFilter::try_new(levels).ok());
    tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|| EnvFilter::new(levels)))
        .with_ansi(wants_colour(io::stderr().is_terminal()))
        .with_writer(io::stderr)
        // It would report on stderr, with a panic, that stderr cannot be written.
        .log_internal_errors(false)
        .event_format(Lines)
        .init();
}

/// Ends the line with the progress bar, if there is one: what follows is printed below it.
pub(crate) fn end_progress() {
    if PROGRESS_SHOWN.swap(false, Ordering::Relaxed) {
        // If stderr cannot be written, there is nowhere to report it.
        let _ = writeln!(io::stderr());
    }
}

/// Formats the output of a worker as `[main-0] text`, its log records as `[main-0] level logger:
/// text`, and any other event as `level: text key=value`.
struct Lines;

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let (dim, off) = if writer.has_ansi_escapes() {
            ("\x1b[2m", "\x1b[0m")
        } else {
            ("", "")
        };
        let target = event.metadata().target();
        let shown = PROGRESS_SHOWN.swap(target == PROGRESS, Ordering::Relaxed);
        // A terminal shows each bar in the place of the one before, and lines above the next one.
        match (shown, writer.has_ansi_escapes()) {
            (true, true) => writer.write_str("\r\x1b[K")?,
            (true, false) if target != PROGRESS => writer.write_str("\n")?,
            _ => {}
        }
        if target == PROGRESS {
            let (worker, message) = (Printable(&fields.worker), Printable(&fields.message));
            return write!(writer, "\r{dim}[{worker}]{off} {message}");
        }
        if target == WORKER {
            let (worker, message) = (Printable(&fields.worker), Printable(&fields.message));
            return writeln!(writer, "{dim}[{worker}]{off} {message}");
        }
        let level = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warning",
            Level::INFO => "info",
            Level::DEBUG => "debug",
            Level::TRACE => "trace",
        };
        if target == PYTHON {
            let (worker, logger) = (Printable(&fields.worker), Printable(&fields.logger));
            // Line breaks are escaped; each line begins with its worker.
            let texts = [&fields.message, &fields.exception];
            let lines = texts
                .iter()
                .filter(|text| !text.is_empty())
                .flat_map(|text| text.split("\\n"));
            for (index, line) in lines.enumerate() {
                let line = Printable(line);
                match index {
                    0 => writeln!(writer, "{dim}[{worker}] {level}{off} {logger}: {line}")?,
                    _ => writeln!(writer, "{dim}[{worker}]{off} {line}")?,
                }
            }
            return Ok(());
        }
        let worker = match fields.worker.as_str() {
            "" => String::new(),
            worker => format!(" worker={worker}"),
        };
        let rest = format!("{}{worker}{}", fields.message, fields.others);
        writeln!(writer, "{dim}{level}:{off} {}", Printable(&rest))
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    worker: String,
    logger: String,
    exception: String,
    others: String,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message.push_str(value),
            "worker" => self.worker.push_str(value),
            "logger" => self.logger.push_str(value),
            name => self.other(name, &value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            "worker" => self.worker = format!("{value:?}"),
            "exception" => self.exception = format!("{value:?}"),
            name => self.other(name, value),
        }
    }
}

impl Fields {
    fn other(&mut self, name: &str, value: &dyn fmt::Debug) {
        // Writing to a `String` cannot fail.
        let _ = write!(self.others, " {name}={value:?}");
    }
}
