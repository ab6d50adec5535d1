//! Options of `snakepit diagnose`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use snakepit::ErrorCode;

use crate::failure::Failure;

#[derive(Debug, Args)]
pub(crate) struct DiagnoseOptions {
    /// Number of workers at the end of each step, in ascending order
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [100, 250, 400, 500])]
    pub(crate) steps: Vec<usize>,
    /// Maximum number of workers, whatever the steps are
    #[arg(long, value_name = "N")]
    pub(crate) max_workers: Option<usize>,
    /// Memory limit of all workers together, for example 2GiB [default: the memory of the machine]
    #[arg(long, value_name = "SIZE", value_parser = snakepit::parse_size)]
    pub(crate) max_memory: Option<usize>,
    /// Memory of the machine to keep free [default: a fifth of it]
    #[arg(long, value_name = "SIZE", value_parser = snakepit::parse_size)]
    pub(crate) keep_free: Option<usize>,
    /// Time limit of one step
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = snakepit::parse_duration)]
    pub(crate) step_timeout: Duration,
    /// Python interpreter
    #[arg(long, value_name = "PATH")]
    pub(crate) python: Option<PathBuf>,
    /// Directory of the records [default: the user's own]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Print everything as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl DiagnoseOptions {
    /// Rejects numbers of workers that are 0, and steps that do not grow.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let refused =
            |what: &str, help: &str| Err(Failure::usage(ErrorCode::WrongUsage, what, help));
        if self.steps.contains(&0) || self.max_workers == Some(0) {
            return refused(
                "`--steps` and `--max-workers` must be at least 1",
                "write for example --steps 10,50",
            );
        }
        if !self.steps.is_sorted_by(|one, next| one < next) {
            return refused(
                "each of the `--steps` must be larger than the one before",
                "write for example --steps 10,50",
            );
        }
        Ok(())
    }

    /// Returns the steps, which grow, capped at the highest number of workers allowed.
    pub(super) fn steps(&self) -> Vec<usize> {
        let most = self.max_workers.unwrap_or(usize::MAX);
        let mut steps: Vec<_> = self.steps.iter().map(|step| (*step).min(most)).collect();
        steps.dedup();
        steps
    }
}
