//! How deep a board's stack gets: it registers, computes a job of each kind, and leaves its pool
//! (`cargo xtask firmware sizes`). Prints the most bytes that were in use, over all transports.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use rserpool_qemu::{BenchError, Board, BoardConfig, Network};

/// Measure how deep a board's stack gets in a small life of a pool element.
#[derive(Debug, Parser)]
struct Arguments {
    /// The firmware; it says `stack=BYTES` when it is asked for its status.
    firmware: PathBuf,
    /// The command-line program `rsp`.
    #[arg(long, default_value = "target/debug/rsp")]
    rsp: PathBuf,
    /// By what SCTP travels.
    #[arg(long, value_delimiter = ',', default_value = "udp,raw")]
    transports: Vec<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut deepest = 0;
    for transport in &arguments.transports {
        match live(&arguments, transport) {
            Ok(bytes) => {
                eprintln!("over {transport}: {bytes} bytes of stack");
                deepest = deepest.max(bytes);
            }
            Err(error) => {
                eprintln!("error: over {transport}: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    println!("{deepest}");
    ExitCode::SUCCESS
}

/// One board's life, and how deep its stack got.
fn live(arguments: &Arguments, transport: &str) -> Result<u32, BenchError> {
    let (_registrar, address) = start_registrar(&arguments.rsp)?;
    let network = Network::start(0)?;
    let config = BoardConfig::new(&arguments.firmware)
        .setting("registrar", &address)
        .setting("transport", transport);
    let mut board = Board::start(network.plug_anywhere()?, &config, |_| {})?;
    wait_until("the board registers", || Ok(ask(&mut board, "registered")? == 1))?;
    for job in JOBS {
        compute(&arguments.rsp, &address, job)?;
    }
    let bytes = ask(&mut board, "stack")?;
    board.say("stop")?;
    // Its last words: what stopping took is in there.
    let bytes = bytes.max(value_of(&board.hear()?, "stack").unwrap_or(0));
    wait_until("the board leaves its pool", || Ok(board.ended()?.is_some()))?;
    match board.ended()? {
        Some(status) if status.success() => Ok(bytes),
        status => Err(failed(&format!("the board ended: {status:?}"))),
    }
}

/// A registrar that ends when it is dropped, and where it listens.
fn start_registrar(rsp: &Path) -> Result<(Registrar, String), BenchError> {
    // Not at the UDP port 9899, which others on this machine may want, too.
    let arguments = ["registrar", "--listen", "127.0.0.1:0/0", "--announces", "off"];
    let mut child = Command::new(rsp)
        .args(arguments)
        .arg("--exit-with-stdin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|_| failed(&format!("cannot start {}", rsp.display())))?;
    let stdout = child.stdout.take().expect("standard output was asked to be a pipe");
    let registrar = Registrar(child);
    let mut line = String::new();
    let read = BufReader::new(stdout).read_line(&mut line);
    match (read, line.trim_end().rsplit_once("ready at ")) {
        (Ok(_), Some((_, address))) => Ok((registrar, address.to_owned())),
        _ => Err(failed(&format!("the registrar says `{line}`"))),
    }
}

struct Registrar(Child);

impl Drop for Registrar {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn compute(rsp: &Path, registrar: &str, job: &[&str]) -> Result<(), BenchError> {
    let output = Command::new(rsp)
        .args(["run", "--registrar", registrar, "--deadline", "120s"])
        .args(job)
        .stdin(Stdio::null())
        .output()
        .map_err(|_| failed(&format!("cannot start {}", rsp.display())))?;
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(failed(&format!("`rsp run {}` failed: {errors}", job.join(" "))))
}

/// Asks the board for its status, and takes one number of it.
fn ask(board: &mut Board, name: &str) -> Result<u32, BenchError> {
    board.say("status")?;
    let line = board.hear()?;
    value_of(&line, name).ok_or_else(|| failed(&format!("no {name}= in the status `{line}`")))
}

fn value_of(line: &str, name: &str) -> Option<u32> {
    let values = line.split(' ').filter_map(|word| word.split_once('='));
    values.filter(|(key, _)| *key == name).find_map(|(_, value)| value.trim().parse().ok())
}

fn wait_until(
    what: &str,
    mut holds: impl FnMut() -> Result<bool, BenchError>,
) -> Result<(), BenchError> {
    let deadline = Instant::now() + PATIENCE;
    while !holds()? {
        if Instant::now() >= deadline {
            return Err(failed(&format!("waited in vain until {what}")));
        }
        thread::park_timeout(LOOK_INTERVAL);
    }
    Ok(())
}

fn failed(what: &str) -> BenchError {
    BenchError::Control { what: what.to_owned() }
}

/// Small ones: what counts is that each kernel is started, checkpointed and finished.
const JOBS: [&[&str]; 4] = [
    &["fractal", "--size", "64x48", "--iterations", "50", "--packages", "6", "--out", "/dev/null"],
    &["montecarlo", "--samples", "3000", "--packages", "3"],
    &["sha-prefix", "--bits", "6", "--packages", "3"],
    &["load", "--work", "3000", "--packages", "3"],
];

const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
