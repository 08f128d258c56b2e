//! `rsp call scripting`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use rserpool::services::scripting::{Client, Config, Event};
use serde_json::json;

use super::Place;
use crate::failure::Failure;
use crate::values::Span;

/// Flags of `rsp call scripting`.
#[derive(Args, Clone, Debug)]
pub(super) struct Options {
    /// The package: a tar archive with an executable `ssrun`.
    #[arg(value_name = "PACKAGE")]
    package: PathBuf,
    /// Another archive that the package needs, which elements keep for the next package.
    #[arg(long, value_name = "FILE")]
    environment: Option<PathBuf>,
    /// Where to write what the script made. [default: output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// How often a script that fails is tried again. [default: 3]
    #[arg(long, value_name = "COUNT")]
    retries: Option<u32>,
    /// How long to wait before trying again. [default: 10s]
    #[arg(long, value_name = "SPAN")]
    retry_delay: Option<Span>,
    /// How long an element may be silent while the script runs. [default: 10s]
    #[arg(long, value_name = "SPAN")]
    keep_alive_interval: Option<Span>,
    /// How long an element may take to answer. [default: 10s]
    #[arg(long, value_name = "SPAN")]
    keep_alive_timeout: Option<Span>,
}

pub(super) async fn call(mut place: Place, options: &Options) -> Result<(), Failure> {
    let package = read(&options.package)?;
    let environment = options.environment.as_deref().map(read).transpose()?;
    let out = options.out.clone().unwrap_or_else(|| PathBuf::from("output"));
    let mut config = Config::new(package, environment);
    config.retry_count_max = options.retries.unwrap_or(config.retry_count_max);
    config.retry_delay = options.retry_delay.map_or(config.retry_delay, |span| span.0);
    let pace = &mut config.keep_alive;
    pace.interval = options.keep_alive_interval.map_or(pace.interval, |span| span.0);
    pace.timeout = options.keep_alive_timeout.map_or(pace.timeout, |span| span.0);
    // A pause between two attempts is no lack of elements.
    place.config.patience += config.retry_delay;
    let is_silent = place.json;
    let done = place.call(Client::new(config), |event| {
        if is_silent {
            return;
        }
        match event {
            Event::Ready { text } => say!("ready: {}", String::from_utf8_lossy(&text)),
            Event::NotReady { reason, text } => {
                say!("not ready ({reason}): {}", String::from_utf8_lossy(&text));
            }
            Event::Begun => say!("the script runs"),
            Event::Ended { status } => say!("the script ends with {status}"),
        }
    });
    let mut done = done.await?;
    let client = done.clients.pop();
    let statistics = client.as_ref().map(Client::statistics).unwrap_or_default();
    let output = client.map(Client::into_output).unwrap_or_default();
    std::fs::write(&out, &output).map_err(|error| {
        Failure::failed(format!("cannot write the output {}: {error}", out.display()))
            .hint("choose a file in a folder that you may write to with --out")
    })?;
    let status = statistics.status.unwrap_or(u32::MAX);
    let lines = [
        ("output", format!("{}, {} bytes", out.display(), output.len())),
        ("status", format!("{status}, {} failures", statistics.failure_count)),
    ];
    let result = json!({
        "output": out.display().to_string(),
        "output_bytes": output.len(),
        "status": status,
        "failures": statistics.failure_count,
        "not_ready": statistics.not_ready_count,
    });
    done.print(&lines, result);
    match status {
        0 => Ok(()),
        status => Err(Failure::failed(format!("the script failed with status {status}"))
            .hint(format!("what it made or said is in {}", out.display()))),
    }
}

fn read(path: &Path) -> Result<Arc<[u8]>, Failure> {
    let refused = |why: String| Failure::usage(format!("cannot upload {}: {why}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| refused(error.to_string()))?;
    match bytes.len() <= UPLOAD_LEN_MAX {
        true => Ok(bytes.into()),
        false => Err(refused(format!("it has more than {UPLOAD_LEN_MAX} bytes"))),
    }
}

/// What an association may hold before it is sent.
const UPLOAD_LEN_MAX: usize = 12 << 20;
