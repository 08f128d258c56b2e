//! `cargo xtask firmware`: builds the boards' firmware and weighs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::process::{cargo, root, show};

mod elf;
mod run;
mod sizes;
mod test;
mod test_list;
mod test_run;

pub(crate) use run::run_boards;
pub(crate) use sizes::check as check_sizes;
pub(crate) use test::{run_tests, test};

/// Builds the boards that are named, or all of them.
///
/// # Errors
///
/// If there is no such board, or one does not compile.
pub(crate) fn build(boards: &[String]) -> Result<()> {
    let all = boards_available()?;
    if let Some(unknown) = boards.iter().find(|board| !all.contains(board)) {
        bail!("there is no board `{unknown}`; there are {}", all.join(", "));
    }
    for board in if boards.is_empty() { &all } else { boards } {
        let firmware = build_board(board, &[])?;
        let sizes = elf::Sizes::of(&firmware)?;
        let shown = firmware.strip_prefix(root()).unwrap_or(&firmware).display();
        println!("{board}: {shown}, {} bytes flash, {} static RAM", sizes.flash, sizes.ram);
    }
    Ok(())
}

/// The names of the boards' folders.
fn boards_available() -> Result<Vec<String>> {
    let folder = root().join("firmware/boards");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("no {}", folder.display()))? {
        let entry = entry?;
        if entry.path().join("Cargo.toml").is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Builds a board's firmware in release, in the board's folder, with what else cargo is told.
/// Returns the ELF file.
pub(crate) fn build_board(board: &str, arguments: &[&str]) -> Result<PathBuf> {
    let mut command = cargo(None, &["build", "--release"]);
    command.args(arguments).arg("--message-format=json-render-diagnostics");
    command.current_dir(root().join("firmware/boards").join(board)).stderr(Stdio::inherit());
    // Flags for the host's programs must not reach the board's.
    command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    let shown = show(&command);
    println!("$ (firmware/boards/{board}) {shown}");
    let output = command.output().with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        bail!("`{shown}` failed in firmware/boards/{board}: {}", output.status);
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    executable_of(&messages).with_context(|| format!("`{shown}` made no executable"))
}

/// The executable that cargo's messages speak of last.
fn executable_of(messages: &str) -> Option<PathBuf> {
    let executable = |line: &str| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(Path::new(message.get("executable")?.as_str()?).to_path_buf())
    };
    messages.lines().rev().find_map(executable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_found_among_other_messages() {
        let messages = "{\"reason\":\"compiler-artifact\",\"executable\":null}\n\
                        {\"reason\":\"compiler-artifact\",\"executable\":\"/t/board\"}\n\
                        {\"reason\":\"build-finished\",\"success\":true}\n";
        assert_eq!(executable_of(messages), Some("/t/board".into()));
        assert_eq!(executable_of("{}\n"), None);
    }
}
