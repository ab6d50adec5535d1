//! The socket to which workers connect, and its access control.

mod door;

use std::collections::HashMap;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};
use snakepit_core::id::WorkerId;
use snakepit_grpc::preamble::{FIXED_LEN, Preamble, Role, Token};
use tokio::io::AsyncReadExt as _;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Requested size of the socket buffers in bytes; the system may grant less.
const SOCKET_BUFFER: usize = 2 << 20;

/// Longest path in a Unix socket address.
const MAX_PATH: usize = 107;

/// Number of the next socket of this process.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A listener in a private directory. Dropping it closes and removes the socket.
#[derive(Debug)]
pub(crate) struct Rendezvous {
    path: PathBuf,
    expected: Arc<Table>,
    open: Mutex<Open>,
    _dir: Option<tempfile::TempDir>,
}

/// The open socket.
#[derive(Debug)]
struct Open {
    /// Device and inode, since the file may be removed or replaced.
    id: Option<(u64, u64)>,
    _accepting: JoinSet<()>,
}

/// The workers that may connect, and the error that currently prevents it.
#[derive(Debug, Default)]
struct Table {
    expected: Mutex<HashMap<String, Expected>>,
    trouble: Mutex<Option<Trouble>>,
}

/// The reason why no connection can be accepted at the moment.
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    /// Error of the system.
    pub(crate) error: String,
    /// True if the process, or the machine, has no free descriptor.
    pub(crate) no_descriptor: bool,
}

impl Trouble {
    fn new(error: &std::io::Error) -> Self {
        let number = error.raw_os_error().map(Errno::from_raw);
        Self {
            error: error.to_string(),
            no_descriptor: matches!(number, Some(Errno::EMFILE | Errno::ENFILE)),
        }
    }
}

impl Table {
    /// Sets the reason why connections cannot be accepted; `None` after one was accepted.
    fn trouble(&self, trouble: Option<Trouble>) {
        *self
            .trouble
            .lock()
            .expect("nothing panics while it is locked") = trouble;
    }
}

/// A worker that may connect.
#[derive(Debug)]
struct Expected {
    token: Token,
    slots: u16,
    used: Vec<Role>,
    sender: mpsc::UnboundedSender<(Role, UnixStream)>,
}

/// The permission for one worker to connect. Dropping it revokes the permission.
#[derive(Debug)]
#[must_use = "the worker is let in only while this lives"]
pub(crate) struct Invitation {
    worker: String,
    expected: Arc<Table>,
    receiver: mpsc::UnboundedReceiver<(Role, UnixStream)>,
}

impl Rendezvous {
    /// Opens a socket in the run's directory, or in a private one if that path would be too long.
    /// Requires a tokio runtime.
    pub(crate) fn open(dir: &Path) -> Result<Self, String> {
        // Each pool of a run has its own socket.
        let path = dir.join(NEXT.fetch_add(1, Ordering::Relaxed).to_string());
        if path.as_os_str().len() <= MAX_PATH {
            return Self::listen(path, None);
        }
        Self::open_in(&std::env::temp_dir())
    }

    fn open_in(parent: &Path) -> Result<Self, String> {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::Builder::new()
            .prefix("snakepit-")
            .permissions(std::fs::Permissions::from_mode(0o700))
            .tempdir_in(parent)
            .map_err(|error| {
                format!(
                    "no private directory can be created in {}: {error}",
                    parent.display()
                )
            })?;
        let path = dir.path().join("s");
        let len = path.as_os_str().len();
        if len > MAX_PATH {
            let path = path.display();
            return Err(format!(
                "the socket path {path} has {len} bytes, {MAX_PATH} are possible"
            ));
        }
        Self::listen(path, Some(dir))
    }

    fn listen(path: PathBuf, dir: Option<tempfile::TempDir>) -> Result<Self, String> {
        let expected = Arc::new(Table::default());
        let open = Mutex::new(Open::at(&path, &expected)?);
        Ok(Self {
            path,
            expected,
            open,
            _dir: dir,
        })
    }

    /// Opens the socket again if its file is gone: cleaners of temporary files remove files that
    /// have not been used for long. Existing connections are not affected. Requires a tokio
    /// runtime.
    pub(crate) fn mend(&self) -> Result<(), String> {
        let mut open = self.open.lock().expect("nothing panics while it is locked");
        if id(&self.path).is_some_and(|id| open.id == Some(id)) {
            return Ok(());
        }
        let parent = self.path.parent().unwrap_or(&self.path);
        private(parent).map_err(|error| {
            let parent = parent.display();
            format!("the directory {parent} of the workers' socket is gone: {error}")
        })?;
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let path = self.path.display();
                return Err(format!("{path} cannot be removed: {error}"));
            }
            _ => {}
        }
        *open = Open::at(&self.path, &self.expected)?;
        Ok(())
    }

    /// Returns the reason why connections cannot be accepted at the moment. `None` if they can.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        let trouble = self.expected.trouble.lock();
        trouble.expect("nothing panics while it is locked").clone()
    }

    /// Returns the path of the socket.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Permits a worker with `token` to connect: once for each slot and once for control.
    pub(crate) fn invite(&self, worker: &WorkerId, token: Token, slots: u16) -> Invitation {
        let (sender, receiver) = mpsc::unbounded_channel();
        let worker = worker.as_str().to_owned();
        let expected = Expected {
            token,
            slots,
            used: Vec::new(),
            sender,
        };
        lock(&self.expected).insert(worker.clone(), expected);
        Invitation {
            worker,
            expected: Arc::clone(&self.expected),
            receiver,
        }
    }
}

