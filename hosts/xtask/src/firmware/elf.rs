//! What a linked image takes of a board's memories.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use object::elf::{SHF_ALLOC, SHF_WRITE, SHT_NOBITS};
use object::read::elf::{FileHeader, SectionHeader};

/// Bytes in flash, and bytes of RAM that are taken before the first instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Code, constants, vectors, and the initial values of variables.
    pub(crate) flash: u64,
    /// Variables, zero or not. The stack is not among them.
    pub(crate) ram: u64,
}

impl Sizes {
    /// Those of an ELF file of 32 bits.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub(crate) fn of(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::of_bytes(&bytes).with_context(|| format!("{} is no 32-bit ELF file", path.display()))
    }

    fn of_bytes(bytes: &[u8]) -> object::Result<Self> {
        let header = object::elf::FileHeader32::<object::Endianness>::parse(bytes)?;
        let endian = header.endian()?;
        let mut sizes = Self { flash: 0, ram: 0 };
        for section in header.section_headers(endian, bytes)? {
            let flags = section.sh_flags(endian);
            let size = u64::from(section.sh_size(endian));
            if flags & SHF_ALLOC == 0 {
                continue;
            }
            if section.sh_type(endian) != SHT_NOBITS {
                sizes.flash += size;
            }
            if flags & SHF_WRITE != 0 {
                sizes.ram += size;
            }
        }
        Ok(sizes)
    }
}
