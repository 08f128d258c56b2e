//! Frames of a pcap or pcapng file.

use std::io::{Chain, Cursor, Read};
use std::time::Duration;

use pcap_file::DataLink;
use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionOption;
use pcap_file::pcapng::{Block, PcapNgReader};

use super::CaptureError;

/// One frame.
pub(super) struct Frame {
    /// Counted from 1.
    pub(super) number: u64,
    /// Since the first frame.
    pub(super) time: Duration,
    pub(super) link: DataLink,
    pub(super) data: Vec<u8>,
}

/// The frames of a file.
pub(super) struct Frames<R: Read> {
    reader: Reader<Chain<Cursor<[u8; 4]>, R>>,
    interfaces: Vec<Interface>,
    count: u64,
    first: Option<Duration>,
}

enum Reader<R: Read> {
    Pcap(PcapReader<R>),
    PcapNg(PcapNgReader<R>),
}

struct Interface {
    link: DataLink,
    /// The file's unit of time as a power of ten, or, with the top bit, of two.
    resolution: u8,
}

impl<R: Read> std::fmt::Debug for Frames<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frames").field("count", &self.count).finish_non_exhaustive()
    }
}

impl<R: Read> Frames<R> {
    pub(super) fn new(mut reader: R) -> Result<Self, CaptureError> {
        let mut magic = [0; 4];
        reader.read_exact(&mut magic)?;
        let reader = Cursor::new(magic).chain(reader);
        let reader = if magic == PCAPNG_MAGIC {
            Reader::PcapNg(PcapNgReader::new(reader)?)
        } else {
            Reader::Pcap(PcapReader::new(reader)?)
        };
        Ok(Self { reader, interfaces: Vec::new(), count: 0, first: None })
    }

    pub(super) fn next(&mut self) -> Option<Result<Frame, CaptureError>> {
        let (link, time, data) = match self.read() {
            Ok(found) => found?,
            Err(error) => return Some(Err(error)),
        };
        self.count += 1;
        let first = *self.first.get_or_insert(time);
        Some(Ok(Frame { number: self.count, time: time.saturating_sub(first), link, data }))
    }

    fn read(&mut self) -> Result<Option<(DataLink, Duration, Vec<u8>)>, CaptureError> {
        let reader = match &mut self.reader {
            Reader::Pcap(reader) => {
                let link = reader.header().datalink;
                let Some(packet) = reader.next_packet().transpose()? else {
                    return Ok(None);
                };
                return Ok(Some((link, packet.timestamp, packet.data.into_owned())));
            }
            Reader::PcapNg(reader) => reader,
        };
        while let Some(block) = reader.next_block().transpose()? {
            match block {
                Block::SectionHeader(_) => self.interfaces.clear(),
                Block::InterfaceDescription(interface) => {
                    let resolution = interface.options.iter().find_map(|option| match option {
                        InterfaceDescriptionOption::IfTsResol(resolution) => Some(*resolution),
                        _ => None,
                    });
                    self.interfaces.push(Interface {
                        link: interface.linktype,
                        resolution: resolution.unwrap_or(MICROSECONDS),
                    });
                }
                Block::EnhancedPacket(packet) => {
                    let Some(interface) = self.interfaces.get(packet.interface_id as usize) else {
                        continue;
                    };
                    // The crate takes the units of the file for nanoseconds.
                    let units = packet.timestamp.as_nanos() as u64;
                    let time = in_units(units, interface.resolution);
                    return Ok(Some((interface.link, time, packet.data.into_owned())));
                }
                Block::SimplePacket(packet) => {
                    let Some(interface) = self.interfaces.first() else { continue };
                    let data = packet.data.into_owned();
                    return Ok(Some((interface.link, Duration::ZERO, data)));
                }
                _ => {}
            }
        }
        Ok(None)
    }
}

fn in_units(units: u64, resolution: u8) -> Duration {
    let per_second = match resolution {
        0..=19 => 10u64.pow(u32::from(resolution)),
        0x80..=0xbf => 1u64 << (resolution & 0x3f),
        _ => return Duration::ZERO,
    };
    let fraction = u128::from(units % per_second) * 1_000_000_000 / u128::from(per_second);
    Duration::new(units / per_second, fraction as u32)
}

const PCAPNG_MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// What a pcapng interface counts in unless it says otherwise.
const MICROSECONDS: u8 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_time_are_those_of_the_interface() {
        assert_eq!(in_units(1_500_000, 6), Duration::from_millis(1500));
        assert_eq!(in_units(1_500_000_000, 9), Duration::from_millis(1500));
        assert_eq!(in_units(3, 0x81), Duration::from_millis(1500));
        assert_eq!(in_units(7, 0xff), Duration::ZERO);
    }
}
