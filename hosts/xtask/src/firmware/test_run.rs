//! Runs tests of an ELF file of embedded-test in QEMU, each in a machine of its own.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::test_list::TargetTest;

/// What has become of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    Ignored,
    /// It panicked, although it should not.
    Panicked,
    /// It was to panic, and ended well.
    DidNotPanic,
    /// It ended otherwise: an `Err`, a fault, or QEMU itself.
    Died,
    /// It did not end.
    TimedOut,
}

/// How a test's machine ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With an exit status.
    Exit(i32),
    /// By a signal.
    Signal,
    /// By us, because time was up.
    TimedOut,
}

/// The exit status of a panic in firmware; a fault has another one.
const PANIC_STATUS: i32 = 101;

/// Virtual time: 32 ns an instruction, and none of it is spent asleep. It makes runs repeatable
/// and hours short; there is no network peer that lives in another time.
const VIRTUAL_TIME: &str = "shift=5,sleep=off";

const QEMU: &str = "qemu-system-arm";

impl Verdict {
    pub(crate) fn of(test: &TargetTest, ending: Ending) -> Self {
        match (ending, test.should_panic) {
            (Ending::Exit(0), false) | (Ending::Exit(PANIC_STATUS), true) => Self::Passed,
            (Ending::Exit(0), true) => Self::DidNotPanic,
            (Ending::Exit(PANIC_STATUS), false) => Self::Panicked,
            (Ending::Exit(_) | Ending::Signal, _) => Self::Died,
            (Ending::TimedOut, _) => Self::TimedOut,
        }
    }

    pub(crate) const fn is_failure(self) -> bool {
        !matches!(self, Self::Passed | Self::Ignored)
    }

    fn shown(self) -> &'static str {
        match self {
            Self::Passed => "ok",
            Self::Ignored => "ignored",
            Self::Panicked => "FAILED (panicked)",
            Self::DidNotPanic => "FAILED (did not panic)",
            Self::Died => "FAILED (died)",
            Self::TimedOut => "FAILED (timed out)",
        }
    }
}

/// Runs the tests one after the other, and prints what libtest would. Returns the verdicts in the
/// same order.
///
/// # Errors
///
/// If QEMU cannot be started.
pub(crate) fn run(
    elf: &Path,
    tests: &[TargetTest],
    filtered_count: usize,
) -> Result<Vec<Verdict>> {
    println!("\nrunning {} test{}", tests.len(), if tests.len() == 1 { "" } else { "s" });
    let start = Instant::now();
    let (mut verdicts, mut failures) = (Vec::new(), Vec::new());
    for test in tests {
        let (verdict, output) = run_one(elf, test)?;
        println!("test {} ... {}", test.name, verdict.shown());
        if verdict.is_failure() {
            failures.push((&test.name, output));
        }
        verdicts.push(verdict);
    }
    if !failures.is_empty() {
        println!("\nfailures:");
        for (name, output) in &failures {
            println!("\n---- {name} ----\n{}", output.trim_end());
        }
    }
    println!("\n{}", totals(&verdicts, filtered_count, start.elapsed().as_secs_f64()));
    Ok(verdicts)
}

/// Runs the tests without a word.
///
/// # Errors
///
/// If QEMU cannot be started.
pub(crate) fn run_quietly(elf: &Path, tests: &[TargetTest]) -> Result<Vec<Verdict>> {
    tests.iter().map(|test| Ok(run_one(elf, test)?.0)).collect()
}

fn totals(verdicts: &[Verdict], filtered_count: usize, seconds: f64) -> String {
    let count = |verdict| verdicts.iter().filter(|&&v| v == verdict).count();
    let failed = verdicts.iter().filter(|verdict| verdict.is_failure()).count();
    format!(
        "test result: {}. {} passed; {failed} failed; {} ignored; 0 measured; \
         {filtered_count} filtered out; finished in {seconds:.2}s",
        if failed == 0 { "ok" } else { "FAILED" },
        count(Verdict::Passed),
        count(Verdict::Ignored),
    )
}

/// The tests whose names contain one of the filters (all tests if there is none), and how many
/// others there are.
pub(crate) fn filter(tests: Vec<TargetTest>, filters: &[String]) -> (Vec<TargetTest>, usize) {
    let all_count = tests.len();
    let is_wanted = |test: &TargetTest| {
        filters.is_empty() || filters.iter().any(|filter| test.name.contains(filter.as_str()))
    };
    let wanted: Vec<_> = tests.into_iter().filter(is_wanted).collect();
    let filtered_count = all_count - wanted.len();
    (wanted, filtered_count)
}

