//! The tokio runtime of the pools.

use std::panic::catch_unwind;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::code::ErrorCode;
use crate::config::ConfigError;

/// Returns the runtime from which this is called.
///
/// # Errors
/// [`ErrorCode::NoRuntime`] if there is none, or if it has no timers.
pub fn current_runtime() -> Result<Handle, ConfigError> {
    let Ok(handle) = Handle::try_current() else {
        return Err(unusable(
            "is missing: this was called outside of a tokio runtime",
            "call it from a task or from `Runtime::block_on`, for example under `#[tokio::main]`",
        ));
    };
    // The only way to find out: creating a timer panics if the runtime has no timers.
    let timer = catch_unwind(|| drop(tokio::time::sleep(Duration::ZERO)));
    if timer.is_err() {
        return Err(unusable(
            "has no timers",
            "build the runtime with `enable_all()`",
        ));
    }
    Ok(handle)
}

fn unusable(message: &str, help: &str) -> ConfigError {
    let mut error = ConfigError::new("tokio runtime", message, help);
    error.code = ErrorCode::NoRuntime;
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_without_timers_is_refused() {
        let error = current_runtime().expect_err("there is no runtime");
        assert_eq!(error.code, ErrorCode::NoRuntime);
        assert!(error.to_string().contains("outside of a tokio runtime"));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        let error = runtime
            .block_on(async { current_runtime() })
            .expect_err("it has no timers");
        assert_eq!(error.code, ErrorCode::NoRuntime);
        assert!(error.to_string().contains("no timers"));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        assert!(runtime.block_on(async { current_runtime() }).is_ok());
    }
}
