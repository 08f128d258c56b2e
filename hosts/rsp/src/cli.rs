//! The command line: commands, flags and their help.
//!
//! The option structs are read from the configuration file, too; `or` fills what the flags
//! leave open. Defaults are applied where the values are used.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Deserialize;

use crate::address::{Address, EnrpPort, UdpPlace};
use crate::call::{CALL_HELP, CallArgs};
use crate::decode::DecodeArgs;
use crate::failure::EXIT_CODES;
use crate::help::{DEMO_HELP, REGISTRAR_HELP, RESOLVE_HELP, RUN_HELP, SERVE_HELP};
use crate::hsdump::HsdumpArgs;
use crate::limit::Limit;
use crate::policy::PolicyChoice;
use crate::sctp::SctpOptions;
use crate::service::ServiceOptions;
use crate::status::StatusArgs;
use crate::tcp::TcpOptions;
use crate::timer::Timer;
use crate::transport::TransportArg;
use crate::values::{Group, Identifier, KernelChoice, Point, PoolKey, Size, Span, Suggestions};

/// Reliable Server Pooling: registrar, pool elements that compute, and their users.
#[derive(Debug, Parser)]
#[command(name = "rsp", version, after_help = EXIT_CODES, after_long_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// Configuration file (TOML); flags override it.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// What to log to standard error: a level, or target=level,...; overrides RUST_LOG.
    #[arg(long, global = true, value_name = "FILTER")]
    pub(crate) log: Option<String>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a registrar: the directory that pool elements register at.
    #[command(after_help = REGISTRAR_HELP, after_long_help = REGISTRAR_HELP)]
    Registrar {
        #[command(flatten)]
        scope: ScopeOptions,
        #[command(flatten)]
        options: RegistrarOptions,
    },
    /// Run a pool element: register at a registrar and compute work packages, or serve.
    #[command(after_help = SERVE_HELP, after_long_help = SERVE_HELP)]
    Serve {
        #[command(flatten)]
        service: ServiceOptions,
        #[command(flatten)]
        scope: ScopeOptions,
        #[command(flatten)]
        options: ServeOptions,
    },
    /// Run a job: cut it into work packages and let a pool compute them.
    #[command(after_help = RUN_HELP, after_long_help = RUN_HELP)]
    Run {
        #[command(flatten)]
        scope: ScopeOptions,
        #[command(flatten)]
        options: RunOptions,
    },
    /// Call a service of RSPLIB: ping, let calculate, draw, upload, and so on.
    #[command(after_help = CALL_HELP, after_long_help = CALL_HELP)]
    Call(CallArgs),
    /// Ask a registrar for the elements of a pool, and print them.
    #[command(after_help = RESOLVE_HELP, after_long_help = RESOLVE_HELP)]
    Resolve {
        #[command(flatten)]
        scope: ScopeOptions,
        #[command(flatten)]
        options: ResolveOptions,
    },
    /// Print captured ASAP, ENRP and application messages.
    Decode(DecodeArgs),
    /// Show what components tell of themselves: a live table, or JSON.
    Status(StatusArgs),
    /// Print the whole handlespace of a registrar: pools, elements, homes, peers.
    Hsdump(HsdumpArgs),
    /// Watch it work: a registrar, elements and a job, all on this machine, some of them killed.
    #[command(after_help = DEMO_HELP, after_long_help = DEMO_HELP)]
    Demo(DemoOptions),
}

