//! What makes RSPLIB's processes crash, sent to ours: handles of 33 bytes, weights of zero, mixed
//! policies.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rserpool_core::association::Ppid;
use rserpool_core::wire::asap::AsapMessage;
use rserpool_core::wire::enrp::EnrpMessage;
use rserpool_core::wire::{Cause, OperationError};

use super::crafted::{self, ROUND_ROBIN, WEIGHTED_RANDOM};
use super::rsplib::{self, PATIENCE};
use super::{Case, ours};
use crate::lab::association::{Association, Happening};
use crate::lab::process::await_some;
use crate::lab::{GUEST, Lab};

pub(super) const CASE: Case = Case {
    name: "crash-input",
    what: "what crashes rspregistrar, rspserver and pool users, sent to ours",
    patience: Duration::from_secs(180),
    has_boards: false,
    run,
};

fn run(lab: &mut Lab) -> Result<()> {
    let seed = lab.seed();
    println!("   seed {seed}");
    let words = format!("--listen {REGISTRAR}:3863/9899 --enrp-port 9901 --log debug");
    let registrar = lab.rsp("registrar", &format!("registrar {words}"))?;
    let ready = registrar.await_text("meets peers at", PATIENCE);
    lab.check("our registrar serves", ready)?;
    let at = format!("--registrar {REGISTRAR}:3863/9899");
    let (element, identifier) = ours::element_by(lab, "only", "10.77.0.11", &at)?;

    let mut sender = Sender::new(REGISTRAR, 3863, seed)?;
    let refused = long_handles(&mut sender);
    lab.check("our registrar refuses handles of 33 bytes in all ASAP messages", refused)?;
    let answered = zero_weights(&mut sender);
    lab.check("it lists no element of weight zero, and says when there is no other", answered)?;
    let known = sender.resolve("ComputePool").and_then(|answer| {
        ensure!(answer.elements.contains(&identifier), "there are {:?}", answer.elements);
        Ok(answer.parameters)
    });
    let known = lab.check("it still has its element, on the same association", known)?;
    sender.0.shut_down()?;

    let mut peer = Sender::new(REGISTRAR, 9901, seed ^ 2)?;
    let refused = peer_says(&mut peer);
    lab.check("as a peer, it survives such handles and mixed policies in tables", refused)?;
    peer.0.shut_down()?;
    let mut sender = Sender::new(REGISTRAR, 3863, seed ^ 3)?;
    let mixed = sender.resolve("MixedPool").and_then(|answer| {
        ensure!(answer.elements == ["0x44440001"], "there are {:?}", answer.elements);
        Ok(())
    });
    lab.check("of a pool of mixed policies it has what fits the first element", mixed)?;
    sender.0.shut_down()?;

    let alive = element_is_told(lab, seed ^ 4);
    lab.check("our element survives them from its registrar", alive)?;
    let done = user_is_told(lab, seed ^ 5, &known);
    lab.check("our user survives them from its registrar, and does its job", done)?;
    let ended = registrar.kill().and_then(|()| element.kill());
    lab.check("our registrar and element have run all the time", ended)?;
    rsplib_dies(lab, seed ^ 6)
}

/// Any message with a handle that is too long.
fn long_handles(sender: &mut Sender) -> Result<()> {
    let (long, id) = (crafted::long_pool(), crafted::identifier(ELEMENT));
    let element = weighted(ELEMENT, 1);
    let messages: [(u8, &[&[u8]]); 6] = [
        (1, &[&long, &element]),
        (2, &[&long, &id]),
        (5, &[&long]),
        (8, &[&long, &id]),
        (9, &[&long, &id]),
        (5, &[&crafted::pool("")]),
    ];
    for (kind, parts) in messages {
        let cause = sender.ask(&crafted::message(kind, parts), |message| match message {
            AsapMessage::Error(error) => cause_of(&error.error),
            _ => None,
        });
        let cause = cause.with_context(|| format!("message {kind}"))?;
        ensure!(cause == Cause::INVALID_VALUES, "message {kind}: {cause:?}");
    }
    Ok(())
}

