//! `rsp call pingpong`.

use std::time::{Duration, SystemTime};

use clap::Args;
use rserpool::services::ping_pong::{Client, Config, Event, Statistics};
use serde_json::json;

use super::{Place, millis};
use crate::failure::Failure;
use crate::values::Span;

/// Flags of `rsp call pingpong`.
#[derive(Args, Clone, Debug)]
pub(super) struct Options {
    /// How many pings. [default: 10]
    #[arg(long, value_name = "COUNT")]
    count: Option<u64>,
    /// From one ping to the next. [default: 500ms]
    #[arg(long, value_name = "SPAN")]
    interval: Option<Span>,
    /// How long an element may take to answer. [default: 3s]
    #[arg(long, value_name = "SPAN")]
    timeout: Option<Span>,
}

pub(super) async fn call(place: Place, options: &Options) -> Result<(), Failure> {
    let mut config = Config::default();
    config.count = options.count.unwrap_or(config.count);
    config.interval = options.interval.map_or(config.interval, |span| span.0);
    config.timeout = options.timeout.map_or(config.timeout, |span| span.0);
    // The machine's clock begins now, at one second.
    let epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let epoch = epoch.saturating_sub(Duration::from_secs(1));
    config.epoch_micros = u64::try_from(epoch.as_micros()).unwrap_or(u64::MAX);
    let is_silent = place.json;
    let done = place.call(Client::new(config), |event| {
        let Event::Pong { number, reply, round_trip } = event;
        if !is_silent {
            say!("pong {number}: reply {reply}, {:.3} ms", millis(round_trip));
        }
    });
    let done = done.await?;
    let statistics = done.clients.first().map(Client::statistics).unwrap_or_default();
    let Statistics { pong_count, repeat_count, last_reply, jump_count, .. } = statistics;
    let count = u32::try_from(pong_count).unwrap_or(u32::MAX).max(1);
    let shortest = if pong_count == 0 { Duration::ZERO } else { statistics.round_trip_min };
    let mean = statistics.round_trip_sum / count;
    let times = [shortest, mean, statistics.round_trip_max].map(millis);
    let lines = [
        ("pongs", format!("{pong_count}, {repeat_count} pings repeated")),
        ("replies", format!("{last_reply}, {jump_count} out of order")),
        ("round trip", format!("{:.3} / {:.3} / {:.3} ms", times[0], times[1], times[2])),
    ];
    let result = json!({
        "pongs": pong_count,
        "repeated": repeat_count,
        "last_reply": last_reply,
        "out_of_order": jump_count,
        "round_trip_ms": { "min": times[0], "mean": times[1], "max": times[2] },
    });
    done.print(&lines, result);
    Ok(())
}