/// What all commands share.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ScopeOptions {
    /// A registrar to use; repeat the flag for more. [default: 127.0.0.1:3863, and those that
    /// announce themselves]
    ///
    /// Without UDPPORT, the usual UDP ports (9899, then the SCTP port or its substitute) are
    /// tried at once.
    #[arg(long = "registrar", value_name = "HOST[:PORT][/UDPPORT]")]
    pub(crate) registrars: Vec<Address>,
    /// Which SCTP to use. [default: auto]
    #[arg(long, value_enum)]
    pub(crate) transport: Option<TransportArg>,
    /// An address of this machine to use, beside that of --listen; repeat the flag for more.
    /// [default: all]
    ///
    /// Peers are told of several, so that associations survive the loss of a path.
    #[arg(long = "local", value_name = "IP")]
    pub(crate) locals: Vec<IpAddr>,
    #[command(flatten)]
    pub(crate) sctp: SctpOptions,
    /// Whose habits decide where the RFCs and RSPLIB differ. [default: rsplib]
    #[arg(long, value_enum)]
    pub(crate) profile: Option<ProfileChoice>,
    /// Whether registrars announce themselves by multicast, and the others listen. [default: on,
    /// but off for who names a --registrar]
    ///
    /// With `on`, only the registrars that are named and those that announce themselves are used.
    #[arg(long, value_enum, value_name = "on|off", help_heading = "Announces")]
    pub(crate) announces: Option<Switch>,
    /// A multicast group to use; repeat the flag for more. [default: 239.0.0.50 and ff05::133,
    /// port 3863; with --profile rfc 224.0.1.185 instead of the former]
    #[arg(long = "announce-group", value_name = "IP[:PORT]", help_heading = "Announces")]
    pub(crate) announce_groups: Vec<Group>,
    /// The interface to use, by its name or an address of it. [default: all; the one of --listen]
    #[arg(long, value_name = "NAME|IP", help_heading = "Announces")]
    pub(crate) announce_interface: Option<String>,
    /// A monitor to tell how we are (`rsp status`, or RSPLIB's cspmonitor), by the Component
    /// Status Protocol. [default port: 2960; without the flag as the environment's CSP_SERVER]
    #[arg(long, value_name = "HOST[:PORT]", help_heading = "Status reports")]
    pub(crate) csp_server: Option<UdpPlace>,
    /// How often to tell it. [default: as CSP_INTERVAL, in milliseconds, or 1s]
    #[arg(long, value_name = "SPAN", help_heading = "Status reports")]
    pub(crate) csp_interval: Option<Span>,
}

/// On or off.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Switch {
    On,
    Off,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ProfileChoice {
    Rfc,
    Rsplib,
}

/// `rsp registrar`.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RegistrarOptions {
    /// Where to listen; port 0 takes a free one. [default: 0.0.0.0:3863]
    ///
    /// UDPPORT pins the UDP port; otherwise it is 9899 if that is free, and the SCTP port's
    /// substitute (13863 for 3863).
    #[arg(long, value_name = "HOST[:PORT][/UDPPORT]")]
    pub(crate) listen: Option<Address>,
    /// The registrar's identifier. [default: random]
    #[arg(long, value_name = "ID")]
    pub(crate) identifier: Option<Identifier>,
    /// The most pool elements. [default: 10000]
    #[arg(long, value_name = "COUNT")]
    pub(crate) max_elements: Option<u32>,
    /// The most associations at a time. [default: 1024]
    #[arg(long, value_name = "COUNT")]
    pub(crate) max_associations: Option<u32>,
    /// Where an element registers no address that it is seen at, take the one it is seen at.
    ///
    /// For elements behind a translation of addresses; by default they are refused.
    #[arg(long)]
    pub(crate) observed_addresses: bool,
    /// Another registrar of the scope, by its ENRP port; repeat the flag for more. [default port:
    /// 9901]
    #[arg(long = "peer", value_name = "HOST[:PORT][/UDPPORT]", help_heading = "Peers")]
    pub(crate) peers: Vec<Address>,
    /// A multicast group to find peers by; repeat the flag for more. [default: 239.0.0.51 and
    /// ff05::134, port 9901; none with --announces off]
    #[arg(long = "peer-group", value_name = "IP[:PORT]", help_heading = "Peers")]
    pub(crate) peer_groups: Vec<Group>,
    /// Where other registrars reach this one; port 0 takes a free one. [default with --peer:
    /// 9901; otherwise there are no peers]
    #[arg(long, value_name = "PORT[/UDPPORT]", help_heading = "Peers")]
    pub(crate) enrp_port: Option<EnrpPort>,
    /// One of its timers, as in max-time-last-heard=5s; repeat the flag for more. [default:
    /// those of the profile]
    ///
    /// peer-heartbeat-cycle, max-time-last-heard, max-time-no-response, mentor-timeout and
    /// takeover-timeout should be the same at all registrars of a scope; keep-alive-interval and
    /// keep-alive-timeout are for the registrar's own elements.
    #[arg(long = "timer", value_name = "NAME=SPAN")]
    pub(crate) timers: Vec<Timer>,
    /// One of its limits against floods; repeat the flag for more.
    ///
    /// registration-rate=20:256 (a second, and at once), handle-resolution-rate=20:100,
    /// unreachable-rate=0.5:16, error-rate=5:20 of each association; elements-per-association=128,
    /// reports-per-reporter=16, subscriptions-per-association=16, max-bad-pe-reports=3,
    /// handle-resolution-items=3. Those are the defaults; a rate may be `off`.
    #[arg(long = "limit", value_name = "NAME=VALUE")]
    pub(crate) limits: Vec<Limit>,
    /// Whether to become the home of elements that a peer suggests (accept), and to suggest others
    /// as well (both), so that elements spread again after a failure. [default: accept]
    #[arg(long, value_enum, value_name = "off|accept|both", help_heading = "Peers")]
    pub(crate) takeover_suggestions: Option<Suggestions>,
    /// Over how many routers announces may go, and one more. [default: 30]
    #[arg(long, value_name = "TTL", help_heading = "Announces")]
    pub(crate) announce_ttl: Option<u8>,
    #[command(flatten)]
    pub(crate) tcp: TcpOptions,
    /// Stop when standard input ends (for those who start a registrar as a child process).
    #[arg(long)]
    #[serde(skip)]
    pub(crate) exit_with_stdin: bool,
}

