//! `rsp decode`: prints the messages of captures.

mod applications;
mod fields;
mod summary;

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rserpool::capture::{Capture, CaptureError, Carrier, Message, RoundTrip, counts};

use crate::failure::Failure;

/// What `rsp decode` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP, after_long_help = HELP)]
pub(crate) struct DecodeArgs {
    /// Captures to read (pcap or pcapng).
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print all fields of each message.
    #[arg(short, long)]
    verbose: bool,
    /// Print one line a file: how many messages of each kind there are.
    #[arg(long, conflicts_with_all = ["verbose", "roundtrip"])]
    counts: bool,
    /// Check that every well-formed ASAP and ENRP message is written again as it came.
    #[arg(long)]
    roundtrip: bool,
}

const HELP: &str = "\
Examples:
  rsp decode pool.pcapng                one line a message
  rsp decode -v pool.pcapng             all fields
  rsp decode --counts *.pcapng          how many messages of each kind
  rsp decode --roundtrip *.pcapng       check the wire code against what others sent
  tcpdump -i any -w pool.pcap 'sctp or udp port 9899 or udp port 3863 or udp port 9901'
                                        record something to decode";

/// Prints the captures that `args` names.
pub(crate) fn decode(args: &DecodeArgs) -> Result<(), Failure> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for path in &args.files {
        let printed = if args.counts {
            print_counts(path, &mut out)
        } else if args.roundtrip {
            check_round_trips(path, args.verbose, &mut out)
        } else {
            print_messages(path, args, &mut out)
        };
        match printed {
            Ok(()) => {}
            // Whoever reads our output has seen enough.
            Err(Error::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                return Ok(());
            }
            Err(error) => {
                let _ = out.flush();
                return Err(failure(path, &error));
            }
        }
    }
    match out.flush() {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::failed(format_args!("printing: {error}")))
        }
        _ => Ok(()),
    }
}

/// Why a file cannot be printed.
enum Error {
    Capture(CaptureError),
    Output(io::Error),
    /// A message was not written again as it came.
    Different(String),
}

impl From<CaptureError> for Error {
    fn from(error: CaptureError) -> Self {
        Self::Capture(error)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

fn failure(path: &Path, error: &Error) -> Failure {
    let path = path.display();
    match error {
        Error::Capture(error @ CaptureError::Format(_)) => {
            Failure::failed(format_args!("reading {path}: {error}"))
                .hint("record captures with tcpdump -w or dumpcap -w")
        }
        Error::Capture(error) => Failure::failed(format_args!("reading {path}: {error}")),
        Error::Output(error) => Failure::failed(format_args!("printing {path}: {error}")),
        Error::Different(what) => Failure::failed(format_args!("{path}: {what}"))
            .hint("rsp decode -v shows the message; please report it with the capture"),
    }
}

fn print_counts(path: &Path, out: &mut impl io::Write) -> Result<(), Error> {
    let counts = counts(path)?;
    let mut line = path.display().to_string();
    for (index, (name, count)) in counts.iter().enumerate() {
        let _ = write!(line, "{} {name} {count}", if index == 0 { "" } else { "," });
    }
    writeln!(out, "{line}")?;
    Ok(())
}

fn check_round_trips(path: &Path, verbose: bool, out: &mut impl io::Write) -> Result<(), Error> {
    let (mut same_count, mut refused_count) = (0u64, 0u64);
    for message in Capture::open(path)? {
        let message = message?;
        // A retransmission may be but a fragment; the message itself has been checked.
        if message.retransmission {
            continue;
        }
        match message.round_trip() {
            RoundTrip::NotOurs => {}
            RoundTrip::Same => same_count += 1,
            RoundTrip::Refused(why) => {
                refused_count += 1;
                if verbose {
                    let (frame, name) = (message.frame, message.name());
                    writeln!(out, "{}: frame {frame}: {name}: {why}", path.display())?;
                }
            }
            RoundTrip::Different(at) => {
                let (frame, name) = (message.frame, message.name());
                let what =
                    format!("frame {frame}: {name} is written again differently: byte {at}");
                return Err(Error::Different(what));
            }
        }
    }
    let path = path.display();
    writeln!(out, "{path}: {same_count} the same, {refused_count} not well-formed")?;
    Ok(())
}

fn print_messages(path: &Path, args: &DecodeArgs, out: &mut impl io::Write) -> Result<(), Error> {
    if args.files.len() > 1 {
        writeln!(out, "{}:", path.display())?;
    }
    for message in Capture::open(path)? {
        let message = message?;
        writeln!(out, "{}", line(&message))?;
        if args.verbose {
            out.write_all(fields::fields(&message).as_bytes())?;
        }
    }
    Ok(())
}

/// One line about a message.
fn line(message: &Message) -> String {
    let mut line = format!(
        "{:>5} {:>10.6} {} > {} {}",
        message.frame,
        message.time.as_secs_f64(),
        message.source,
        message.destination,
        message.name(),
    );
    if message.retransmission {
        line.push_str(" [retransmission]");
        return line;
    }
    if let Carrier::Sctp { stream, .. } = message.carrier
        && stream != 0
    {
        let _ = write!(line, " stream {stream}");
    }
    let summary = summary::summary(message);
    if !summary.is_empty() {
        let _ = write!(line, " {summary}");
    }
    line
}
