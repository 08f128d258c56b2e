//! Messages of all sizes between our SCTP and the kernel's: RSPLIB's echo service sends them back.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rserpool_core::entropy::{Entropy, SplitMix64};

use super::Case;
use super::rsplib::{self, PATIENCE};
use crate::lab::Lab;
use crate::lab::carrier::{Carrier, Home};
use crate::lab::echo::{EchoClient, MESSAGE_LEN_MAX};

pub(super) const UDP: Case = Case {
    name: "kernel-data",
    what: "our SCTP and the kernel's exchange messages of all sizes through rspserver -echo",
    patience: Duration::from_secs(300),
    has_boards: false,
    run: |lab| run(lab, Carrier::Udp),
};

pub(super) const RAW: Case = Case {
    name: "kernel-raw",
    what: "the same right over IP, and our programs do",
    patience: Duration::from_secs(300),
    has_boards: false,
    run: |lab| run(lab, Carrier::Raw),
};

fn run(lab: &mut Lab, carrier: Carrier) -> Result<()> {
    let mut guest = lab.boot()?;
    let words = match carrier {
        Carrier::Udp => {
            rsplib::encapsulate(&mut guest)?;
            "registrar --listen 10.77.0.10:3863/9899 --log debug"
        }
        Carrier::Raw => "registrar --listen 10.77.0.10:3863 --transport raw --log debug",
    };
    let registrar = lab.rsp("registrar", words)?;
    let ready = registrar.await_text("ready at", PATIENCE);
    lab.check("our registrar serves", ready)?;
    let server = guest.spawn(
        "stdbuf -oL rspserver -echo -local=10.77.0.2:5007 -registrar=10.77.0.10:3863 \
         -asapannounce=off -loglevel=2 -logcolor=off",
    )?;
    let registered = registrar.await_text("ElementRegistered { pool: \"EchoPool\"", PATIENCE);
    lab.check("rspserver registers its echo service", registered)?;
    if carrier == Carrier::Raw {
        our_user(lab)?;
    }

    let seed = lab.seed();
    println!("         seed {seed}");
    let remote = SocketAddr::new(GUEST, 5_007);
    let connected = EchoClient::connect(&Home::at(OURS, carrier), remote, seed);
    let mut client = lab.check("an association comes up", connected)?;
    let messages = messages(seed, ROUND_COUNT);
    exchange(lab, &mut client, &messages, "without loss")?;

    guest.must("tc qdisc add dev vec0 root netem delay 5ms 4ms loss 1%")?;
    client.lose(10);
    let half = &messages[..messages.len() / 2];
    exchange(lab, &mut client, half, "with 1 and 2 % loss and reordering")?;
    guest.must("tc qdisc del dev vec0 root")?;
    client.lose(0);
    lab.check("the association is shut down", client.shut_down())?;
    let output = server.output();
    lab.check("rspserver has nothing to complain about", complaints(&output))
}

/// Our own program finds the service and uses it: both associations are ours to set up.
fn our_user(lab: &Lab) -> Result<()> {
    let words = "call echo --transport raw --local 10.77.0.12 --registrar 10.77.0.10:3863 hello";
    let said = lab.rsp("call", words)?.finish(PATIENCE);
    let echoed = said.and_then(|said| {
        said.contains("hello").then_some(()).with_context(|| format!("`{said}`"))
    });
    lab.check("rsp call echo finds it and is echoed", echoed)
}

fn exchange(lab: &Lab, client: &mut EchoClient, messages: &[Vec<u8>], how: &str) -> Result<()> {
    let byte_count: usize = messages.iter().map(Vec::len).sum();
    let start = Instant::now();
    let done = client.exchange(messages, EXCHANGE_PATIENCE);
    let seconds = start.elapsed().as_secs_f64();
    let what = format!(
        "{} messages, {} KiB, come back the same {how} ({seconds:.1} s)",
        messages.len(),
        byte_count >> 10
    );
    lab.check(&what, done)
}

/// Messages of all kinds of sizes, full of random bytes.
fn messages(seed: u64, round_count: usize) -> Vec<Vec<u8>> {
    let mut entropy = SplitMix64::new(seed);
    let mut messages = Vec::new();
    for _ in 0..round_count {
        let random = usize::try_from(entropy.below(MESSAGE_LEN_MAX as u64)).unwrap_or(0) + 1;
        for len in SIZES.into_iter().chain([random]) {
            let mut message = vec![0; len];
            entropy.fill(&mut message);
            messages.push(message);
        }
    }
    messages
}

fn complaints(output: &str) -> Result<()> {
    let is_complaint = |line: &&str| {
        let line = line.to_lowercase();
        line.contains("error") || line.contains("warning")
    };
    let complaint = output.lines().find(is_complaint);
    complaint.map_or(Ok(()), |line| Err(anyhow::anyhow!("{line}"))).context("its log")
}

/// One byte, around padding, around what fits one packet of either side, many packets.
const SIZES: [usize; 14] =
    [1, 2, 3, 4, 5, 1_000, 1_403, 1_404, 1_444, 1_452, 1_453, 5_000, 20_000, 60_000];

const ROUND_COUNT: usize = 40;
const EXCHANGE_PATIENCE: Duration = Duration::from_secs(90);

const OURS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 11));
const GUEST: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 2));