/// `rsp serve`.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ServeOptions {
    /// The pool to join. [default: ComputePool, for services the one of RSPLIB]
    #[arg(long, value_name = "POOL")]
    pub(crate) pool: Option<String>,
    /// Where to listen; port 0 takes a free one. [default: 0.0.0.0:0]
    #[arg(long, value_name = "HOST[:PORT][/UDPPORT]")]
    pub(crate) listen: Option<Address>,
    /// The pool element identifier. [default: random]
    #[arg(long, value_name = "ID")]
    pub(crate) identifier: Option<Identifier>,
    /// How many elements to run, each with a thread and an identifier of its own. [default: 1]
    #[arg(long, visible_alias = "threads", value_name = "COUNT")]
    pub(crate) elements: Option<u16>,
    /// How many packages an element holds at a time: 1 to 32. [default: 4]
    #[arg(long, value_name = "COUNT")]
    pub(crate) slots: Option<u16>,
    /// The kernels to compute with, separated by commas: fractal, monte-carlo, sha-prefix and
    /// synthetic. [default: all]
    #[arg(long, value_name = "KERNELS", value_delimiter = ',')]
    pub(crate) kernels: Vec<KernelChoice>,
    /// An address to register, for users to connect to; repeat the flag for more. [default: the
    /// one by which the registrar sees us]
    #[arg(long = "address", value_name = "IP")]
    pub(crate) addresses: Vec<IpAddr>,
    /// The pool's policy, with its numbers after colons. [default: LeastUsed; for services
    /// RoundRobin, for scripting LeastUsedDegradation]
    ///
    /// RoundRobin, WeightedRoundRobin:WEIGHT, Random, WeightedRandom:WEIGHT, Priority:PRIORITY,
    /// LeastUsed, LeastUsedDegradation:PERCENT, PriorityLeastUsed:PERCENT, RandomizedLeastUsed;
    /// with a share for each millisecond of distance, as the home registrar measures it,
    /// WeightedRandomDPF:WEIGHT:PERCENT, LeastUsedDPF:PERCENT (0.001 makes 100 ms weigh like 0.1 %
    /// of load), LeastUsedDegradationDPF:PERCENT:PERCENT.
    #[arg(long, value_name = "POLICY")]
    pub(crate) policy: Option<PolicyChoice>,
    /// How long a registration holds unless it is renewed. [default: 5m]
    #[arg(long, value_name = "SPAN")]
    pub(crate) registration_life: Option<Span>,
    /// How often the registration is renewed. [default: 30s]
    #[arg(long, value_name = "SPAN")]
    pub(crate) reregistration_interval: Option<Span>,
    /// The pool key, as 64 hexadecimal digits; it seals the state of half-done packages.
    ///
    /// Every element of a pool needs the same key. On a machine with other users prefer
    /// --pool-key-file or the environment variable RSP_POOL_KEY: a command line can be seen by
    /// all. Without a key, a well-known one is used, with a warning.
    #[arg(long, value_name = "HEX", conflicts_with = "pool_key_file")]
    pub(crate) pool_key: Option<PoolKey>,
    /// A file with the pool key: 64 hexadecimal digits, or 32 bytes.
    #[arg(long, value_name = "FILE")]
    pub(crate) pool_key_file: Option<PathBuf>,
    /// How long to look for a registrar before giving up. [default: for ever]
    #[arg(long, value_name = "SPAN")]
    pub(crate) patience: Option<Span>,
    /// How long unfinished packages may go on after SIGINT or SIGTERM. [default: 2s]
    #[arg(long, value_name = "SPAN")]
    pub(crate) grace: Option<Span>,
    /// Stop when standard input ends (for those who start an element as a child process).
    #[arg(long)]
    #[serde(skip)]
    pub(crate) exit_with_stdin: bool,
}

