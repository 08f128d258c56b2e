//! A User Mode Linux: Debian's kernel with SCTP, as a process, on the host's own root file system.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use super::process::await_some;

/// A running guest. Dropping it ends it.
pub(crate) struct Guest {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    folder: PathBuf,
    command_count: usize,
}

/// A command as one of the guest's further hosts runs it.
pub(crate) fn at(host: &str, command: &str) -> String {
    match host {
        super::GUEST => command.to_owned(),
        _ => format!("ip netns exec {host} {command}"),
    }
}

/// A program that runs in the background of a guest.
pub(crate) struct Program {
    pid: u32,
    output: PathBuf,
}

/// What a command of a guest left.
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) text: String,
}

impl Guest {
    /// Boots a guest; `shim` completes UML's `ptrace`. Each of its hosts has an address and the
    /// tap device that it is reached by: the first is the guest itself, the others are network
    /// namespaces in it.
    ///
    /// # Errors
    ///
    /// If it does not come up in time; what it said is in `guest.log`.
    pub(crate) fn boot(folder: &Path, shim: &Path, hosts: &[(&str, String)]) -> Result<Self> {
        let script = folder.join("init.sh");
        std::fs::write(&script, include_str!("init.sh"))?;
        executable(&script)?;
        let log = File::create(folder.join("guest.log"))?;
        let mut command = Command::new(super::UML);
        command
            .args(["mem=256M", "rootfstype=hostfs", "rootflags=/", "ro"])
            .args(["con=null", "con0=null,fd:2", "ssl0=fd:0,fd:1"])
            .arg(format!("uml_dir={}", folder.join("uml").display()))
            .args(hosts.iter().enumerate().map(|(index, (address, tap))| {
                let mac = super::network::mac_of(address);
                format!("vec{index}:transport=tap,ifname={tap},depth=64,gro=0,mac={mac}")
            }))
            .arg(format!("init={}", script.display()))
            .args(["--", &folder.display().to_string()])
            .args(hosts.iter().map(|(address, _)| address))
            .env("LD_PRELOAD", shim)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log);
        let mut child = command.spawn().context("cannot start User Mode Linux")?;
        let input = child.stdin.take().expect("it is piped");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            output
                .split(b'\n')
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(String::from_utf8_lossy(&line).trim().to_owned()))
        });
        let mut guest = Self { child, input, lines, folder: folder.into(), command_count: 0 };
        guest.answer("ready", BOOT_PATIENCE).context("the guest does not come up")?;
        Ok(guest)
    }

    /// Runs a shell command to its end, which must come within `patience`.
    ///
    /// # Errors
    ///
    /// If the guest does not answer; a command that fails is no error.
    pub(crate) fn run(&mut self, patience: Duration, command: &str) -> Result<Outcome> {
        let number = self.send(patience.as_secs().max(1), command)?;
        let code = self.answer(&number, patience + ANSWER_PATIENCE)?;
        let code = code.parse().with_context(|| format!("the guest's answer `{code}`"))?;
        let bytes = std::fs::read(self.folder.join(format!("{number}.out")))?;
        Ok(Outcome { code, text: String::from_utf8_lossy(&bytes).into_owned() })
    }

    /// Runs a shell command that must succeed; what it printed.
    ///
    /// # Errors
    ///
    /// If it fails.
    pub(crate) fn must(&mut self, command: &str) -> Result<String> {
        let Outcome { code, text } = self.run(COMMAND_PATIENCE, command)?;
        if code != 0 {
            bail!("`{command}` failed in the guest with {code}: {}", text.trim());
        }
        Ok(text)
    }

    /// The bytes of a file of the guest's own.
    ///
    /// # Errors
    ///
    /// If it is not there.
    pub(crate) fn read(&mut self, path: &str) -> Result<Vec<u8>> {
        self.must(&format!("cp {path} /run/out/copy"))?;
        Ok(std::fs::read(self.folder.join("copy"))?)
    }

    /// Starts one program in the background.
    ///
    /// # Errors
    ///
    /// If the guest does not answer.
    pub(crate) fn spawn(&mut self, command: &str) -> Result<Program> {
        let number = self.send(0, command)?;
        let pid = self.answer(&number, ANSWER_PATIENCE)?;
        let pid = pid.parse().with_context(|| format!("the guest's answer `{pid}`"))?;
        Ok(Program { pid, output: self.folder.join(format!("{number}.out")) })
    }

    /// Sends a signal to a program.
    ///
    /// # Errors
    ///
    /// If it has ended.
    pub(crate) fn signal(&mut self, program: &Program, signal: &str) -> Result<()> {
        self.must(&format!("kill -{signal} {}", program.pid)).map(drop)
    }

    fn send(&mut self, seconds: u64, command: &str) -> Result<String> {
        self.command_count += 1;
        let number = format!("{:03}", self.command_count);
        let mut log =
            File::options().create(true).append(true).open(self.folder.join("commands.log"))?;
        writeln!(log, "{number} {seconds} {command}")?;
        writeln!(self.input, "{number} {seconds} {command}").context("the guest is gone")?;
        self.input.flush()?;
        Ok(number)
    }

    /// What stands behind `key` on the line that begins with it.
    fn answer(&mut self, key: &str, patience: Duration) -> Result<String> {
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).map_err(|error| match error {
                RecvTimeoutError::Timeout => anyhow!("no answer in {} s", patience.as_secs()),
                RecvTimeoutError::Disconnected => anyhow!("the guest has ended by itself"),
            })?;
            if let Some(rest) = line.strip_prefix(key) {
                return Ok(rest.trim().to_owned());
            }
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // What it traces dies with it: see the preloaded `ptrace`.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    /// All that it has printed so far.
    pub(crate) fn output(&self) -> String {
        std::fs::read(&self.output)
            .map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    ///
    /// If it does not in time.
    pub(crate) fn await_end(&self, guest: &mut Guest, patience: Duration) -> Result<()> {
        let probe = format!("kill -0 {}", self.pid);
        let ended = || Ok((guest.run(COMMAND_PATIENCE, &probe)?.code != 0).then_some(()));
        await_some(patience, ended)?
            .with_context(|| format!("it has not ended in {} s", patience.as_secs()))
    }

    /// Waits until it has printed `text`.
    ///
    /// # Errors
    ///
    /// If it does not in time.
    pub(crate) fn await_text(&self, text: &str, patience: Duration) -> Result<()> {
        let said = || Ok(self.output().contains(text).then_some(()));
        let missing = || format!("`{text}` is not said in {} s", patience.as_secs());
        await_some(patience, said)?.with_context(missing)
    }
}

#[cfg(unix)]
fn executable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// How long a guest may take to boot; it takes 3 s when the machine has nothing else to do.
const BOOT_PATIENCE: Duration = Duration::from_secs(60);

/// How long a short command may take.
const COMMAND_PATIENCE: Duration = Duration::from_secs(20);

/// How much later than its command's end an answer may come.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);
