//! A script: what happens when, and what is expected.

use std::net::Ipv4Addr;

use crate::calls;
use crate::chunk::Chunk;
use crate::error::{At, ScriptError};
use crate::lexer::{self, Kind};
use crate::tree::{Cursor, Value};

/// A script that can be run.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// How far from its time a packet may be, in microseconds.
    pub(crate) tolerance_us: u64,
    pub(crate) events: Vec<Event>,
    /// Whether it has parts for one operating system.
    pub(crate) has_blocks: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) line: u32,
    pub(crate) time: Time,
    pub(crate) action: Action,
}

/// When something happens, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Time {
    /// Since the start of the script.
    Absolute(u64),
    /// Since the previous event was over.
    Relative(u64),
    /// Whenever.
    Any,
}

#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// A packet that comes to the endpoint.
    Inject(Packet),
    /// A packet that the endpoint is to send.
    Expect(Packet),
    Call(Call),
    /// A shell command; scripts for other systems have them, and they mean nothing here.
    Shell,
}

#[derive(Clone, Debug)]
pub(crate) struct Packet {
    /// Source and destination, where the script names them.
    pub(crate) addresses: Option<(Ipv4Addr, Ipv4Addr)>,
    pub(crate) has_bad_checksum: bool,
    pub(crate) tag: Option<u32>,
    pub(crate) body: PacketBody,
}

#[derive(Clone, Debug)]
pub(crate) enum PacketBody {
    Chunks(Vec<Chunk>),
    /// All that follows the common header.
    Bytes(Vec<u8>),
}

/// A system call and what it must return.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) arguments: Vec<Value>,
    pub(crate) result: i64,
    pub(crate) errno: Option<String>,
}

/// What a script says of its tolerance if it says nothing.
const TOLERANCE_US: u64 = 4_000;

impl Script {
    /// Reads a script, with the blocks for `system` and no others.
    pub(crate) fn parse(text: &str, system: &str) -> Result<Self, ScriptError> {
        let (text, has_blocks) = lexer::preprocess(text, |name| name == system)?;
        let tokens = lexer::tokens(&text)?;
        let mut cursor = Cursor::new(&tokens);
        let mut script = Self { tolerance_us: TOLERANCE_US, events: Vec::new(), has_blocks };
        while let Some(Kind::Option(option)) = cursor.peek() {
            if option != "tolerance_usecs" {
                return Err(ScriptError::new(cursor.at(), format!("unknown --{option}")));
            }
            cursor.next();
            cursor.expect('=')?;
            script.tolerance_us = cursor.number()?;
        }
        while cursor.peek().is_some() {
            script.events.push(event(&mut cursor)?);
        }
        if script.events.is_empty() {
            return Err(ScriptError::new(At::line(1), "the script has no events"));
        }
        Ok(script)
    }
}

fn event(cursor: &mut Cursor<'_>) -> Result<Event, ScriptError> {
    let at = cursor.at();
    let time = time(cursor)?;
    let action = match cursor.peek() {
        Some(Kind::Mark('<')) => {
            cursor.next();
            Action::Inject(packet(cursor)?)
        }
        Some(Kind::Mark('>')) => {
            cursor.next();
            let (at, packet) = (cursor.at(), packet(cursor)?);
            if packet.has_bad_checksum || matches!(packet.body, PacketBody::Bytes(_)) {
                let reason = "the endpoint is to send chunks, with the right checksum";
                return Err(ScriptError::new(at, reason));
            }
            Action::Expect(packet)
        }
        Some(Kind::Shell) => {
            cursor.next();
            Action::Shell
        }
        _ => Action::Call(call(cursor)?),
    };
    if time == Time::Any && !matches!(action, Action::Expect(_)) {
        return Err(ScriptError::new(at, "'*' is for packets that the endpoint sends"));
    }
    Ok(Event { line: at.line, time, action })
}

fn time(cursor: &mut Cursor<'_>) -> Result<Time, ScriptError> {
    if cursor.eat('*') {
        return Ok(Time::Any);
    }
    let is_relative = cursor.eat('+');
    let micros = match cursor.peek() {
        Some(&Kind::Seconds(micros)) => micros,
        Some(&Kind::Number(seconds)) => seconds.saturating_mul(1_000_000),
        _ => return Err(cursor.wrong("a time")),
    };
    cursor.next();
    Ok(if is_relative { Time::Relative(micros) } else { Time::Absolute(micros) })
}

fn packet(cursor: &mut Cursor<'_>) -> Result<Packet, ScriptError> {
    let addresses = match cursor.peek() {
        Some(&Kind::V4(source)) => {
            cursor.next();
            cursor.expect('>')?;
            let Some(&Kind::V4(destination)) = cursor.next() else {
                return Err(cursor.wrong("an IPv4 address"));
            };
            Some((source, destination))
        }
        _ => None,
    };
    let at = cursor.at();
    if cursor.word()? != "sctp" {
        return Err(ScriptError::new(at, "a packet begins with 'sctp'"));
    }
    let mut packet = Packet {
        addresses,
        has_bad_checksum: false,
        tag: None,
        body: PacketBody::Bytes(Vec::new()),
    };
    if cursor.is_at('(') {
        let options = cursor.list(('(', ')'), |cursor| {
            let at = cursor.at();
            match cursor.word()? {
                "bad_crc32c" => Ok(None),
                "tag" => {
                    cursor.expect('=')?;
                    cursor.number().map(Some)
                }
                other => Err(ScriptError::new(at, format!("unknown option {other}"))),
            }
        })?;
        packet.has_bad_checksum = options.contains(&None);
        packet.tag = options.into_iter().flatten().last();
    }
    cursor.expect(':')?;
    packet.body = if cursor.is_at('[') {
        PacketBody::Bytes(cursor.list(('[', ']'), Cursor::number)?)
    } else {
        let mut chunks = vec![Chunk::from_node(cursor.node()?)?];
        while cursor.eat(';') {
            chunks.push(Chunk::from_node(cursor.node()?)?);
        }
        PacketBody::Chunks(chunks)
    };
    Ok(packet)
}

fn call(cursor: &mut Cursor<'_>) -> Result<Call, ScriptError> {
    let at = cursor.at();
    let name = cursor.word()?.to_owned();
    if !calls::NAMES.contains(&name.as_str()) {
        return Err(ScriptError::new(at, format!("unknown call {name}")));
    }
    let arguments = cursor.list(('(', ')'), Cursor::value)?;
    cursor.expect('=')?;
    let sign = if cursor.eat('-') { -1 } else { 1 };
    let result: i64 = cursor.number()?;
    let errno = match cursor.peek() {
        Some(Kind::Word(word)) => {
            cursor.next();
            Some(word.clone())
        }
        _ => None,
    };
    let mut depth = u32::from(cursor.eat('('));
    while depth > 0 {
        match cursor.next() {
            Some(Kind::Mark('(')) => depth += 1,
            Some(Kind::Mark(')')) => depth -= 1,
            Some(_) => {}
            None => return Err(cursor.wrong("')'")),
        }
    }
    Ok(Call { name, arguments, result: sign * result, errno })
}
