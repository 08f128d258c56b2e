//! What handlers of an association may use besides it.

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;

use heapless::{Deque, Vec};

use super::LISTEN_PORTS_MAX;
use super::replies::{Replies, Route, TokenBucket};
use crate::entropy::Entropy;
use crate::sctp::config::Config;
use crate::sctp::cookie::{Cookie, CookieKeys};
use crate::sctp::packet::{Cause, ChunkType};
use crate::sctp::statistics::Statistics;
use crate::sctp::transfer::Parameters;
use crate::sctp::types::{LOCAL_ADDRESSES_MAX, UdpPorts};
use crate::time::{Instant, micros};

/// What all associations share.
#[derive(Debug)]
pub(in crate::sctp) struct Shared {
    pub(in crate::sctp) config: Config,
    /// What of it data transfer needs.
    pub(in crate::sctp) parameters: Parameters,
    pub(in crate::sctp) statistics: Statistics,
    pub(in crate::sctp) replies: Replies,
    pub(in crate::sctp) keys: CookieKeys,
    pub(super) bucket: TokenBucket,
    pub(super) ports: Vec<u16, LISTEN_PORTS_MAX>,
    /// Our addresses, as peers are told.
    pub(in crate::sctp) addresses: Vec<IpAddr, LOCAL_ADDRESSES_MAX>,
    /// Our tags of the associations that ended or began anew last: their cookies are spent. A
    /// cookie is valid for a minute, and a copy of it that the network still holds must not open
    /// an association again and deliver what was delivered before.
    pub(super) spent_tags: Deque<u32, SPENT_TAGS_MAX>,
}

/// How many ended associations are remembered; older ones are left to the life of a cookie.
const SPENT_TAGS_MAX: usize = crate::few(8, 32);

impl Shared {
    /// Notes that the association with our tag `own_tag` has ended or begun anew.
    pub(in crate::sctp) fn spend_tag(&mut self, own_tag: u32) {
        if self.spent_tags.is_full() {
            let _ = self.spent_tags.pop_front();
        }
        let _ = self.spent_tags.push_back(own_tag);
    }
}

/// The surroundings of one call.
pub(in crate::sctp) struct Context<'c> {
    pub(in crate::sctp) now: Instant,
    pub(in crate::sctp) entropy: &'c mut dyn Entropy,
    pub(in crate::sctp) shared: &'c mut Shared,
    /// Where the packet came from that is being handled.
    pub(in crate::sctp) source: &'c Source,
}

/// Where a packet came from, and to which of our addresses.
#[derive(Clone, Copy, Debug)]
pub(in crate::sctp) struct Source {
    pub(in crate::sctp) local: IpAddr,
    pub(in crate::sctp) remote: IpAddr,
    pub(in crate::sctp) udp: Option<UdpPorts>,
}

impl Source {
    /// Of no packet.
    pub(super) const NOWHERE: Self = Self {
        local: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        remote: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        udp: None,
    };

    /// The way back.
    pub(in crate::sctp) const fn route(
        &self,
        local_port: u16,
        remote_port: u16,
        tag: u32,
    ) -> Route {
        let Self { local, remote, udp } = *self;
        Route { local, remote, udp, local_port, remote_port, tag }
    }
}

impl Context<'_> {
    /// A tag, which is never 0. RFC 9260 §5.3.1.
    pub(in crate::sctp) fn random_tag(&mut self) -> u32 {
        self.entropy.next_u32().max(1)
    }

    /// Whether a packet that proves nothing about its sender may be answered now.
    pub(in crate::sctp) fn may_answer_stranger(&mut self) -> bool {
        let per_second = self.shared.config.stranger_replies_per_second;
        let may_answer = self.shared.bucket.take(self.now, per_second);
        self.shared.statistics.replies_withheld += u64::from(!may_answer);
        may_answer
    }

    /// Opens a cookie that came back in a packet with these ports and this tag. RFC 9260 §5.1.5.
    pub(in crate::sctp) fn open_cookie(
        &mut self,
        bytes: &[u8],
        (local_port, remote_port): (u16, u16),
        tag: u32,
    ) -> Option<Cookie> {
        let cookie = self.shared.keys.open(bytes).filter(|cookie| {
            cookie.own_tag == tag
                && cookie.local_port == local_port
                && cookie.remote_port == remote_port
        });
        self.shared.statistics.cookies_refused += u64::from(cookie.is_none());
        cookie
    }

    /// Tells the peer that its cookie is too old, or whoever sends it again. RFC 9260 §3.3.10.3.
    pub(in crate::sctp) fn report_stale_cookie(&mut self, cookie: &Cookie, staleness: Duration) {
        self.shared.statistics.cookies_refused += 1;
        if !self.may_answer_stranger() {
            return;
        }
        let route = self.source.route(cookie.local_port, cookie.remote_port, cookie.peer_tag);
        let micros = u32::try_from(micros(staleness)).unwrap_or(u32::MAX).to_be_bytes();
        let replies = &mut self.shared.replies;
        replies.push_cause(&route, ChunkType::ERROR, 0, Cause::STALE_COOKIE, &micros);
    }
}
