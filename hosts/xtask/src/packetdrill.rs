//! `cargo xtask packetdrill`: scripts against the bare SCTP endpoint.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use rserpool_packetdrill::{Line, Options, System, Verdict, run_script};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Scripts, or folders of scripts (*.pkt).
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Packets may be off by 1 ms only, whatever a script says.
    #[arg(long)]
    strict: bool,
    /// Whose blocks of the scripts to run; by default Linux's, and FreeBSD's if those fail.
    #[arg(long)]
    system: Option<SystemChoice>,
}

#[derive(Clone, Copy, ValueEnum)]
enum SystemChoice {
    Linux,
    Freebsd,
}

/// Runs the scripts and prints a line for each, sorted by name, and a summary.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let options = Options {
        is_strict: arguments.strict,
        system: arguments.system.map(|system| match system {
            SystemChoice::Linux => System::Linux,
            SystemChoice::Freebsd => System::FreeBsd,
        }),
    };
    let mut verdicts = Vec::new();
    for file in scripts(&arguments.files)? {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let bytes = fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
        let text = String::from_utf8_lossy(&bytes);
        let verdict = run_script(&name, &text, options);
        verdicts.push((name, verdict));
    }
    verdicts.sort_by(|(a, _), (b, _)| a.cmp(b));
    for (name, verdict) in &verdicts {
        println!("{}", Line(name, verdict));
    }
    let count = |is_wanted: fn(&Verdict) -> bool| {
        verdicts.iter().filter(|(_, verdict)| is_wanted(verdict)).count()
    };
    let fail_count = count(|verdict| matches!(verdict, Verdict::Fail(_)));
    println!(
        "total {} pass {} (freebsd {}) fail {fail_count} skip {}",
        verdicts.len(),
        count(|verdict| matches!(verdict, Verdict::Pass { .. })),
        count(|verdict| matches!(verdict, Verdict::Pass { system: Some(System::FreeBsd) })),
        count(|verdict| matches!(verdict, Verdict::Skip { .. })),
    );
    Ok(if fail_count == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The files, and those in the folders.
fn scripts(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let found = scripts_in(path)?;
            if found.is_empty() {
                bail!("there is no script (*.pkt) in {}", path.display());
            }
            files.extend(found);
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

fn scripts_in(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(scripts_in(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "pkt") {
            found.push(path);
        }
    }
    Ok(found)
}
