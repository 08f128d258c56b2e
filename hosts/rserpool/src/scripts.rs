//! Runs what users of the Scripting service upload: in a folder of its own, for so long and with
//! so much output, and not at all unless somebody said whose scripts are to be run.
//!
//! A script sees its folder as current and as home, and nothing of the element's environment. It
//! is no prisoner: it may read what the element's user may read, and use the network. Who runs
//! scripts of strangers runs the element as a user, or in a container, that owns nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::Command;

use crate::services::scripting::{Outcome, Run};

/// Whose scripts are run, and how.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ScriptConfig {
    /// Whose.
    pub trust: Trust,
    /// For how long.
    pub run_time_max: Duration,
    /// The most bytes of output, and of each file that a script writes.
    pub output_len_max: u64,
    /// Folders stay when their scripts have ended, for those who look for errors.
    pub keeps_folders: bool,
}

/// Whose scripts are run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Everybody's who can reach the element.
    Anyone,
    /// Those that are signed with a key of this GnuPG keyring.
    Keyring(PathBuf),
}

impl ScriptConfig {
    /// An hour for a script, and 12 MiB of output.
    #[must_use]
    pub const fn new(trust: Trust) -> Self {
        Self {
            trust,
            run_time_max: Duration::from_secs(3_600),
            output_len_max: 12 << 20,
            keeps_folders: false,
        }
    }
}

/// Runs a package to its end. Dropping the future ends all of its processes.
pub(crate) async fn run_script(config: &ScriptConfig, run: Run) -> Outcome {
    match try_run(config, run).await {
        Ok(outcome) => outcome,
        Err(refusal) => {
            tracing::info!(why = refusal.why, status = refusal.status, "script not run");
            Outcome { status: refusal.status, output: refusal.why.into_bytes() }
        }
    }
}

/// Why a script was not run to its end, in the words and numbers of a shell.
#[derive(Debug)]
struct Refusal {
    status: u32,
    why: String,
}

impl Refusal {
    fn new(status: u32, why: impl Into<String>) -> Self {
        Self { status, why: why.into() }
    }

    fn of(what: &'static str) -> impl Fn(io::Error) -> Self {
        move |error| Self::new(STATUS_REFUSED, format!("{what}: {error}\n"))
    }
}

async fn try_run(config: &ScriptConfig, run: Run) -> Result<Outcome, Refusal> {
    let folder = tempfile::Builder::new().prefix("rsp-script-").tempdir();
    let mut folder = folder.map_err(Refusal::of("no folder"))?;
    folder.disable_cleanup(config.keeps_folders);
    let work = folder.path().join("work");
    std::fs::create_dir(&work).map_err(Refusal::of("no folder"))?;
    let environment = run.environment.as_deref();
    let archives = environment.into_iter().chain([&*run.package]);
    for (index, archive) in archives.enumerate() {
        let path = folder.path().join(format!("archive-{index}"));
        std::fs::write(&path, archive).map_err(Refusal::of("archive not written"))?;
        let path = verified(config, path).await?;
        let mut tar = Command::new("tar");
        tar.args(["--extract", "--no-same-owner", "--file"]).arg(path).arg("--directory");
        tar.arg(&work);
        let extracted = ended(config, tar, folder.path()).await?;
        if !extracted.success() {
            let log = std::fs::read_to_string(folder.path().join(LOG)).unwrap_or_default();
            return Err(Refusal::new(STATUS_REFUSED, format!("not extracted:\n{log}")));
        }
    }
    if !work.join(SCRIPT).is_file() {
        return Err(Refusal::new(STATUS_NO_SCRIPT, format!("the package has no {SCRIPT}\n")));
    }
    let output = folder.path().join(OUTPUT);
    // It ends with the element, however that ends.
    let mut script = Command::new("setpriv");
    script.args(["--pdeathsig", "KILL", "prlimit", "--core=0"]);
    script.args([&format!("--fsize={}", config.output_len_max), "--"]);
    script.arg(work.join(SCRIPT)).arg(&output).current_dir(&work).env_clear();
    script.env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", &work).env("TMPDIR", &work);
    let status = ended(config, script, folder.path()).await?;
    let status = status_of(status);
    let made = if output.is_file() { output } else { folder.path().join(LOG) };
    let output = read_output(config, &made)?;
    Ok(Outcome { status, output })
}