/// A pool of elements that are never to be chosen, and one that is.
fn zero_weights(sender: &mut Sender) -> Result<()> {
    sender.register("ZeroPool", &weighted(ELEMENT, 0))?;
    sender.register("ZeroPool", &weighted(ELEMENT + 1, 0))?;
    let answer = sender.resolve("ZeroPool")?;
    let is_told = answer.cause == Some(Cause::LACK_OF_RESOURCES);
    ensure!(is_told && answer.elements.is_empty(), "the answer is {answer:?}");
    sender.register("ZeroPool", &weighted(ELEMENT + 2, 7))?;
    for _ in 0..4 {
        let answer = sender.resolve("ZeroPool")?;
        ensure!(answer.elements == ["0x33330003"], "the answer is {answer:?}");
    }
    Ok(())
}

/// A peer whose tables and updates are no good.
fn peer_says(peer: &mut Sender) -> Result<()> {
    let between = crafted::between(PEER, 0);
    let transport = crafted::transport(OWN, 5006, 0);
    let of = |element, policy: &[u32]| {
        crafted::element(element, PEER, &[&transport, &crafted::policy(policy), &transport])
    };
    let presence = |checksum: [u8; 2]| {
        let checksum = crafted::parameter(0x000f, &checksum);
        let server = [&PEER.to_be_bytes()[..], &crafted::transport(OWN, 9901, 0)].concat();
        crafted::message(1, &[&between, &checksum, &crafted::parameter(0x000b, &server)])
    };
    let (long, mixed) = (crafted::long_pool(), crafted::pool("MixedPool"));
    let first = of(0x4444_0001, &[ROUND_ROBIN]);
    let tables = [
        crafted::message(3, &[&between, &mixed, &first, &of(0x4444_0002, &[WEIGHTED_RANDOM, 0])]),
        crafted::message(3, &[&between, &long, &first]),
    ];
    for table in tables {
        // It asks for our table: first as it enters the scope, then for the checksum, which is
        // another than that of what it knows of us.
        peer.ask_enrp(&presence([0x12, 0x34]), |message| {
            matches!(message, EnrpMessage::HandleTableRequest(_))
        })?;
        peer.send(Ppid::ENRP, &table)?;
    }
    let is_error = |message: &EnrpMessage<'_>| {
        matches!(message, EnrpMessage::Error(error)
            if cause_of(&error.error) == Some(Cause::INVALID_VALUES))
    };
    peer.await_enrp(is_error).context("the table with a long handle")?;
    let update = crafted::message(4, &[&between, &[0; 4], &long, &first]);
    peer.ask_enrp(&update, is_error).context("the update with a long handle")?;
    let mut question = presence([0xff, 0xff]);
    question[1] = 1;
    peer.ask_enrp(
        &question,
        |message| matches!(message, EnrpMessage::Presence(presence) if !presence.reply_required),
    )
    .context("a presence that asks for one")
}

/// An element whose registrar answers with such things.
fn element_is_told(lab: &Lab, seed: u64) -> Result<()> {
    let words = format!("--listen 10.77.0.12:0/9899 --registrar {FALSE_REGISTRAR}:3863/9899");
    let element =
        lab.rsp("told", &format!("serve {words} --identifier 0x77000012 --log debug"))?;
    let mut registrar = Sender::accept(FALSE_REGISTRAR, seed)?;
    registrar.await_asap(|message| match message {
        AsapMessage::Registration(_) => Some(()),
        _ => None,
    })?;
    let (own, id) = (crafted::pool("ComputePool"), crafted::identifier(0x7700_0012));
    let long = crafted::long_pool();
    registrar.send(Ppid::ASAP, &crafted::message(3, &[&long, &id]))?;
    registrar.send(Ppid::ASAP, &crafted::message(3, &[&own, &id]))?;
    await_some(PATIENCE, || {
        registrar.0.next(Duration::ZERO)?;
        Ok(element.output().contains("ready at").then_some(()))
    })?
    .context("it does not say that it is registered")?;
    let home = FALSE_IDENTIFIER.to_be_bytes();
    let mixed = crafted::message(6, &[&own, &crafted::policy(&[ROUND_ROBIN]), &mixed_elements()]);
    for message in [crafted::message(7, &[&home, &long, &id]), mixed] {
        registrar.send(Ppid::ASAP, &message)?;
        let keep_alive = crafted::message(7, &[&home, &own, &id]);
        registrar.ask(&keep_alive, |message| match message {
            AsapMessage::EndpointKeepAliveAck(ack) => (ack.pe_id.0 == 0x7700_0012).then_some(()),
            _ => None,
        })?;
    }
    element.kill()
}

