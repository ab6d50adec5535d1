//! `snakepit lines`: a worker on gRPC in front of an executable that reads and writes lines of
//! JSON.

mod calls;
mod description;
mod reply;

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use snakepit::ErrorCode;
use snakepit::grpc::WorkerServer;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

use self::calls::Calls;
use self::description::Description;
use crate::failure::Failure;
use crate::foreign_options::LinesOptions;
use crate::session::Signals;

/// The socket on which a host expects the worker.
const SOCKET: &str = "SNAKEPIT_WORKER_SOCKET";

/// The limit of a payload in bytes.
const MAX_PAYLOAD: &str = "SNAKEPIT_WORKER_MAX_PAYLOAD";

/// Time that the executable has to end once its input has ended.
const END: Duration = Duration::from_secs(5);

pub(crate) async fn run(options: &LinesOptions) -> Result<(), Failure> {
    let Some(socket) = std::env::var_os(SOCKET).map(PathBuf::from) else {
        return Err(Failure::usage(
            ErrorCode::WrongUsage,
            format!("`{SOCKET}` is not set: this command is for the hosts of workers"),
            "use it in `command` of a pool: [\"snakepit\", \"lines\", \"./worker.sh\"]",
        ));
    };
    let mut signals = Signals::new()?;
    let mut child = Command::new(&options.program)
        .args(&options.args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| {
            let program = options.program.display();
            let message = format!("{program} cannot be started: {error}");
            Failure::usage(
                ErrorCode::StartFailed,
                message,
                "correct the path of the program",
            )
        })?;
    let mut input = child.stdin.take().expect("it is piped");
    let output = child.stdout.take().expect("it is piped");
    let mut lines = BufReader::new(output).lines();
    let description = tokio::select! {
        description = describe(&mut lines) => description?,
        number = signals.next() => return Err(Failure::Signal(number)),
    };
    let (sender, mut requests) = mpsc::channel::<String>(16);
    let calls = Calls::new(sender, description, &options.program);
    let limit = std::env::var(MAX_PAYLOAD)
        .ok()
        .and_then(|text| text.parse().ok());
    // The text of a value may be longer than its encoded form.
    let limit = limit.unwrap_or(64_usize << 20).saturating_mul(2);
    let server = WorkerServer::new(calls.clone());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = server.serve_unix(&socket, limit, async { drop(stopped.await) });
    let writing = async {
        while let Some(line) = requests.recv().await {
            if input.write_all(line.as_bytes()).await.is_err() {
                break;
            }
        }
        input
    };
    let reading = async {
        while let Ok(Some(line)) = lines.next_line().await {
            if !calls.take(&line) {
                eprintln_line(&line);
            }
        }
    };
    let mut stop = Some(stop);
    let ended = {
        tokio::pin!(serving, writing, reading);
        loop {
            tokio::select! {
                served = &mut serving => {
                    served?;
                    break None;
                }
                // The answers are read to the end before the exit is reported.
                () = &mut reading => break Some(child.wait().await?),
                _ = &mut writing => break Some(child.wait().await?),
                _ = signals.next() => drop(stop.take()),
            }
        }
        // The input of the program has ended with this block.
    };
    match ended {
        Some(status) => Err(gone(status)),
        None => end(child).await,
    }
}

/// Reads the description, which is the first line that is a JSON object.
async fn describe(lines: &mut Lines<BufReader<ChildStdout>>) -> Result<Description, Failure> {
    let wrong = |reason: String| {
        let help = "begin with a line such as {\"tools\": [{\"name\": \"add\"}]}";
        Failure::usage(ErrorCode::Protocol, reason, help)
    };
    while let Some(line) = lines.next_line().await? {
        match Description::parse(&line) {
            Some(Ok(description)) => return Ok(description),
            Some(Err(reason)) => {
                return Err(wrong(format!(
                    "the description of the tools cannot be used: {reason}"
                )));
            }
            None => eprintln_line(&line),
        }
    }
    Err(wrong(
        "the program ended before it described its tools".to_owned(),
    ))
}

/// Passes on a line that is no message: the host logs what workers print.
fn eprintln_line(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn gone(status: ExitStatus) -> Failure {
    let help = "let the program read lines until its input ends";
    Failure::usage(
        ErrorCode::WorkerDied,
        format!("the program ended: {status}"),
        help,
    )
}

/// Ends the executable: its input has ended, so it ends by itself or is killed.
async fn end(mut child: Child) -> Result<(), Failure> {
    if timeout(END, child.wait()).await.is_err() {
        child.kill().await?;
    }
    Ok(())
}
