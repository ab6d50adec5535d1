//! The control connection: cancel, ping, stacks, profiles, telemetry, and the end of the host. A
//! native thread that never takes the GIL serves it.

use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use snakepit_grpc::frame::{FLAG_ERROR, HEADER_LEN, Header, Kind, MAX_TELEMETRY_CONTROL};
use snakepit_grpc::pb;

use crate::known;
use crate::link::reports::Reports;
use crate::observe::probe::Probe;
use crate::observe::profile::Profiler;
use crate::observe::stacks::Stacks;
use crate::observe::telemetry::{self, Pump};
use crate::process::clock;
use crate::process::host;
use crate::process::host::Tied;
use crate::serve::slots::Slots;

/// Bytes kept of the head of a frame. All known heads are shorter, except the settings of
/// telemetry.
const HEAD: usize = 256;

/// Grace of a cancelled tool if the host does not state one.
const DEFAULT_GRACE: Duration = Duration::from_secs(5);

/// Starts the control thread. When the connection ends, a `dependent` process ends at once, even
/// while Python code runs.
pub(crate) fn start(
    stream: UnixStream,
    reports: Arc<Reports>,
    slots: Arc<Slots>,
    probe: Arc<Probe>,
    (stacks, profiler): (Arc<Stacks>, Arc<Profiler>),
    dependent: bool,
) -> io::Result<()> {
    let builder = std::thread::Builder::new()
        .name("snakepit-control".to_owned())
        .stack_size(64 << 10);
    builder.spawn(move || {
        // Whatever ended the connection, the host cannot reach this worker any more.
        let _ = serve(&stream, &reports, &slots, &probe, (&stacks, &profiler));
        if dependent {
            die();
        }
        host::silence();
    })?;
    Ok(())
}

fn serve(
    stream: &UnixStream,
    reports: &Reports,
    slots: &Slots,
    probe: &Probe,
    (stacks, profiler): (&Arc<Stacks>, &Arc<Profiler>),
) -> io::Result<()> {
    let mut bytes = [0; HEADER_LEN];
    let mut head = Vec::new();
    let mut stream = Tied(stream);
    let (mut pump, wake) = (Pump::default(), Some(reports.wake()));
    loop {
        loop {
            let due = slots.due().into_iter().chain(pump.due()).min();
            let ready = stream.wait(due.map(clock::until), wake, pump.is_blocked())?;
            if ready.wake {
                reports.clear();
                known::relay(reports);
            }
            pump.turn(reports, ready.wake, ready.room);
            if ready.input {
                break;
            }
            slots.escalate();
        }
        stream.read_exact(&mut bytes)?;
        let header = Header::decode(&bytes)
            .map_err(|bad| io::Error::new(io::ErrorKind::InvalidData, bad))?;
        let length = u64::from(header.head_len).saturating_add(header.body_len);
        let limit = match header.kind {
            Kind::TelemetryControl => MAX_TELEMETRY_CONTROL,
            _ => HEAD,
        };
        let kept = u64::from(header.head_len).min(limit as u64);
        head.clear();
        (&mut stream).take(kept).read_to_end(&mut head)?;
        io::copy(&mut (&mut stream).take(length - kept), &mut io::sink())?;
        match header.kind {
            Kind::Cancel => {
                // A host that states no grace leaves it to the worker.
                let grace = pb::Cancel::decode(&head[..]).map_or(DEFAULT_GRACE, |cancel| {
                    match cancel.grace_us {
                        0 => DEFAULT_GRACE,
                        micros => Duration::from_micros(micros),
                    }
                });
                slots.cancel(header.call, grace);
            }
            Kind::Ping => reports.send(&pong(header.call, probe.held())),
            Kind::Stacks => stacks.ask(header.call),
            Kind::Recall => {
                let recall = pb::Recall::decode(&head[..]);
                let back = recall.is_ok_and(|it| slots.recall(it.slot, header.call));
                reports.recalled(header.call, back);
            }
            Kind::TelemetryControl => telemetry::control(&head),
            Kind::SecretKnown => known::answered(header.call, header.flags & FLAG_ERROR == 0),
            Kind::Profile => profiler.ask(
                header.call,
                pb::Profile::decode(&head[..]).unwrap_or_default(),
            ),
            _ => {}
        }
    }
}

/// Encodes the answer to a ping, with the time for which the interpreter has been out of reach.
fn pong(number: u64, held: Option<Duration>) -> Vec<u8> {
    let held = held.unwrap_or_default().as_micros();
    let head = pb::Pong {
        held_us: u64::try_from(held).unwrap_or(u64::MAX),
    };
    let head = head.encode_to_vec();
    let mut header = Header::new(Kind::Pong, number);
    header.head_len = u32::try_from(head.len()).expect("one number is short");
    [&header.encode()[..], &head].concat()
}

/// Ends the process at once. If it leads its process group, kills the group too.
#[expect(unsafe_code, reason = "there is no safe `_exit` and `kill`")]
pub(crate) fn die() -> ! {
    // SAFETY: these calls take no pointers and are safe from any thread; `_exit` runs no
    // destructors, which is the point: the GIL may be held by code that never returns.
    unsafe {
        if libc::getpgrp() == libc::getpid() {
            libc::kill(0, libc::SIGKILL);
        }
        libc::_exit(1)
    }
}
