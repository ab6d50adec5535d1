//! The control connection: cancel, ping, and the end of the host. Served by a native thread that never takes the GIL.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use snakepit_grpc::frame::{HEADER_LEN, Header, Kind};

use crate::host;
use crate::link::Link;

/// Cancellations that came before their call are remembered, the last so many.
const REMEMBERED: usize = 256;

/// Which calls are cancelled.
#[derive(Debug, Default)]
pub(crate) struct Cancels {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: Option<(u64, Arc<AtomicBool>)>,
    early: VecDeque<u64>,
}

impl Cancels {
    /// A call starts: its flag, already set when the host cancelled it before.
    pub(crate) fn begin(&self, call: u64) -> Arc<AtomicBool> {
        let mut state = self.lock();
        let cancelled = state.early.iter().any(|id| *id == call);
        state.early.retain(|id| *id != call);
        let flag = Arc::new(AtomicBool::new(cancelled));
        state.running = Some((call, Arc::clone(&flag)));
        flag
    }

    /// The running call is over.
    pub(crate) fn end(&self) {
        self.lock().running = None;
    }

    fn cancel(&self, call: u64) {
        let mut state = self.lock();
        match &state.running {
            Some((running, flag)) if *running == call => flag.store(true, Ordering::Release),
            _ => {
                if state.early.len() == REMEMBERED {
                    state.early.pop_front();
                }
                state.early.push_back(call);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the thread. When the connection ends a dependent process ends with it, whatever Python is doing.
pub(crate) fn start(
    stream: UnixStream,
    cancels: Arc<Cancels>,
    link: Arc<Link>,
    dependent: bool,
) -> io::Result<()> {
    let builder = std::thread::Builder::new()
        .name("snakepit-control".to_owned())
        .stack_size(64 << 10);
    builder.spawn(move || {
        // Whatever ended it, the host cannot reach this worker any more.
        let _ = serve(stream, &cancels, &link);
        if dependent {
            die();
        }
        host::silence();
    })?;
    Ok(())
}

fn serve(mut stream: UnixStream, cancels: &Cancels, link: &Link) -> io::Result<()> {
    let mut bytes = [0; HEADER_LEN];
    loop {
        stream.read_exact(&mut bytes)?;
        let header = Header::decode(&bytes)
            .map_err(|bad| io::Error::new(io::ErrorKind::InvalidData, bad))?;
        let length = u64::from(header.head_len).saturating_add(header.body_len);
        io::copy(&mut (&mut stream).take(length), &mut io::sink())?;
        match header.kind {
            Kind::Cancel => {
                cancels.cancel(header.call);
                link.cancel(header.call);
            }
            Kind::Ping => stream.write_all(&Header::new(Kind::Pong, header.call).encode())?,
            _ => {}
        }
    }
}

/// Ends the process at once, with the children that are still in its group when it leads one.
#[expect(unsafe_code, reason = "there is no safe `_exit` and `kill`")]
pub(crate) fn die() -> ! {
    // SAFETY: these calls take no pointers and are safe from any thread; `_exit` runs no destructors, which is the point: the GIL may
    // be held by code that never returns.
    unsafe {
        if libc::getpgrp() == libc::getpid() {
            libc::kill(0, libc::SIGKILL);
        }
        libc::_exit(1)
    }
}
