//! Running other programs.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("xtask stands two levels below the root").to_path_buf()
}

/// A command that runs in the root of the workspace.
pub(crate) fn command<I, S>(program: &str, arguments: I) -> Command
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    command
}

/// The `cargo` that runs this program, or another toolchain's if `toolchain` names one.
pub(crate) fn cargo(toolchain: Option<&str>, arguments: &[&str]) -> Command {
    match toolchain {
        // The environment that cargo sets for its children would pin the toolchain.
        Some(toolchain) => {
            let mut command = command("rustup", ["run", toolchain, "cargo"]);
            command.args(arguments).env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO");
            command
        }
        None => command(&std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()), arguments),
    }
}

/// Prints a command and runs it.
///
/// # Errors
///
/// If it cannot be started, or fails.
pub(crate) fn run(mut command: Command) -> Result<()> {
    let shown = show(&command);
    println!("$ {shown}");
    let status = command.status().with_context(|| format!("cannot start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed: {status}");
    }
    Ok(())
}

/// Whether a program can be started.
pub(crate) fn exists(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok()
}

/// What a command prints, empty if it fails.
pub(crate) fn output(mut command: Command) -> String {
    match command.output() {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).into_owned()
        }
        _ => String::new(),
    }
}

/// A command as one would type it.
pub(crate) fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
