//! `cargo xtask mutations`: bugs that are made on purpose, one after the other, in a copy of the
//! tree, and what notices each.
//!
//! A mutation is a patch in `tests/mutations/`: a sentence that says what goes wrong, a line
//! `caught-by: ` with `swarm`, `tests` or both, and the change. All mutations are given to both,
//! the scopes of seeds and the tests of the core; whoever is named has to notice.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::process::root;

/// How many seeds a mutation has to get past.
const SEEDS: u64 = 3_000;

/// How much of what a violated oracle says is shown.
const TEXT_LEN_MAX: usize = 90;

/// Which mutations to try.
#[derive(Args)]
pub(crate) struct Options {
    /// Only look whether the patches apply.
    #[arg(long)]
    check: bool,
    /// Only those whose names contain one of these.
    names: Vec<String>,
}

impl Options {
    /// Those of CI: compiling each of them takes too long there.
    pub(crate) const fn for_ci() -> Self {
        Self { check: true, names: Vec::new() }
    }
}

/// Applies one mutation after the other to a copy of the tree and looks what catches it.
///
/// # Errors
///
/// If a patch does not apply, if a mutation is not caught by all that should, or if the tree
/// without any is not sound.
pub(crate) fn run_all(options: &Options) -> Result<()> {
    let mutations = mutations(&options.names)?;
    ensure!(!mutations.is_empty(), "no mutation of that name in tests/mutations");
    let copy = Copy::make()?;
    if options.check {
        for mutation in &mutations {
            copy.patch(&mutation.patch, false)?;
            copy.patch(&mutation.patch, true)?;
            println!("{} applies", mutation.name);
        }
        return Ok(());
    }
    let sound = copy.judge().context("without any mutation")?;
    ensure!(sound.is_sound(), "without any mutation there is this:\n{sound}");
    let begin = Instant::now();
    let mut outcomes = Vec::new();
    for mutation in &mutations {
        copy.patch(&mutation.patch, false)?;
        let verdict = copy.judge();
        copy.patch(&mutation.patch, true)?;
        let verdict = verdict.with_context(|| format!("mutation {}", mutation.name))?;
        let survives = mutation.survives(&verdict);
        println!("{}{}", mutation.name, if survives { "   SURVIVES" } else { "" });
        println!("    {}\n{verdict}", mutation.what);
        outcomes.push((verdict, survives));
    }
    sum_up(&outcomes, begin.elapsed())
}

fn sum_up(outcomes: &[(Verdict, bool)], took: Duration) -> Result<()> {
    let count = |is: &dyn Fn(&Verdict) -> bool| outcomes.iter().filter(|(it, _)| is(it)).count();
    println!(
        "\n{} mutations in {} min: {} caught by the simulation, {} by tests, {} by nothing",
        outcomes.len(),
        took.as_secs().div_ceil(60),
        count(&|verdict| verdict.violation.is_some()),
        count(&|verdict| !verdict.tests.is_empty()),
        count(&Verdict::is_sound),
    );
    let survived = outcomes.iter().filter(|(_, survives)| *survives).count();
    ensure!(survived == 0, "{survived} not caught by all that should");
    Ok(())
}

/// A bug that somebody could have made.
struct Mutation {
    name: String,
    patch: PathBuf,
    what: String,
    /// Whether the simulation has to notice.
    by_swarm: bool,
    /// Whether a test of the core has to notice.
    by_tests: bool,
}

impl Mutation {
    fn read(patch: PathBuf) -> Result<Self> {
        let text = fs::read_to_string(&patch).context("reading a patch")?;
        let name = patch.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let by = text.lines().find_map(|line| line.strip_prefix("caught-by: "));
        let by: Vec<&str> = by.unwrap_or_default().split(", ").collect();
        let (by_swarm, by_tests) = (by.contains(&"swarm"), by.contains(&"tests"));
        if by.len() != usize::from(by_swarm) + usize::from(by_tests) {
            bail!("{name}: no line `caught-by:` with `swarm`, `tests` or both");
        }
        let what = text.lines().next().unwrap_or_default().to_owned();
        Ok(Self { name, patch, what, by_swarm, by_tests })
    }

    fn survives(&self, verdict: &Verdict) -> bool {
        let slips_through_swarm = self.by_swarm && verdict.violation.is_none();
        slips_through_swarm || (self.by_tests && verdict.tests.is_empty())
    }
}

fn mutations(names: &[String]) -> Result<Vec<Mutation>> {
    let folder = root().join("tests/mutations");
    let mut mutations = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_wanted = names.is_empty() || names.iter().any(|part| name.contains(part));
        if is_wanted && path.extension().is_some_and(|extension| extension == "patch") {
            mutations.push(Mutation::read(path)?);
        }
    }
    mutations.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(mutations)
}

