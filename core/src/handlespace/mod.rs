//! Pools, pool elements, ownership, checksums, selection and expiry.
