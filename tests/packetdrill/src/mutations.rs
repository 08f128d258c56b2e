//! Scripts made wrong on purpose, each in one place. The runner must notice every one of them.

use std::fs;
use std::path::Path;

use rserpool_core::entropy::{Entropy, SplitMix64};

use crate::chunk::{Body, Chunk, Content, Tlv, kinds};
use crate::runner::Runner;
use crate::script::{Action, Call, Event, Packet, PacketBody, Script, Time};
use crate::tree::Value;
use crate::{System, seed};

/// Draws what the wrong numbers are; printed with every finding.
const SEED: u64 = 9_260;
/// The least number of wrong scripts, so that the test does not pass for want of any.
const COUNT_MIN: usize = 4_000;

#[test]
fn no_script_passes_with_one_thing_wrong_in_it() {
    let mut random = SplitMix64::new(SEED);
    let (mut count, mut passed) = (0, Vec::new());
    for (name, text) in scripts() {
        let Some(script) = passing(&name, &text) else { continue };
        for (index, event) in script.events.iter().enumerate() {
            for (what, wrong) in wrong_events(&script, index, &mut random) {
                let mut events = script.events.clone();
                events.splice(index..=index, wrong);
                let wrong = Script { events, ..script.clone() };
                count += 1;
                if Runner::run(&wrong, seed(&name), false).is_ok() {
                    passed.push(format!("{name} line {}: {what}", event.line));
                }
            }
        }
    }
    assert_eq!(passed, [""; 0], "seed {SEED}");
    assert!(count >= COUNT_MIN, "{count} wrong scripts");
}

/// All scripts of ours: their names and texts.
pub(crate) fn scripts() -> Vec<(String, String)> {
    let folders = ["purposes", "variants"];
    let folder = |name| Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let files = folders.into_iter().flat_map(|name| fs::read_dir(folder(name)).unwrap());
    let mut scripts: Vec<_> = files
        .map(|file| {
            let path = file.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).unwrap())
        })
        .collect();
    scripts.sort();
    scripts
}

/// A script as it passes: with the blocks of one system or the other.
pub(crate) fn passing(name: &str, text: &str) -> Option<Script> {
    [System::Linux, System::FreeBsd].into_iter().find_map(|system| {
        let script = Script::parse(text, system.symbol()).ok()?;
        Runner::run(&script, seed(name), false).ok().map(|()| script)
    })
}

/// What can stand in the place of an event and must not pass.
fn wrong_events(
    script: &Script,
    index: usize,
    random: &mut SplitMix64,
) -> Vec<(String, Vec<Event>)> {
    let event = &script.events[index];
    match &event.action {
        Action::Expect(packet) => {
            let mut wrong = wrong_times(script, index);
            let PacketBody::Chunks(chunks) = &packet.body else { return wrong };
            for (what, chunks) in wrong_chunks(chunks, random) {
                let mut packet = packet.clone();
                packet.body = PacketBody::Chunks(chunks);
                wrong
                    .push((what, vec![Event { action: Action::Expect(packet), ..event.clone() }]));
            }
            wrong
        }
        Action::Call(call) => wrong_calls(call)
            .into_iter()
            .map(|call| (call.0, vec![Event { action: Action::Call(call.1), ..event.clone() }]))
            .collect(),
        Action::Inject(packet) => wrong_injections(script, index, packet),
        Action::Shell => Vec::new(),
    }
}

/// A packet that is answered at once, and is spoilt on its way.
fn wrong_injections(script: &Script, index: usize, packet: &Packet) -> Vec<(String, Vec<Event>)> {
    let is_answered = script.events.get(index + 1).is_some_and(|next| {
        next.time == Time::Relative(0) && matches!(next.action, Action::Expect(_))
    });
    if !is_answered || script.tolerance_us >= 50_000 {
        return Vec::new();
    }
    let event = |packet| Event { action: Action::Inject(packet), ..script.events[index].clone() };
    let spoilt = Packet { has_bad_checksum: true, ..packet.clone() };
    vec![("spoilt".into(), vec![event(spoilt)])]
}

