//! The edge binary. Everything it does is in the library.

use std::process::ExitCode;

/// Freed memory goes back to the thread that took it, which suits a thread for each core.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let settings = proxima_edge::args::parse();
    proxima_edge::log::start_tracing(&settings.log_filter);
    match proxima_edge::run(settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the edge cannot go on");
            ExitCode::FAILURE
        }
    }
}
