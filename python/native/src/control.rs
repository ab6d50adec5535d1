//! The control connection: cancel, ping, and the end of the host. Served by a native thread that never takes the GIL.

use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use snakepit_grpc::frame::{HEADER_LEN, Header, Kind};
use snakepit_grpc::pb;

use crate::cancels::Cancels;
use crate::link::Link;
use crate::signal::Target;
use crate::{clock, host, socket};

/// Bytes kept of the head of a frame; what is known is shorter.
const HEAD: usize = 256;

/// Time that a cancelled tool has when the host does not say.
const DEFAULT_GRACE: Duration = Duration::from_secs(5);

/// Starts the thread. When the connection ends a dependent process ends with it, whatever Python is doing.
pub(crate) fn start(
    stream: UnixStream,
    cancels: Arc<Cancels>,
    link: Arc<Link>,
    target: Target,
    dependent: bool,
) -> io::Result<()> {
    let builder = std::thread::Builder::new()
        .name("snakepit-control".to_owned())
        .stack_size(64 << 10);
    builder.spawn(move || {
        // Whatever ended it, the host cannot reach this worker any more.
        let _ = serve(stream, &cancels, &link, target);
        if dependent {
            die();
        }
        host::silence();
    })?;
    Ok(())
}

fn serve(mut stream: UnixStream, cancels: &Cancels, link: &Link, target: Target) -> io::Result<()> {
    let mut bytes = [0; HEADER_LEN];
    let mut head = Vec::new();
    loop {
        let left = |due| clock::until(due);
        while !socket::readable(&stream, cancels.due().map(left))? {
            if cancels.climb(waits) {
                target.interrupt();
            }
        }
        stream.read_exact(&mut bytes)?;
        let header = Header::decode(&bytes)
            .map_err(|bad| io::Error::new(io::ErrorKind::InvalidData, bad))?;
        let length = u64::from(header.head_len).saturating_add(header.body_len);
        let kept = u64::from(header.head_len).min(HEAD as u64);
        head.clear();
        (&mut stream).take(kept).read_to_end(&mut head)?;
        io::copy(&mut (&mut stream).take(length - kept), &mut io::sink())?;
        match header.kind {
            Kind::Cancel => {
                // A host that does not say how long it waits leaves it to us.
                let grace = pb::Cancel::decode(&head[..]).map_or(DEFAULT_GRACE, |cancel| {
                    match cancel.grace_us {
                        0 => DEFAULT_GRACE,
                        micros => Duration::from_micros(micros),
                    }
                });
                cancels.cancel(header.call, grace);
                link.cancel(header.call);
            }
            Kind::Ping => cancels.send(&Header::new(Kind::Pong, header.call).encode()),
            _ => {}
        }
    }
}

/// Whether the main thread waits in the system. It is asked from another thread, so it is a report and not a promise.
fn waits() -> bool {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name may hold anything, also parentheses.
    let state = stat
        .rsplit(") ")
        .next()
        .and_then(|rest| rest.bytes().next());
    matches!(state, Some(b'S' | b'D'))
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
