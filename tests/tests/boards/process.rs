//! Processes of `rsp` that are waited for by what they say.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

/// A process that is killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
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
        let mut child = command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("rsp starts");
        let stdout = child.stdout.take().expect("it is a pipe");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// A registrar and where it listens.
    pub(crate) fn registrar() -> (Self, String) {
        Self::registrar_at("127.0.0.1:0/0", &[])
    }

    /// A registrar that is told where to listen, and more, and where it does.
    pub(crate) fn registrar_at(listen: &str, more: &[&str]) -> (Self, String) {
        let common = ["registrar", "--listen", listen, "--announces", "off"];
        let process = Self::start(&[&common[..], more].concat());
        let place = process.place();
        (process, place)
    }

    /// An element, ready, and its identifier.
    pub(crate) fn element(registrar: &str, key: &str) -> (Self, String) {
        let common = ["serve", "--listen", "127.0.0.1:0/0", "--pool-key", key];
        let process = Self::start(&[&common[..], &["--registrar", registrar]].concat());
        let line = process.line();
        let identifier = line.split_whitespace().nth(1).expect("it says its identifier");
        assert!(identifier.starts_with("0x"), "{line}");
        (process, identifier.to_owned())
    }

    /// The next line of its output.
    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("the process says something in time")
    }

    /// Where it is ready.
    pub(crate) fn place(&self) -> String {
        let line = self.line();
        line.rsplit_once(" at ").unwrap_or_else(|| panic!("{line}")).1.to_owned()
    }

    /// Kills it with SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
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
    let mut child = command(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("rsp starts");
    let mut stderr = child.stderr.take().expect("it is a pipe");
    let errors = thread::spawn(move || {
        let mut text = String::new();
        let _ = stderr.read_to_string(&mut text);
        text
    });
    let mut output = String::new();
    let mut stdout = child.stdout.take().expect("it is a pipe");
    stdout.read_to_string(&mut output).expect("it says text");
    let code = child.wait().expect("it ends").code();
    Ended { code, output, errors: errors.join().expect("it says text") }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(executable());
    command.args(arguments).env_remove("RUST_LOG").env_remove("RSP_POOL_KEY").stdin(Stdio::null());
    command
}

/// The program, built like this test.
fn executable() -> &'static PathBuf {
    static EXECUTABLE: OnceLock<PathBuf> = OnceLock::new();
    EXECUTABLE.get_or_init(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let words = ["build", "-p", "rsp", "--bin", "rsp", "--message-format=json"];
        let output = Command::new(cargo).args(words).stderr(Stdio::inherit()).output();
        let output = output.expect("cargo starts");
        assert!(output.status.success(), "rsp does not compile");
        let messages = String::from_utf8(output.stdout).expect("cargo says JSON");
        let mut path = messages.lines().filter_map(|line| {
            let (_, rest) = line.split_once("\"executable\":\"")?;
            rest.split_once('"').map(|(path, _)| PathBuf::from(path))
        });
        path.next_back().expect("cargo names the executable")
    })
}

/// Longer than anything takes, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);
