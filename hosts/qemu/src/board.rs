//! QEMU as a board: `qemu-system-arm -M mps2-an385`, linked to a [`Network`](crate::Network).

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::error::BenchError;
use crate::log::Words;
use crate::network::Link;
use crate::qmp::Qmp;

/// What a board runs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BoardConfig {
    /// The firmware, an ELF file.
    pub firmware: PathBuf,
    /// Its settings, each `key=value`; the address of the link is added.
    pub settings: Vec<String>,
    /// Where to write a capture of the link, if anywhere.
    pub capture: Option<PathBuf>,
}

impl BoardConfig {
    /// A board that runs `firmware` with the settings that were built in.
    #[must_use]
    pub fn new(firmware: impl Into<PathBuf>) -> Self {
        Self { firmware: firmware.into(), settings: Vec::new(), capture: None }
    }

    /// The same with one more setting.
    #[must_use]
    pub fn setting(mut self, key: &str, value: impl std::fmt::Display) -> Self {
        self.settings.push(format!("{key}={value}"));
        self
    }
}

/// An emulated board. It is killed and unplugged when it is dropped.
///
/// Where the tool `setpriv` is installed, it also dies with the thread that started it, whatever
/// becomes of that; so start it on a thread that lives as long as the board shall.
#[derive(Debug)]
pub struct Board {
    link: Link,
    child: Child,
    qmp: Qmp,
    serial: BufReader<UnixStream>,
    readers: Vec<JoinHandle<()>>,
}

impl Board {
    /// Starts a board at the end of `link`; what it logs goes to `output` as text, piece by piece
    /// as it comes.
    ///
    /// # Errors
    ///
    /// If QEMU is not installed, or ends at once, or the firmware is none.
    pub fn start(
        link: Link,
        config: &BoardConfig,
        output: impl FnMut(&[u8]) + Send + 'static,
    ) -> Result<Self, BenchError> {
        let words = Words::of(&config.firmware)?;
        let sockets = link.board_path();
        let arguments = arguments(&link, config, sockets);
        let mut child = command()?
            .args(&arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C is for us; what becomes of the board then is ours to say.
            .process_group(0)
            .spawn()
            .map_err(BenchError::system("start QEMU"))?;
        let stdout = child.stdout.take().expect("standard output was asked to be a pipe");
        let stderr = child.stderr.take().expect("standard error was asked to be a pipe");
        let (qmp, serial) = match connect(&mut child, sockets) {
            Ok(connected) => connected,
            Err(error) => {
                let ended = child.try_wait().ok().flatten();
                let _ = child.kill();
                let _ = child.wait();
                let mut errors = String::new();
                let _ = BufReader::new(stderr).read_to_string(&mut errors);
                return Err(ended.map_or(error, |status| BenchError::QemuEnded {
                    status: status.to_string(),
                    errors: errors.trim().to_owned(),
                }));
            }
        };
        let mut board = Self { link, child, qmp, serial, readers: Vec::new() };
        board.readers.push(thread::spawn(move || copy(stdout, &words, output)));
        // QEMU's own warnings: nobody waits for them, but they must not fill the pipe.
        board.readers.push(thread::spawn(move || drop(std::io::read_to_string(stderr))));
        Ok(board)
    }

    /// Its link to the network.
    #[must_use]
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// QEMU's process id.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Pulls the network cable, or plugs it in again; the board's chip notices.
    ///
    /// # Errors
    ///
    /// If QEMU does not answer.
    pub fn set_link(&mut self, up: bool) -> Result<(), BenchError> {
        self.qmp.execute("set_link", json!({ "name": NETDEV, "up": up })).map(drop)
    }

    /// Freezes the processor.
    ///
    /// # Errors
    ///
    /// If QEMU does not answer.
    pub fn stop(&mut self) -> Result<(), BenchError> {
        self.qmp.execute("stop", json!({})).map(drop)
    }

    /// Lets the processor go on.
    ///
    /// # Errors
    ///
    /// If QEMU does not answer.
    pub fn cont(&mut self) -> Result<(), BenchError> {
        self.qmp.execute("cont", json!({})).map(drop)
    }

    /// Says a line on the board's serial port.
    ///
    /// # Errors
    ///
    /// If QEMU has ended.
    pub fn say(&mut self, line: &str) -> Result<(), BenchError> {
        let sent = self.serial.get_mut().write_all(format!("{line}\n").as_bytes());
        sent.map_err(BenchError::system("write to the board's serial port"))
    }

    /// The next line that the board says on its serial port.
    ///
    /// # Errors
    ///
    /// If nothing comes for half a minute, or QEMU has ended.
    pub fn hear(&mut self) -> Result<String, BenchError> {
        let mut line = String::new();
        let len = self.serial.read_line(&mut line);
        match len.map_err(BenchError::system("read from the board's serial port"))? {
            0 => Err(BenchError::Control { what: "the board's serial port is closed".into() }),
            _ => Ok(line.trim_end().to_owned()),
        }
    }

    /// How it ended, if it did: the firmware's exit code, or the signal that killed QEMU.
    ///
    /// # Errors
    ///
    /// If the operating system does not know.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, BenchError> {
        self.child.try_wait().map_err(BenchError::system("ask for QEMU's end"))
    }

    /// Kills it with SIGKILL. Its link stays plugged in: a dead machine does not say so.
    ///
    /// # Errors
    ///
    /// If the operating system refuses.
    pub fn kill(&mut self) -> Result<(), BenchError> {
        self.child.kill().map_err(BenchError::system("kill QEMU"))?;
        self.child.wait().map(drop).map_err(BenchError::system("wait for QEMU's end"))
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        for end in ["board", "qmp", "serial"] {
            let _ = std::fs::remove_file(self.link.board_path().with_extension(end));
        }
    }
}

