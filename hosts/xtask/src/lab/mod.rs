//! `cargo xtask interop`: our programs and boards against RSPLIB and the kernel's SCTP.
//!
//! Each case runs in namespaces of its own (network, processes): a bridge, a User Mode Linux
//! with Debian's kernel and RSPLIB on it, our processes at addresses of the bridge, boards in
//! QEMU. They end with the case's first process, so nothing is ever left behind; and that
//! process ends with `cargo xtask interop`, however that ends.
//!
//! What a case leaves is in `target/interop/CASE/`: what each process said, and the traffic.

mod association;
mod board;
mod carrier;
mod cases;
mod echo;
mod guest;
mod kernel_peer;
mod network;
mod process;
mod screen;
mod transfer;

use std::fs::File;
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::{cargo, output, root, run};
use crate::{firmware, setup};
use cases::{CASES, Case};
use guest::Guest;
use process::{Process, await_some};

/// User Mode Linux as Debian calls it.
pub(crate) const UML: &str = "linux.uml";

/// The emulator of boards.
pub(crate) const QEMU: &str = "qemu-system-arm";

/// What the lab needs beyond other tests: program, Debian package, what for.
pub(crate) const PROGRAMS: [(&str, &str, &str); 8] = [
    (UML, "user-mode-linux", "a kernel with SCTP, as a process"),
    ("rspregistrar", "rsplib-registrar", "RSPLIB's registrar"),
    ("rspserver", "rsplib-services", "RSPLIB's pool elements and users"),
    ("hsdump", "rsplib-tools", "prints the handlespace of RSPLIB's registrar"),
    (screen::XVFB, "xvfb", "a screen for RSPLIB's user of fractals"),
    ("sctp_darn", "lksctp-tools", "speaks SCTP by hand"),
    ("ip", "iproute2", "makes the lab's network"),
    ("modprobe", "kmod", "loads the kernel's SCTP"),
];

/// How cases are run.
#[derive(clap::Args, Default)]
pub(crate) struct Options {
    /// Only these cases.
    cases: Vec<String>,
    /// Say what cases there are.
    #[arg(long)]
    list: bool,
    /// How many cases to run at the same time; they mostly wait. [default: 4]
    #[arg(long, value_name = "COUNT")]
    jobs: Option<usize>,
    /// Keep the recorded traffic of cases that pass, too.
    #[arg(long)]
    keep: bool,
    /// Run this case in the namespaces that were made for it.
    #[arg(long, hide = true, value_name = "FOLDER")]
    inside: Option<PathBuf>,
    /// Be a peer that has the kernel's SCTP, in a guest.
    #[arg(long, hide = true, value_name = "WORDS")]
    kernel_peer: Option<String>,
    /// The boards' firmware, for cases that have boards.
    #[arg(long, hide = true, value_name = "ELF")]
    firmware: Option<PathBuf>,
}

/// Runs the lab.
///
/// # Errors
///
/// If a case fails, or the lab itself.
pub(crate) fn run_cases(options: &Options) -> Result<()> {
    if options.list {
        for case in CASES {
            println!("{:<22}{}", case.name, case.what);
        }
        return Ok(());
    }
    if let Some(words) = &options.kernel_peer {
        return kernel_peer::run(words);
    }
    let mut cases = Vec::new();
    for name in &options.cases {
        let case = CASES.iter().find(|case| case.name == name);
        cases.push(case.with_context(|| format!("no case `{name}`; --list shows them"))?);
    }
    if cases.is_empty() {
        cases.extend(CASES);
    }
    if let Some(folder) = &options.inside {
        end_with_input();
        std::process::exit(inside(cases[0], folder, options.firmware.clone()));
    }
    let missing: Vec<_> = PROGRAMS.iter().filter(|(program, ..)| !is_there(program)).collect();
    if !missing.is_empty() {
        let packages: Vec<_> = missing.iter().map(|(_, package, _)| *package).collect();
        bail!("not installed: {}; run `cargo xtask setup --lab`", packages.join(", "));
    }
    let has_boards = cases.iter().any(|case| case.has_boards);
    if has_boards && !is_there(QEMU) {
        bail!("not installed: {QEMU}; run `cargo xtask setup`");
    }
    run(cargo(None, &["build", "-q", "-p", "rsp", "-p", "uml-ptrace"]))?;
    if cases.iter().any(|case| case.name == cases::kernel_transport::CASE.name) {
        cases::kernel_transport::build()?;
    }
    let firmware = has_boards.then(|| firmware::build_board("mps2-an385", &[])).transpose()?;
    let jobs = options.jobs.unwrap_or(JOBS_DEFAULT).clamp(1, cases.len());
    let verdicts = run_all(&cases, jobs, firmware.as_deref(), options.keep)?;
    println!();
    for (case, verdict) in cases.iter().zip(&verdicts) {
        println!("{:<22}{verdict}", case.name);
    }
    match verdicts.iter().filter(|verdict| verdict.starts_with("FAIL")).count() {
        0 => Ok(()),
        count => bail!("{count} of {} cases failed", verdicts.len()),
    }
}

