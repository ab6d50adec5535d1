//! Output of workers: drained from the first byte to the last, and logged as lines.

#[cfg(feature = "command")]
mod announcements;
mod lines;
mod logged;
mod text;
mod window;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use snakepit_core::id::WorkerId;
use snakepit_core::worker::{LogLine, Tail as LastLines};
use snakepit_redact::{Known, Stream};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

#[cfg(feature = "command")]
use announcements::Announcements;
use lines::{Part, Splitter, levelled};
use logged::{level_of, log};
use text::Text;
use window::Window;

/// Level of a mark, in Python's numbers.
const WARNING: u8 = 30;

/// Maximum number of lines of all workers of a profile that wait for a slow log.
const QUEUE: usize = 1024;

/// Maximum number of bytes of output that are kept for errors.
const TAIL: usize = 64 * 1024;

/// The last lines of one worker's output.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tail(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    lines: VecDeque<Text>,
    bytes: usize,
}

impl Tail {
    /// Returns the lines, oldest first, with secrets redacted.
    pub(crate) fn lines(&self) -> Vec<String> {
        let lines: Vec<Text> = {
            let state = self.0.lock().expect("nothing panics while it is locked");
            state.lines.iter().cloned().collect()
        };
        lines.iter().map(Text::shown).collect()
    }

    fn push(&self, line: Text) {
        let mut state = self.0.lock().expect("nothing panics while it is locked");
        state.bytes += line.text.len() + 1;
        state.lines.push_back(line);
        while state.bytes > TAIL
            && let Some(oldest) = state.lines.pop_front()
        {
            state.bytes -= oldest.text.len() + 1;
        }
    }
}

/// An item on its way to the log.
#[derive(Debug)]
struct Line {
    worker: WorkerId,
    stream: &'static str,
    what: What,
}

#[derive(Debug)]
enum What {
    Line(u8, Text),
    Progress(Text),
    /// A number of lines was dropped.
    Dropped(u64),
}

/// Passes lines to the last lines of the host, and to a thread that writes them to the log, so that
/// a blocking log delays nothing else. The thread ends when all clones are dropped, and is not
/// waited for.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    way: mpsc::Sender<Line>,
    last: LastLines<LogLine>,
    #[cfg(feature = "command")]
    announcements: Option<Announcements>,
}

impl Log {
    /// Starts the thread.
    pub(crate) fn start(last: LastLines<LogLine>) -> std::io::Result<Self> {
        let (way, mut receiver) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new().name("snakepit-log".to_owned());
        thread.spawn(move || {
            while let Some(line) = receiver.blocking_recv() {
                log(&line);
            }
        })?;
        Ok(Self {
            way,
            last,
            #[cfg(feature = "command")]
            announcements: None,
        })
    }

    /// Returns a log that also passes on what follows `prefix` in a line.
    #[cfg(feature = "command")]
    pub(crate) fn announcing(&self, prefix: &str, way: mpsc::Sender<String>) -> Self {
        Self {
            announcements: Some(Announcements::new(prefix, way)),
            ..self.clone()
        }
    }
}

/// Starts the tasks that drain both streams, and mask the known values in them. They end with the
/// streams.
pub(crate) fn drain(
    worker: &WorkerId,
    stdout: impl AsyncRead + Unpin + Send + 'static,
    stderr: impl AsyncRead + Unpin + Send + 'static,
    log: &Log,
    known: &Arc<Known>,
) -> (Tail, JoinSet<()>) {
    let tail = Tail::default();
    let mut tasks = JoinSet::new();
    let of = |stream: &'static str| (stream, worker.clone(), Arc::clone(known));
    tasks.spawn(read(of("stdout"), stdout, tail.clone(), log.clone()));
    tasks.spawn(read(of("stderr"), stderr, tail.clone(), log.clone()));
    (tail, tasks)
}

