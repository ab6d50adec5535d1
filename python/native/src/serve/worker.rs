//! The life of a worker: connect to the host, load the adapter, serve, clean up.

use std::io::Write as _;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, OnceLock};

use prost::Message as _;
use pyo3::exceptions::{PyConnectionError, PyRuntimeError, PySystemExit};
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict, PyTuple};
use snakepit_grpc::frame::{Header, Kind};
use snakepit_grpc::preamble::{Preamble, Role};

use crate::binding::fault::{Fault, load_failed};
use crate::binding::tool::Tools;
use crate::cancel::cancelled::Cancels;
use crate::cancel::signal::{self, Target};
use crate::known;
use crate::link::Link;
use crate::link::outbox::Outbox;
use crate::link::reader::{Incoming, Reader};
use crate::link::reports::Reports;
use crate::link::wake::Wake;
use crate::observe::gil;
use crate::observe::probe::Probe;
use crate::observe::profile::Profiler;
use crate::observe::stacks::Stacks;
use crate::observe::telemetry;
use crate::process::fork;
use crate::process::host;
use crate::process::memory;
use crate::process::settings::Settings;
use crate::process::termination;
use crate::process::termination::Cleaning;
use crate::process::title;
use crate::serve::control;
use crate::serve::multiplexed::{self, Parts};
use crate::serve::slot_threads::serve_all;
use crate::serve::slots::{Slot, Slots};
use crate::serve::{End, Runtime, SlotRuntime, serve};

/// Serves until the host requests a shutdown; returns the exit status.
pub(crate) fn run(py: Python<'_>, load: &Bound<'_, PyAny>) -> PyResult<i32> {
    let probe = Arc::new(Probe::default());
    let status = live(py, load, &probe);
    probe.stop(py);
    status
}

fn live(py: Python<'_>, load: &Bound<'_, PyAny>, probe: &Arc<Probe>) -> PyResult<i32> {
    host::bind().map_err(PyRuntimeError::new_err)?;
    let settings = Settings::take(py)?;
    title::show(py)?;
    fork::watch()?;
    termination::guard(py)?;
    memory::keep_warm();
    let dependent = settings.dependent;
    let control = dial(&settings, Role::Control)?;
    let copy = control.try_clone()?;
    fork::keep_from_copies(&copy);
    let reports = Arc::new(Reports::new(copy.into())?);
    telemetry::open(settings.telemetry.clone(), &reports);
    known::open(&reports)?;
    let (slots, mut readers, way) = if settings.concurrency > 0 {
        open_shared(&settings, &reports)?
    } else {
        open_each(&settings, &reports)?
    };
    let profiler = Arc::new(Profiler::new(py, Arc::clone(&reports), Arc::clone(&slots)));
    let stacks = Arc::new(Stacks::new(py, Arc::clone(&reports), profiler.walker()));
    control::start(
        control,
        Arc::clone(&reports),
        Arc::clone(&slots),
        Arc::clone(probe),
        (stacks, Arc::clone(&profiler)),
        dependent,
    )?;

    // Before user code imports anything.
    if settings.log_levels {
        py.import("snakepit_bridge._observe.log_levels")?
            .call_method0("watch")?;
    }
    let gil = gil::watch(py, Arc::clone(&reports))?;
    let loaded = load
        .call1((
            &settings.adapter,
            settings.slots,
            settings.concurrency,
            &settings.thread_safety_checks,
            &settings.event_loop,
            settings.strict_hints,
        ))
        .and_then(|catalog| Ok((Tools::read(&catalog)?, catalog)));
    fork::end_child();
    let (tools, catalog) = match loaded {
        Ok(loaded) => loaded,
        Err(error) => {
            let (reader, outbox) = (&mut readers[0], &slots.list[0].link.outbox);
            let fault = load_failed(py, &error);
            telemetry::finish(py);
            refuse(py, reader, outbox, &fault)?;
            return Ok(1);
        }
    };
    let convert = catalog.getattr("convert")?;
    let runtime = Arc::new(Runtime {
        tools,
        context_class: OnceLock::new(),
        convert: (!convert.is_none()).then(|| convert.unbind()),
        catalog: catalog.clone().unbind(),
        gil,
        worker_id: settings.worker_id.into(),
        max_payload: settings.max_payload,
        slots: match settings.concurrency {
            0 => settings.slots,
            calls => calls,
        },
    });
    let mut runtimes = slots.list.iter().map(|slot| SlotRuntime {
        shared: Arc::clone(&runtime),
        cancels: Arc::clone(&slot.cancels),
        link: Arc::clone(&slot.link),
    });
    let several = !matches!(way, Way::Main);
    let told = Arc::clone(&reports);
    let served = match way {
        Way::SlotThreads(wake) => {
            signal::install_empty();
            serve_all(py, readers, runtimes.collect(), &slots, &wake)
        }
        Way::Main => {
            let runtime = runtimes.next().expect("there is a slot");
            let cancels = Arc::clone(&runtime.cancels);
            signal::install(py, cancels, catalog.clone().unbind())?;
            serve(py, Box::new(readers.remove(0)), &runtime)
        }
        Way::Loop(parts) => {
            let runtime = SlotRuntime {
                shared: Arc::clone(&runtime),
                cancels: Arc::new(Cancels::new(Arc::clone(&reports))),
                link: parts.link(),
            };
            multiplexed::serve(py, readers.remove(0), runtime, parts, &slots, reports)
        }
    };
    let gone = match &served {
        Ok(end) => *end == End::HostGone,
        Err(error) => error.is_instance_of::<PyConnectionError>(py),
    };
    if gone {
        if !dependent {
            return outlive(py);
        }
        // An orderly exit would be faster than the kernel's signal to the group, and leave
        // processes that tools have started behind.
        control::die();
    }
    let cleaning = Cleaning::begin();
    let closed = close(py, &catalog, told);
    fork::end_child();
    drop(cleaning);
    profiler.stop();
    telemetry::finish(py);
    match served {
        Err(error) if several => abandon(py, &error),
        served => served.and(closed).map(|()| 0),
    }
}