/// Whether QEMU is installed.
///
/// # Errors
///
/// [`BenchError::NoQemu`] says how to install it.
pub fn check_qemu() -> Result<(), BenchError> {
    find(QEMU).map(drop).ok_or(BenchError::NoQemu)
}

/// QEMU, such that it dies with us.
fn command() -> Result<Command, BenchError> {
    let qemu = find(QEMU).ok_or(BenchError::NoQemu)?;
    Ok(match find("setpriv") {
        Some(setpriv) => {
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", "KILL", "--"]).arg(qemu);
            command
        }
        None => Command::new(qemu),
    })
}

/// Where a program is.
fn find(program: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| path.is_file())
}

fn arguments(link: &Link, config: &BoardConfig, sockets: &Path) -> Vec<OsString> {
    let mut semihosting = String::from("enable=on,target=native,arg=firmware");
    let address = format!("ip={}/8", link.address());
    for setting in std::iter::once(&address).chain(&config.settings) {
        // QEMU takes a doubled comma for a comma.
        semihosting += &format!(",arg={}", setting.replace(',', ",,"));
    }
    let mac = link.mac().map(|byte| format!("{byte:02x}")).join(":");
    let netdev = format!(
        "dgram,id={NETDEV},local.type=unix,local.path={},remote.type=unix,remote.path={}",
        link.board_path().display(),
        link.switch_path().display()
    );
    let [qmp, serial] = ["qmp", "serial"].map(|end| sockets.with_extension(end));
    let qmp = format!("unix:{},server=on,wait=off", qmp.display());
    let serial = format!("socket,id=serial,path={},server=on,wait=off", serial.display());
    let mut words: Vec<OsString> = [
        "-M",
        "mps2-an385",
        "-display",
        "none",
        "-monitor",
        "none",
        "-chardev",
        &serial,
        "-serial",
        "chardev:serial",
        "-semihosting-config",
        &semihosting,
        "-netdev",
        &netdev,
        "-net",
        &format!("nic,netdev={NETDEV},macaddr={mac}"),
        "-qmp",
        &qmp,
        "-kernel",
    ]
    .map(OsString::from)
    .into();
    words.push(config.firmware.clone().into());
    if let Some(capture) = &config.capture {
        words.push("-object".into());
        let dump = format!("filter-dump,id=dump,netdev={NETDEV},file={}", capture.display());
        words.push(dump.into());
    }
    words
}

/// Connects to the control socket and the serial port, as soon as QEMU has made them.
fn connect(child: &mut Child, sockets: &Path) -> Result<(Qmp, BufReader<UnixStream>), BenchError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let serial = || {
            let serial = UnixStream::connect(sockets.with_extension("serial"))?;
            serial.set_read_timeout(Some(PATIENCE))?;
            Ok(BufReader::new(serial))
        };
        let connected = Qmp::connect(&sockets.with_extension("qmp")).and_then(|qmp| {
            let serial = serial().map_err(BenchError::system("reach the board's serial port"));
            serial.map(|serial| (qmp, serial))
        });
        match connected {
            Ok(connected) => return Ok(connected),
            // It says why on standard error.
            Err(error) if !matches!(child.try_wait(), Ok(None)) => return Err(error),
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(_) => thread::park_timeout(LOOK_INTERVAL),
        }
    }
}

fn copy(mut stdout: ChildStdout, words: &Words, mut output: impl FnMut(&[u8])) {
    let (mut buf, mut log) = ([0; 4_096], words.log());
    while let Ok(len @ 1..) = stdout.read(&mut buf) {
        log.read(&buf[..len], &mut output);
    }
}

const QEMU: &str = "qemu-system-arm";

/// What QEMU calls the board's link.
const NETDEV: &str = "n0";

/// How long QEMU may take to listen, and a board to say something, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often the control socket is looked for.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::Network;

    #[test]
    fn commas_in_settings_are_doubled() {
        let network = Network::start(1).unwrap();
        let link = network.plug(Ipv4Addr::new(127, 77, 200, 1)).unwrap();
        let config = BoardConfig::new("board.elf").setting("kernels", "a,b");
        let words = arguments(&link, &config, Path::new("/q"));
        let has = |text: &str| words.iter().any(|word| word.to_string_lossy().contains(text));
        assert!(has("arg=ip=127.77.200.1/8,arg=kernels=a,,b"), "{words:?}");
        assert!(has("macaddr=02:00:7f:4d:c8:01"), "{words:?}");
    }

    #[test]
    fn what_qemu_complains_about_is_told() {
        let network = Network::start(1).unwrap();
        let link = network.plug(Ipv4Addr::new(127, 77, 200, 2)).unwrap();
        // A program, but none of a board.
        let program = std::env::current_exe().unwrap();
        let config = BoardConfig::new(&program);
        match Board::start(link, &config, |_| {}) {
            Err(BenchError::QemuEnded { errors, .. }) => {
                assert!(errors.contains(program.to_str().unwrap()), "{errors}");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn firmware_that_is_missing_is_named() {
        let network = Network::start(1).unwrap();
        let link = network.plug(Ipv4Addr::new(127, 77, 200, 3)).unwrap();
        let config = BoardConfig::new("/nowhere/board.elf");
        let error = Board::start(link, &config, |_| {}).unwrap_err().to_string();
        assert!(error.contains("/nowhere/board.elf"), "{error}");
    }
}
