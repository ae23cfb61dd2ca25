//! The operator's binary: parses the command line and hands over.

use std::process::ExitCode;

use clap::Parser;
use proxima_operator::args::Cli;

fn main() -> ExitCode {
    proxima_operator::run(Cli::parse())
}
