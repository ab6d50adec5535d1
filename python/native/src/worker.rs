//! The life of a worker: dial home, load the adapter, serve, clean up.

use std::io::Write as _;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, OnceLock};

use prost::Message as _;
use pyo3::exceptions::{PyConnectionError, PyRuntimeError};
use pyo3::prelude::*;
use snakepit_grpc::frame::{Header, Kind};
use snakepit_grpc::preamble::{Preamble, Role};

use crate::cancels::Cancels;
use crate::control;
use crate::fault::{Fault, load_failed};
use crate::link::Link;
use crate::outbox::Outbox;
use crate::reader::{Incoming, Reader};
use crate::serve::{End, Runtime, serve};
use crate::settings::Settings;
use crate::signal::{self, Target};
use crate::tool::Tools;
use crate::{fork, host, memory};

/// Serves until the host says stop; returns the exit status.
pub(crate) fn run(py: Python<'_>, load: &Bound<'_, PyAny>) -> PyResult<i32> {
    host::bind().map_err(PyRuntimeError::new_err)?;
    let settings = Settings::take(py)?;
    fork::watch()?;
    memory::keep_warm();
    let dependent = settings.dependent;
    let control = dial(&settings, Role::Control)?;
    let cancels = Arc::new(Cancels::new(control.try_clone()?.into()));
    let connection = OwnedFd::from(dial(&settings, Role::Slot(0))?);
    let outbox = Outbox::new(connection.try_clone()?);
    let link = Arc::new(Link::new(outbox, connection.as_raw_fd())?);
    let mut reader = Box::new(Reader::new(connection, settings.max_payload));
    control::start(
        control,
        Arc::clone(&cancels),
        Arc::clone(&link),
        Target::current(),
        dependent,
    )?;

    let loaded = load
        .call1((&settings.adapter,))
        .and_then(|catalog| Ok((Tools::read(&catalog)?, catalog)));
    let (tools, catalog) = match loaded {
        Ok(loaded) => loaded,
        Err(error) => {
            refuse(py, &mut reader, &link.outbox, &load_failed(py, &error))?;
            return Ok(1);
        }
    };
    signal::install(py, Arc::clone(&cancels), catalog.clone().unbind())?;
    let convert = catalog.getattr("convert")?;
    let runtime = Runtime {
        tools,
        context_class: OnceLock::new(),
        convert: (!convert.is_none()).then(|| convert.unbind()),
        catalog: catalog.unbind(),
        cancels,
        link,
        worker_id: settings.worker_id.into(),
        max_payload: settings.max_payload,
    };
    let served = serve(py, reader, &runtime);
    let gone = match &served {
        Ok(end) => *end == End::HostGone,
        Err(error) => error.is_instance_of::<PyConnectionError>(py),
    };
    if gone {
        if !dependent {
            return outlive(py);
        }
        // An orderly exit would outrun the kernel's signal to the group and leave what tools have started behind.
        control::die();
    }
    let closed = runtime.catalog.bind(py).call_method0("close").map(drop);
    served.and(closed).map(|()| 0)
}

/// Without a host there is no call to serve, but threads and children of the adapter go on. A signal ends it.
#[expect(unsafe_code, reason = "there is no safe `pause`")]
fn outlive(py: Python<'_>) -> PyResult<i32> {
    loop {
        // SAFETY: it takes nothing, and returns when a signal was handled.
        py.detach(|| unsafe { libc::pause() });
        py.check_signals()?;
    }
}

/// Connects to the host and says who this is.
fn dial(settings: &Settings, role: Role) -> PyResult<UnixStream> {
    let mut stream = UnixStream::connect(&settings.link)?;
    stream.write_all(&Preamble::encode(
        role,
        &settings.token,
        &settings.worker_id,
    ))?;
    Ok(stream)
}

/// Answers the host's `DESCRIBE` with the reason why there is nothing to describe.
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
