//! Numbers that a script names and the endpoint draws: tags, TSNs, cookies.
//!
//! The peer's numbers are those of the script. The endpoint's tag and initial TSN are bound when
//! they are first seen: in its INIT, or in its INIT ACK until it took a cookie. A later INIT ACK
//! whose tag has a number of its own is the offer of a restart, and counts once its cookie was
//! taken.

use crate::chunk::{Body, Chunk, HEARTBEAT_INFORMATION, STATE_COOKIE, kinds};
use crate::script::{Packet, PacketBody};
use crate::wire::{RawChunk, Sent, tlvs, u32_at};

/// A number of the script and what the endpoint drew for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pair {
    script: u32,
    live: u32,
}

impl Pair {
    fn to_live(self, script: u32) -> u32 {
        self.live.wrapping_add(script.wrapping_sub(self.script))
    }

    fn to_script(self, live: u32) -> u32 {
        self.script.wrapping_add(live.wrapping_sub(self.live))
    }
}

/// The endpoint's side of an association.
#[derive(Clone, Copy, Debug)]
struct Local {
    tag: Pair,
    tsn: Pair,
    /// The peer's tag that it goes with, if the peer opened.
    peer_tag: Option<u32>,
}

#[derive(Debug, Default)]
pub(crate) struct Bindings {
    local: Option<Local>,
    /// What a restart would make of it.
    offer: Option<Local>,
    /// The endpoint sent an INIT first.
    is_active: bool,
    peer_tag: Option<u32>,
    /// The endpoint has taken a cookie.
    has_opened: bool,
    cookie: Vec<u8>,
    /// The parameter of the HEARTBEAT that was injected last.
    heartbeat: Option<Vec<u8>>,
    /// The tags of the packet that was injected last, and in the INIT that was.
    answered_tag: u32,
    init_tag: Option<u32>,
}

/// Stands for the endpoint's tag while there is none.
const SOME_TAG: u32 = 0x2468_ace1;

impl Bindings {
    /// The packet to inject with the numbers that the endpoint drew: its tag and its chunks.
    pub(crate) fn localize(&mut self, packet: &Packet) -> (u32, PacketBody) {
        let tag = self.tag_to_inject(packet);
        self.answered_tag = tag;
        let body = match &packet.body {
            PacketBody::Bytes(bytes) => PacketBody::Bytes(bytes.clone()),
            PacketBody::Chunks(chunks) => {
                let chunks: Vec<Chunk> =
                    chunks.iter().map(|chunk| self.localized(chunk)).collect();
                chunks.iter().for_each(|chunk| self.note_injected(chunk));
                PacketBody::Chunks(chunks)
            }
        };
        (tag, body)
    }

    fn tag_to_inject(&self, packet: &Packet) -> u32 {
        let chunks = match &packet.body {
            PacketBody::Chunks(chunks) => chunks.as_slice(),
            PacketBody::Bytes(_) => &[],
        };
        if chunks.iter().any(Chunk::is_init) {
            return packet.tag.unwrap_or(0);
        }
        let is_reflected = chunks.iter().any(Chunk::has_t_bit);
        let echoes = chunks.first().is_some_and(|chunk| chunk.kind == kinds::COOKIE_ECHO);
        let local = self.offer.filter(|_| echoes).or(self.local);
        match (packet.tag, local) {
            (Some(0), _) => 0,
            (Some(tag), _) if is_reflected => tag,
            (Some(tag), Some(local)) => local.tag.to_live(tag),
            (Some(tag), None) => tag,
            (None, _) if is_reflected => self.peer_tag.unwrap_or(SOME_TAG),
            (None, Some(local)) => local.tag.live,
            (None, None) if chunks.iter().any(|chunk| chunk.kind == kinds::INIT) => 0,
            (None, None) => SOME_TAG,
        }
    }

    fn localized(&self, chunk: &Chunk) -> Chunk {
        let mut chunk = chunk.clone();
        let to_live = |tsn: u32| self.local.map_or(tsn, |local| local.tsn.to_live(tsn));
        match &mut chunk.body {
            Body::Sack(sack) => {
                sack.cumulative = sack.cumulative.map(to_live);
                for tsn in sack.duplicates.iter_mut().flatten() {
                    *tsn = to_live(*tsn);
                }
            }
            Body::Cumulative(tsn) => *tsn = tsn.map(to_live),
            Body::Bytes(bytes @ None) if chunk.kind == kinds::COOKIE_ECHO => {
                let mut cookie = self.cookie.clone();
                if let Some(len) = chunk.len {
                    cookie.resize(usize::from(len).saturating_sub(4), 0);
                }
                *bytes = Some(cookie);
            }
            _ => {}
        }
        chunk
    }

    fn note_injected(&mut self, chunk: &Chunk) {
        match &chunk.body {
            Body::Init(init) if chunk.kind == kinds::INIT => {
                self.init_tag = init.tag;
                if !self.is_active && !self.has_opened {
                    self.peer_tag = init.tag;
                }
            }
            Body::Init(init) if self.is_active && self.peer_tag.is_none() => {
                self.peer_tag = init.tag;
            }
            _ if chunk.kind == kinds::COOKIE_ACK => self.has_opened = true,
            Body::Tlvs(Some(tlvs)) if chunk.kind == kinds::HEARTBEAT => {
                self.heartbeat = match tlvs.as_slice() {
                    [tlv] if tlv.kind == Some(HEARTBEAT_INFORMATION) => {
                        Some(crate::wire::encode(std::slice::from_ref(chunk))[4..].to_vec())
                    }
                    _ => None,
                };
            }
            _ => {}
        }
    }