impl Open {
    fn at(path: &Path, expected: &Arc<Table>) -> Result<Self, String> {
        let listener = UnixListener::bind(path)
            .map_err(|error| format!("the socket {} cannot be opened: {error}", path.display()))?;
        let mut accepting = JoinSet::new();
        accepting.spawn(door::accept(listener, Arc::clone(expected)));
        Ok(Self {
            id: id(path),
            _accepting: accepting,
        })
    }
}

/// Returns device and inode of the file with this name.
fn id(path: &Path) -> Option<(u64, u64)> {
    let meta = std::fs::symlink_metadata(path).ok()?;
    Some((meta.dev(), meta.ino()))
}

/// Creates a directory for its owner only. If it exists, checks that it is one.
fn private(dir: &Path) -> std::io::Result<()> {
    match std::fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        other => return other,
    }
    let meta = std::fs::symlink_metadata(dir)?;
    let ours = meta.is_dir() && meta.uid() == nix::unistd::geteuid().as_raw();
    if ours && meta.mode() & 0o077 == 0 {
        return Ok(());
    }
    Err(std::io::Error::other(
        "other users can write to the existing directory",
    ))
}

impl Drop for Rendezvous {
    fn drop(&mut self) {
        // A private directory is removed with its content, and the sweep removes the rest.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Invitation {
    /// Waits for the next connection of the worker.
    ///
    /// # Cancel safety
    /// Dropping the future loses no connection.
    pub(crate) async fn next(&mut self) -> (Role, UnixStream) {
        match self.receiver.recv().await {
            Some(connection) => connection,
            // The sender is in the table as long as `self` exists.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Invitation {
    fn drop(&mut self) {
        lock(&self.expected).remove(&self.worker);
    }
}

fn lock(table: &Table) -> std::sync::MutexGuard<'_, HashMap<String, Expected>> {
    table
        .expected
        .lock()
        .expect("nothing panics while it is locked")
}

/// Identifies one connection and passes it to its worker. The error states why it was rejected.
async fn admit(mut stream: UnixStream, expected: &Table) -> Result<(), String> {
    let peer = stream
        .peer_cred()
        .map_err(|error| format!("its user is unknown: {error}"))?;
    if peer.uid() != nix::unistd::geteuid().as_raw() {
        return Err(format!("it belongs to another user ({})", peer.uid()));
    }
    let mut fixed = [0; FIXED_LEN];
    let short = |error: std::io::Error| format!("its preamble is incomplete: {error}");
    stream.read_exact(&mut fixed).await.map_err(short)?;
    let preamble = Preamble::decode(&fixed).map_err(|error| error.to_string())?;
    let mut worker = vec![0; preamble.worker_id_len];
    stream.read_exact(&mut worker).await.map_err(short)?;
    let worker = String::from_utf8(worker).map_err(|_| "bad worker id".to_owned())?;

    let mut table = lock(expected);
    // One answer for both cases: a guess must not reveal which names exist.
    let refused = || format!("unknown worker or wrong token (it claims to be {worker:?})");
    let entry = table.get_mut(&worker).ok_or_else(refused)?;
    if !entry.token.matches(&preamble.token) {
        return Err(refused());
    }
    if let Role::Slot(slot) = preamble.role
        && slot >= entry.slots
    {
        return Err(format!("worker {worker} has no slot {slot}"));
    }
    if entry.used.contains(&preamble.role) {
        return Err(format!(
            "worker {worker} is connected already ({:?})",
            preamble.role
        ));
    }
    for result in [
        setsockopt(&stream, sockopt::SndBuf, &SOCKET_BUFFER),
        setsockopt(&stream, sockopt::RcvBuf, &SOCKET_BUFFER),
    ] {
        // The default size works too, only slower.
        let _ = result.inspect_err(|error| tracing::debug!(%error, "socket buffer size"));
    }
    entry.used.push(preamble.role);
    // The receiver's drop removes the entry under the same lock.
    let _ = entry.sender.send((preamble.role, stream));
    Ok(())
}

#[cfg(test)]
#[path = "rendezvous_tests.rs"]
mod tests;
