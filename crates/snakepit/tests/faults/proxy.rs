//! A proxy between workers and their host, which disturbs the connection as a test requires.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::oracle::Scene;

/// The treatment of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Pass,
    /// Nothing moves.
    Stall,
    /// One byte per second in each direction.
    Trickle,
    /// Both ends are closed.
    Cut,
    /// The host's end is closed; the worker does not notice.
    CutHost,
    /// The worker's end is closed; the host does not notice.
    CutWorker,
}

/// A running proxy. Dropping it closes its connections.
#[derive(Debug)]
pub(crate) struct Proxy {
    mode: watch::Sender<Mode>,
    bytes: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// Starts a proxy for the workers of this scene that have [`Proxy::directory`] in their module
    /// search path.
    pub(crate) fn start(scene: &Scene) -> Self {
        let (mode, modes) = watch::channel(Mode::Pass);
        let bytes = Arc::new(AtomicU64::new(0));
        let listener = UnixListener::bind(scene.path("proxy")).unwrap();
        let link = scene.path("link");
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, link, modes, Arc::clone(&bytes)));
        Self {
            mode,
            bytes,
            _tasks: tasks,
        }
    }

    /// Creates a directory with Python code that a worker runs before anything else: it writes the
    /// host's address to a file and uses the proxy's instead.
    pub(crate) fn directory(scene: &Scene) -> PathBuf {
        let dir = scene.path("site");
        fs::create_dir(&dir).unwrap();
        let (link, proxy) = (scene.text("link"), scene.text("proxy"));
        let code = format!(
            "import os\n\
             link = os.environ.get('SNAKEPIT_WORKER_LINK')\n\
             if link:\n    \
                 fresh = '{link}.' + str(os.getpid())\n    \
                 open(fresh, 'w').write(link)\n    \
                 os.replace(fresh, '{link}')\n    \
                 os.environ['SNAKEPIT_WORKER_LINK'] = '{proxy}'\n"
        );
        fs::write(dir.join("sitecustomize.py"), code).unwrap();
        dir
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Returns the number of bytes passed on so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

async fn accept(
    listener: UnixListener,
    link: PathBuf,
    modes: watch::Receiver<Mode>,
    bytes: Arc<AtomicU64>,
) {
    let mut pumps = JoinSet::new();
    loop {
        let (worker, _) = listener.accept().await.unwrap();
        let Ok(host) = UnixStream::connect(fs::read_to_string(&link).unwrap()).await else {
            // The pool is closed.
            continue;
        };
        let (from_worker, to_worker) = worker.into_split();
        let (from_host, to_host) = host.into_split();
        for (from, to, closes) in [
            (from_worker, to_host, Mode::CutHost),
            (from_host, to_worker, Mode::CutWorker),
        ] {
            let pump = Pump {
                from,
                to,
                closes,
                modes: modes.clone(),
                bytes: Arc::clone(&bytes),
            };
            pumps.spawn(pump.run());
        }
    }
}

/// One direction of a connection.
struct Pump {
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    /// The mode that closes the end to which this direction leads.
    closes: Mode,
    modes: watch::Receiver<Mode>,
    bytes: Arc<AtomicU64>,
}

impl Pump {
    /// Runs until the connection ends, also by an error.
    async fn run(mut self) {
        let mut buffer = vec![0; 64 * 1024];
        // Number of bytes at the start of the buffer that are still to be passed on.
        let mut held = 0;
        loop {
            let mode = *self.modes.borrow_and_update();
            let room = match mode {
                Mode::Cut => return,
                Mode::Stall => {
                    if self.modes.changed().await.is_err() {
                        return;
                    }
                    continue;
                }
                Mode::CutHost | Mode::CutWorker => {
                    if mode == self.closes {
                        // The other end may be gone already.
                        let _ = self.to.shutdown().await;
                    }
                    // Kept open, but no longer used.
                    let _ = self.modes.changed().await;
                    return;
                }
                Mode::Trickle => 1,
                Mode::Pass => buffer.len(),
            };
            if held == 0 {
                held = tokio::select! {
                    read = self.from.read(&mut buffer[..room]) => read.unwrap_or(0),
                    _ = self.modes.changed() => continue,
                };
                if held == 0 {
                    return;
                }
                if self.modes.has_changed().is_ok_and(|changed| changed) {
                    // Bytes written after the change are treated by the new mode.
                    continue;
                }
            }
            let passed = held.min(room);
            if self.to.write_all(&buffer[..passed]).await.is_err() {
                return;
            }
            buffer.copy_within(passed..held, 0);
            held -= passed;
            self.bytes.fetch_add(passed as u64, Ordering::Relaxed);
            if mode == Mode::Trickle {
                let _ = tokio::time::timeout(Duration::from_secs(1), self.modes.changed()).await;
            }
        }
    }
}
