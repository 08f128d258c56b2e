//! Emulated boards that join a running registrar (`cargo xtask firmware run`).

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use nix::sys::signal::{SigSet, Signal};
use rserpool_qemu::{BenchError, Board, BoardConfig, HOST_V6, Network, build_firmware};

/// Start emulated boards that join a running registrar; Ctrl-C ends them.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask firmware run")]
struct Arguments {
    /// The registrar, an IP address of this machine.
    ///
    /// With `[::1]` the boards use IPv6. This machine sees them all at `::1`, so the registrar
    /// needs `--listen [::1] --observed-addresses`.
    #[arg(long, default_value = "127.0.0.1:3863/9899", value_name = "IP:PORT[/UDPPORT]")]
    registrar: String,
    /// How SCTP travels: right above IP, or in UDP.
    #[arg(long, value_enum, default_value_t = Transport::Udp)]
    transport: Transport,
    /// Let the boards ask for their addresses by DHCP.
    #[arg(long)]
    dhcp: bool,
    /// How many boards.
    #[arg(long, default_value_t = 1, value_name = "COUNT",
          value_parser = clap::value_parser!(u16).range(1..=64))]
    count: u16,
    /// The pool key of the others, as 64 hexadecimal digits. [default: the well-known one]
    #[arg(long, value_name = "HEX")]
    pool_key: Option<String>,
    /// More settings of the boards.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// The firmware, if it shall not be built.
    #[arg(long, value_name = "ELF")]
    firmware: Option<PathBuf>,
    /// Write a capture of every board's link to this folder.
    #[arg(long, value_name = "FOLDER")]
    captures: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Transport {
    Raw,
    Udp,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), BenchError> {
    rserpool_qemu::check_qemu()?;
    let firmware = match &arguments.firmware {
        Some(firmware) => firmware.clone(),
        None => build_firmware()?,
    };
    let stop = stop_signal();
    let network = Network::start(0)?;
    if let Err(error) = network.hear_announces(None) {
        eprintln!("warning: {error}: the boards do not hear announces of registrars");
    }
    let mut boards = Vec::new();
    for number in 1..=arguments.count {
        boards.push((number, start(&arguments, &firmware, &network, number)?));
    }
    println!("Ctrl-C ends them");
    while !boards.is_empty() {
        let mut gone = Vec::new();
        for (number, board) in &mut boards {
            if let Some(status) = board.ended()? {
                println!("board {number} | ended: {status}");
                gone.push(*number);
            }
        }
        boards.retain(|(number, _)| !gone.contains(number));
        if !matches!(stop.recv_timeout(LOOK_INTERVAL), Err(RecvTimeoutError::Timeout)) {
            leave(&mut boards)?;
            break;
        }
    }
    Ok(())
}

fn start(
    arguments: &Arguments,
    firmware: &PathBuf,
    network: &Network,
    number: u16,
) -> Result<Board, BenchError> {
    let link = network.plug_anywhere()?;
    let address = link.address();
    let transport = arguments.transport.to_possible_value().expect("none is skipped");
    let mut config = BoardConfig::new(firmware).setting("transport", transport.get_name());
    config = match arguments.registrar.strip_prefix("[::1]") {
        Some(port) => config
            .setting("registrar", format!("[{HOST_V6}]{port}"))
            .setting("ip", "auto")
            .setting("port", link.open_lane()?),
        None => config.setting("registrar", &arguments.registrar),
    };
    if arguments.dhcp {
        config = config.setting("ip", "dhcp");
    }
    if let Some(key) = &arguments.pool_key {
        config = config.setting("key", key);
    }
    config.settings.extend(arguments.settings.iter().cloned());
    config.capture =
        arguments.captures.as_ref().map(|folder| folder.join(format!("board-{number}.pcap")));
    let mut line = Vec::new();
    let board = Board::start(link, &config, move |output| {
        line.extend_from_slice(output);
        while let Some(end) = line.iter().position(|&byte| byte == b'\n') {
            let whole: Vec<u8> = line.drain(..=end).collect();
            print!("board {number} | {}", String::from_utf8_lossy(&whole));
        }
        let _ = std::io::stdout().flush();
    })?;
    println!("board {number} | process {} at {address}", board.process_id());
    Ok(board)
}

/// Asks the boards to leave their pool, and waits for it a moment.
fn leave(boards: &mut [(u16, Board)]) -> Result<(), BenchError> {
    println!();
    for (_, board) in &mut *boards {
        // One that has ended meanwhile needs no asking.
        let _ = board.say("stop");
    }
    let deadline = Instant::now() + LEAVE_PATIENCE;
    for (number, board) in boards {
        let status = loop {
            match board.ended()? {
                None if Instant::now() < deadline => thread::park_timeout(LOOK_INTERVAL),
                status => break status,
            }
        };
        let how = status.map_or_else(|| "killed".to_owned(), |it: ExitStatus| it.to_string());
        println!("board {number} | ended: {how}");
    }
    Ok(())
}

/// Something to receive from that SIGINT and SIGTERM send to. Called before threads are started,
/// which inherit that these signals are for somebody else.
fn stop_signal() -> mpsc::Receiver<()> {
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM]);
    let (sender, receiver) = mpsc::channel();
    if signals.thread_block().is_ok() {
        thread::spawn(move || {
            let _ = signals.wait();
            let _ = sender.send(());
        });
    } else {
        // The signals do what they do by themselves.
        std::mem::forget(sender);
    }
    receiver
}

/// How often boards and signals are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// How long a board may take to leave its pool.
const LEAVE_PATIENCE: Duration = Duration::from_secs(5);
