//! Boards under attack: they stay up, stay in their pool, and compute.