/// What notices the mutation that is in the tree.
struct Verdict {
    /// A seed, and what its scope violates.
    violation: Option<String>,
    /// The tests of the core that fail.
    tests: Vec<String>,
}

impl Verdict {
    fn is_sound(&self) -> bool {
        self.violation.is_none() && self.tests.is_empty()
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.violation {
            Some(violation) => writeln!(f, "    simulation: {violation}")?,
            None => writeln!(f, "    simulation: nothing in {SEEDS} seeds")?,
        }
        match &self.tests[..] {
            [] => write!(f, "    tests: none"),
            [first] => write!(f, "    tests: {first}"),
            [first, rest @ ..] => write!(f, "    tests: {first} and {} more", rest.len()),
        }
    }
}

/// A copy of the tree's tracked files with a target folder that stays, so that each mutation
/// compiles what it changes and no more.
struct Copy {
    folder: PathBuf,
}

impl Copy {
    fn make() -> Result<Self> {
        let folder = root().join("target/mutations");
        fs::create_dir_all(&folder).context("making target/mutations")?;
        // Files that did not change keep their time, or all would be compiled anew.
        let listed = output(Command::new("git").args(["ls-files", "-z"]).current_dir(root()))?;
        for name in listed.stdout.split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
            let name = String::from_utf8(name.to_vec()).context("a file name")?;
            let (from, to) = (root().join(&name), folder.join("tree").join(&name));
            let Ok(bytes) = fs::read(&from) else { continue };
            if fs::read(&to).ok().as_ref() != Some(&bytes) {
                fs::create_dir_all(to.parent().context("a folder")?)?;
                fs::write(&to, bytes).with_context(|| format!("writing {}", to.display()))?;
            }
        }
        Ok(Self { folder })
    }

    fn tree(&self) -> PathBuf {
        self.folder.join("tree")
    }

    fn patch(&self, patch: &Path, is_reverse: bool) -> Result<()> {
        let mut command = Command::new("patch");
        command.args(["--strip=1", "--force", "--silent", "--no-backup-if-mismatch"]);
        if is_reverse {
            command.arg("--reverse");
        }
        command.arg("--input").arg(patch).current_dir(self.tree());
        let output = command.output().context("starting patch")?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "{} does not apply: {text}", patch.display());
        Ok(())
    }

    fn judge(&self) -> Result<Verdict> {
        Ok(Verdict { tests: self.failed_tests()?, violation: self.violation()? })
    }

    /// One of the first seeds that a violation shows with.
    fn violation(&self) -> Result<Option<String>> {
        let build = ["build", "--quiet", "--profile", "swarm", "-p", "rserpool-tests"];
        let built = self.cargo(&[&build[..], &["--bin", "swarm"]].concat())?;
        let errors = String::from_utf8_lossy(&built.stderr);
        ensure!(built.status.success(), "it does not compile: {errors}");
        let seeds = SEEDS.to_string();
        let jobs = std::thread::available_parallelism().map_or(1, usize::from).to_string();
        let mut command = Command::new(self.folder.join("target/swarm/swarm"));
        command.args(["--seeds", &seeds, "--jobs", &jobs, "--violations", "1"]);
        let run = command.output().context("starting the simulation")?;
        let text = String::from_utf8_lossy(&run.stdout);
        let mut lines = text.lines().skip_while(|line| !line.starts_with("seed "));
        let seed = lines.next().and_then(|line| line.split(':').next());
        ensure!(run.status.success() == seed.is_none(), "the simulation says: {text}");
        let what: String = lines.next().unwrap_or_default().chars().take(TEXT_LEN_MAX).collect();
        Ok(seed.map(|seed| format!("{seed}: {what}")))
    }

    fn failed_tests(&self) -> Result<Vec<String>> {
        let run = self.cargo(&["test", "-p", "rserpool-core", "--lib", "enrp"])?;
        let text = String::from_utf8_lossy(&run.stdout);
        let errors = String::from_utf8_lossy(&run.stderr);
        ensure!(text.contains("test result: "), "it does not compile: {errors}");
        let names = text.lines().filter_map(|line| {
            line.strip_prefix("test ").and_then(|line| line.strip_suffix(" ... FAILED"))
        });
        let names = names.map(|name| name.rsplit("::").next().unwrap_or(name).to_owned());
        Ok(names.collect())
    }

    fn cargo(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new("cargo");
        command.args(arguments).current_dir(self.tree());
        command.env("CARGO_TARGET_DIR", self.folder.join("target"));
        command.output().context("starting cargo")
    }
}

fn output(command: &mut Command) -> Result<Output> {
    let output = command.output().context("starting git")?;
    ensure!(output.status.success(), "git: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output)
}
