//! What makes RSPLIB's processes crash, sent to ours: handles of 33 bytes, weights of zero, mixed
//! policies.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rserpool_core::association::Ppid;
use rserpool_core::identifier::PeId;
use rserpool_core::wire::Cause;
use rserpool_core::wire::asap::AsapMessage;
use rserpool_core::wire::enrp::EnrpMessage;

use super::crafted::{self, ROUND_ROBIN, WEIGHTED_RANDOM};
use super::probe::{Answer, Probe, cause_of};
use super::rsplib::{self, PATIENCE};
use super::{Case, ours};
use crate::lab::association::Happening;
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

    let mut sender = Probe::connect(OWN, REGISTRAR, 3863, seed)?;
    let refused = long_handles(&mut sender);
    lab.check("our registrar refuses handles of 33 bytes in all ASAP messages", refused)?;
    let answered = zero_weights(&mut sender);
    lab.check("it lists no element of weight zero, and says when there is no other", answered)?;
    let known = sender.resolve("ComputePool").and_then(|answer| {
        let is_there = ids(&answer).iter().any(|id| id.to_string() == identifier);
        ensure!(is_there, "there are {:?}", answer.elements);
        Ok(answer.parameters)
    });
    let known = lab.check("it still has its element, on the same association", known)?;
    sender.shut_down()?;

    let mut peer = Probe::connect(OWN, REGISTRAR, 9901, seed ^ 2)?;
    let refused = peer_says(&mut peer);
    lab.check("as a peer, it survives such handles and mixed policies in tables", refused)?;
    peer.shut_down()?;
    let mut sender = Probe::connect(OWN, REGISTRAR, 3863, seed ^ 3)?;
    let mixed = sender.resolve("MixedPool").and_then(|answer| {
        ensure!(ids(&answer) == [PeId(0x4444_0001)], "there are {:?}", answer.elements);
        Ok(())
    });
    lab.check("of a pool of mixed policies it has what fits the first element", mixed)?;
    sender.shut_down()?;

    let alive = element_is_told(lab, seed ^ 4);
    lab.check("our element survives them from its registrar", alive)?;
    let done = user_is_told(lab, seed ^ 5, &known);
    lab.check("our user survives them from its registrar, and does its job", done)?;
    let ended = registrar.kill().and_then(|()| element.kill());
    lab.check("our registrar and element have run all the time", ended)?;
    rsplib_dies(lab, seed ^ 6)
}

/// Any message with a handle that is too long.
fn long_handles(sender: &mut Probe) -> Result<()> {
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
fn zero_weights(sender: &mut Probe) -> Result<()> {
    sender.register("ZeroPool", &weighted(ELEMENT, 0))?;
    sender.register("ZeroPool", &weighted(ELEMENT + 1, 0))?;
    let answer = sender.resolve("ZeroPool")?;
    let is_told = answer.cause == Some(Cause::LACK_OF_RESOURCES);
    ensure!(is_told && answer.elements.is_empty(), "the answer is {answer:?}");
    sender.register("ZeroPool", &weighted(ELEMENT + 2, 7))?;
    for _ in 0..4 {
        let answer = sender.resolve("ZeroPool")?;
        ensure!(ids(&answer) == [PeId(ELEMENT + 2)], "the answer is {answer:?}");
    }
    Ok(())
}

/// A peer whose tables and updates are no good.
fn peer_says(peer: &mut Probe) -> Result<()> {
    let between = crafted::between(PEER, 0);
    let transport = crafted::transport(OWN_ADDRESS, 5006, 0);
    let of = |element, policy: &[u32]| {
        crafted::element(element, PEER, &[&transport, &crafted::policy(policy), &transport])
    };
    let presence = |checksum: [u8; 2]| {
        let checksum = crafted::parameter(0x000f, &checksum);
        let server = [&PEER.to_be_bytes()[..], &crafted::transport(OWN_ADDRESS, 9901, 0)].concat();
        crafted::message(1, &[&between, &checksum, &crafted::parameter(0x000b, &server)])
    };
    let (long, mixed) = (crafted::long_pool(), crafted::pool("MixedPool"));
    let first = of(0x4444_0001, &[ROUND_ROBIN]);
    let other = of(0x4444_0002, &[WEIGHTED_RANDOM, 0]);
    // Another checksum than that of what it knows of us.
    let different = presence([0x12, 0x34]);
    let is_table_wanted =
        |message: &EnrpMessage<'_>| matches!(message, EnrpMessage::HandleTableRequest(_));
    // We are its mentor: it asks for a list, then for the table.
    peer.ask_enrp(&different, |message| matches!(message, EnrpMessage::ListRequest(_)))?;
    peer.send(Ppid::ENRP, &crafted::message(6, &[&between]))?;
    peer.await_enrp(is_table_wanted).context("no table is asked for on the way in")?;
    peer.send(Ppid::ENRP, &crafted::message(3, &[&between, &mixed, &first, &other]))?;
    peer.ask_enrp(&different, is_table_wanted).context("no table is asked for in an audit")?;
    peer.send(Ppid::ENRP, &crafted::message(3, &[&between, &long, &first]))?;
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
    let mut registrar = Probe::accept(FALSE_REGISTRAR, seed)?;
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
    let mut registrar = Probe::accept(FALSE_REGISTRAR, seed)?;
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
    let mut sender = Probe::connect(OWN, GUEST, 3863, seed)?;
    sender.send(Ppid::ASAP, &crafted::message(5, &[&crafted::long_pool()]))?;
    sender.0.next(PATIENCE)?;
    let died = program.await_end(&mut guest, PATIENCE);
    lab.check("rspregistrar dies of the first such handle", died)
}

fn ids(answer: &Answer) -> Vec<PeId> {
    answer.elements.iter().map(|(id, _)| *id).collect()
}

/// An element of the sender's, in a pool by weights.
fn weighted(element: u32, weight: u32) -> Vec<u8> {
    let policy = crafted::policy(&[WEIGHTED_RANDOM, weight]);
    crafted::element(element, 0, &[&crafted::transport(OWN_ADDRESS, 5006, 1), &policy])
}

/// Two elements of one answer that cannot be in one pool.
fn mixed_elements() -> Vec<u8> {
    let (transport, policy) =
        (crafted::transport(OWN_ADDRESS, 5006, 1), crafted::policy(&[ROUND_ROBIN]));
    let first = crafted::element(ELEMENT, FALSE_IDENTIFIER, &[&transport, &policy]);
    [first, weighted(ELEMENT + 1, 0)].concat()
}

const REGISTRAR: &str = "10.77.0.10";
const FALSE_REGISTRAR: &str = "10.77.0.14";
const FALSE_IDENTIFIER: u32 = 0x1414_1414;

/// The sender.
const OWN: &str = "10.77.0.13";
const OWN_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 13);
const PEER: u32 = 0x4444_4444;
const ELEMENT: u32 = 0x3333_0001;
