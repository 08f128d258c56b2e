//! Writes the linker scripts: what memory there is, or is pretended to be.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    let directory = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let small = env::var_os("CARGO_FEATURE_SMALL_MEMORY").is_some();
    let all = env::var_os("CARGO_FEATURE_ALL_MEMORY").is_some();
    let (flash, ram) = match (small, all) {
        (true, _) => ("64K", "32K"),
        (false, true) => ("4M", "4M"),
        (false, false) => ("512K", "128K"),
    };
    let memory = format!(
        "MEMORY\n{{\n  FLASH : ORIGIN = 0x00000000, LENGTH = {flash}\n  \
         RAM : ORIGIN = 0x20000000, LENGTH = {ram}\n}}\n"
    );
    fs::write(directory.join("memory.x"), memory).expect("the directory is writable");
    // The vector table is in Rust; link.x wants the file all the same.
    fs::write(directory.join("device.x"), "").expect("the directory is writable");
    println!("cargo::rustc-link-search={}", directory.display());
    println!("cargo::rerun-if-changed=build.rs");
}
