//! `cargo xtask mutations`: bugs that are made on purpose, one after the other, in a copy of the
//! tree, and what notices each.
//!
//! A mutation is a patch in `tests/mutations/` with a line `caught-by: swarm` or
//! `caught-by: test PACKAGE NAME` at its head: the scopes of seeds, or one test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::process::root;

/// How many seeds a mutation has to get past.
const SEEDS: u64 = 3_000;

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

/// Applies one mutation after the other to a copy of the tree and looks whether it is caught.
///
/// # Errors
///
/// If a patch does not apply, if a mutation survives, or if it is caught by something that
/// catches the tree without it as well.
pub(crate) fn run_all(options: &Options) -> Result<()> {
    let patches = patches(&options.names)?;
    ensure!(!patches.is_empty(), "no mutation of that name in tests/mutations");
    let copy = Copy::make()?;
    let mut survived = 0;
    if !options.check {
        let sound = copy.swarm()?;
        ensure!(sound.is_none(), "without any mutation: {}", sound.unwrap_or_default());
    }
    for patch in patches {
        let name = patch.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        copy.patch(&patch, false)?;
        let caught = if options.check { Ok(Some("applies".into())) } else { copy.check(&patch) };
        copy.patch(&patch, true)?;
        match caught.with_context(|| format!("mutation {name}"))? {
            Some(by) => println!("{name:<44} {by}"),
            None => {
                println!("{name:<44} SURVIVED");
                survived += 1;
            }
        }
    }
    ensure!(survived == 0, "{survived} mutations survived");
    Ok(())
}

fn patches(names: &[String]) -> Result<Vec<PathBuf>> {
    let folder = root().join("tests/mutations");
    let mut patches = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_wanted = names.is_empty() || names.iter().any(|part| name.contains(part));
        if is_wanted && path.extension().is_some_and(|extension| extension == "patch") {
            patches.push(path);
        }
    }
    patches.sort();
    Ok(patches)
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

    /// What catches a mutation that is in the tree; `None` if nothing does.
    fn check(&self, patch: &Path) -> Result<Option<String>> {
        let text = fs::read_to_string(patch).context("reading the patch")?;
        let by = text.lines().find_map(|line| line.strip_prefix("caught-by: "));
        let words: Vec<&str> = by.unwrap_or_default().split_whitespace().collect();
        match words[..] {
            ["swarm"] => self.swarm(),
            ["test", package, name] => self.test(package, name),
            _ => bail!("{}: no line `caught-by:` that says how", patch.display()),
        }
    }

    /// The first seeds that a violation shows with.
    fn swarm(&self) -> Result<Option<String>> {
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
        let seed = lines.next().map(|line| line.split(':').next().unwrap_or(line).to_owned());
        ensure!(run.status.success() == seed.is_none(), "the simulation says: {text}");
        Ok(seed.map(|seed| format!("{seed}: {}", lines.next().unwrap_or_default())))
    }

    fn test(&self, package: &str, name: &str) -> Result<Option<String>> {
        let run = self.cargo(&["test", "--quiet", "-p", package, name])?;
        let text = String::from_utf8_lossy(&run.stdout);
        ensure!(text.contains("running "), "it does not compile");
        let has_run = text.contains(" 1 passed") || text.contains(" 1 failed");
        ensure!(has_run, "{package} has no test {name}");
        Ok((!run.status.success()).then(|| format!("test {name}")))
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
