//! The page of settings as it lies in flash.
//!
//! ```text
//! bytes 0..4   "RSPS"
//! byte  4      version, 1
//! byte  5      zero
//! bytes 6..8   length of the body, little endian
//! bytes 8..    the body: the settings in postcard's encoding
//! then 4       CRC32c of all before it, little endian
//! ```
//!
//! Whatever follows is ignored, so a page may be read from a whole erase block.

use core::fmt;

use rserpool_core::sctp::crc32c;

use super::Settings;

/// A page never takes more.
pub const PAGE_LEN: usize = 512;

/// The version of the layout and of the settings in it.
pub const PAGE_VERSION: u8 = 1;

/// Why bytes are no page of settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PageError {
    /// There is none: the bytes do not begin as a page does.
    Absent,
    /// A page of another version.
    Version {
        /// That version.
        found: u8,
    },
    /// Cut short, or its length is wrong.
    Length,
    /// The checksum is wrong.
    Checksum,
    /// The body is not what this version writes.
    Body,
    /// The buffer to write to is too short.
    BufferTooShort,
}

impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("no page of settings"),
            Self::Version { found } => {
                write!(f, "settings of version {found}, not {PAGE_VERSION}")
            }
            Self::Length => f.write_str("the page of settings is cut short"),
            Self::Checksum => f.write_str("the checksum of the settings is wrong"),
            Self::Body => f.write_str("the settings cannot be read"),
            Self::BufferTooShort => f.write_str("the settings do not fit the buffer"),
        }
    }
}

impl core::error::Error for PageError {}

impl Settings {
    /// Reads a page.
    ///
    /// # Errors
    ///
    /// If there is none, or it is damaged or of another version.
    pub fn read_page(page: &[u8]) -> Result<Self, PageError> {
        let rest = page.strip_prefix(MAGIC).ok_or(PageError::Absent)?;
        let (&[version, reserved, low, high], rest) =
            rest.split_first_chunk::<4>().ok_or(PageError::Length)?;
        if version != PAGE_VERSION {
            return Err(PageError::Version { found: version });
        }
        let body_len = usize::from(u16::from_le_bytes([low, high]));
        let (body, rest) = rest.split_at_checked(body_len).ok_or(PageError::Length)?;
        let (&checksum, _) = rest.split_first_chunk::<4>().ok_or(PageError::Length)?;
        let covered = page.get(..HEADER_LEN + body_len).ok_or(PageError::Length)?;
        if crc32c(covered) != u32::from_le_bytes(checksum) {
            return Err(PageError::Checksum);
        }
        match postcard::take_from_bytes::<Self>(body) {
            Ok((settings, [])) if reserved == 0 && settings.is_sound() => Ok(settings),
            _ => Err(PageError::Body),
        }
    }

    /// Writes a page; returns its length. [`PAGE_LEN`] bytes are always enough.
    ///
    /// # Errors
    ///
    /// If `page` is too short.
    pub fn write_page(&self, page: &mut [u8]) -> Result<usize, PageError> {
        let (header, rest) =
            page.split_first_chunk_mut::<HEADER_LEN>().ok_or(PageError::BufferTooShort)?;
        let body = postcard::to_slice(self, rest).map_err(|_| PageError::BufferTooShort)?;
        let body_len = body.len();
        let [low, high] = u16::try_from(body_len).unwrap_or(u16::MAX).to_le_bytes();
        *header = [b'R', b'S', b'P', b'S', PAGE_VERSION, 0, low, high];
        let end = HEADER_LEN + body_len;
        let checksum = crc32c(&page[..end]);
        let place = page.get_mut(end..end + 4).ok_or(PageError::BufferTooShort)?;
        place.copy_from_slice(&checksum.to_le_bytes());
        Ok(end + 4)
    }

