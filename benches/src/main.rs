//! `snakepit-bench`: measures, beside its floor and its peers, what the library does.

use std::process::ExitCode;

fn main() -> ExitCode {
    snakepit_benches::main()
}