/// The jobs that `rsp run` knows.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum JobChoice {
    /// A picture of the Mandelbrot set, or of a Julia set.
    #[default]
    Fractal,
    /// An integral, estimated with random points.
    Montecarlo,
    /// A number whose SHA-256 begins with zero bits.
    ShaPrefix,
    /// Nothing but load.
    Load,
}

/// `rsp run`.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RunOptions {
    /// What to compute. [default: fractal]
    #[arg(value_enum, value_name = "JOB")]
    pub(crate) job: Option<JobChoice>,
    /// The pool that computes. [default: ComputePool]
    #[arg(long, value_name = "POOL")]
    pub(crate) pool: Option<String>,
    /// How many work packages to cut the job into. [default: as it fits the job]
    #[arg(long, value_name = "COUNT")]
    pub(crate) packages: Option<u32>,
    /// Give up after this time. [default: never]
    #[arg(long, value_name = "SPAN")]
    pub(crate) deadline: Option<Span>,
    /// How long an element may be silent before its packages go elsewhere. [default: 3s]
    #[arg(long, value_name = "SPAN")]
    pub(crate) silence: Option<Span>,
    /// How long to wait for a first answer of a registrar and of the pool. [default: 15s]
    #[arg(long, value_name = "SPAN")]
    pub(crate) patience: Option<Span>,
    /// Speak TCP with the registrar instead of SCTP; with elements it is SCTP still.
    #[arg(long)]
    pub(crate) tcp: bool,
    /// How long to go on with the elements that a registrar has named before it is asked for
    /// newcomers. [default: 0s]
    #[arg(long, value_name = "SPAN")]
    pub(crate) stale_cache: Option<Span>,
    /// Print the summary as JSON.
    #[arg(long)]
    #[serde(skip)]
    pub(crate) json: bool,
    /// fractal: the size of the picture. [default: 1920x1080]
    #[arg(long, value_name = "WIDTHxHEIGHT", help_heading = "Job: fractal")]
    pub(crate) size: Option<Size>,
    /// fractal: the most iterations a pixel. [default: 2000]
    #[arg(long, value_name = "COUNT", help_heading = "Job: fractal")]
    pub(crate) iterations: Option<u32>,
    /// fractal: the middle of the picture. [default: -0.75,0]
    #[arg(long, value_name = "RE,IM", allow_hyphen_values = true, help_heading = "Job: fractal")]
    pub(crate) center: Option<Point>,
    /// fractal: how much of the real axis the picture spans. [default: 4]
    #[arg(long, value_name = "WIDTH", help_heading = "Job: fractal")]
    pub(crate) span: Option<f64>,
    /// fractal: draw the Julia set of this constant instead of the Mandelbrot set.
    #[arg(long, value_name = "RE,IM", allow_hyphen_values = true, help_heading = "Job: fractal")]
    pub(crate) julia: Option<Point>,
    /// fractal: the PNG to write. [default: mandelbrot.png]
    #[arg(long, value_name = "FILE", help_heading = "Job: fractal")]
    pub(crate) out: Option<PathBuf>,
    /// montecarlo: how many points, for a quarter of pi. [default: 1000000000]
    #[arg(long, value_name = "COUNT", help_heading = "Job: montecarlo")]
    pub(crate) samples: Option<u64>,
    /// montecarlo: the seed of the points; the same seed gives the same estimate. [default: 1]
    #[arg(long, value_name = "SEED", help_heading = "Job: montecarlo")]
    pub(crate) seed: Option<u64>,
    /// sha-prefix: the text that stands before the number. [default: RSerPool]
    #[arg(long, value_name = "TEXT", help_heading = "Job: sha-prefix")]
    pub(crate) text: Option<String>,
    /// sha-prefix: how many zero bits the hash begins with. [default: 26]
    #[arg(long, value_name = "COUNT", help_heading = "Job: sha-prefix")]
    pub(crate) bits: Option<u16>,
    /// load: how many calculations. [default: 10000000000]
    #[arg(long, value_name = "COUNT", help_heading = "Job: load")]
    pub(crate) work: Option<u64>,
}