    /// Binds what `sent`, which the script has as `expected`, says of the endpoint.
    ///
    /// # Errors
    ///
    /// If it contradicts what is bound, or the packet's tag is wrong.
    pub(crate) fn on_sent(
        &mut self,
        expected: &[Chunk],
        expected_tag: Option<u32>,
        sent: &Sent,
    ) -> Result<(), String> {
        for (chunk, raw) in expected.iter().zip(&sent.chunks) {
            match (&chunk.body, raw.kind) {
                (Body::Init(init), kinds::INIT | kinds::INIT_ACK) => {
                    self.on_init_sent(init.tag, init.tsn, raw)?;
                }
                (_, kinds::COOKIE_ACK) => {
                    self.has_opened = true;
                    let taken = self.offer.take_if(|offer| offer.peer_tag == Some(sent.tag));
                    if let Some(offer) = taken {
                        (self.local, self.peer_tag) = (Some(offer), offer.peer_tag);
                    }
                    // Both opened at once, and the peer's INIT counts.
                    if self.init_tag == Some(sent.tag) {
                        self.peer_tag = self.init_tag;
                    }
                }
                (_, kinds::HEARTBEAT_ACK) => {
                    if let Some(expected) = self.heartbeat.as_ref().filter(|h| **h != padded(raw))
                    {
                        return Err(format!("the HEARTBEAT had {expected:02x?}, its answer not"));
                    }
                }
                _ => {}
            }
        }
        self.check_tag(expected_tag, sent)
    }

    fn on_init_sent(
        &mut self,
        tag: Option<u32>,
        tsn: Option<u32>,
        raw: &RawChunk,
    ) -> Result<(), String> {
        let (Some(live_tag), Some(live_tsn)) = (u32_at(&raw.value, 0), u32_at(&raw.value, 12))
        else {
            return Err("it is too short".into());
        };
        let is_ack = raw.kind == kinds::INIT_ACK;
        if is_ack {
            let parameters = tlvs(raw.value.get(16..).unwrap_or_default())?;
            let cookie = parameters.into_iter().find(|tlv| tlv.kind == STATE_COOKIE);
            self.cookie = cookie.map(|tlv| tlv.value).unwrap_or_default();
        }
        let pair = |script: Option<u32>, live| Pair { script: script.unwrap_or(live), live };
        let peer_tag = self.init_tag.filter(|_| is_ack);
        let new = Local { tag: pair(tag, live_tag), tsn: pair(tsn, live_tsn), peer_tag };
        let Some(local) = self.local else {
            self.is_active = !is_ack;
            self.local = Some(new);
            return Ok(());
        };
        let Some(tag) = tag else { return Ok(()) };
        if is_ack && !self.is_active && !self.has_opened {
            self.local = Some(new);
            return Ok(());
        }
        // Who has asked itself says the same tag again (RFC 9260 §5.2.1), until it is open; a
        // restart of the peer is offered another one (§5.2.2).
        let is_offer = is_ack && (!self.is_active || self.has_opened);
        if is_offer && tag != local.tag.script {
            if live_tag == local.tag.live {
                return Err(format!("tag={tag} is that of before, tag={}", local.tag.script));
            }
            self.offer = Some(new);
            return Ok(());
        }
        if local.tag.to_live(tag) != live_tag {
            return Err(format!("tag={tag} was {:#010x}, is {live_tag:#010x}", local.tag.live));
        }
        match tsn {
            Some(tsn) if local.tsn.to_live(tsn) != live_tsn => {
                Err(format!("tsn={tsn} is {}", self.tsn_to_script(live_tsn)))
            }
            _ => Ok(()),
        }
    }

    /// What the script calls the endpoint's TSN `live`.
    pub(crate) fn tsn_to_script(&self, live: u32) -> u32 {
        self.local.map_or(live, |local| local.tsn.to_script(live))
    }

    /// RFC 9260 §8.5. A script may say what it is, too.
    fn check_tag(&self, expected: Option<u32>, sent: &Sent) -> Result<(), String> {
        if let Some(expected) = expected.filter(|&tag| tag != sent.tag) {
            return Err(format!("tag={expected} expected, got {}", sent.tag));
        }
        let has = |kind| sent.chunks.iter().any(|chunk| chunk.kind == kind);
        let is_reflected = sent.chunks.iter().any(|chunk| {
            matches!(chunk.kind, kinds::ABORT | kinds::SHUTDOWN_COMPLETE) && chunk.flags & 1 != 0
        });
        let allowed = if has(kinds::INIT) {
            [Some(0), None]
        } else if is_reflected {
            [Some(self.answered_tag), None]
        } else if has(kinds::INIT_ACK) {
            [self.init_tag, None]
        } else if has(kinds::ABORT) || has(kinds::ERROR) {
            // It may be about the INIT, or the cookie that went with it.
            [self.peer_tag, self.init_tag]
        } else {
            [self.peer_tag, None]
        };
        if allowed == [None, None] || allowed.contains(&Some(sent.tag)) {
            return Ok(());
        }
        let allowed = allowed.into_iter().flatten().next().unwrap_or(0);
        Err(format!("the verification tag is {:#010x}, not {allowed:#010x}", sent.tag))
    }
}

fn padded(raw: &RawChunk) -> Vec<u8> {
    let mut value = raw.value.clone();
    value.resize(value.len().next_multiple_of(4), 0);
    value
}
