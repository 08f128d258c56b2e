//! What the tests on the board compare with: the digests that the same checks gave on the host
//! that compiled them.
#![no_std]

/// Checks by name with the host's digests.
pub const HOST_DIGESTS: &[(&str, u64)] = include!(concat!(env!("OUT_DIR"), "/digests.rs"));

/// The host's digest of a check.
///
/// # Panics
///
/// If there is no such check.
#[must_use]
pub fn host_digest(name: &str) -> u64 {
    let found = HOST_DIGESTS.iter().find(|(known, _)| *known == name);
    found.expect("the same list made both").1
}
