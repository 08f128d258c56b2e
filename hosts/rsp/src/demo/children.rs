//! The demo's processes: our own executable as registrar and as elements.
//!
//! None outlives us: each stops when its standard input ends, which the kernel sees to whatever
//! becomes of us, and is killed when its handle is dropped.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::failure::Failure;
use crate::serve::KEY_VARIABLE;
use crate::values::PoolKey;

/// A running child.
#[derive(Debug)]
pub(super) struct Process {
    /// What it is, for people.
    pub(super) name: String,
    child: Child,
    /// Closing it tells the child to stop.
    stdin: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    /// The line that it was ready with.
    pub(super) ready: String,
}

impl Process {
    /// Starts `rsp` with `arguments`.
    pub(super) fn start(
        name: &str,
        arguments: &[&str],
        key: Option<&PoolKey>,
    ) -> Result<Self, Failure> {
        let refused = |error| Failure::failed(format!("cannot start {name}: {error}"));
        let mut command = Command::new(executable().map_err(refused)?);
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .env_remove(KEY_VARIABLE)
            .kill_on_drop(true)
            // Ctrl-C goes to the demo alone, which then ends them in order.
            .process_group(0);
        if let Some(key) = key {
            command.env(KEY_VARIABLE, key.to_hex());
        }
        let mut child = command.spawn().map_err(refused)?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().expect("standard output was asked to be a pipe");
        let lines = BufReader::new(stdout).lines();
        Ok(Self { name: name.into(), child, stdin, lines, ready: String::new() })
    }

    /// Waits until it says that it is ready; returns where.
    pub(super) async fn ready_at(&mut self) -> Result<String, Failure> {
        let name = &self.name;
        let line = timeout(READY_PATIENCE, self.lines.next_line()).await;
        let line = line.ok().and_then(Result::ok).flatten();
        self.ready = line.ok_or_else(|| {
            Failure::failed(format!("{name} does not become ready"))
                .hint("its own message stands above; `rsp demo --log info` shows more")
        })?;
        let (_, place) = self.ready.rsplit_once(" at ").ok_or_else(|| {
            Failure::failed(format!("{name} said \"{}\" instead of being ready", self.ready))
        })?;
        Ok(place.to_owned())
    }

    /// The process id.
    pub(super) fn id(&self) -> u32 {
        self.child.id().unwrap_or(0)
    }

    /// Kills it with SIGKILL, as a failing machine would.
    pub(super) async fn kill(&mut self) -> Result<(), Failure> {
        let name = &self.name;
        let killed = self.child.kill().await;
        killed.map_err(|error| Failure::failed(format!("cannot kill {name}: {error}")))
    }

    /// Asks it to stop.
    pub(super) fn ask_to_stop(&mut self) {
        self.stdin = None;
    }

    /// Waits for its end; one that takes too long is killed.
    pub(super) async fn end(mut self) {
        self.ask_to_stop();
        if timeout(END_PATIENCE, self.child.wait()).await.is_err() {
            tracing::warn!(name = %self.name, "does not stop: killed");
            let _ = self.child.kill().await;
        }
    }
}

/// Our own executable, also if it was replaced since we were started.
fn executable() -> std::io::Result<PathBuf> {
    let itself = PathBuf::from("/proc/self/exe");
    if itself.exists() { Ok(itself) } else { std::env::current_exe() }
}

/// How long a child may take to be ready.
const READY_PATIENCE: Duration = Duration::from_secs(20);

/// How long a child may take to stop.
const END_PATIENCE: Duration = Duration::from_secs(8);
