//! `rsp status`: what components tell of themselves by the Component Status Protocol.

mod json;
mod row;
mod screen;
mod table;

use std::io::{self, IsTerminal};
use std::time::Duration;

use rserpool::csp::{CSP_PORT, MonitorConfig, MonitorSocket};
use tokio::time::Instant;

use crate::address::UdpPlace;
use crate::failure::{Failure, Status};
use crate::say;
use crate::scope::stop_signal;
use crate::values::Span;

/// What `rsp status` takes.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = HELP, after_long_help = HELP)]
pub(crate) struct StatusArgs {
    /// Where to listen for reports.
    #[arg(long, default_value = "0.0.0.0:2960", value_name = "HOST[:PORT]")]
    listen: UdpPlace,
    /// Listen for a while (--wait), print the table once, and end; without a terminal always.
    #[arg(long)]
    once: bool,
    /// Print JSON: an object each --interval, each on a line of its own; with --once just one.
    #[arg(long)]
    json: bool,
    /// How long --once listens: longer than the components' --csp-interval.
    #[arg(long, default_value = "3s", value_name = "SPAN")]
    wait: Span,
    /// How often something is printed with --json alone.
    #[arg(long, default_value = "1s", value_name = "SPAN")]
    interval: Span,
    /// How long a silent component stays in the table.
    #[arg(long, default_value = "30s", value_name = "SPAN")]
    expiry: Span,
    /// The most components to keep.
    #[arg(long, default_value_t = 4_096, value_name = "COUNT",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    max_components: u32,
}

const HELP: &str = "\
Examples:
  rsp status                                 a live table; arrows choose, q ends
  rsp registrar --csp-server 127.0.0.1       a registrar that reports to it
  rsp serve --csp-server 127.0.0.1 --csp-interval 250ms
  CSP_SERVER=127.0.0.1 rsp run montecarlo
  rspserver -echo -cspserver=10.0.0.1:2960 -cspinterval=1000
  rsp status --once --json                   all that report within 3 s

Reports are datagrams that anybody can send: what is shown is what was said.";

/// Shows components until a signal or a key comes.
pub(crate) async fn status(args: StatusArgs) -> Result<(), Failure> {
    let stopped = stop_signal(false)?;
    tokio::pin!(stopped);
    let mut config = MonitorConfig::default();
    config.component_count_max = args.max_components as usize;
    config.expiry = args.expiry.0;
    let address = args.listen.lookup(CSP_PORT).await?;
    let bound = MonitorSocket::bind(address, config).await;
    let mut socket = bound.map_err(|error| {
        let status = match error.kind() {
            io::ErrorKind::AddrInUse => Status::AddressInUse,
            _ => Status::Failed,
        };
        Failure::new(status, format!("cannot listen at UDP {address}: {error}"))
            .hint("end the other monitor, or listen elsewhere with --listen HOST[:PORT]")
    })?;
    let is_live = !args.json && !args.once && io::stdout().is_terminal();
    if is_live {
        return screen::show(socket, stopped).await;
    }
    let address = socket.local_address().map_err(|error| listening_failed(&error))?;
    let is_once = args.once || !args.json;
    let pause = if is_once { args.wait.0 } else { args.interval.0.max(INTERVAL_MIN) };
    loop {
        let deadline = Instant::now() + pause;
        loop {
            tokio::select! {
                () = &mut stopped => return Ok(()),
                () = tokio::time::sleep_until(deadline) => break,
                step = socket.step() => step.map_err(|error| listening_failed(&error))?,
            }
        }
        let (monitor, now) = socket.view();
        let text = match args.json {
            true => json::of(address, monitor, now).to_string() + "\n",
            false => table::of(&row::rows(monitor, now)),
        };
        say::print(format_args!("{text}"));
        if is_once && monitor.components().next().is_some() {
            return Ok(());
        }
        if is_once {
            return Err(Failure::failed(format!(
                "no component has reported to UDP {address} in {} s",
                pause.as_secs_f64()
            ))
            .hint("start components with --csp-server, or listen for longer with --wait"));
        }
    }
}

fn listening_failed(error: &io::Error) -> Failure {
    Failure::failed(format!("listening for reports: {error}"))
}

/// Nobody reads faster.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
