//! Processes on the host's side of a case, and waiting for what they do.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

/// A process whose output goes to a file. Dropping it kills it.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with both outputs in `NAME.log`.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub(crate) fn start(name: &str, mut command: Command, folder: &Path) -> Result<Self> {
        command.stdin(Stdio::null());
        Self::spawn(name, command, folder)
    }

    /// The same for one that is told lines.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub(crate) fn start_with_input(
        name: &str,
        mut command: Command,
        folder: &Path,
    ) -> Result<Self> {
        command.stdin(Stdio::piped());
        Self::spawn(name, command, folder)
    }

    fn spawn(name: &str, mut command: Command, folder: &Path) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log)?;
        command.stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name: name.into(), child, log })
    }

    /// All that it has printed so far.
    pub(crate) fn output(&self) -> String {
        std::fs::read(&self.log)
            .map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Tells it a line.
    ///
    /// # Errors
    ///
    /// If it has ended, or takes no lines.
    pub(crate) fn say(&mut self, line: &str) -> Result<()> {
        let input = self.child.stdin.as_mut();
        let input = input.with_context(|| format!("{} takes no lines", self.name))?;
        writeln!(input, "{line}").with_context(|| format!("{} has ended", self.name))
    }

    /// Waits until it has printed `text`; the line that it stands in.
    ///
    /// # Errors
    ///
    /// If it does not in time.
    pub(crate) fn await_text(&self, text: &str, patience: Duration) -> Result<String> {
        let found = await_some(patience, || {
            Ok(self.output().lines().find(|line| line.contains(text)).map(str::to_owned))
        })?;
        found.ok_or_else(|| {
            anyhow!("{} does not say `{text}` in {} s", self.name, patience.as_secs())
        })
    }

    /// Whether it has ended.
    ///
    /// # Errors
    ///
    /// If that cannot be told.
    pub(crate) fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// If it does not end in time, or fails.
    pub(crate) fn finish(mut self, patience: Duration) -> Result<String> {
        let status = await_some(patience, || Ok(self.child.try_wait()?))?;
        match status {
            None => bail!("{} does not end in {} s", self.name, patience.as_secs()),
            Some(status) if !status.success() => {
                let output = self.output();
                let last = output.lines().last().unwrap_or_default();
                bail!("{} ends with {status}: {last}", self.name)
            }
            Some(_) => Ok(self.output()),
        }
    }

    /// Kills it, as a crash would (SIGKILL).
    ///
    /// # Errors
    ///
    /// If it has ended already.
    pub(crate) fn kill(mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} ended by itself with {status}", self.name);
        }
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to end.
    pub(crate) fn ask_to_end(&self) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
    }

    /// Asks it to end, and waits a little.
    pub(crate) fn terminate(&mut self) {
        self.ask_to_end();
        let _ = await_some(TERMINATE_PATIENCE, || Ok(self.child.try_wait()?));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks again and again until there is something, or `patience` is over.
///
/// # Errors
///
/// If looking fails.
pub(crate) fn await_some<T>(
    patience: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<Option<T>> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look()? {
            return Ok(Some(found));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
}

/// How long a process may take to end when asked.
const TERMINATE_PATIENCE: Duration = Duration::from_secs(5);

/// How often to look.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
