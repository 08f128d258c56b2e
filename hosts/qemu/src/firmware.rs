//! Building the firmware of the emulated board with cargo.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::error::BenchError;

/// Builds the firmware of the emulated board, and says where it is. What cargo has to say goes to
/// standard error.
///
/// # Errors
///
/// If the sources or the compiler for the board are missing, or it does not compile.
pub fn build_firmware() -> Result<PathBuf, BenchError> {
    let folder = sources();
    if !folder.is_dir() {
        return Err(BenchError::NoSources { folder });
    }
    check_target(&folder)?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["build", "--release", "--message-format=json-render-diagnostics"];
    let output = Command::new(cargo)
        .args(arguments)
        .current_dir(&folder)
        // Flags for this machine's programs must not reach the board's.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(BenchError::system("start cargo"))?;
    let command = format!("cd {}; cargo {}", folder.display(), arguments.join(" "));
    if !output.status.success() {
        return Err(BenchError::Build { command, outcome: format!("failed: {}", output.status) });
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let outcome = || "made no executable".into();
    executable_of(&messages).ok_or_else(|| BenchError::Build { command, outcome: outcome() })
}

/// The folder of the emulated board's firmware in the source tree.
fn sources() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.ancestors().nth(2).expect("this package stands two levels below the root");
    root.join("firmware/boards/mps2-an385")
}

/// Whether the compiler has the board's libraries.
fn check_target(folder: &Path) -> Result<(), BenchError> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", TARGET])
        .current_dir(folder)
        .output()
        .map_err(BenchError::system("start rustc"))?;
    let libraries = String::from_utf8_lossy(&output.stdout);
    match Path::new(libraries.trim()).is_dir() {
        true => Ok(()),
        false => Err(BenchError::NoTarget { target: TARGET }),
    }
}

/// The last executable that cargo's messages name.
fn executable_of(messages: &str) -> Option<PathBuf> {
    let mut paths = messages.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    paths.next_back()
}

/// A Cortex-M3.
const TARGET: &str = "thumbv7m-none-eabi";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_the_last_one_named() {
        let messages = "{\"reason\":\"compiler-artifact\",\"executable\":null}\nnoise\n\
                        {\"reason\":\"compiler-artifact\",\"executable\":\"/t/board\"}\n\
                        {\"reason\":\"build-finished\",\"success\":true}";
        assert_eq!(executable_of(messages), Some(PathBuf::from("/t/board")));
        assert_eq!(executable_of("{}"), None);
    }
}
