//! Who a board is, from the number that its chip's maker gave it.

use sha2::{Digest, Sha256};

use crate::settings::Settings;

/// An Ethernet address for a board without one: always the same for the same `unique` number,
/// and marked as given locally (IEEE 802).
///
/// ```
/// use rserpool_firmware::identity::mac_address;
///
/// let mac = mac_address(b"\x01\x02\x03\x04");
/// assert_eq!(mac, mac_address(b"\x01\x02\x03\x04"));
/// assert_ne!(mac, mac_address(b"\x01\x02\x03\x05"));
/// // Local, and of one station.
/// assert_eq!(mac[0] & 3, 2);
/// ```
#[must_use]
pub fn mac_address(unique: &[u8]) -> [u8; 6] {
    let [first, b, c, d, e, f, ..] = digest(b"mac", unique);
    [first & 0xfc | 2, b, c, d, e, f]
}

impl Settings {
    /// The settings of a board: those of the page in its flash, or if there is none those of the
    /// build; and a pool element identifier made of the chip's `unique` number, unless they name
    /// one. So a board is the same element after each start.
    #[must_use]
    pub fn of_board(page: &[u8], unique: &[u8]) -> Self {
        let mut settings = Self::read_page(page).unwrap_or_else(|_| Self::at_build());
        let [a, b, c, d, ..] = digest(b"pe", unique);
        // RSPLIB refuses the identifier 0.
        settings.pe_id = settings.pe_id.or(Some(u32::from_be_bytes([a, b, c, d]).max(1)));
        settings
    }
}

fn digest(purpose: &[u8], unique: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(purpose).chain_update(unique).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::PAGE_LEN;

    #[test]
    fn erased_flash_gives_the_settings_of_the_build() {
        let mut settings = Settings::of_board(&[0xff; PAGE_LEN], b"chip 1");
        assert!(settings.pe_id.take().is_some_and(|id| id != 0));
        assert_eq!(settings, Settings::at_build());
    }

    #[test]
    fn a_page_goes_before_the_build_and_before_the_chip() {
        let mut settings = Settings::at_build();
        settings.apply("pool=Flashed id=7").unwrap();
        let mut page = [0xff; PAGE_LEN];
        settings.write_page(&mut page).unwrap();
        assert_eq!(Settings::of_board(&page, b"chip 1"), settings);
    }

    #[test]
    fn boards_differ_and_stay_who_they_are() {
        let id = |unique: &[u8]| Settings::of_board(&[], unique).pe_id;
        assert_eq!(id(b"chip 1"), id(b"chip 1"));
        assert_ne!(id(b"chip 1"), id(b"chip 2"));
    }
}
