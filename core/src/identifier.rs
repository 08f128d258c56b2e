//! Identifiers of pools, pool elements and registrars.

use core::fmt;

/// The most bytes that a pool handle may have.
///
/// The RFCs set no limit; RSPLIB's is 32, and it aborts on longer ones, so ours is the same.
pub const POOL_HANDLE_LEN_MAX: usize = 32;

/// A pool element identifier (RFC 5354 §3.14): unique within its pool, chosen at random.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeId(pub u32);

/// A registrar identifier (the RFCs say ENRP server identifier). 0 stands for "not known".
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistrarId(pub u32);

impl RegistrarId {
    /// "Not known", or "all" where a message goes to a group.
    pub const UNKNOWN: Self = Self(0);
}

impl fmt::Display for PeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

impl fmt::Display for RegistrarId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

/// Writes identifiers as people know them, in logs as elsewhere.
macro_rules! hexadecimal {
    ($name:ident) => {
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:#010x})"), self.0)
            }
        }

        #[cfg(feature = "defmt")]
        impl defmt::Format for $name {
            fn format(&self, f: defmt::Formatter<'_>) {
                defmt::write!(f, "{=u32:#010x}", self.0);
            }
        }
    };
}

hexadecimal!(PeId);
hexadecimal!(RegistrarId);

/// A pool handle, borrowed: 1 to [`POOL_HANDLE_LEN_MAX`] bytes of any value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolHandle<'a>(&'a [u8]);

/// Why bytes are no pool handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PoolHandleError {
    /// A pool handle has at least one byte.
    Empty,
    /// Longer than [`POOL_HANDLE_LEN_MAX`].
    TooLong {
        /// How many bytes there were.
        len: usize,
    },
}

impl fmt::Display for PoolHandleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a pool handle has at least one byte"),
            Self::TooLong { len } => {
                write!(f, "a pool handle has at most {POOL_HANDLE_LEN_MAX} bytes, not {len}")
            }
        }
    }
}

impl core::error::Error for PoolHandleError {}

impl<'a> PoolHandle<'a> {
    /// Takes `bytes` as a pool handle.
    ///
    /// # Errors
    ///
    /// If there are no bytes or more than [`POOL_HANDLE_LEN_MAX`].
    pub const fn new(bytes: &'a [u8]) -> Result<Self, PoolHandleError> {
        match bytes.len() {
            0 => Err(PoolHandleError::Empty),
            1..=POOL_HANDLE_LEN_MAX => Ok(Self(bytes)),
            len => Err(PoolHandleError::TooLong { len }),
        }
    }

    /// The bytes of the handle.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// A copy that owns its bytes.
    #[must_use]
    pub fn to_buf(self) -> PoolHandleBuf {
        let mut buf = PoolHandleBuf { len: self.0.len() as u8, bytes: [0; POOL_HANDLE_LEN_MAX] };
        buf.bytes[..self.0.len()].copy_from_slice(self.0);
        buf
    }
}

impl fmt::Display for PoolHandle<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for PoolHandle<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for PoolHandle<'_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{=[u8]:a}", self.0);
    }
}

/// A pool handle that owns its bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolHandleBuf {
    len: u8,
    bytes: [u8; POOL_HANDLE_LEN_MAX],
}

impl PoolHandleBuf {
    /// The handle, borrowed.
    #[must_use]
    pub fn as_handle(&self) -> PoolHandle<'_> {
        PoolHandle(&self.bytes[..usize::from(self.len)])
    }
}

impl fmt::Debug for PoolHandleBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.as_handle(), f)
    }
}

impl fmt::Display for PoolHandleBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.as_handle(), f)
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for PoolHandleBuf {
    fn format(&self, f: defmt::Formatter<'_>) {
        self.as_handle().format(f);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_has_1_to_32_bytes() {
        assert_eq!(PoolHandle::new(b""), Err(PoolHandleError::Empty));
        assert!(PoolHandle::new(&[0]).is_ok());
        assert!(PoolHandle::new(&[b'x'; 32]).is_ok());
        assert_eq!(PoolHandle::new(&[b'x'; 33]), Err(PoolHandleError::TooLong { len: 33 }));
    }

    #[test]
    fn identifiers_are_hexadecimal_everywhere() {
        use std::format;
        assert_eq!(format!("{}", PeId(0xc0ffee)), "0x00c0ffee");
        assert_eq!(format!("{:?}", PeId(0xc0ffee)), "PeId(0x00c0ffee)");
        assert_eq!(format!("{:?}", RegistrarId(0x1111_1111)), "RegistrarId(0x11111111)");
    }

    #[test]
    fn a_copy_equals_its_original() {
        let handle = PoolHandle::new(b"EchoPool").unwrap();
        assert_eq!(handle.to_buf().as_handle(), handle);
    }
}