/// A packet that comes when it should not, twice, or never.
fn wrong_times(script: &Script, index: usize) -> Vec<(String, Vec<Event>)> {
    let event = &script.events[index];
    let mut wrong = Vec::new();
    let later = |us: u64| us + us + 2 * script.tolerance_us + 1_000;
    let time = match event.time {
        Time::Relative(us) => Some(Time::Relative(later(us))),
        Time::Absolute(us) => Some(Time::Absolute(later(us))),
        Time::Any => None,
    };
    if let Some(time) = time {
        wrong.push(("another time".into(), vec![Event { time, ..event.clone() }]));
    }
    // Nothing is sent again within 50 ms.
    if script.tolerance_us < 50_000 {
        let again = Event { time: Time::Relative(0), ..event.clone() };
        wrong.push(("twice".into(), vec![event.clone(), again]));
    }
    let next = script.events[index + 1..].iter().find_map(|event| match &event.action {
        Action::Expect(_) => Some(event.time),
        _ => None,
    });
    // What is due at once was sent whatever follows, and the next packet is not like it.
    let is_noticed = next.is_some_and(|time| time != Time::Any);
    if is_noticed && event.time == Time::Relative(0) && script.tolerance_us < 50_000 {
        wrong.push(("not expected".into(), Vec::new()));
    }
    wrong
}

/// The chunks of a packet with one thing wrong in them.
fn wrong_chunks(chunks: &[Chunk], random: &mut SplitMix64) -> Vec<(String, Vec<Chunk>)> {
    let mut wrong = Vec::new();
    let more = Chunk { kind: kinds::COOKIE_ACK, flags: None, len: None, body: Body::Nothing };
    let first = std::iter::once(more.clone()).chain(chunks.iter().cloned());
    wrong.push(("a chunk more in front".to_owned(), first.collect()));
    let last = chunks.iter().cloned().chain([more]);
    wrong.push(("a chunk more".to_owned(), last.collect()));
    for (index, chunk) in chunks.iter().enumerate() {
        let mut put = |what: &str, changed: Chunk| {
            let mut chunks = chunks.to_vec();
            chunks[index] = changed;
            wrong.push((format!("chunk {index}: {what}"), chunks));
        };
        put("type", Chunk { kind: chunk.kind ^ 0x10, ..chunk.clone() });
        if let Some(flags) = chunk.flags {
            let flags = Some(flags ^ (1 << random.below(8)));
            put("flgs", Chunk { flags, ..chunk.clone() });
        }
        if let Some(len) = chunk.len {
            let len = Some(len.wrapping_add(1 + random.below(1_000) as u16));
            put("len", Chunk { len, ..chunk.clone() });
        }
        for (what, body) in wrong_bodies(chunk, random) {
            put(&what, Chunk { body, ..chunk.clone() });
        }
        if chunks.len() > 1 {
            let mut fewer = chunks.to_vec();
            fewer.remove(index);
            wrong.push((format!("chunk {index} is not expected"), fewer));
            let mut turned = chunks.to_vec();
            turned.rotate_left(1);
            if turned != chunks {
                wrong.push(("another order".to_owned(), turned));
            }
        }
    }
    wrong
}

/// A number of a chunk.
enum Place<'b> {
    Long(&'b mut Option<u32>),
    Short(&'b mut Option<u16>),
}

/// The numbers of a chunk that are compared with what was sent. Those of the endpoint's INIT and
/// INIT ACK can be any: they give the endpoint's numbers their names.
fn numbers(body: &mut Body) -> Vec<Place<'_>> {
    use Place::{Long, Short};
    match body {
        Body::Data { tsn, stream, sequence, ppid } => {
            vec![Long(tsn), Short(stream), Short(sequence), Long(ppid)]
        }
        Body::Init(init) => {
            vec![Long(&mut init.a_rwnd), Short(&mut init.outbound), Short(&mut init.inbound)]
        }
        Body::Sack(sack) => vec![Long(&mut sack.cumulative), Long(&mut sack.a_rwnd)],
        Body::Cumulative(tsn) => vec![Long(tsn)],
        Body::Tlvs(_) | Body::Bytes(_) | Body::Nothing => Vec::new(),
    }
}