/// `rsp resolve`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ResolveOptions {
    /// The pool to resolve.
    #[arg(value_name = "POOL")]
    pub(crate) pool: String,
    /// The most elements to ask for. [default: all that fit an answer]
    #[arg(long, value_name = "COUNT")]
    pub(crate) items: Option<u32>,
    /// How long to wait for a registrar. [default: 10s]
    #[arg(long, value_name = "SPAN")]
    pub(crate) patience: Option<Span>,
    /// Print what changes, until a signal comes.
    ///
    /// Elements that came (+), went (-) and changed (~); with --json all elements, a line each
    /// time.
    #[arg(long)]
    pub(crate) watch: bool,
    /// Speak TCP with the registrar instead of SCTP.
    #[arg(long)]
    pub(crate) tcp: bool,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `rsp demo`.
#[derive(Args, Clone, Debug)]
pub(crate) struct DemoOptions {
    /// The size of the picture.
    #[arg(long, default_value = "1920x1080", value_name = "WIDTHxHEIGHT")]
    pub(crate) size: Size,
    /// The most iterations a pixel.
    #[arg(long, default_value_t = 4_000, value_name = "COUNT")]
    pub(crate) iterations: u32,
    /// The middle of the picture.
    #[arg(long, default_value = DEMO_CENTER, allow_hyphen_values = true, value_name = "RE,IM")]
    pub(crate) center: Point,
    /// How much of the real axis the picture spans.
    #[arg(long, default_value_t = DEMO_SPAN, value_name = "WIDTH")]
    pub(crate) span: f64,
    /// How many pool elements to start.
    #[arg(long, default_value_t = 3, value_name = "COUNT",
          value_parser = clap::value_parser!(u16).range(0..=64))]
    pub(crate) elements: u16,
    /// How many of them to kill halfway. [default: 1, with boards 0]
    #[arg(long, value_name = "COUNT")]
    pub(crate) kill: Option<u16>,
    /// How many emulated boards to start beside them (needs QEMU).
    #[arg(long, default_value_t = 0, value_name = "COUNT",
          value_parser = clap::value_parser!(u16).range(0..=32))]
    pub(crate) boards: u16,
    /// How many of the boards to kill halfway. [default: 1]
    #[arg(long, value_name = "COUNT", requires = "boards")]
    pub(crate) kill_board: Option<u16>,
    /// The boards' firmware. [default: built from the source tree]
    #[arg(long, value_name = "ELF", requires = "boards")]
    pub(crate) firmware: Option<PathBuf>,
    /// Which SCTP to use.
    #[arg(long, value_enum, default_value = "auto")]
    pub(crate) transport: TransportArg,
    /// The PNG to write.
    #[arg(long, default_value = "mandelbrot.png", value_name = "FILE")]
    pub(crate) out: PathBuf,
}

impl ScopeOptions {
    /// Fills what is not said here with what `file` says.
    pub(crate) fn or(self, file: Self) -> Self {
        Self {
            registrars: if_empty(self.registrars, file.registrars),
            transport: self.transport.or(file.transport),
            locals: if_empty(self.locals, file.locals),
            sctp: self.sctp.or(file.sctp),
            profile: self.profile.or(file.profile),
            announces: self.announces.or(file.announces),
            announce_groups: if_empty(self.announce_groups, file.announce_groups),
            announce_interface: self.announce_interface.or(file.announce_interface),
            csp_server: self.csp_server.or(file.csp_server),
            csp_interval: self.csp_interval.or(file.csp_interval),
        }
    }
}