/// The archive in `path`, checked if it must be.
async fn verified(config: &ScriptConfig, path: PathBuf) -> Result<PathBuf, Refusal> {
    let Trust::Keyring(keyring) = &config.trust else { return Ok(path) };
    let plain = path.with_extension("plain");
    let mut gpgv = Command::new("gpgv");
    gpgv.arg("--keyring").arg(keyring).arg("--output").arg(&plain).arg(&path);
    let folder = path.parent().unwrap_or(Path::new("/"));
    let checked = ended(config, gpgv, folder).await?;
    match checked.success() && plain.is_file() {
        true => Ok(plain),
        false => Err(Refusal::new(STATUS_REFUSED, "not signed by anybody who is trusted\n")),
    }
}

/// Lets a command run to its end, or to that of its time. What it says goes to a file in
/// `folder`.
async fn ended(
    config: &ScriptConfig,
    mut command: Command,
    folder: &Path,
) -> Result<ExitStatus, Refusal> {
    let log = std::fs::File::create(folder.join(LOG)).map_err(Refusal::of("no log"))?;
    let errors = log.try_clone().map_err(Refusal::of("no log"))?;
    command.stdin(Stdio::null()).stdout(log).stderr(errors).process_group(0);
    let mut child = command.spawn().map_err(Refusal::of("not started"))?;
    let _group = Group(child.id());
    match tokio::time::timeout(config.run_time_max, child.wait()).await {
        Ok(status) => status.map_err(Refusal::of("lost")),
        Err(_) => {
            let seconds = config.run_time_max.as_secs();
            Err(Refusal::new(STATUS_TIMEOUT, format!("not done within {seconds} s\n")))
        }
    }
}

fn read_output(config: &ScriptConfig, path: &Path) -> Result<Vec<u8>, Refusal> {
    let len = std::fs::metadata(path).map_err(Refusal::of("no output"))?.len();
    if len > config.output_len_max {
        let max = config.output_len_max;
        return Err(Refusal::new(STATUS_REFUSED, format!("more than {max} bytes of output\n")));
    }
    std::fs::read(path).map_err(Refusal::of("no output"))
}

/// An exit status as shells count it.
fn status_of(status: ExitStatus) -> u32 {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u32::try_from(code).ok()).unwrap_or(STATUS_REFUSED)
}

/// A process and all that it started. Dropping it ends them.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0.and_then(|id| i32::try_from(id).ok()) {
            // There may be nobody left.
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
    }
}

/// The executable of a package.
const SCRIPT: &str = "ssrun";

/// What a script is to make, in its folder's parent.
const OUTPUT: &str = "output";

/// What it says; also its output if it made none.
const LOG: &str = "log";

/// Numbers of shells and of `timeout`.
const STATUS_TIMEOUT: u32 = 124;
const STATUS_REFUSED: u32 = 126;
const STATUS_NO_SCRIPT: u32 = 127;

#[cfg(test)]
mod tests {
    use super::*;

    /// A package whose script is `text`.
    fn package(text: &str) -> Run {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join(SCRIPT);
        std::fs::write(&script, text).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut tar = std::process::Command::new("tar");
        tar.args(["--create", SCRIPT]).current_dir(folder.path());
        Run { package: tar.output().unwrap().stdout, environment: None }
    }

    async fn outcome(config: &ScriptConfig, text: &str) -> (u32, String) {
        let outcome = run_script(config, package(text)).await;
        (outcome.status, String::from_utf8(outcome.output).unwrap())
    }

    #[tokio::test]
    async fn a_script_makes_its_output() {
        let config = ScriptConfig::new(Trust::Anyone);
        let text = "#!/bin/sh\nset -e\ntest \"$HOME\" = \"$PWD\"\necho made >\"$1\"\n";
        assert_eq!(outcome(&config, text).await, (0, "made\n".into()));
    }

    #[tokio::test]
    async fn a_script_that_fails_shows_what_it_said() {
        let config = ScriptConfig::new(Trust::Anyone);
        let text = "#!/bin/sh\necho why >&2\nexit 7\n";
        assert_eq!(outcome(&config, text).await, (7, "why\n".into()));
    }

