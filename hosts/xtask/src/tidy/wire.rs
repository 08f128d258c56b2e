//! Every wire file has tests and is reached by a fuzz target.

use std::fs;

use anyhow::{Context, Result};

use super::{Source, finding, test_module_line};
use crate::process::root;

/// The list of wire files that the fuzz targets reach, one name a line.
const COVERED: &str = "fuzz/wire-files.txt";

/// Compares the wire files with the list of the fuzz targets.
///
/// # Errors
///
/// If the list cannot be read.
pub(super) fn check(sources: &[Source], findings: &mut Vec<String>) -> Result<()> {
    let list = root().join(COVERED);
    let list = fs::read_to_string(list).with_context(|| format!("cannot read {COVERED}"))?;
    let covered: Vec<&str> = list.lines().filter(|line| !line.starts_with('#')).collect();
    let mut present = Vec::new();
    for source in sources {
        let Ok(inside) = source.path.strip_prefix("core/src/wire") else { continue };
        let name = inside.to_string_lossy().into_owned();
        if name.ends_with("mod.rs") {
            continue;
        }
        if !covered.contains(&name.as_str()) {
            let what =
                format!("no fuzz target reaches this file (add it to one, and to {COVERED})");
            findings.push(finding(&source.path, 1, &what));
        }
        if test_module_line(&source.syntax).is_none() {
            findings.push(finding(&source.path, 1, "a wire file without tests"));
        }
        present.push(name);
    }
    for name in covered.iter().filter(|name| !present.iter().any(|file| file == *name)) {
        findings.push(format!("{COVERED}: there is no wire file `{name}`"));
    }
    Ok(())
}