impl RegistrarOptions {
    /// Fills what is not said here with what `file` says.
    pub(crate) fn or(self, file: Self) -> Self {
        Self {
            listen: self.listen.or(file.listen),
            identifier: self.identifier.or(file.identifier),
            max_elements: self.max_elements.or(file.max_elements),
            max_associations: self.max_associations.or(file.max_associations),
            observed_addresses: self.observed_addresses || file.observed_addresses,
            peers: if_empty(self.peers, file.peers),
            peer_groups: if_empty(self.peer_groups, file.peer_groups),
            enrp_port: self.enrp_port.or(file.enrp_port),
            // Those of the flags are set behind those of the file.
            timers: [file.timers, self.timers].concat(),
            limits: [file.limits, self.limits].concat(),
            takeover_suggestions: self.takeover_suggestions.or(file.takeover_suggestions),
            announce_ttl: self.announce_ttl.or(file.announce_ttl),
            tcp: self.tcp.or(file.tcp),
            exit_with_stdin: self.exit_with_stdin,
        }
    }
}

impl ServeOptions {
    /// Fills what is not said here with what `file` says.
    pub(crate) fn or(self, file: Self) -> Self {
        // One kind of key on the command line rules out the other kind in the file.
        let key_is_said = self.pool_key.is_some() || self.pool_key_file.is_some();
        let (file_key, file_key_file) = match key_is_said {
            true => (None, None),
            false => (file.pool_key, file.pool_key_file),
        };
        Self {
            pool: self.pool.or(file.pool),
            listen: self.listen.or(file.listen),
            identifier: self.identifier.or(file.identifier),
            elements: self.elements.or(file.elements),
            slots: self.slots.or(file.slots),
            kernels: if_empty(self.kernels, file.kernels),
            addresses: if_empty(self.addresses, file.addresses),
            policy: self.policy.or(file.policy),
            registration_life: self.registration_life.or(file.registration_life),
            reregistration_interval: self.reregistration_interval.or(file.reregistration_interval),
            pool_key: self.pool_key.or(file_key),
            pool_key_file: self.pool_key_file.or(file_key_file),
            patience: self.patience.or(file.patience),
            grace: self.grace.or(file.grace),
            exit_with_stdin: self.exit_with_stdin,
        }
    }
}

impl RunOptions {
    /// Fills what is not said here with what `file` says.
    pub(crate) fn or(self, file: Self) -> Self {
        Self {
            job: self.job.or(file.job),
            pool: self.pool.or(file.pool),
            packages: self.packages.or(file.packages),
            deadline: self.deadline.or(file.deadline),
            silence: self.silence.or(file.silence),
            patience: self.patience.or(file.patience),
            tcp: self.tcp || file.tcp,
            stale_cache: self.stale_cache.or(file.stale_cache),
            json: self.json,
            size: self.size.or(file.size),
            iterations: self.iterations.or(file.iterations),
            center: self.center.or(file.center),
            span: self.span.or(file.span),
            julia: self.julia.or(file.julia),
            out: self.out.or(file.out),
            samples: self.samples.or(file.samples),
            seed: self.seed.or(file.seed),
            text: self.text.or(file.text),
            bits: self.bits.or(file.bits),
            work: self.work.or(file.work),
        }
    }
}

fn if_empty<T>(said: Vec<T>, file: Vec<T>) -> Vec<T> {
    if said.is_empty() { file } else { said }
}

/// The demo's view: a small set of its own in the valley of the sea horses.
const DEMO_CENTER: &str = "-0.743644786,0.1318252536";
const DEMO_SPAN: f64 = 0.0000029336;

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_flag_overrides_the_file() {
        let said = ServeOptions { slots: Some(1), ..ServeOptions::default() };
        let file = ServeOptions {
            slots: Some(2),
            pool: Some("FilePool".into()),
            ..ServeOptions::default()
        };
        let both = said.or(file);
        assert_eq!((both.slots, both.pool.as_deref()), (Some(1), Some("FilePool")));
    }

    #[test]
    fn a_key_file_on_the_command_line_overrides_a_key_in_the_file() {
        let said =
            ServeOptions { pool_key_file: Some("pool.key".into()), ..ServeOptions::default() };
        let file = ServeOptions { pool_key: Some(PoolKey([1; 32])), ..ServeOptions::default() };
        assert!(said.or(file).pool_key.is_none());
    }

    #[test]
    fn a_point_may_begin_with_a_minus() {
        let cli = Cli::try_parse_from(["rsp", "demo", "--center", "-0.5,0.25"]).unwrap();
        let Command::Demo(options) = cli.command else { panic!("{cli:?}") };
        assert_eq!(options.center, Point { re: -0.5, im: 0.25 });
    }
}
