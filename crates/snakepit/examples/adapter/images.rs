//! An adapter: which commands exist, how their workers are started, what callers may send, and what
//! they receive.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use snakepit::core::host_tools::ToolResult;
use snakepit::{Adapter, CommandAdapter, Payload, ToolFailure};

/// Arguments as callers send them.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Scale {
    pub(crate) width: u32,
    pub(crate) percent: u32,
}

/// Arguments as the worker expects them.
#[derive(Serialize)]
struct Multiply {
    a: f64,
    b: f64,
}

/// Results as callers receive them.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Scaled {
    pub(crate) width: u32,
}

/// Scales widths with workers that can multiply. `worker` is the command that starts one.
#[derive(Debug)]
pub(crate) struct Images {
    pub(crate) worker: Vec<String>,
}

impl Adapter for Images {
    fn supported_commands(&self) -> Option<Vec<String>> {
        Some(vec!["multiply".to_owned()])
    }

    fn command_timeout(&self, _: &str) -> Option<Duration> {
        Some(Duration::from_secs(60))
    }

    fn validate(&self, _: &str, args: &Payload) -> ToolResult<()> {
        let scale: Scale = args.decode()?;
        match scale.percent {
            1..=1000 => Ok(()),
            other => Err(ToolFailure::new(format!(
                "`percent` is 1 to 1000, got {other}"
            ))),
        }
    }

    fn prepare_args(&self, _: &str, args: Payload) -> ToolResult<Payload> {
        let scale: Scale = args.decode()?;
        let (a, b) = (f64::from(scale.width), f64::from(scale.percent) / 100.0);
        Ok(Payload::encode(&Multiply { a, b })?)
    }

    fn process_response(&self, _: &str, response: Payload) -> ToolResult<Payload> {
        let product: f64 = response.decode()?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is in range"
        )]
        let width = product.round().clamp(0.0, f64::from(u32::MAX)) as u32;
        Ok(Payload::encode(&Scaled { width })?)
    }
}

impl CommandAdapter for Images {
    fn executable(&self) -> PathBuf {
        self.worker.first().map(PathBuf::from).unwrap_or_default()
    }

    fn args(&self) -> Vec<String> {
        self.worker.iter().skip(1).cloned().collect()
    }
}