    /// Whether values that the encoding cannot rule out are in their bounds.
    fn is_sound(&self) -> bool {
        let prefix_is_sound = match self.address {
            super::Address::Automatic => true,
            super::Address::Static { address, prefix_len } => {
                prefix_len <= if address.is_ipv4() { 32 } else { 128 }
            }
        };
        let ports = [self.port, self.asap_port, self.udp_port];
        prefix_is_sound
            && ports.iter().all(|&port| port != 0)
            && self.port != self.asap_port
            && self.registrars.iter().all(|registrar| registrar.port != 0)
    }
}

const MAGIC: &[u8; 4] = b"RSPS";
const HEADER_LEN: usize = 8;

#[cfg(test)]
mod tests {
    use std::vec;

    use rserpool_core::entropy::{Entropy, SplitMix64};

    use super::*;

    fn full() -> Settings {
        let mut settings = Settings::DEFAULT;
        settings
            .apply(
                "ip=2001:db8::17/64 gw=2001:db8::1 pool=a-handle-of-exactly-32-bytes-len \
                 registrar=[2001:db8:1111:2222:3333:4444:5555:6666]:3863/13863 \
                 registrar=[2001:db8:1111:2222:3333:4444:5555:6667]:3863/13863 \
                 registrar=[2001:db8:1111:2222:3333:4444:5555:6668]:3863/13863 \
                 registrar=[2001:db8:1111:2222:3333:4444:5555:6669]:3863/13863 \
                 key=ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff \
                 id=0xffffffff policy=LeastUsedDegradation:100 port=65535 life=4294967295 \
                 rereg=4294967295 heartbeat=4294967295 cookie=4294967295 grace=4294967295",
            )
            .unwrap();
        settings
    }

    fn page_of(settings: &Settings) -> ([u8; PAGE_LEN], usize) {
        let mut page = [0xff; PAGE_LEN];
        let len = settings.write_page(&mut page).unwrap();
        (page, len)
    }

    #[test]
    fn what_is_written_is_read() {
        for settings in [Settings::DEFAULT, full()] {
            let (page, len) = page_of(&settings);
            assert_eq!(Settings::read_page(&page), Ok(settings.clone()));
            assert_eq!(Settings::read_page(&page[..len]), Ok(settings));
        }
    }

    #[test]
    fn a_page_has_these_bytes() {
        let (page, len) = page_of(&Settings::DEFAULT);
        assert_eq!(page[..8], *b"RSPS\x01\x00\x3c\x00", "{len}");
        assert_eq!(len, 8 + 0x3c + 4);
    }

    #[test]
    fn erased_flash_is_no_page() {
        assert_eq!(Settings::read_page(&[0xff; PAGE_LEN]), Err(PageError::Absent));
        assert_eq!(Settings::read_page(&[]), Err(PageError::Absent));
    }

    #[test]
    fn a_page_cut_anywhere_is_refused() {
        let (page, len) = page_of(&full());
        for cut in 0..len {
            assert!(Settings::read_page(&page[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn any_flipped_bit_is_noticed() {
        let (page, len) = page_of(&full());
        for bit in 0..len * 8 {
            let mut damaged = page;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Settings::read_page(&damaged).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn another_version_is_named() {
        let (mut page, _) = page_of(&full());
        page[4] = 9;
        assert_eq!(Settings::read_page(&page), Err(PageError::Version { found: 9 }));
    }

    #[test]
    fn rubbish_under_a_right_checksum_is_refused_or_sound() {
        let mut random = SplitMix64::new(3);
        for _ in 0..5_000 {
            let (mut page, len) = page_of(&full());
            for _ in 0..3 {
                let place = 8 + random.below(len as u64 - 12) as usize;
                page[place] = random.next_u32() as u8;
            }
            let checksum = crc32c(&page[..len - 4]);
            page[len - 4..len].copy_from_slice(&checksum.to_le_bytes());
            if let Ok(settings) = Settings::read_page(&page) {
                assert!(settings.is_sound());
                let _ = settings.pool();
            }
        }
    }

    #[test]
    fn a_buffer_too_short_is_refused() {
        let (_, len) = page_of(&full());
        for short in 0..len {
            let mut page = vec![0; short];
            assert_eq!(full().write_page(&mut page), Err(PageError::BufferTooShort));
        }
    }
}
