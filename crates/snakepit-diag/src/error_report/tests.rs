//! Reports as text and as JSON.

use snakepit_core::error::{Death, Error, ErrorCode, StartError, ToolError};
use snakepit_core::id::WorkerId;

use super::ErrorReport;

fn tool_error() -> ToolError {
    let mut error = ToolError::new(
        ErrorCode::WrongArgument,
        "argument `xs` of tool `mean` must be list[float], got string \"oops\"",
    );
    error.file = "tools.py".into();
    error.line = 3;
    error.source_line = "def mean(xs: list[float]) -> float".into();
    error.help = "pass a value that fits, for example xs = [1.0, 2.0]".into();
    error
}

#[test]
fn a_refused_argument_reads_as_documented() {
    let report = ErrorReport::from(&Error::Tool(Box::new(tool_error())));
    let expected = "error[SP2003]: argument `xs` of tool `mean` must be list[float], got string \"oops\"\n  \
         --> tools.py:3  def mean(xs: list[float]) -> float\n  \
         help: pass a value that fits, for example xs = [1.0, 2.0]";
    assert_eq!(report.to_string(), expected);
    assert_eq!(report.to_json()["code"], "SP2003");
}

#[test]
fn an_exception_has_notes_causes_and_traceback() {
    let mut error = ToolError::new(ErrorCode::ToolRaised, "boom");
    error.type_name = "ValueError".into();
    error.notes = vec!["look here".into()];
    error.traceback = "Traceback:\n  line\n".into();
    let mut cause = ToolError::new(ErrorCode::ToolRaised, "first");
    cause.type_name = "KeyError".into();
    error.cause = Some(Box::new(cause));
    let report = ErrorReport::from(&Error::Tool(Box::new(error)));
    let expected = "error[SP3001]: ValueError: boom\n  note: look here\n  caused by: KeyError: first\n  \
         traceback:\n    Traceback:\n      line";
    assert_eq!(report.to_string(), expected);
    assert_eq!(report.to_json()["causes"][0], "KeyError: first");
}

#[test]
fn a_failed_start_shows_status_output_and_help() {
    let mut error = StartError::new(ErrorCode::StartFailed, "the worker exited during its start");
    error.exit = Some("exited with status 3".into());
    error.output = vec!["no module".into()];
    error.help = Some("install it".into());
    let expected = "error[SP5002]: the worker exited during its start\n  exit: exited with status 3\n  \
         output:\n    no module\n  help: install it";
    assert_eq!(ErrorReport::from(&error).to_string(), expected);
}

#[test]
fn a_dead_worker_says_whether_to_repeat() {
    let died = |ambiguous| Error::WorkerDied {
        worker: WorkerId::from("main-0"),
        reason: "killed by signal 9 (SIGKILL)".into(),
        cause: Death::Signal(9),
        ambiguous,
        output: Vec::new(),
    };
    assert!(
        ErrorReport::from(&died(true))
            .to_string()
            .contains("may have run in part")
    );
    assert!(
        ErrorReport::from(&died(false))
            .to_string()
            .contains("repeat it")
    );
    let mut hungry = died(true);
    if let Error::WorkerDied { cause, .. } = &mut hungry {
        *cause = Death::OutOfMemory;
    }
    let text = ErrorReport::from(&hungry).to_string();
    assert!(text.contains("more memory"), "{text}");
}

#[test]
fn colours_only_when_asked() {
    let report = ErrorReport::from(&Error::Tool(Box::new(tool_error())));
    assert!(!report.to_string().contains('\x1b'));
    assert!(
        report
            .colour(true)
            .to_string()
            .contains("\x1b[1;31merror[SP2003]")
    );
}
