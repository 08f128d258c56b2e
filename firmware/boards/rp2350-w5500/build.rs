//! Puts the memory layout where the linker looks, and names the linker scripts.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    let directory = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let memory = include_str!("memory.x");
    fs::write(directory.join("memory.x"), memory).expect("the directory is writable");
    println!("cargo::rustc-link-search={}", directory.display());
    for argument in ["-Tlink.x", "-Tdefmt.x", "--nmagic"] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=memory.x");
}