    #[tokio::test]
    async fn output_has_a_bound() {
        let mut config = ScriptConfig::new(Trust::Anyone);
        config.output_len_max = 1_000;
        let text = "#!/bin/sh\nhead -c 2000 /dev/zero >\"$1\" || exit 9\n";
        assert_eq!(outcome(&config, text).await.0, 9);
    }

    #[tokio::test]
    async fn a_script_that_takes_too_long_is_ended_with_all_that_it_started() {
        let mut config = ScriptConfig::new(Trust::Anyone);
        config.run_time_max = Duration::from_millis(300);
        let folder = tempfile::tempdir().unwrap();
        let named = folder.path().join("process");
        let name = named.display();
        let text =
            format!("#!/bin/sh\nsleep 1000 &\necho $! >{name}.new\nmv {name}.new {name}\nwait\n");
        assert_eq!(outcome(&config, &text).await.0, STATUS_TIMEOUT);
        let id = std::fs::read_to_string(named).unwrap();
        let process = Path::new("/proc").join(id.trim()).join("status");
        let is_over = || {
            let state = std::fs::read_to_string(&process).unwrap_or_else(|_| "State:\tX".into());
            state.contains("State:\tZ") || state.contains("State:\tX")
        };
        let ended = tokio::time::timeout(Duration::from_secs(30), async {
            while !is_over() {
                tokio::task::yield_now().await;
            }
        });
        assert!(ended.await.is_ok(), "{} still runs", process.display());
    }

    #[tokio::test]
    async fn what_is_no_package_is_refused() {
        let config = ScriptConfig::new(Trust::Anyone);
        let run = Run { package: b"nonsense".into(), environment: None };
        assert_eq!(run_script(&config, run).await.status, STATUS_REFUSED);
        let empty = Run { package: vec![0; 10_240], environment: None };
        assert_eq!(run_script(&config, empty).await.status, STATUS_NO_SCRIPT);
    }

    #[tokio::test]
    async fn what_nobody_signed_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let keyring = folder.path().join("keys");
        std::fs::write(&keyring, b"").unwrap();
        let config = ScriptConfig::new(Trust::Keyring(keyring));
        let (status, why) = outcome(&config, "#!/bin/sh\necho made >\"$1\"\n").await;
        assert_eq!(status, STATUS_REFUSED);
        assert!(why.contains("not signed") || why.contains("not started"), "{why}");
    }

    /// What a package comes to that somebody signed, with the keyring of those who are trusted.
    /// Keys and packages are in `tests/scripts`: `ssrun` makes its output say `made`.
    async fn signed(package: &str, environment: Option<&str>) -> (u32, String) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
        let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
        let config = ScriptConfig::new(Trust::Keyring(folder.join("trusted.gpg")));
        let environment = environment.map(|name| read(name).into());
        let run = Run { package: read(package), environment };
        let outcome = run_script(&config, run).await;
        (outcome.status, String::from_utf8(outcome.output).unwrap())
    }

    #[tokio::test]
    async fn what_somebody_signed_who_is_trusted_is_run() {
        assert_eq!(signed("trusted.tar.gpg", None).await, (0, "made\n".into()));
        let with_environment = signed("trusted.tar.gpg", Some("trusted.tar.gpg")).await;
        assert_eq!(with_environment, (0, "made\n".into()));
    }

    #[tokio::test]
    async fn what_a_stranger_signed_is_refused_be_it_package_or_environment() {
        for outcome in [
            signed("stranger.tar.gpg", None).await,
            signed("trusted.tar.gpg", Some("stranger.tar.gpg")).await,
        ] {
            assert_eq!(outcome.0, STATUS_REFUSED);
            assert!(outcome.1.contains("not signed by anybody who is trusted"), "{}", outcome.1);
        }
    }

    #[tokio::test]
    async fn a_signature_of_something_else_is_refused() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
        let config = ScriptConfig::new(Trust::Keyring(folder.join("trusted.gpg")));
        let whole = std::fs::read(folder.join("trusted.tar.gpg")).unwrap();
        for place in [40, whole.len() / 2, whole.len() - 1] {
            let mut package = whole.clone();
            package[place] ^= 1;
            let outcome = run_script(&config, Run { package, environment: None }).await;
            assert_eq!(outcome.status, STATUS_REFUSED, "byte {place}");
        }
    }
}