/// Installs what the lab needs and runs all cases but the one that takes minutes.
///
/// # Errors
///
/// If a case fails, or the lab itself.
pub(crate) fn install_and_run() -> Result<()> {
    setup::run_steps(true, false)?;
    let is_short = |case: &&Case| case.name != cases::kernel_multihomed::SLOW.name;
    let cases = CASES.iter().filter(is_short).map(|case| case.name.to_owned()).collect();
    run_cases(&Options { cases, ..Options::default() })
}

/// Runs cases, `jobs` at a time; their verdicts in the same order.
fn run_all(
    cases: &[&Case],
    jobs: usize,
    firmware: Option<&Path>,
    keep: bool,
) -> Result<Vec<String>> {
    let next = AtomicUsize::new(0);
    let verdicts = Mutex::new(vec![String::new(); cases.len()]);
    let work = || -> Result<()> {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(case) = cases.get(index) else { return Ok(()) };
            let verdict = outside(case, firmware, keep, jobs > 1)?;
            verdicts.lock().expect("no case panics")[index] = verdict;
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("no case panics"))
    })?;
    Ok(verdicts.into_inner().expect("no case panics"))
}

/// Whether a program is in the path. Not by starting it: some of these have no `--version`.
pub(crate) fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|folder| folder.join(program).is_file())
}