fn run_one(elf: &Path, test: &TargetTest) -> Result<(Verdict, String)> {
    if test.ignored {
        return Ok((Verdict::Ignored, String::new()));
    }
    let mut child = qemu(elf, test.address)
        .spawn()
        .with_context(|| format!("cannot start {QEMU}; `cargo xtask setup` installs it"))?;
    let (sender, receiver) = mpsc::channel();
    read_all(child.stdout.take(), sender.clone());
    read_all(child.stderr.take(), sender);
    // Both pipes end when QEMU does.
    let deadline = Instant::now() + test.timeout;
    let mut output = String::new();
    let mut is_late = false;
    for _ in 0..2 {
        match receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(text) => output += &text,
            Err(RecvTimeoutError::Timeout) => {
                is_late = true;
                child.kill().context("cannot kill QEMU")?;
                output += &receiver.recv().unwrap_or_default();
            }
            Err(RecvTimeoutError::Disconnected) => bail!("QEMU's output cannot be read"),
        }
    }
    let ending = if is_late { Ending::TimedOut } else { Ending::Exit(0) };
    let ending = ending_of(child, ending)?;
    output += &format!("{ending:?}\n");
    Ok((Verdict::of(test, ending), output))
}

/// Waits for QEMU; its status counts unless it is known to be late.
fn ending_of(mut child: Child, known: Ending) -> Result<Ending> {
    let status = child.wait().context("cannot wait for QEMU")?;
    Ok(match (known, status.code()) {
        (Ending::TimedOut, _) => Ending::TimedOut,
        (_, Some(code)) => Ending::Exit(code),
        (_, None) => Ending::Signal,
    })
}

/// Sends all of a pipe when it ends.
fn read_all(pipe: Option<impl Read + Send + 'static>, sender: mpsc::Sender<String>) {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
}

fn qemu(elf: &Path, address: u32) -> Command {
    let mut command = Command::new(QEMU);
    let arguments = format!("enable=on,target=native,arg=run_addr,arg={address}");
    command.args(["-M", "mps2-an385", "-display", "none", "-monitor", "none", "-serial", "none"]);
    command.args(["-nic", "none", "-icount", VIRTUAL_TIME]);
    command.args(["-semihosting-config", &arguments, "-kernel"]).arg(elf);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn test(name: &str, should_panic: bool) -> TargetTest {
        let timeout = Duration::from_secs(1);
        TargetTest { name: name.into(), address: 1, ignored: false, should_panic, timeout }
    }

    #[test]
    fn a_test_is_judged_by_how_its_machine_ended() {
        let cases = [
            (Ending::Exit(0), Verdict::Passed, Verdict::DidNotPanic),
            (Ending::Exit(101), Verdict::Panicked, Verdict::Passed),
            // A fault, an `Err`, a QEMU that does not like its arguments.
            (Ending::Exit(102), Verdict::Died, Verdict::Died),
            (Ending::Exit(134), Verdict::Died, Verdict::Died),
            (Ending::Exit(1), Verdict::Died, Verdict::Died),
            (Ending::Signal, Verdict::Died, Verdict::Died),
            (Ending::TimedOut, Verdict::TimedOut, Verdict::TimedOut),
        ];
        for (ending, plain, should_panic) in cases {
            assert_eq!(Verdict::of(&test("t", false), ending), plain, "{ending:?}");
            assert_eq!(Verdict::of(&test("t", true), ending), should_panic, "{ending:?}");
        }
    }

    #[test]
    fn filters_are_parts_of_names() {
        let tests = || vec![test("a::one", false), test("a::two", false), test("b::two", false)];
        let names = |filters: &[&str]| {
            let filters: Vec<_> = filters.iter().map(|&filter| filter.to_owned()).collect();
            let (tests, filtered_count) = filter(tests(), &filters);
            (tests.into_iter().map(|test| test.name).collect::<Vec<_>>().join(" "), filtered_count)
        };
        assert_eq!(names(&[]), ("a::one a::two b::two".into(), 0));
        assert_eq!(names(&["two"]), ("a::two b::two".into(), 1));
        assert_eq!(names(&["one", "b::"]), ("a::one b::two".into(), 1));
        assert_eq!(names(&["three"]), (String::new(), 3));
    }

    #[test]
    fn the_last_line_is_libtests() {
        use Verdict::{Died, Ignored, Passed};
        assert_eq!(
            totals(&[Passed, Passed, Ignored], 1, 0.5),
            "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 1 filtered out; \
             finished in 0.50s"
        );
        assert!(totals(&[Died, Passed], 0, 0.5).starts_with("test result: FAILED. 1 passed; 1 f"));
    }
}
