//! `cargo xtask fuzz`: every fuzz target for a while, from its corpus.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::process::{cargo, root, run};

/// Runs each of `targets` (all if empty) for `seconds`.
///
/// # Errors
///
/// If a target does not build, or finds something.
pub(crate) fn run_targets(seconds: u32, targets: &[String]) -> Result<()> {
    let known = known_targets()?;
    if let Some(unknown) = targets.iter().find(|target| !known.contains(target)) {
        bail!("there is no fuzz target `{unknown}`; there are: {}", known.join(", "));
    }
    let chosen = if targets.is_empty() { &known[..] } else { targets };
    for target in chosen {
        let time = format!("-max_total_time={seconds}");
        // The corpus in the repository seeds the run; what the run finds stays out of it.
        let found = format!("fuzz/target/found/{target}");
        fs::create_dir_all(root().join(&found))
            .context("cannot make the folder for new inputs")?;
        let seeds = format!("fuzz/corpus/{target}");
        let arguments = ["fuzz", "run", "--fuzz-dir", "fuzz", target, &found, &seeds];
        let options = ["--", &time, "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"];
        run(cargo(Some("nightly"), &[&arguments[..], &options[..]].concat()))?;
    }
    Ok(())
}

/// The names of all fuzz targets, in order.
///
/// # Errors
///
/// If the folder of the targets cannot be read.
pub(crate) fn known_targets() -> Result<Vec<String>> {
    let folder = root().join("fuzz/fuzz_targets");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {folder:?}"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.file_stem().unwrap_or_default();
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}
