//! The demo's boards: emulated microcontrollers beside the processes.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rserpool::PoolUser;
use rserpool_core::identifier::{PeId, PoolHandleBuf};
use rserpool_qemu::{BenchError, Board, BoardConfig, Network, build_firmware, check_qemu};
use tokio::time::{Instant, sleep};

use crate::failure::Failure;
use crate::values::PoolKey;

/// A running board.
#[derive(Debug)]
pub(super) struct Microcontroller {
    board: Board,
    /// The end of what it has said, for those who look for a reason.
    output: Arc<Mutex<Vec<u8>>>,
}

/// What all boards have in common.
pub(super) struct Bench<'a> {
    pub(super) network: &'a Network,
    pub(super) firmware: &'a Path,
    pub(super) registrar: &'a str,
    pub(super) key: &'a PoolKey,
}

/// Looks whether boards can be emulated, and builds their firmware unless it is given.
pub(super) async fn firmware(given: Option<&Path>) -> Result<std::path::PathBuf, Failure> {
    check_qemu().map_err(failure)?;
    if let Some(given) = given {
        return match given.is_file() {
            true => Ok(given.to_owned()),
            false => Err(Failure::usage(format!("no firmware at {}", given.display()))),
        };
    }
    note!("firmware    for the boards ...");
    let built = tokio::task::spawn_blocking(build_firmware).await;
    built
        .map_err(|error| Failure::failed(format!("build of the firmware: {error}")))?
        .map_err(failure)
}

impl Microcontroller {
    /// Starts a board; every other one speaks SCTP right above IP, the rest in UDP.
    pub(super) fn start(bench: &Bench<'_>, number: u16, id: PeId) -> Result<Self, Failure> {
        let transport = transport_of(number);
        let link = bench.network.plug_anywhere().map_err(failure)?;
        let config = BoardConfig::new(bench.firmware)
            .setting("registrar", bench.registrar)
            .setting("key", bench.key.to_hex())
            .setting("id", id)
            .setting("transport", transport);
        let output = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&output);
        let board = Board::start(link, &config, move |bytes| {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.extend_from_slice(bytes);
            let excess = kept.len().saturating_sub(OUTPUT_LEN_MAX);
            kept.drain(..excess);
        });
        Ok(Self { board: board.map_err(failure)?, output })
    }

    /// QEMU's process id.
    pub(super) fn id(&self) -> u32 {
        self.board.process_id()
    }

    /// The board's address.
    pub(super) fn address(&self) -> std::net::Ipv4Addr {
        self.board.link().address()
    }

    /// Kills QEMU with SIGKILL: a board whose power is gone.
    pub(super) fn kill(&mut self) -> Result<(), Failure> {
        self.board.kill().map_err(failure)
    }

    /// Asks it to leave the pool.
    pub(super) fn ask_to_stop(&mut self) {
        // One that is killed has nothing to say any more.
        let _ = self.board.say("stop");
    }

    /// Waits for its end; one that takes too long is killed.
    pub(super) async fn end(mut self) {
        let deadline = Instant::now() + END_PATIENCE;
        while matches!(self.board.ended(), Ok(None)) && Instant::now() < deadline {
            sleep(LOOK_INTERVAL).await;
        }
    }

    /// What it has said last.
    fn last_words(&self) -> String {
        let output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&output).trim_end().replace('\n', "\n    ")
    }
}

/// How board `number` speaks SCTP.
pub(super) fn transport_of(number: u16) -> &'static str {
    if number.is_multiple_of(2) { "udp" } else { "raw" }
}

/// Waits until all of `boards` are in the pool.
pub(super) async fn await_boards<'a>(
    user: &PoolUser,
    pool: PoolHandleBuf,
    boards: impl Iterator<Item = (PeId, &'a str, &'a mut Microcontroller)>,
) -> Result<(), Failure> {
    let deadline = Instant::now() + READY_PATIENCE;
    for (id, name, board) in boards {
        loop {
            let listed = user.resolve(pool, Some(ITEMS_MAX)).await.unwrap_or_default();
            if listed.iter().any(|element| element.id == id) {
                break;
            }
            let ended = board.board.ended().map_err(failure)?;
            if ended.is_some() || Instant::now() >= deadline {
                let how = ended.map_or_else(|| "still runs".into(), |status| status.to_string());
                let words = board.last_words();
                return Err(Failure::failed(format!(
                    "{name} does not register ({how}); it said\n    {words}"
                )));
            }
            sleep(LOOK_INTERVAL).await;
        }
    }
    Ok(())
}

/// A network for boards.
pub(super) fn network() -> Result<Network, Failure> {
    Network::start(0).map_err(failure)
}

fn failure(error: BenchError) -> Failure {
    Failure::failed(error)
}

/// How long boards may take to be in the pool.
const READY_PATIENCE: Duration = Duration::from_secs(60);

/// How long a board may take to leave the pool.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// How often is looked.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// What is kept of a board's words.
const OUTPUT_LEN_MAX: usize = 4_096;

/// As many as a registrar lists in one answer.
const ITEMS_MAX: u32 = 128;
