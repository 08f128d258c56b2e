//! Every wire file has tests and is reached by a fuzz target.

use std::fs;

use anyhow::{Context, Result};

use super::{Source, finding, test_module_line};
use crate::fuzz::known_targets;
use crate::process::root;

/// The list of wire files that the fuzz targets reach: a target and a file each line.
const COVERED: &str = "fuzz/wire-files.txt";

/// Compares the wire files with the list of the fuzz targets.
///
/// # Errors
///
/// If the list or the folder of the targets cannot be read.
pub(super) fn check(sources: &[Source], findings: &mut Vec<String>) -> Result<()> {
    let list = root().join(COVERED);
    let list = fs::read_to_string(list).with_context(|| format!("cannot read {COVERED}"))?;
    let lines = list.lines().filter(|line| !line.starts_with('#'));
    let covered: Vec<_> = lines.filter_map(|line| line.split_once(' ')).collect();
    let targets = known_targets()?;
    let mut present = Vec::new();
    for source in sources {
        let Ok(inside) = source.path.strip_prefix("core/src/wire") else { continue };
        let name = inside.to_string_lossy().into_owned();
        if name.ends_with("mod.rs") || name == "test_support.rs" {
            continue;
        }
        if !covered.iter().any(|(_, file)| *file == name) {
            let what =
                format!("no fuzz target reaches this file (add it to one, and to {COVERED})");
            findings.push(finding(&source.path, 1, &what));
        }
        if name.contains('/') && test_module_line(&source.syntax).is_none() {
            findings.push(finding(&source.path, 1, "a message or parameter without tests"));
        }
        present.push(name);
    }
    for (target, file) in covered {
        if !present.iter().any(|name| name == file) {
            findings.push(format!("{COVERED}: there is no wire file `{file}`"));
        }
        if !targets.iter().any(|name| name == target) {
            findings.push(format!("{COVERED}: there is no fuzz target `{target}`"));
        }
    }
    Ok(())
}
