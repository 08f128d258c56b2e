//! `rsp call echo`, `rsp call discard` and `rsp call daytime`.

use std::io::BufRead;
use std::time::Duration;

use clap::Args;
use rserpool::services::basic::{Client, Config, Event, What};
use serde_json::json;

use super::{Done, Place, millis};
use crate::failure::Failure;
use crate::say;
use crate::values::Span;

/// Flags of `rsp call echo` and `rsp call discard`.
#[derive(Args, Clone, Debug)]
pub(super) struct Options {
    /// What to send, a message each. [default: the lines of standard input]
    #[arg(value_name = "TEXT")]
    texts: Vec<String>,
    /// Send all of it so many times. [default: 1]
    #[arg(long, value_name = "COUNT")]
    count: Option<u32>,
    /// How long an element may take to answer. [default: 3s]
    #[arg(long, value_name = "SPAN")]
    timeout: Option<Span>,
}

impl Options {
    /// The messages, as RSPLIB's terminal sends them: lines with their ends.
    fn messages(&self) -> Result<Vec<Vec<u8>>, Failure> {
        let lines = match self.texts.as_slice() {
            [] => {
                let lines: Result<Vec<_>, _> = std::io::stdin().lock().lines().collect();
                lines.map_err(|error| {
                    Failure::failed(format!("cannot read standard input: {error}"))
                })?
            }
            texts => texts.to_vec(),
        };
        if let Some(long) = lines.iter().find(|line| line.len() >= MESSAGE_LEN_MAX) {
            let len = long.len();
            return Err(Failure::usage(format!(
                "{len} bytes are too long for a message, which has at most {MESSAGE_LEN_MAX}"
            )));
        }
        let once: Vec<_> = lines.into_iter().map(|line| (line + "\n").into_bytes()).collect();
        let count = usize::try_from(self.count.unwrap_or(1)).unwrap_or(usize::MAX);
        Ok(std::iter::repeat_n(once, count).flatten().collect())
    }

    fn timeout(&self) -> Duration {
        self.timeout.map_or(TIMEOUT_DEFAULT, |span| span.0)
    }
}

pub(super) async fn echo(place: Place, options: Options) -> Result<(), Failure> {
    let what = What::Echo(options.messages()?);
    let client = Client::new(Config { what, timeout: options.timeout() });
    let is_silent = place.json;
    let mut longest = Duration::ZERO;
    let done = place.call(client, |Event::Said { data, round_trip }| {
        longest = longest.max(round_trip);
        if !is_silent {
            say::print(format_args!("{}", String::from_utf8_lossy(&data)));
        }
    });
    let done = done.await?;
    let longest = millis(longest);
    print(&done, "echoes", format!(", {longest:.3} ms at most"), json!({ "longest_ms": longest }));
    Ok(())
}

pub(super) async fn discard(place: Place, options: Options) -> Result<(), Failure> {
    let what = What::Discard(options.messages()?);
    let client = Client::new(Config { what, timeout: options.timeout() });
    let done = place.call(client, drop).await?;
    print(&done, "discarded", String::new(), json!({}));
    Ok(())
}

pub(super) async fn daytime(place: Place) -> Result<(), Failure> {
    let client = Client::new(Config { what: What::Daytime, timeout: TIMEOUT_DEFAULT });
    let is_silent = place.json;
    let mut time = String::new();
    let done = place.call(client, |Event::Said { data, .. }| {
        time = String::from_utf8_lossy(&data).trim_end().to_owned();
        if !is_silent {
            say!("{time}");
        }
    });
    let done = done.await?;
    if is_silent {
        done.print(&[], json!({ "time": time }));
    }
    Ok(())
}

fn print(done: &Done<Client>, name: &str, more: String, mut result: serde_json::Value) {
    let statistics = done.clients.first().map(Client::statistics).unwrap_or_default();
    let (count, repeats) = (statistics.done_count, statistics.repeat_count);
    result[name] = count.into();
    result["repeated"] = repeats.into();
    done.print(&[(name, format!("{count}, {repeats} repeated{more}"))], result);
}

const TIMEOUT_DEFAULT: Duration = Duration::from_secs(3);

/// What elements take.
const MESSAGE_LEN_MAX: usize = 65_536;
