//! Our SCTP and the kernel's, each at two networks, one of which is cut while messages are sent.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Case;
use super::rsplib::PATIENCE;
use crate::lab::association::Association;
use crate::lab::carrier::{Carrier, Home};
use crate::lab::guest::Guest;
use crate::lab::transfer::{self, Cut, Failover};
use crate::lab::{Lab, network};

pub(super) const CASE: Case = Case {
    name: "kernel-multihomed",
    what: "transfers with the kernel survive the cut of a path; parameters for a fast failover",
    patience: Duration::from_secs(180),
    has_boards: false,
    run: |lab| {
        let mut bench = Bench::new(lab, true)?;
        for carrier in [Carrier::Udp, Carrier::Raw] {
            bench.we_send(lab, carrier)?;
            bench.kernel_sends(lab, carrier)?;
        }
        Ok(())
    },
};

pub(crate) const SLOW: Case = Case {
    name: "failover-time",
    what: "the same with the parameters of RFC 9260",
    patience: Duration::from_secs(900),
    has_boards: false,
    run: |lab| {
        let mut bench = Bench::new(lab, false)?;
        bench.we_send(lab, Carrier::Raw)?;
        bench.kernel_sends(lab, Carrier::Raw)
    },
};

/// The guest, and how transfers are made with it.
struct Bench {
    guest: Guest,
    is_tuned: bool,
    port: u16,
    seed: u64,
}

impl Bench {
    fn new(lab: &mut Lab, is_tuned: bool) -> Result<Self> {
        let mut guest = lab.boot_with_two_addresses()?;
        // Peers right over IP are served as well.
        guest.must("sysctl -q net.sctp.udp_port=9899")?;
        let seed = lab.seed();
        println!("         seed {seed}");
        Ok(Self { guest, is_tuned, port: 5_100, seed })
    }

    fn we_send(&mut self, lab: &Lab, carrier: Carrier) -> Result<()> {
        let sent = self.send(carrier);
        self.judge(lab, "we send to the kernel", carrier, sent)
    }

    fn kernel_sends(&mut self, lab: &Lab, carrier: Carrier) -> Result<()> {
        let received = self.receive(carrier);
        self.judge(lab, "the kernel sends to us", carrier, received)
    }

    fn judge(
        &self,
        lab: &Lab,
        who: &str,
        carrier: Carrier,
        result: Result<Failover>,
    ) -> Result<()> {
        let how = if carrier == Carrier::Udp { "over UDP" } else { "right over IP" };
        let parameters = if self.is_tuned { "tuned" } else { "those of the RFC" };
        let what = format!("{who} {how}, parameters {parameters}, and all arrives in order");
        let longest = self.longest_stall();
        let what = format!("{what}, with no stall of {longest:?}");
        let result = result.and_then(|failover| {
            ensure!(failover.longest < longest, "{failover}");
            Ok(failover)
        });
        let failover = lab.check(&what, result)?;
        println!("         {} messages; {failover}", failover.count);
        Ok(())
    }

    /// Data leaves a path after one timeout (RFC 7829): RTO.Min, and more for a busy machine.
    fn longest_stall(&self) -> Duration {
        3 * transfer::config(self.is_tuned).rto_min
    }

    fn send(&mut self, carrier: Carrier) -> Result<Failover> {
        let (home, port) = (self.home(carrier), self.next_port());
        let peer = self.peer("sink", port, carrier, "10.77.0.2,10.78.0.2")?;
        let sink = self.guest.spawn(&peer)?;
        sink.await_text("open at", PATIENCE)?;
        let remote = SocketAddr::new(GUEST, port);
        let association = Association::connect(&home, remote, self.seed)?;
        let failover = transfer::send(association, &self.cut(GUEST));
        let failover = failover.with_context(|| sink.output())?;
        let all = format!("{} messages in order", failover.count);
        sink.await_text(&all, PATIENCE).with_context(|| sink.output())?;
        Ok(failover)
    }

    fn receive(&mut self, carrier: Carrier) -> Result<Failover> {
        let (home, port) = (self.home(carrier), self.next_port());
        let mut association = Association::listen(&home, port, self.seed)?;
        let locals = "10.77.0.2,10.78.0.2 10.77.0.11";
        let peer = self.peer("source", port, carrier, locals)?;
        let source = self.guest.spawn(&peer)?;
        association.await_peer(PATIENCE).with_context(|| source.output())?;
        let failover = transfer::receive(association, &self.cut(OURS), &source);
        failover.with_context(|| source.output())
    }

    fn home(&self, carrier: Carrier) -> Home {
        let config = transfer::config(self.is_tuned);
        Home { addresses: vec![OURS, SECOND_OURS], carrier, config }
    }

    fn next_port(&mut self) -> u16 {
        self.port += 1;
        self.port
    }

    /// What the guest runs.
    fn peer(&self, role: &str, port: u16, carrier: Carrier, places: &str) -> Result<String> {
        let program = std::env::current_exe()?;
        let carrier = if carrier == Carrier::Udp { "udp" } else { "raw" };
        let (parameters, seconds) = if self.is_tuned { ("tuned", 7) } else { ("default", 220) };
        let words = format!("{role} {port} {carrier} {parameters} {seconds} {places}");
        Ok(format!("{} interop --kernel-peer '{words}'", program.display()))
    }

    /// The way to the guest's first address, which is cut.
    fn cut(&self, remote: IpAddr) -> Cut<'static> {
        let patience = Duration::from_secs(if self.is_tuned { 15 } else { 250 });
        Cut {
            sever: &|| network::sever("tap0"),
            mend: &|| network::mend("tap0"),
            remote,
            patience,
        }
    }
}

const OURS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 11));
const SECOND_OURS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 78, 0, 10));
const GUEST: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 2));