/// Runs a case in new namespaces; what it came to. Its story is told as it happens, or, if it
/// `is_quiet`, at its end.
fn outside(case: &Case, firmware: Option<&Path>, keep: bool, is_quiet: bool) -> Result<String> {
    let folder = root().join("target/interop").join(case.name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder)?;
    let title = format!("\n== {}: {}", case.name, case.what);
    let start = Instant::now();
    let mut unshare = Command::new("unshare");
    unshare.args(["--net", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    if output(crate::process::command("id", ["-u"])).trim() != "0" {
        unshare.arg("--map-root-user");
    }
    unshare.arg(std::env::current_exe()?).args(["interop", case.name, "--inside"]).arg(&folder);
    if let Some(firmware) = firmware {
        unshare.arg("--firmware").arg(firmware);
    }
    let story = folder.join(STORY);
    if is_quiet {
        let file = File::create(&story)?;
        unshare.stdout(file.try_clone()?).stderr(file);
    } else {
        println!("{title}");
    }
    let mut child = unshare.stdin(Stdio::piped()).spawn().context("cannot run unshare")?;
    let status = await_some(case.patience, || Ok(child.try_wait()?))?;
    if status.is_none() {
        child.kill()?;
        child.wait()?;
        show_logs(&folder);
    }
    if is_quiet {
        println!("{title}\n{}", std::fs::read_to_string(&story)?.trim_end());
    }
    let verdict = std::fs::read_to_string(folder.join(VERDICT)).unwrap_or_else(|_| match status {
        None => format!("FAIL: not done after {} s", case.patience.as_secs()),
        Some(status) => format!("FAIL: ended without a verdict, {status}"),
    });
    if verdict.starts_with("FAIL") {
        println!("   what was said and sent: {}", folder.display());
    } else if !keep {
        let _ = std::fs::remove_file(folder.join(network::TRAFFIC));
    }
    Ok(format!("{} ({} s)", verdict.trim(), start.elapsed().as_secs()))
}

/// Ends this process, and with it the namespaces, when whoever started it is gone.
fn end_with_input() {
    std::thread::spawn(|| {
        let mut rest = Vec::new();
        let _ = std::io::stdin().read_to_end(&mut rest);
        std::process::exit(1);
    });
}

/// Runs a case in the namespaces that were made for it; the exit code.
fn inside(case: &Case, folder: &Path, firmware: Option<PathBuf>) -> i32 {
    let result = Lab::new(folder, firmware).and_then(|mut lab| {
        (case.run)(&mut lab)?;
        lab.judge_traffic()
    });
    let verdict = match &result {
        Ok(()) => "PASS".to_owned(),
        Err(error) => match error.downcast_ref::<NotApplicable>() {
            Some(NotApplicable(reason)) => format!("does not apply: {reason}"),
            None => format!("FAIL: {error:#}"),
        },
    };
    if verdict.starts_with("FAIL") {
        show_logs(folder);
    }
    let written = std::fs::write(folder.join(VERDICT), verdict);
    i32::from(result.is_err() || written.is_err())
}

/// Shows the last lines of all that was said.
fn show_logs(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        let is_text = path.extension().is_some_and(|end| end == "log" || end == "out");
        let Ok(bytes) = std::fs::read(&path) else { continue };
        if !is_text || bytes.is_empty() {
            continue;
        }
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<_> = text.lines().collect();
        println!("   -- {}", path.file_name().unwrap_or_default().to_string_lossy());
        for line in &lines[lines.len().saturating_sub(LINES_SHOWN)..] {
            println!("   {line}");
        }
    }
}

/// What a case has: its network, and what it starts.
pub(crate) struct Lab {
    folder: PathBuf,
    firmware: Option<PathBuf>,
    tap_count: usize,
    recorder: Option<Process>,
}

impl Lab {
    fn new(folder: &Path, firmware: Option<PathBuf>) -> Result<Self> {
        network::bridge(&ADDRESSES)?;
        let recorder = network::record(folder)?;
        Ok(Self { folder: folder.into(), firmware, tap_count: 0, recorder })
    }

    /// Boots the guest.
    ///
    /// # Errors
    ///
    /// If it does not come up.
    pub(crate) fn boot(&mut self) -> Result<Guest> {
        self.boot_hosts(&[])
    }

    /// Boots the guest with further hosts at these addresses; [`guest::at`] says how they run a
    /// command. What they say to each other passes the case's bridge, too.
    ///
    /// # Errors
    ///
    /// If it does not come up.
    pub(crate) fn boot_hosts(&mut self, others: &[&'static str]) -> Result<Guest> {
        let mut hosts = Vec::new();
        for &address in [GUEST].iter().chain(others) {
            hosts.push((address, self.tap()?));
        }
        self.boot_at(&hosts)
    }

    /// Boots the guest with a second address, at a second network.
    ///
    /// # Errors
    ///
    /// If it does not come up.
    pub(crate) fn boot_with_two_addresses(&mut self) -> Result<Guest> {
        network::second_bridge(SECOND_ADDRESS)?;
        let first = self.tap()?;
        let second = self.tap_at(true)?;
        self.boot_at(&[(GUEST, first), (SECOND_GUEST, second)])
    }

    fn boot_at(&self, hosts: &[(&str, String)]) -> Result<Guest> {
        let shim = root().join("target/debug/libuml_ptrace.so");
        let booted = Guest::boot(&self.folder, &shim, hosts);
        self.check("the guest boots", booted)
    }

    /// Gives the bridge another address, for a process that needs a UDP 9899 of its own.
    ///
    /// # Errors
    ///
    /// If the kernel refuses it.
    pub(crate) fn add_address(&self, address: &str) -> Result<()> {
        network::add_address(address)
    }

    /// Makes a tap device on the case's bridge; its name.
    ///
    /// # Errors
    ///
    /// If the kernel refuses it.
    pub(crate) fn tap(&mut self) -> Result<String> {
        self.tap_at(false)
    }

    fn tap_at(&mut self, is_second: bool) -> Result<String> {
        let name = format!("tap{}", self.tap_count);
        self.tap_count += 1;
        network::tap(&name, is_second)?;
        Ok(name)
    }

    /// Starts `rsp` with the words of `arguments`.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub(crate) fn rsp(&self, name: &str, arguments: &str) -> Result<Process> {
        let mut command = Command::new(root().join("target/debug/rsp"));
        command.args(arguments.split_whitespace()).current_dir(&self.folder);
        command.env("RUST_BACKTRACE", "1");
        Process::start(name, command, &self.folder)
    }

    /// Starts a board at the end of tap device `tap`, at `address`, with `settings`.
    ///
    /// # Errors
    ///
    /// If QEMU does not start.
    pub(crate) fn board(
        &self,
        name: &str,
        place: (&str, &str),
        settings: &[&str],
    ) -> Result<Process> {
        let firmware = self.firmware.as_deref().context("a case without firmware")?;
        board::start(&self.folder, name, firmware, place, settings)
    }

    /// Reads the recorded traffic with `rsp decode`, which must read and rewrite all messages.
    fn judge_traffic(&mut self) -> Result<()> {
        let Some(mut recorder) = self.recorder.take() else {
            println!("   --    dumpcap is not installed: no traffic is recorded");
            return Ok(());
        };
        end_recording(&mut recorder);
        let traffic = self.traffic();
        let decode = self.rsp("decode", &format!("decode --roundtrip {}", traffic.display()))?;
        let judged = decode.finish(DECODE_PATIENCE);
        self.check("rsp decode rewrites all recorded messages to the same bytes", judged).map(drop)
    }

    /// Where the traffic is recorded, about a second late.
    pub(crate) fn traffic(&self) -> PathBuf {
        self.folder.join(network::TRAFFIC)
    }

    /// Leaves a mark in the recorded traffic: a datagram of this text.
    ///
    /// # Errors
    ///
    /// If it cannot be sent, or nothing is recorded.
    pub(crate) fn mark(&self, text: &str) -> Result<()> {
        if self.recorder.is_none() {
            bail!("dumpcap is not installed: run `cargo xtask setup`");
        }
        UdpSocket::bind((ADDRESSES[0], 0))?.send_to(text.as_bytes(), (ADDRESSES[1], MARK_PORT))?;
        Ok(())
    }

    /// A number that is another each time; a case that uses it prints it.
    pub(crate) fn seed(&self) -> u64 {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(1, |now| now.as_secs())
    }

    /// Prints what a check came to, and passes it on.
    ///
    /// # Errors
    ///
    /// If `result` is one.
    pub(crate) fn check<T>(&self, what: &str, result: Result<T>) -> Result<T> {
        match &result {
            Ok(_) => println!("   PASS  {what}"),
            Err(error) if error.is::<NotApplicable>() => println!("   --    {what}: {error}"),
            Err(error) => println!("   FAIL  {what}: {error:#}"),
        }
        let _ = std::io::stdout().flush();
        result.with_context(|| what.to_owned())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Some(recorder) = &mut self.recorder {
            end_recording(recorder);
        }
    }
}

/// Lets the recorder fetch what was sent last, which it does about once a second, and end.
fn end_recording(recorder: &mut Process) {
    std::thread::sleep(RECORDER_INTERVAL);
    recorder.terminate();
}

/// Why a case cannot be run here.
#[derive(Debug)]
pub(crate) struct NotApplicable(pub(crate) String);

impl std::fmt::Display for NotApplicable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotApplicable {}

/// The guest's address. RSPLIB registers no loopback addresses.
pub(crate) const GUEST: &str = "10.77.0.2";

/// The guest's second address, and ours, at a second network; where the guest has it, it is its
/// own, not that of a further host.
pub(crate) const SECOND_GUEST: &str = "10.78.0.2";
pub(crate) const SECOND_ADDRESS: &str = "10.78.0.10";

/// Addresses of our processes on the bridge, so that each can have a UDP 9899 of its own: the
/// kernel's SCTP knows one UDP port for all peers that it connects to.
pub(crate) const ADDRESSES: [&str; 8] = [
    "10.77.0.1",
    "10.77.0.10",
    "10.77.0.11",
    "10.77.0.12",
    "10.77.0.13",
    "10.77.0.14",
    "10.77.0.15",
    "10.77.0.16",
];

/// How long it may take to read what was recorded.
const DECODE_PATIENCE: Duration = Duration::from_secs(60);

/// Where marks go: nobody listens there.
const MARK_PORT: u16 = 7_777;

/// How often the recorder fetches what was sent, and a little more.
const RECORDER_INTERVAL: Duration = Duration::from_millis(1_500);

/// How many cases run at the same time.
const JOBS_DEFAULT: usize = 4;

/// The file that holds what a quiet case prints.
const STORY: &str = "story";

/// The file that holds what a case came to.
const VERDICT: &str = "verdict";

/// How much of each log is shown when a case fails.
const LINES_SHOWN: usize = 12;