fn wrong_bodies(chunk: &Chunk, random: &mut SplitMix64) -> Vec<(String, Body)> {
    let mut bodies = Vec::new();
    let by = 1 + random.below(60_000) as u32;
    for index in 0.. {
        let mut body = chunk.body.clone();
        let Some(number) = numbers(&mut body).into_iter().nth(index) else { break };
        let is_changed = match number {
            Place::Long(number) => change(number, |number| number.wrapping_add(by)),
            Place::Short(number) => change(number, |number| number.wrapping_add(by as u16)),
        };
        if is_changed {
            bodies.push((format!("number {index}"), body));
        }
    }
    let mut put = |what: &str, change: &dyn Fn(&mut Body) -> bool| {
        let mut body = chunk.body.clone();
        if change(&mut body) {
            bodies.push((what.to_owned(), body));
        }
    };
    put("a gap more", &|body| match body {
        Body::Sack(sack) => sack.gaps.as_mut().map(|gaps| gaps.push((90, 91))).is_some(),
        _ => false,
    });
    put("a gap fewer", &|body| match body {
        Body::Sack(sack) => sack.gaps.as_mut().and_then(Vec::pop).is_some(),
        _ => false,
    });
    put("another gap", &|body| match body {
        Body::Sack(sack) => {
            let last = sack.gaps.as_mut().and_then(|gaps| gaps.last_mut());
            last.map(|gap| gap.1 += 1).is_some()
        }
        _ => false,
    });
    put("a duplicate more", &|body| match body {
        Body::Sack(sack) => sack.duplicates.as_mut().map(|dups| dups.push(by)).is_some(),
        _ => false,
    });
    put("a duplicate fewer", &|body| match body {
        Body::Sack(sack) => sack.duplicates.as_mut().and_then(Vec::pop).is_some(),
        _ => false,
    });
    put("bytes", &|body| match body {
        Body::Bytes(Some(bytes)) => bytes.last_mut().map(|byte| *byte ^= by as u8 | 1).is_some(),
        _ => false,
    });
    put("a parameter more", &|body| match parameters(body) {
        Some(tlvs) => {
            tlvs.push(Tlv { kind: Some(0xfff0), len: None, content: Content::Bytes(None) });
            true
        }
        None => false,
    });
    put("a parameter fewer", &|body| parameters(body).is_some_and(|tlvs| tlvs.pop().is_some()));
    put("another parameter", &|body| {
        let first = parameters(body).and_then(|tlvs| tlvs.first_mut());
        first.is_some_and(|tlv| change(&mut tlv.kind, |kind| kind ^ by as u16))
    });
    put("a parameter's content", &|body| {
        let last = parameters(body).and_then(|tlvs| tlvs.last_mut());
        last.is_some_and(|tlv| change_content(&mut tlv.content))
    });
    bodies
}

fn change<T: Copy>(number: &mut Option<T>, to: impl Fn(T) -> T) -> bool {
    *number = number.map(to);
    number.is_some()
}

fn parameters(body: &mut Body) -> Option<&mut Vec<Tlv>> {
    match body {
        Body::Init(init) => init.parameters.as_mut(),
        Body::Tlvs(tlvs) => tlvs.as_mut(),
        _ => None,
    }
}

fn change_content(content: &mut Content) -> bool {
    match content {
        Content::Bytes(Some(bytes)) => {
            bytes.push(1);
            true
        }
        Content::Tlvs(Some(tlvs)) => {
            tlvs.last_mut().is_some_and(|tlv| change_content(&mut tlv.content))
        }
        Content::Chunk(Some(chunk)) => change(&mut chunk.flags, |flags| flags ^ 1),
        Content::Bytes(None) | Content::Tlvs(None) | Content::Chunk(None) => false,
    }
}

/// A call with one thing wrong in what it is to return.
fn wrong_calls(call: &Call) -> Vec<(String, Call)> {
    let mut wrong = Vec::new();
    let mut put = |what: &str, call: Call| wrong.push((format!("{}: {what}", call.name), call));
    // What these return is only a name.
    let is_named = matches!(call.name.as_str(), "socket" | "accept") && call.result >= 0;
    if !is_named {
        put("result", Call { result: call.result + 1, ..call.clone() });
    }
    if call.errno.is_some() {
        put("errno", Call { errno: Some("ENOTTY".into()), ..call.clone() });
    }
    if call.name == "getsockopt" {
        let mut changed = call.clone();
        let is_changed = match &mut changed.arguments[3] {
            Value::List(error) if error != &[Value::Any] => {
                *error = vec![Value::Word("ENOTTY".into())];
                true
            }
            Value::Struct(fields) => fields.iter_mut().any(|(_, value)| match value {
                Value::Number(number) => {
                    *number += 1;
                    true
                }
                _ => false,
            }),
            _ => false,
        };
        if is_changed {
            put("value", changed);
        }
    }
    wrong
}
