//! `snakepit-bench`: measures the library beside its floor and its peers.

use std::process::ExitCode;

fn main() -> ExitCode {
    snakepit_benches::main()
}
