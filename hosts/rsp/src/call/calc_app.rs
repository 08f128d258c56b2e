//! `rsp call calcapp`.

use clap::Args;
use rserpool::services::calc_app::{Client, Config, Event, Statistics};
use serde_json::json;

use super::Place;
use crate::failure::Failure;
use crate::values::Span;

/// Flags of `rsp call calcapp`.
#[derive(Args, Clone, Debug)]
pub(super) struct Options {
    /// How many jobs. [default: 10]
    #[arg(long, value_name = "COUNT")]
    jobs: Option<u32>,
    /// Calculations of a job. [default: 5000000]
    #[arg(long, value_name = "COUNT")]
    size: Option<u64>,
    /// From the beginning of one job to the next, if it is done by then. [default: 15s]
    #[arg(long, value_name = "SPAN")]
    interval: Option<Span>,
    /// Make sizes and intervals negative-exponentially distributed, from this seed.
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,
    /// How long elements may be silent before they are asked. [default: 5s]
    #[arg(long, value_name = "SPAN")]
    keep_alive_interval: Option<Span>,
    /// How long an element may take to answer. [default: 5s]
    #[arg(long, value_name = "SPAN")]
    keep_alive_timeout: Option<Span>,
}

pub(super) async fn call(place: Place, options: &Options) -> Result<(), Failure> {
    let mut config = Config::default();
    config.job_count = options.jobs.unwrap_or(config.job_count);
    config.size = options.size.unwrap_or(config.size);
    if config.job_count == 0 || config.size == 0 {
        return Err(Failure::usage("there is nothing to calculate")
            .hint("choose 1 or more for --jobs and --size, or leave them out"));
    }
    config.interval = options.interval.map_or(config.interval, |span| span.0);
    config.seed = options.seed;
    let pace = &mut config.keep_alive;
    pace.interval = options.keep_alive_interval.map_or(pace.interval, |span| span.0);
    pace.timeout = options.keep_alive_timeout.map_or(pace.timeout, |span| span.0);
    config.timeout = pace.timeout;
    let is_silent = place.json;
    let done = place.call(Client::new(config), |event| {
        if is_silent {
            return;
        }
        match event {
            Event::Accepted(job) => say!("job {}: {} calculations", job.id, job.size),
            Event::Rejected(job) => say!("job {}: rejected", job.id),
            Event::Complete { job, elapsed } => {
                say!("job {}: complete after {:.2} s", job.id, elapsed.as_secs_f64());
            }
        }
    });
    let done = done.await?;
    let statistics = done.clients.first().map(Client::statistics).unwrap_or_default();
    let Statistics { complete_count, rejected_count, calculations, elapsed, .. } = statistics;
    // RSPLIB's measure of what a user gets: calculations over the time that jobs took.
    let speed = calculations as f64 / elapsed.as_secs_f64().max(f64::MIN_POSITIVE);
    let lines = [
        ("jobs", format!("{complete_count} complete, {rejected_count} rejections")),
        ("speed", format!("{calculations} calculations, {speed:.0} a second")),
    ];
    let result = json!({
        "complete": complete_count,
        "rejections": rejected_count,
        "calculations": calculations,
        "handling_speed": speed,
    });
    done.print(&lines, result);
    Ok(())
}