/// Runs the clean-up of the adapters, and reports to the host which one is running.
fn close(py: Python<'_>, catalog: &Bound<'_, PyAny>, reports: Arc<Reports>) -> PyResult<()> {
    let report = move |args: &Bound<'_, PyTuple>, _: Option<&Bound<'_, PyDict>>| {
        reports.cleaning(&args.get_item(0)?.extract::<String>()?);
        Ok::<_, PyErr>(())
    };
    let report = PyCFunction::new_closure(py, Some(c"cleaning"), None, report)?;
    catalog.call_method1("close", (report,)).map(drop)
}

/// Ends the process while threads of slots may still run, which the regular end of the interpreter
/// would not survive.
#[expect(unsafe_code, reason = "there is no safe `_exit`")]
fn abandon(py: Python<'_>, error: &PyErr) -> ! {
    let code = match error.value(py).getattr("code") {
        Ok(code) if error.is_instance_of::<PySystemExit>(py) => code.extract().unwrap_or(0),
        _ => {
            error.print(py);
            1
        }
    };
    // If the stream fails, its buffered output is lost.
    let _ = py
        .import("sys")
        .and_then(|sys| sys.getattr("stdout")?.call_method0("flush"));
    // SAFETY: it takes a number. For the host this is an end of the connections like any other.
    unsafe { libc::_exit(code) }
}

/// The threads that serve the calls.
#[derive(Debug)]
enum Way {
    /// The main thread, which is the only slot.
    Main,
    /// A thread for each slot; the wake-up wakes the main thread.
    SlotThreads(Arc<Wake>),
    /// An event loop on the main thread.
    Loop(Parts),
}

/// Connects each slot.
fn open_each(
    settings: &Settings,
    reports: &Arc<Reports>,
) -> PyResult<(Arc<Slots>, Vec<Reader>, Way)> {
    let mut list = Vec::new();
    let mut readers = Vec::new();
    for index in 0..settings.slots {
        let (slot, reader) = open(settings, index, reports)?;
        list.push(slot);
        readers.push(reader);
    }
    if settings.slots == 1 {
        list[0].thread.get_or_init(Target::current);
        return Ok((Arc::new(Slots::new(list.into(), None)), readers, Way::Main));
    }
    let wake = Arc::new(Wake::new()?);
    let slots = Slots::new(list.into(), Some(Arc::clone(&wake)));
    Ok((Arc::new(slots), readers, Way::SlotThreads(wake)))
}

/// Opens the connection that all calls share. The slots are for tools that are not asynchronous.
fn open_shared(
    settings: &Settings,
    reports: &Arc<Reports>,
) -> PyResult<(Arc<Slots>, Vec<Reader>, Way)> {
    let connection = OwnedFd::from(dial(settings, Role::Slot(0))?);
    let copy = connection.try_clone()?;
    fork::keep_from_copies(&copy);
    let parts = Parts::new(copy, settings.concurrency)?;
    let list = (0..settings.slots).map(|_| Slot {
        cancels: Arc::new(Cancels::new(Arc::clone(reports))),
        link: parts.link(),
        thread: OnceLock::new(),
    });
    let (wake, table) = (Arc::clone(&parts.wake), Arc::clone(&parts.table));
    let slots = Slots::beside_loop(list.collect(), wake, table, Target::current());
    let reader = Reader::new(connection, settings.max_payload);
    Ok((Arc::new(slots), vec![reader], Way::Loop(parts)))
}

/// Opens the connection of one slot.
fn open(settings: &Settings, index: u16, reports: &Arc<Reports>) -> PyResult<(Slot, Reader)> {
    let connection = OwnedFd::from(dial(settings, Role::Slot(index))?);
    let copy = connection.try_clone()?;
    fork::keep_from_copies(&copy);
    let outbox = Outbox::new(copy);
    let slot = Slot {
        cancels: Arc::new(Cancels::new(Arc::clone(reports))),
        link: Arc::new(Link::new(outbox, connection.as_raw_fd())?),
        thread: OnceLock::new(),
    };
    let reader = Reader::new(connection, settings.max_payload);
    Ok((slot, reader))
}

/// Waits for a signal, which ends the process. Without a host there are no calls, but threads and
/// children of the adapter continue.
#[expect(unsafe_code, reason = "there is no safe `pause`")]
fn outlive(py: Python<'_>) -> PyResult<i32> {
    loop {
        // SAFETY: it takes no arguments, and returns when a signal was handled.
        py.detach(|| unsafe { libc::pause() });
        py.check_signals()?;
    }
}

/// Connects to the host and sends the preamble, which identifies this worker.
fn dial(settings: &Settings, role: Role) -> PyResult<UnixStream> {
    let mut stream = UnixStream::connect(&settings.link)?;
    fork::keep_from_copies(&stream);
    stream.write_all(&Preamble::encode(
        role,
        &settings.token,
        &settings.worker_id,
    ))?;
    Ok(stream)
}

/// Answers the host's `DESCRIBE` with the error of loading the adapter.
fn refuse(py: Python<'_>, reader: &mut Reader, outbox: &Outbox, fault: &Fault) -> PyResult<()> {
    match reader.next(py)? {
        Incoming::Frame(frame) if frame.header.kind == Kind::Describe => outbox.send(
            py,
            Header::new(Kind::Error, frame.header.call),
            &fault.encode_to_vec(),
            [&[], &[]],
        ),
        _ => Ok(()),
    }
}
