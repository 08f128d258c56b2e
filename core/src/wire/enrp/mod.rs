//! ENRP messages (RFC 5353 §2), one file each.
