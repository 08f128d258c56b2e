//! Sequences of commands on a small handlespace, compared with a model after each.

use rserpool_core::handlespace::{Handlespace, Inline};

use crate::handlespace_model::{Limits, drive};

/// Runs the commands that `data` encodes.
///
/// # Panics
///
/// If the handlespace differs from the model, or its structures disagree.
pub fn run(data: &[u8]) {
    let mut space = Handlespace::new(Inline::<12, 4, 3, 6>::new());
    drive(&mut space, Limits { elements: 12, pools: 4, owners: 3, blocks: 6 }, data);
}