/// Reads one stream to its end. Waits only for the stream itself: a worker must not block in
/// `print` because a log is slow.
async fn read(
    (stream, worker, known): (&'static str, WorkerId, Arc<Known>),
    mut source: impl AsyncRead + Unpin,
    tail: Tail,
    log: Log,
) {
    let mut splitter = Splitter::default();
    let mut buffer = vec![0; 8 * 1024];
    let mut window = Window::default();
    let mut secrets = Stream::default();
    let source_name: Arc<str> = stream.into();
    let keep = |level: u8, text: &Text| {
        let text = text.shown();
        let bytes = text.len();
        let line = LogLine {
            at: SystemTime::now(),
            worker: worker.clone(),
            source: Arc::clone(&source_name),
            level: level_of(level),
            text,
        };
        log.last.push(line, bytes);
    };
    let mark = |window: &mut Window| {
        let count = std::mem::take(&mut window.unkept);
        if count > 0 {
            let lines = if count == 1 { "line was" } else { "lines were" };
            let text = format!("… {count} {lines} dropped");
            keep(WARNING, &Text { text, left_out: 0 });
        }
    };
    let send = |what: What| {
        let worker = worker.clone();
        let line = Line {
            worker,
            stream,
            what,
        };
        log.way.try_send(line).is_ok()
    };
    loop {
        let read = tokio::select! {
            biased;
            read = source.read(&mut buffer) => Some(read.unwrap_or(0)),
            // A worker that has written too much may be silent now.
            () = window.over() => None,
        };
        let mut emit = |part: Part<'_>| {
            let (bytes, left_out) = match part {
                Part::Line(line, left_out) => (line, left_out),
                // Not in the middle of a secret: the line would be one without its beginning.
                Part::Progress(_) if secrets.is_open() => return,
                Part::Progress(line) => (line, 0),
            };
            let (level, line) = levelled(bytes);
            let text = String::from_utf8_lossy(&line);
            let text = known.mask(text.trim_end_matches('\r'));
            if let Part::Progress(_) = part {
                // The next one is on its way: what the log has no room for is not missed.
                let text = text.into_owned();
                let _ =
                    window.admit(Instant::now()) && send(What::Progress(Text { text, left_out }));
                return;
            }
            let text = match secrets.mask(&text) {
                Some(masked) => masked,
                None => text.into_owned(),
            };
            #[cfg(feature = "command")]
            if let Some(announcements) = &log.announcements {
                announcements.take(&text);
            }
            let text = Text { text, left_out };
            tail.push(text.clone());
            let now = Instant::now();
            if window.is_over(now) {
                mark(&mut window);
            }
            let admitted = window.admit(now);
            if admitted {
                keep(level, &text);
            } else {
                window.unkept += 1;
            }
            if !admitted || !send(What::Line(level, text)) {
                window.dropped += 1;
            }
        };
        match read {
            Some(0) => splitter.finish(&mut emit),
            Some(read) => splitter.feed(&buffer[..read], &mut emit),
            None => {}
        }
        let ends = read == Some(0);
        let now = Instant::now();
        if ends || window.is_over(now) {
            mark(&mut window);
        }
        if let Some(count) = window.report(now, ends)
            && !send(What::Dropped(count))
        {
            window.dropped += count;
        }
        if ends {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tracing::Level;

    use super::lines::MAX_LINE;
    use super::*;

    fn drain(
        worker: &WorkerId,
        stdout: impl AsyncRead + Unpin + Send + 'static,
        stderr: impl AsyncRead + Unpin + Send + 'static,
        log: &Log,
    ) -> (Tail, JoinSet<()>) {
        super::drain(worker, stdout, stderr, log, &Arc::default())
    }

    #[tokio::test]
    async fn lines_are_cut_escaped_and_kept() {
        let worker = WorkerId::from("w-0");
        let long = "x".repeat(MAX_LINE + 5);
        let text = format!("one\r\n\x1b[31mred\n{long}\nlast without end token='hush1234'");
        let log = Log::start(LastLines::default()).expect("a thread can be started");
        let source = std::io::Cursor::new(text.into_bytes());
        let (tail, tasks) = drain(&worker, source, tokio::io::empty(), &log);
        tasks.join_all().await;
        let lines = tail.lines();
        assert_eq!(lines[0], "one");
        assert_eq!(lines[1], "\\u{1b}[31mred");
        assert_eq!(lines[2], format!("{}… 5 bytes more", "x".repeat(MAX_LINE)));
        assert_eq!(lines[3], "last without end token='<redacted>'");
    }

    async fn tail_of(text: String) -> Vec<String> {
        let log = Log::start(LastLines::default()).expect("a thread can be started");
        let source = std::io::Cursor::new(text.into_bytes());
        let (tail, tasks) = drain(&WorkerId::from("w-0"), source, tokio::io::empty(), &log);
        tasks.join_all().await;
        tail.lines()
    }

    #[tokio::test]
    async fn a_secret_that_the_cut_goes_through_is_masked() {
        for (secret, shown) in [
            ("ghp_0123456789abcdefghijABCDEFGHIJ", "<redacted>"),
            ("password=correcthorsebattery", "password=<redacted>"),
            ("token='0123456789abcdef'", "token='<redacted>"),
        ] {
            for kept in 1..secret.len() {
                let before = "x".repeat(MAX_LINE - kept - 1);
                let lines = tail_of(format!("{before} {secret} and more\nnext\n")).await;
                let (line, _) = lines[0].split_once('…').expect("the line is cut");
                let end = &line[MAX_LINE - kept..];
                assert!(shown.starts_with(end) || end.starts_with(shown), "{end}");
                assert_eq!(lines[1], "next");
            }
        }
    }

    #[tokio::test]
    async fn a_private_key_that_is_printed_line_by_line_is_masked() {
        let text = "\u{1b}[1m-----BEGIN RSA PRIVATE KEY-----\u{1b}[0m\nMIIEowIBAAKCAQEA7bq1Z\nq1Z==\n\
             -----END RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA7bq1Z";
        let lines = tail_of(text.to_owned()).await;
        assert_eq!(&lines[1..3], ["<redacted>", "<redacted>"]);
        assert_eq!(lines[4], "MIIEowIBAAKCAQEA7bq1Z", "the key is over");
    }

    #[tokio::test]
    async fn lines_are_kept_with_their_levels() {
        let text = "printed\n\x1e10\x1edebug\n\x1e30\x1ewarning\n\x1e40\x1eerror\n";
        let last = LastLines::default();
        let log = Log::start(last.clone()).expect("a thread can be started");
        let source = std::io::Cursor::new(text.as_bytes());
        let (_tail, tasks) = drain(&WorkerId::from("w-0"), tokio::io::empty(), source, &log);
        tasks.join_all().await;
        let kept = last.after(0);
        let levels: Vec<_> = kept.iter().map(|(_, line)| line.level).collect();
        let expected = [Level::INFO, Level::DEBUG, Level::WARN, Level::ERROR];
        assert_eq!(levels, expected);
        assert_eq!(kept[3].1.text, "error");
    }

    #[tokio::test]
    async fn a_flood_is_drained_and_bounded() {
        let worker = WorkerId::from("w-0");
        let text = "0123456789\n".repeat(200_000);
        let log = Log::start(LastLines::default()).expect("a thread can be started");
        let source = std::io::Cursor::new(text.into_bytes());
        let (tail, tasks) = drain(&worker, tokio::io::empty(), source, &log);
        tasks.join_all().await;
        let kept: usize = tail.lines().iter().map(|line| line.len() + 1).sum();
        assert!(kept <= TAIL && kept > TAIL / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn lines_that_are_not_kept_are_marked_even_if_the_worker_is_silent_then() {
        let last = LastLines::default();
        let log = Log::start(last.clone()).expect("a thread can be started");
        let (mut writes, source) = tokio::io::duplex(1 << 20);
        let (_tail, _tasks) = drain(&WorkerId::from("w-0"), source, tokio::io::empty(), &log);
        let burst = |first: u32| {
            let lines = (first..first + 5000).map(|n| format!("{n}\n"));
            lines.collect::<String>().into_bytes()
        };
        let kept = |after: u64, count: usize| {
            let last = last.clone();
            async move {
                let mut lines = Vec::new();
                let mut at = after;
                while lines.len() < count {
                    let batch = last.wait_after(at).await;
                    at = batch.last().map_or(at, |(number, _)| *number);
                    lines.extend(batch.into_iter().map(|(_, line)| line.text.clone()));
                }
                lines
            }
        };
        writes.write_all(&burst(0)).await.expect("it is read");
        let lines = kept(0, 1001).await;
        assert_eq!((&*lines[999], lines.len()), ("999", 1001));
        assert_eq!(lines[1000], "… 4000 lines were dropped");
        writes.write_all(&burst(5000)).await.expect("it is read");
        drop(writes);
        let lines = kept(1001, 1001).await;
        assert_eq!(
            (&*lines[0], &*lines[1000]),
            ("5000", "… 4000 lines were dropped")
        );
    }
}