/// A user whose registrar answers with such things, until it is told of an element that exists.
fn user_is_told(lab: &Lab, seed: u64, known: &[u8]) -> Result<()> {
    let words = format!("--samples 100000 --registrar {FALSE_REGISTRAR}:3863/9899 --json");
    let mut user = lab.rsp("told-user", &format!("run montecarlo {words} --log debug"))?;
    let mut registrar = Sender::accept(FALSE_REGISTRAR, seed)?;
    let (own, round_robin) = (crafted::pool("ComputePool"), crafted::policy(&[ROUND_ROBIN]));
    let zero = crafted::policy(&[WEIGHTED_RANDOM, 0]);
    let answers = [
        crafted::message(6, &[&crafted::long_pool(), &round_robin, known]),
        crafted::message(6, &[&own, &zero, &weighted(ELEMENT, 0)]),
        crafted::message(6, &[&own, &round_robin, &mixed_elements()]),
        crafted::message(6, &[&own, known]),
    ];
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut asked_count = 0;
    while !user.has_ended()? {
        ensure!(Instant::now() < deadline, "it does not end; it has asked {asked_count} times");
        match registrar.0.next(Duration::from_millis(200))? {
            Some(Happening::Message(Ppid::ASAP, message)) if message.first() == Some(&5) => {
                let answer = answers.get(asked_count).unwrap_or(&answers[answers.len() - 1]);
                registrar.send(Ppid::ASAP, answer)?;
                asked_count += 1;
            }
            Some(Happening::Down(_)) => break,
            _ => {}
        }
    }
    let summary = user.finish(PATIENCE)?;
    ensure!(summary.contains("\"samples\":100000"), "it says: {summary}");
    ensure!(asked_count >= answers.len(), "it has asked only {asked_count} times");
    Ok(())
}

/// That it is this that crashes RSPLIB's registrar.
fn rsplib_dies(lab: &mut Lab, seed: u64) -> Result<()> {
    let mut guest = lab.boot()?;
    rsplib::encapsulate(&mut guest)?;
    let program = rsplib::registrar(&mut guest)?;
    let mut sender = Sender::new(GUEST, 3863, seed)?;
    sender.send(Ppid::ASAP, &crafted::message(5, &[&crafted::long_pool()]))?;
    sender.0.next(PATIENCE)?;
    let died = program.await_end(&mut guest, PATIENCE);
    lab.check("rspregistrar dies of the first such handle", died)
}

/// An element of the sender's, in a pool by weights.
fn weighted(element: u32, weight: u32) -> Vec<u8> {
    let policy = crafted::policy(&[WEIGHTED_RANDOM, weight]);
    crafted::element(element, 0, &[&crafted::transport(OWN, 5006, 1), &policy])
}

/// Two elements of one answer that cannot be in one pool.
fn mixed_elements() -> Vec<u8> {
    let (transport, policy) = (crafted::transport(OWN, 5006, 1), crafted::policy(&[ROUND_ROBIN]));
    let first = crafted::element(ELEMENT, FALSE_IDENTIFIER, &[&transport, &policy]);
    [first, weighted(ELEMENT + 1, 0)].concat()
}

