//! `rsp hsdump`: the handlespace of a registrar, as it tells it to its peers.

mod print;

use rserpool::transport::{Transport, TransportConfig};
use rserpool::{DumpError, ENRP_PORT, HandlespaceDump};
use rserpool_core::association::Endpoint;
use rserpool_core::profile::Profile;

use crate::address::Address;
use crate::cli::ProfileChoice;
use crate::failure::{Failure, Status};
use crate::say;
use crate::scope::{CLOSE_PATIENCE, transport_failure};
use crate::sctp::SctpOptions;
use crate::transport::{TransportArg, by, check_udp_port};
use crate::values::Span;

/// What `rsp hsdump` takes.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = HELP, after_long_help = HELP)]
pub(crate) struct HsdumpArgs {
    /// The registrar, by its ENRP port. [default port: 9901]
    #[arg(default_value = "127.0.0.1", value_name = "HOST[:PORT][/UDPPORT]")]
    registrar: Address,
    /// Print JSON instead of a list.
    #[arg(long)]
    json: bool,
    /// How long to wait for all of it.
    #[arg(long, default_value = "10s", value_name = "SPAN")]
    patience: Span,
    /// Which SCTP to use. [default: auto]
    #[arg(long, value_enum)]
    transport: Option<TransportArg>,
    #[command(flatten)]
    sctp: SctpOptions,
    /// Whose habits the registrar has: whether registrations last milliseconds or seconds.
    #[arg(long, value_enum, default_value = "rsplib")]
    profile: ProfileChoice,
}

const HELP: &str = "\
Examples:
  rsp hsdump                           the registrar of this machine
  rsp hsdump 10.0.0.1 --json
  rsp hsdump 10.0.0.1:9901/9899        its ENRP port, and the UDP port to it

Exit code 3 says that no registrar answers. A registrar of ours has an ENRP
port if it is started with --enrp-port or --peer. A registrar takes us for a
peer without elements, RSPLIB's for some 10 s, ours until we have hung up.";

/// Prints a handlespace.
pub(crate) async fn hsdump(args: HsdumpArgs) -> Result<(), Failure> {
    check_udp_port(args.transport, "the registrar", &args.registrar)?;
    let mut endpoint = Endpoint::new(args.registrar.lookup(ENRP_PORT).await?);
    endpoint.udp_port = args.registrar.udp_port;
    let mut config = by(args.transport, TransportConfig::default());
    config.parameters = args.sctp.parameters()?;
    let transport = Transport::start(config);
    let read = HandlespaceDump::read(&transport, endpoint.clone(), args.patience.0).await;
    transport.close(CLOSE_PATIENCE).await;
    let dump = read.map_err(|error| failure(&endpoint, &error))?;
    let profile = match args.profile {
        ProfileChoice::Rfc => Profile::Rfc,
        ProfileChoice::Rsplib => Profile::Rsplib,
    };
    let text = match args.json {
        true => print::json(&dump, &endpoint, profile).to_string() + "\n",
        false => print::list(&dump, &endpoint, profile),
    };
    say::print(format_args!("{text}"));
    Ok(())
}

fn failure(endpoint: &Endpoint, error: &DumpError) -> Failure {
    let what = format!("cannot read the handlespace at {endpoint}: {error}");
    match error {
        DumpError::Transport(error) => transport_failure(error),
        DumpError::NoAnswer => Failure::new(Status::NoRegistrar, what).hint(
            "name the registrar's ENRP port, HOST[:PORT][/UDPPORT]; one of ours has it if it is \
             started with --enrp-port or --peer",
        ),
        DumpError::Ended | DumpError::Misbehaves(_) => Failure::failed(what)
            .hint("is this its ENRP port (9901), and not the one for elements and users (3863)?"),
        DumpError::Silent => {
            Failure::new(Status::NoRegistrar, what).hint("wait for longer with --patience")
        }
        DumpError::Refused => Failure::failed(what).hint("try again when it has joined"),
        _ => Failure::failed(what),
    }
}
