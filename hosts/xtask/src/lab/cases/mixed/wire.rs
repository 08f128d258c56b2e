//! What registrars say to each other, from the recorded traffic.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use rserpool::capture::{Capture, Message, Protocol};
use rserpool_core::identifier::{PeId, RegistrarId};
use rserpool_core::wire::enrp::{EnrpMessage, UpdateAction};

/// Whom a message goes to; [`RegistrarId::UNKNOWN`] is all, by multicast.
type Pair = (RegistrarId, RegistrarId);

/// What registrars have said since a mark.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Checksums of presences, by sender and receiver.
    pub(super) presences: BTreeMap<Pair, Vec<u16>>,
    /// Who has told whom that an element is registered, and how often.
    pub(super) added: BTreeMap<(Pair, PeId), usize>,
    /// The same for elements that are gone.
    pub(super) deleted: BTreeMap<(Pair, PeId), usize>,
    /// Who has asked whom for its own elements, as one that does not agree does.
    pub(super) audits: Vec<Pair>,
    /// Who has asked whom for all elements, as one that enters the scope does.
    pub(super) downloads: Vec<Pair>,
    /// Who has claimed whose elements.
    pub(super) claims: Vec<Pair>,
}

/// Where registrars are.
pub(super) type Hosts = BTreeMap<IpAddr, RegistrarId>;

/// What `hosts` have said since the datagram `mark` was sent; nothing if that is not recorded yet.
pub(super) fn said_since(traffic: &Path, mark: &str, hosts: &Hosts) -> Result<Option<Said>> {
    let mut begin = None;
    let mut messages = Vec::new();
    // The recorder is still writing, so the end may be missing.
    for message in Capture::open(traffic).context("the recorded traffic")?.map_while(Result::ok) {
        if message.data == mark.as_bytes() {
            begin = Some(message.time);
        } else if message.protocol() == Protocol::Enrp && !message.retransmission {
            messages.push(message);
        }
    }
    Ok(begin.map(|begin| {
        let mut said = Said::default();
        // Frames of two interfaces do not lie in the order of their times.
        messages.iter().filter(|message| message.time > begin).for_each(|m| said.take(m, hosts));
        said
    }))
}

impl Said {
    fn take(&mut self, message: &Message, hosts: &Hosts) {
        // The receiver's identifier is left out of what all are told.
        let receiver = hosts.get(&message.destination.ip());
        let receiver = receiver.copied().unwrap_or(RegistrarId::UNKNOWN);
        let Ok(message) = EnrpMessage::parse(&message.data) else { return };
        let Some((sender, _)) = message.ids() else { return };
        let pair = (sender, receiver);
        match message {
            EnrpMessage::Presence(presence) => {
                let checksum = presence.checksum.map(|checksum| checksum.0);
                self.presences.entry(pair).or_default().extend(checksum);
            }
            EnrpMessage::HandleTableRequest(request) if request.own_only => {
                self.audits.push(pair);
            }
            EnrpMessage::HandleTableRequest(_) => self.downloads.push(pair),
            EnrpMessage::HandleUpdate(update) => {
                let told = match update.action {
                    UpdateAction::DELETE => &mut self.deleted,
                    _ => &mut self.added,
                };
                *told.entry((pair, update.element.id)).or_default() += 1;
            }
            EnrpMessage::InitTakeover(claim) => self.claims.push((pair.0, claim.target)),
            _ => {}
        }
    }

    /// How many presences `sender` has sent to `receiver`.
    pub(super) fn presence_count(&self, sender: RegistrarId, receiver: RegistrarId) -> usize {
        self.presences.get(&(sender, receiver)).map_or(0, Vec::len)
    }
}

/// The checksum of a registrar's elements (RFC 1071 over each handle and identifier): pool and
/// identifier of each.
pub(super) fn checksum<'a>(elements: impl Iterator<Item = (&'a str, PeId)>) -> u16 {
    let mut sum = 0_u32;
    for (pool, id) in elements {
        for bytes in [pool.as_bytes(), &id.0.to_be_bytes()] {
            for word in bytes.chunks(2) {
                let low = word.get(1).copied().unwrap_or(0);
                sum += u32::from(u16::from_be_bytes([word[0], low]));
            }
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("it is folded")
}

/// How often the recorded traffic is read again while something is waited for.
pub(super) const READ_INTERVAL: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_what_rsplib_has_sent() {
        let elements = [
            ("EchoPool", PeId(0xaaaa_0001)),
            ("PingPongPool", PeId(0xaaaa_0002)),
            ("Odd7chr", PeId(0xaaaa_0003)),
        ];
        assert_eq!(checksum(elements.into_iter()), 0xcbc3);
        assert_eq!(checksum(elements.into_iter().skip(2)), 0xcc4d);
        assert_eq!(checksum([].into_iter()), 0xffff);
    }
}