fn cause_of(error: &OperationError<'_>) -> Option<Cause> {
    error.causes().next().map(|cause| cause.code)
}

/// An association on which crafted messages are sent.
struct Sender(Association);

/// What a registrar says of a pool.
#[derive(Debug)]
struct Answer {
    elements: Vec<String>,
    /// Policy and elements as they came.
    parameters: Vec<u8>,
    cause: Option<Cause>,
}

impl Sender {
    fn new(address: &str, port: u16, seed: u64) -> Result<Self> {
        Association::connect(OWN, SocketAddr::new(address.parse()?, port), seed).map(Self)
    }

    fn accept(address: &str, seed: u64) -> Result<Self> {
        Association::accept(address.parse()?, 3863, seed, PATIENCE).map(Self)
    }

    fn send(&mut self, ppid: Ppid, message: &[u8]) -> Result<()> {
        ensure!(self.0.send(ppid, message)?, "there is no room for a message");
        Ok(())
    }

    /// Sends an ASAP message and waits for one that fits.
    fn ask<T>(
        &mut self,
        message: &[u8],
        pick: impl FnMut(&AsapMessage<'_>) -> Option<T>,
    ) -> Result<T> {
        self.send(Ppid::ASAP, message)?;
        self.await_asap(pick)
    }

    fn await_asap<T>(&mut self, mut pick: impl FnMut(&AsapMessage<'_>) -> Option<T>) -> Result<T> {
        self.await_message(|message| AsapMessage::parse(message).ok().and_then(|m| pick(&m)))
    }

    fn ask_enrp(
        &mut self,
        message: &[u8],
        fits: impl FnMut(&EnrpMessage<'_>) -> bool,
    ) -> Result<()> {
        self.send(Ppid::ENRP, message)?;
        self.await_enrp(fits)
    }

    fn await_enrp(&mut self, mut fits: impl FnMut(&EnrpMessage<'_>) -> bool) -> Result<()> {
        self.await_message(|message| {
            EnrpMessage::parse(message).ok().filter(|message| fits(message)).map(drop)
        })
    }

    fn await_message<T>(&mut self, mut pick: impl FnMut(&[u8]) -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.0.next(left)?.ok_or_else(|| anyhow!("no such answer"))? {
                Happening::Down(reason) => bail!("the association is gone: {reason}"),
                Happening::Writable => {}
                Happening::Message(_, message) => {
                    if let Some(found) = pick(&message) {
                        return Ok(found);
                    }
                }
            }
        }
    }

    fn register(&mut self, pool: &str, element: &[u8]) -> Result<()> {
        let registration = crafted::message(1, &[&crafted::pool(pool), element]);
        let rejected = self.ask(&registration, |message| match message {
            AsapMessage::RegistrationResponse(response) => Some(response.rejected),
            _ => None,
        })?;
        ensure!(!rejected, "the registration is rejected");
        Ok(())
    }

    fn resolve(&mut self, pool: &str) -> Result<Answer> {
        let pool = crafted::pool(pool);
        let items = crafted::parameter(0x803f, &[0xff; 4]);
        self.send(Ppid::ASAP, &crafted::message(5, &[&pool, &items]))?;
        self.await_message(|bytes| match AsapMessage::parse(bytes) {
            Ok(AsapMessage::HandleResolutionResponse(response)) => Some(Answer {
                elements: response.elements.iter().map(|found| found.id.to_string()).collect(),
                parameters: bytes.get(4 + pool.len()..)?.to_vec(),
                cause: response.error.as_ref().and_then(cause_of),
            }),
            _ => None,
        })
    }
}

const REGISTRAR: &str = "10.77.0.10";
const FALSE_REGISTRAR: &str = "10.77.0.14";
const FALSE_IDENTIFIER: u32 = 0x1414_1414;

/// The sender.
const OWN: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 13));
const PEER: u32 = 0x4444_4444;
const ELEMENT: u32 = 0x3333_0001;
