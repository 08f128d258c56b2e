//! What the tests stand on: a network, boards, and looks into a registrar.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rserpool_qemu::{Board, BoardConfig, Link, Network, build_firmware, check_qemu};

use crate::process::{PATIENCE, rsp};

/// The pool key of all elements, boards or not.
pub(crate) const KEY: &str = "a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5";

/// Both ways of SCTP.
pub(crate) const TRANSPORTS: [&str; 2] = ["raw", "udp"];

/// A network and its seed.
pub(crate) struct Bench {
    pub(crate) network: Network,
    pub(crate) seed: u64,
}

/// A board, and what is known of it.
pub(crate) struct Emulated {
    pub(crate) board: Board,
    /// Its pool element identifier, as `rsp` writes it.
    pub(crate) id: String,
    output: Arc<Mutex<Vec<u8>>>,
}

impl Bench {
    /// A network whose seed is new, unless RSP_BOARDS_SEED gives back one that failed.
    pub(crate) fn new() -> Self {
        if let Err(error) = check_qemu() {
            panic!("{error}");
        }
        let seed = std::env::var("RSP_BOARDS_SEED").ok().and_then(|text| text.parse().ok());
        let seed = seed.unwrap_or_else(|| {
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros() as u64
        });
        println!("RSP_BOARDS_SEED={seed}");
        Self { network: Network::start(seed).unwrap(), seed }
    }

    /// Starts a board with the registrars, a transport and further settings.
    pub(crate) fn board(
        &self,
        registrars: &[&str],
        transport: &str,
        settings: &[(&str, &str)],
    ) -> Emulated {
        let link = self.network.plug_anywhere().unwrap();
        Self::board_at(link, registrars, transport, settings)
    }

    /// The same at the end of `link`.
    pub(crate) fn board_at(
        link: Link,
        registrars: &[&str],
        transport: &str,
        settings: &[(&str, &str)],
    ) -> Emulated {
        // No two boards of this process have the same identifier.
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let id = format!("{:#010x}", 0xb0a4_0000 + NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut config = BoardConfig::new(firmware())
            .setting("id", &id)
            .setting("key", KEY)
            .setting("transport", transport);
        for registrar in registrars {
            config = config.setting("registrar", registrar);
        }
        for (key, value) in settings {
            config = config.setting(key, value);
        }
        let output = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&output);
        let board = Board::start(link, &config, move |bytes| {
            kept.lock().unwrap().extend_from_slice(bytes)
        });
        Emulated { board: board.unwrap_or_else(|error| panic!("{error}")), id, output }
    }

    /// Starts a board that is in the pool when this returns.
    pub(crate) fn registered_board(&self, registrar: &str, transport: &str) -> Emulated {
        let board = self.board(&[registrar], transport, &[]);
        await_listed(registrar, &board.id);
        board
    }
}

impl Emulated {
    /// What the board says of itself: names and numbers.
    pub(crate) fn status(&mut self) -> BTreeMap<String, u32> {
        self.board.say("status").unwrap();
        let line = self.board.hear().unwrap();
        let pairs = line.split_whitespace().map(|word| {
            let (name, number) = word.split_once('=').unwrap_or_else(|| panic!("{line}"));
            (name.to_owned(), number.parse().unwrap_or_else(|_| panic!("{line}")))
        });
        pairs.collect()
    }

    /// What the board has printed.
    pub(crate) fn output(&self) -> String {
        String::from_utf8_lossy(&self.output.lock().unwrap()).into_owned()
    }

    /// The board's address.
    pub(crate) fn address(&self) -> Ipv4Addr {
        self.board.link().address()
    }
}

impl Drop for Emulated {
    fn drop(&mut self) {
        if thread::panicking() {
            println!("board {} at {} said:\n{}", self.id, self.address(), self.output());
            println!("{:?}", self.board.link().counters());
        }
    }
}

/// Waits until `condition` holds.
pub(crate) fn await_that(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        thread::park_timeout(Duration::from_millis(100));
    }
}

/// The elements of the pool as `rsp resolve` tells them: identifier and address.
pub(crate) fn listed(registrar: &str) -> BTreeMap<String, String> {
    let ended = rsp(&["resolve", "ComputePool", "--json", "--registrar", registrar]);
    match ended.code {
        Some(0) => {}
        // There is no such pool (any more).
        Some(4) => return BTreeMap::new(),
        code => panic!("{code:?}: {}", ended.errors),
    }
    let answer: serde_json::Value = serde_json::from_str(&ended.output).unwrap();
    let elements = answer["elements"].as_array().unwrap().iter();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    elements
        .map(|element| (text(&element["identifier"]), text(&element["addresses"][0])))
        .collect()
}

/// Waits until the registrar lists an element.
pub(crate) fn await_listed(registrar: &str, id: &str) {
    await_that(&format!("{id} at {registrar}"), || listed(registrar).contains_key(id));
}

/// Waits until the registrar lists an element no longer.
pub(crate) fn await_gone(registrar: &str, id: &str) {
    await_that(&format!("{id} gone from {registrar}"), || !listed(registrar).contains_key(id));
}

/// The firmware, built once.
fn firmware() -> &'static PathBuf {
    static FIRMWARE: OnceLock<PathBuf> = OnceLock::new();
    FIRMWARE.get_or_init(|| build_firmware().unwrap_or_else(|error| panic!("{error}")))
}
