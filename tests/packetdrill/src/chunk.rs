//! The chunks, parameters and error causes that scripts can name.
//!
//! A field that is not given (`...`) is not compared in what comes from the endpoint, and is zero
//! or empty in what goes to it.

use crate::error::ScriptError;
use crate::tree::{Fields, Node, Value};

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Chunk {
    pub(crate) kind: u8,
    pub(crate) flags: Option<u8>,
    /// The length field, where the script can set it.
    pub(crate) len: Option<u16>,
    pub(crate) body: Body,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Body {
    Data {
        tsn: Option<u32>,
        stream: Option<u16>,
        sequence: Option<u16>,
        ppid: Option<u32>,
    },
    Init(Init),
    Sack(Sack),
    /// A list of parameters or causes, which is all there is.
    Tlvs(Option<Vec<Tlv>>),
    Cumulative(Option<u32>),
    Bytes(Option<Vec<u8>>),
    Nothing,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Init {
    pub(crate) tag: Option<u32>,
    pub(crate) a_rwnd: Option<u32>,
    pub(crate) outbound: Option<u16>,
    pub(crate) inbound: Option<u16>,
    pub(crate) tsn: Option<u32>,
    pub(crate) parameters: Option<Vec<Tlv>>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sack {
    pub(crate) cumulative: Option<u32>,
    pub(crate) a_rwnd: Option<u32>,
    pub(crate) gaps: Option<Vec<(u16, u16)>>,
    pub(crate) duplicates: Option<Vec<u32>>,
}

/// A parameter or an error cause.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tlv {
    /// `None` is not compared.
    pub(crate) kind: Option<u16>,
    /// The length field; `None` follows from the content, or is not compared.
    pub(crate) len: Option<u16>,
    pub(crate) content: Content,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content {
    Bytes(Option<Vec<u8>>),
    Tlvs(Option<Vec<Tlv>>),
    Chunk(Option<Box<Chunk>>),
}

/// The types of chunks.
pub(crate) mod kinds {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const INIT: u8 = 1;
    pub(crate) const INIT_ACK: u8 = 2;
    pub(crate) const SACK: u8 = 3;
    pub(crate) const HEARTBEAT: u8 = 4;
    pub(crate) const HEARTBEAT_ACK: u8 = 5;
    pub(crate) const ABORT: u8 = 6;
    pub(crate) const SHUTDOWN: u8 = 7;
    pub(crate) const SHUTDOWN_ACK: u8 = 8;
    pub(crate) const ERROR: u8 = 9;
    pub(crate) const COOKIE_ECHO: u8 = 10;
    pub(crate) const COOKIE_ACK: u8 = 11;
    pub(crate) const SHUTDOWN_COMPLETE: u8 = 14;

    pub(crate) const NAMES: [(&str, u8); 13] = [
        ("DATA", DATA),
        ("INIT", INIT),
        ("INIT_ACK", INIT_ACK),
        ("SACK", SACK),
        ("HEARTBEAT", HEARTBEAT),
        ("HEARTBEAT_ACK", HEARTBEAT_ACK),
        ("ABORT", ABORT),
        ("SHUTDOWN", SHUTDOWN),
        ("SHUTDOWN_ACK", SHUTDOWN_ACK),
        ("ERROR", ERROR),
        ("COOKIE_ECHO", COOKIE_ECHO),
        ("COOKIE_ACK", COOKIE_ACK),
        ("SHUTDOWN_COMPLETE", SHUTDOWN_COMPLETE),
    ];

    /// The type that `name` names.
    pub(crate) fn by_name(name: &str) -> Option<u8> {
        NAMES.iter().find(|(known, _)| *known == name).map(|&(_, kind)| kind)
    }

    /// What a type is called.
    pub(crate) fn name_of(kind: u8) -> Option<&'static str> {
        NAMES.iter().find(|(_, known)| *known == kind).map(|&(name, _)| name)
    }
}

pub(crate) const STATE_COOKIE: u16 = 7;
pub(crate) const HEARTBEAT_INFORMATION: u16 = 1;

impl Chunk {
    pub(crate) fn from_node(node: Node) -> Result<Self, ScriptError> {
        if node.name == "CHUNK" {
            return raw_chunk(Fields::of(node));
        }
        let kind = kinds::by_name(&node.name)
            .ok_or_else(|| ScriptError::new(node.at, format!("unknown chunk {}", node.name)))?;
        let mut fields = Fields::of(node);
        let flags = flags(&mut fields, kind)?;
        let mut len = None;
        let body = match kind {
            kinds::DATA => {
                len = fields.number("len")?;
                Body::Data {
                    tsn: fields.number("tsn")?,
                    stream: fields.number("sid")?,
                    sequence: fields.number("ssn")?,
                    ppid: fields.number("ppid")?,
                }
            }
            kinds::INIT | kinds::INIT_ACK => Body::Init(init(&mut fields)?),
            kinds::SACK => Body::Sack(sack(&mut fields)?),
            kinds::HEARTBEAT | kinds::HEARTBEAT_ACK => Body::Tlvs(tail(&mut fields, parameter)?),
            kinds::ABORT | kinds::ERROR => Body::Tlvs(tail(&mut fields, cause)?),
            kinds::SHUTDOWN => Body::Cumulative(fields.number("cum_tsn")?),
            kinds::COOKIE_ECHO => {
                len = fields.number("len")?;
                Body::Bytes(fields.numbers("val")?)
            }
            _ => Body::Nothing,
        };
        fields.end()?;
        Ok(Self { kind, flags, len, body })
    }

    /// Whether an INIT has all that an INIT must have.
    pub(crate) fn is_init(&self) -> bool {
        self.kind == kinds::INIT && matches!(self.body, Body::Init(_))
    }

    /// Whether the T bit is set.
    pub(crate) fn has_t_bit(&self) -> bool {
        matches!(self.kind, kinds::ABORT | kinds::SHUTDOWN_COMPLETE)
            && self.flags.is_some_and(|flags| flags & 1 != 0)
    }
}

fn raw_chunk(mut fields: Fields) -> Result<Chunk, ScriptError> {
    let kind = match fields.value("type")? {
        Value::Number(number) => u8::try_from(number).ok(),
        Value::Word(word) => kinds::by_name(&word),
        _ => None,
    };
    let kind = kind.ok_or_else(|| fields.wrong("type= takes a chunk type"))?;
    let flags = flags(&mut fields, kind)?;
    let len = fields.number("len")?;
    let body = Body::Bytes(fields.numbers("val")?);
    fields.end()?;
    Ok(Chunk { kind, flags, len, body })
}

fn flags(fields: &mut Fields, kind: u8) -> Result<Option<u8>, ScriptError> {
    let letters = match kind {
        kinds::DATA => "EBUI",
        kinds::ABORT | kinds::SHUTDOWN_COMPLETE => "T",
        _ => "",
    };
    match fields.value("flgs")? {
        Value::Any => Ok(None),
        Value::Number(number) => {
            u8::try_from(number).map(Some).map_err(|_| fields.wrong("flgs= is too large"))
        }
        Value::Word(word) => {
            let bits = word.chars().map(|letter| letters.find(letter).map(|bit| 1u8 << bit));
            let bits: Option<Vec<u8>> = bits.collect();
            let bits = bits.ok_or_else(|| fields.wrong(&format!("it has no flags {word}")))?;
            Ok(Some(bits.into_iter().fold(0, |all, bit| all | bit)))
        }
        _ => Err(fields.wrong("flgs= takes a number or letters")),
    }
}

fn init(fields: &mut Fields) -> Result<Init, ScriptError> {
    Ok(Init {
        tag: fields.number("tag")?,
        a_rwnd: fields.number("a_rwnd")?,
        outbound: fields.number("os")?,
        inbound: fields.number("is")?,
        tsn: fields.number("tsn")?,
        parameters: tail(fields, parameter)?,
    })
}

fn sack(fields: &mut Fields) -> Result<Sack, ScriptError> {
    let (cumulative, a_rwnd) = (fields.number("cum_tsn")?, fields.number("a_rwnd")?);
    let gaps = match fields.list("gaps")? {
        None => None,
        Some(values) => {
            let gaps = values.into_iter().map(|value| match value {
                Value::Pair(start, end) => Some((start.try_into().ok()?, end.try_into().ok()?)),
                _ => None,
            });
            let gaps: Option<Vec<(u16, u16)>> = gaps.collect();
            Some(gaps.ok_or_else(|| fields.wrong("gaps= takes a list of start:end"))?)
        }
    };
    Ok(Sack { cumulative, a_rwnd, gaps, duplicates: fields.numbers("dups")? })
}

fn tail(
    fields: &mut Fields,
    convert: fn(Node) -> Result<Tlv, ScriptError>,
) -> Result<Option<Vec<Tlv>>, ScriptError> {
    fields.nodes()?.map(|nodes| nodes.into_iter().map(convert).collect()).transpose()
}

/// The nodes of a list-valued field.
fn nodes(
    fields: &mut Fields,
    name: &str,
    convert: fn(Node) -> Result<Tlv, ScriptError>,
) -> Result<Option<Vec<Tlv>>, ScriptError> {
    let Some(values) = fields.list(name)? else { return Ok(None) };
    let tlvs = values.into_iter().map(|value| match value {
        Value::Node(node) => convert(node),
        _ => Err(fields.wrong(&format!("{name}= takes a list of parameters"))),
    });
    tlvs.collect::<Result<_, _>>().map(Some)
}

fn parameter(node: Node) -> Result<Tlv, ScriptError> {
    let (name, at) = (node.name.clone(), node.at);
    let mut fields = Fields::of(node);
    let mut len = None;
    let (kind, content) = match name.as_str() {
        "HEARTBEAT_INFORMATION" | "STATE_COOKIE" => {
            let kind = if name == "STATE_COOKIE" { STATE_COOKIE } else { HEARTBEAT_INFORMATION };
            if fields.is_any() {
                return Ok(Tlv { kind: Some(kind), len, content: Content::Bytes(None) });
            }
            len = fields.number("len")?;
            (kind, Content::Bytes(fields.numbers("val")?))
        }
        "IPV4_ADDRESS" | "IPV6_ADDRESS" => address(&mut fields, name == "IPV4_ADDRESS")?,
        "UNRECOGNIZED_PARAMETER" => (8, Content::Tlvs(nodes(&mut fields, "params", parameter)?)),
        "COOKIE_PRESERVATIVE" => {
            let increment: Option<u32> = fields.number("incr")?;
            (9, Content::Bytes(increment.map(|increment| increment.to_be_bytes().to_vec())))
        }
        "HOSTNAME_ADDRESS" => (11, Content::Bytes(host_name(&mut fields)?)),
        "SUPPORTED_ADDRESS_TYPES" => (12, Content::Bytes(address_types(&mut fields)?)),
        "PARAMETER" => {
            let kind = fields.number("type")?;
            len = fields.number("len")?;
            let content = Content::Bytes(fields.numbers("val")?);
            fields.end()?;
            return Ok(Tlv { kind, len, content });
        }
        _ => return Err(ScriptError::new(at, format!("unknown parameter {name}"))),
    };
    fields.end()?;
    Ok(Tlv { kind: Some(kind), len, content })
}

fn address(fields: &mut Fields, is_v4: bool) -> Result<(u16, Content), ScriptError> {
    match (fields.value("addr")?, is_v4) {
        (Value::Any, true) => Ok((5, Content::Bytes(None))),
        (Value::Any, false) => Ok((6, Content::Bytes(None))),
        (Value::V4(address), true) => Ok((5, Content::Bytes(Some(address.octets().to_vec())))),
        (Value::V6(address), false) => Ok((6, Content::Bytes(Some(address.octets().to_vec())))),
        (Value::Text(text), _) => match (text.parse(), is_v4) {
            (Ok(std::net::IpAddr::V4(address)), true) => {
                Ok((5, Content::Bytes(Some(address.octets().to_vec()))))
            }
            (Ok(std::net::IpAddr::V6(address)), false) => {
                Ok((6, Content::Bytes(Some(address.octets().to_vec()))))
            }
            _ => Err(fields.wrong("addr= is no address of this family")),
        },
        _ => Err(fields.wrong("addr= is no address of this family")),
    }
}

fn host_name(fields: &mut Fields) -> Result<Option<Vec<u8>>, ScriptError> {
    match fields.value("addr")? {
        Value::Any => Ok(None),
        Value::Text(text) => Ok(Some(text.bytes().chain([0]).collect())),
        _ => Err(fields.wrong("addr= takes a name in quotes")),
    }
}

fn address_types(fields: &mut Fields) -> Result<Option<Vec<u8>>, ScriptError> {
    let Some(values) = fields.list("types")? else { return Ok(None) };
    let kinds = values.into_iter().map(|value| match value {
        Value::Word(word) if word == "IPv4" => Some(5),
        Value::Word(word) if word == "IPv6" => Some(6),
        Value::Number(number) => u16::try_from(number).ok(),
        _ => None,
    });
    let kinds: Option<Vec<u16>> = kinds.collect();
    let kinds = kinds.ok_or_else(|| fields.wrong("types= takes IPv4, IPv6 and numbers"))?;
    Ok(Some(kinds.into_iter().flat_map(u16::to_be_bytes).collect()))
}

fn cause(node: Node) -> Result<Tlv, ScriptError> {
    let (name, at) = (node.name.clone(), node.at);
    let mut fields = Fields::of(node);
    let (kind, content) = match name.as_str() {
        "INVALID_STREAM_IDENTIFIER" => {
            let stream: Option<u16> = fields.number("sid")?;
            let value = |stream: u16| [stream.to_be_bytes(), [0; 2]].concat();
            (1, Content::Bytes(stream.map(value)))
        }
        "MISSING_MANDATORY_PARAMETER" => {
            let kinds: Option<Vec<u16>> = fields.numbers("types")?;
            let value = |kinds: Vec<u16>| {
                let count = (kinds.len() as u32).to_be_bytes();
                count.into_iter().chain(kinds.into_iter().flat_map(u16::to_be_bytes)).collect()
            };
            (2, Content::Bytes(kinds.map(value)))
        }
        "STALE_COOKIE_ERROR" => {
            let staleness: Option<u32> = fields.number("staleness")?;
            (3, Content::Bytes(staleness.map(|staleness| staleness.to_be_bytes().to_vec())))
        }
        "UNRESOLVABLE_ADDRESS" => {
            let tlvs = match fields.value("param")? {
                Value::Any => None,
                Value::Node(node) => Some(vec![parameter(node)?]),
                _ => return Err(fields.wrong("param= takes a parameter")),
            };
            (5, Content::Tlvs(tlvs))
        }
        "UNRECOGNIZED_CHUNK_TYPE" => {
            let chunk = match fields.value("chk")? {
                Value::Any => None,
                Value::Node(node) => Some(Box::new(Chunk::from_node(node)?)),
                _ => return Err(fields.wrong("chk= takes a chunk")),
            };
            (6, Content::Chunk(chunk))
        }
        "INVALID_MANDATORY_PARAMETER" => (7, Content::Bytes(Some(Vec::new()))),
        "UNRECOGNIZED_PARAMETERS" => (8, Content::Tlvs(nodes(&mut fields, "params", parameter)?)),
        "NO_USER_DATA" => {
            let tsn: Option<u32> = fields.number("tsn")?;
            (9, Content::Bytes(tsn.map(|tsn| tsn.to_be_bytes().to_vec())))
        }
        "OUT_OF_RESOURCE" => (4, Content::Bytes(Some(Vec::new()))),
        "COOKIE_RECEIVED_WHILE_SHUTDOWN" => (10, Content::Bytes(Some(Vec::new()))),
        "RESTART_WITH_NEW_ADDRESSES" => {
            (11, Content::Tlvs(nodes(&mut fields, "params", parameter)?))
        }
        "USER_INITIATED_ABORT" => (12, Content::Bytes(info(&mut fields)?)),
        "PROTOCOL_VIOLATION" => (13, Content::Bytes(info(&mut fields)?)),
        _ => return Err(ScriptError::new(at, format!("unknown error cause {name}"))),
    };
    fields.end()?;
    Ok(Tlv { kind: Some(kind), len: None, content })
}

fn info(fields: &mut Fields) -> Result<Option<Vec<u8>>, ScriptError> {
    match fields.value("info")? {
        Value::Any => Ok(None),
        Value::Text(text) => Ok(Some(text.into_bytes())),
        _ => Err(fields.wrong("info= takes a text in quotes")),
    }
}
