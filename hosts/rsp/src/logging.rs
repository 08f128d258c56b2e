//! Logs: `tracing`, to standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::failure::Failure;

/// Starts logging. `filter` (`--log` or the configuration file) wins over `RUST_LOG`.
pub(crate) fn start(filter: Option<&str>) -> Result<(), Failure> {
    let from_environment = std::env::var("RUST_LOG").ok();
    let text = filter.or(from_environment.as_deref()).unwrap_or(FILTER_DEFAULT);
    let filter = EnvFilter::try_new(text).map_err(|error| {
        Failure::usage(format!("cannot read the log filter \"{text}\": {error}"))
            .hint("write a level (error, warn, info, debug, trace) or target=level,target=level")
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    Ok(())
}

/// What is logged when nothing is said.
const FILTER_DEFAULT: &str = "warn";
