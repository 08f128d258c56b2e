//! Processes that are waited for by what they say and how they end.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// `rsp`, all of whose output goes into pipes.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rsp"));
    command.args(arguments).env_remove("RUST_LOG").env_remove("RSP_POOL_KEY");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A process that is killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
    /// Its log, with the time at which each line came.
    log: Receiver<(Instant, String)>,
    errors: thread::JoinHandle<String>,
}

/// How a process ended, and what it said.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) output: String,
    pub(crate) errors: String,
}

impl Process {
    /// Starts `rsp`.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = command(arguments).spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let stderr = child.stderr.take().unwrap();
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let (sender, log) = mpsc::channel();
        let errors = thread::spawn(move || {
            let mut text = String::new();
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                text += &(line.clone() + "\n");
                // Most tests look at the whole only.
                let _ = sender.send((Instant::now(), line));
            }
            text
        });
        Self { child, lines, log, errors }
    }

    /// A registrar and where it listens.
    pub(crate) fn registrar(arguments: &[&str]) -> (Self, String) {
        let common = ["registrar", "--listen", "127.0.0.1:0/0", "--announces", "off"];
        let process = Self::start(&[&common[..], arguments].concat());
        let place = process.place();
        (process, place)
    }

    /// An element, ready.
    pub(crate) fn element(registrar: &str, arguments: &[&str]) -> Self {
        let process = Self::starting_element(registrar, arguments);
        process.place();
        process
    }

    /// An element that may not be ready yet.
    pub(crate) fn starting_element(registrar: &str, arguments: &[&str]) -> Self {
        let common = ["serve", "--listen", "127.0.0.1:0/0", "--registrar", registrar];
        Self::start(&[&common[..], arguments].concat())
    }

    /// The next line of its output.
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("the process says something in time")
    }

    /// Waits for a line of its log that has all of `words`; returns when it came.
    pub(crate) fn logs(&self, words: &[&str]) -> Instant {
        let deadline = Instant::now() + PATIENCE;
        let mut log = String::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok((at, line)) = self.log.recv_timeout(left) else {
                panic!("the process does not log {words:?}, but\n{log}");
            };
            if words.iter().all(|word| line.contains(word)) {
                return at;
            }
            log += &(line + "\n");
        }
    }

    /// Where it is ready.
    pub(crate) fn place(&self) -> String {
        let line = self.line();
        line.rsplit_once(" at ").unwrap_or_else(|| panic!("{line}")).1.to_owned()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        kill(pid, signal).unwrap();
    }

    /// Whether it ends within `patience`.
    pub(crate) fn ends_within(&mut self, patience: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            if Instant::now() >= deadline {
                return None;
            }
            thread::yield_now();
            thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ended {
        let status = self.ends_within(PATIENCE).expect("the process ends in time");
        let mut output = String::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => output += &(line + "\n"),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("the output does not end"),
            }
        }
        let errors = std::mem::replace(&mut self.errors, thread::spawn(String::new));
        Ended { code: status.code(), output, errors: errors.join().unwrap() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `rsp` to its end.
pub(crate) fn rsp(arguments: &[&str]) -> Ended {
    Process::start(arguments).end()
}

/// Whether there is a process of this number that is not a zombie.
pub(crate) fn is_alive(pid: &str) -> bool {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid).join("status"));
    status.is_ok_and(|status| !status.contains("State:\tZ"))
}

/// Longer than anything takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);
