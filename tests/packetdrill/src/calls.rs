//! The system calls that scripts know.

use std::time::Duration;

use rserpool_core::sctp::{Config, State, Status};
use rserpool_core::time::Instant;

use crate::script::Call;
use crate::sockets::{Descriptor, Outcome, Sockets};
use crate::tree::Value;

/// All of them.
pub(crate) const NAMES: [&str; 14] = [
    "socket",
    "bind",
    "listen",
    "connect",
    CONNECT_TO_SEVERAL,
    "accept",
    "read",
    "write",
    "shutdown",
    "abort",
    "close",
    "fcntl",
    "getsockopt",
    "setsockopt",
];
/// Whose addresses a script cannot say.
pub(crate) const CONNECT_TO_SEVERAL: &str = "sctp_connectx";

/// Makes a call and compares what it returns.
///
/// # Errors
///
/// If it returns something else, or there is no such call.
pub(crate) fn run(sockets: &mut Sockets, now: Instant, call: &Call) -> Result<(), String> {
    let arguments = call.arguments.as_slice();
    let outcome = match (call.name.as_str(), arguments) {
        ("socket", [Value::Any, Value::Word(kind), Value::Word(protocol)])
            if kind == "SOCK_STREAM" && protocol == "IPPROTO_SCTP" =>
        {
            sockets.socket(result_as_descriptor(call)?)
        }
        (name, [first, rest @ ..]) => {
            let descriptor = descriptor(first)?;
            if !sockets.is_open(descriptor) {
                return Err(format!("{name}: descriptor {descriptor} is not open"));
            }
            on_descriptor(sockets, now, call, descriptor, rest)?
        }
        (name, _) => return Err(format!("unknown call {name} with these arguments")),
    };
    compare(call, &outcome)
}

fn on_descriptor(
    sockets: &mut Sockets,
    now: Instant,
    call: &Call,
    descriptor: Descriptor,
    rest: &[Value],
) -> Result<Outcome, String> {
    Ok(match (call.name.as_str(), rest) {
        ("bind", [Value::Any, Value::Any]) => Outcome::Done(0),
        ("listen", [Value::Number(_)]) => sockets.listen(descriptor),
        ("connect", [Value::Any, Value::Any]) => sockets.connect(now, descriptor),
        ("accept", [Value::Any, Value::Any]) => {
            let accepted = result_as_descriptor(call).unwrap_or(UNNAMED);
            sockets.accept(descriptor, accepted)
        }
        ("read", [Value::Any, Value::Number(len)]) => sockets.read(now, descriptor, *len as usize),
        ("write", [Value::Any, Value::Number(len)]) => {
            sockets.write(now, descriptor, *len as usize)
        }
        ("shutdown", [Value::Word(how)]) if how == "SHUT_WR" => sockets.shutdown(now, descriptor),
        ("abort", []) => sockets.abort(now, descriptor),
        ("close", []) => sockets.close(now, descriptor),
        // Nothing in a script blocks, so the flags mean nothing.
        ("fcntl", [Value::Word(what)]) if what == "F_GETFL" => {
            let flags = [O_RDWR, O_RDWR | O_NONBLOCK_LINUX, O_RDWR | O_NONBLOCK_FREEBSD];
            Outcome::Done(if flags.contains(&call.result) { call.result } else { O_RDWR })
        }
        ("fcntl", [Value::Word(what), flags]) if what == "F_SETFL" && are_flags(flags) => {
            Outcome::Done(0)
        }
        ("getsockopt", [level, name, value, Value::List(_)]) => {
            get_option(sockets, descriptor, (level, name), value)?
        }
        ("setsockopt", [level, name, value, Value::Number(_)]) => {
            set_option(sockets, (level, name), value)?
        }
        (name, _) => return Err(format!("unknown call {name} with these arguments")),
    })
}

/// Whether a value is flags of a descriptor.
fn are_flags(value: &Value) -> bool {
    match value {
        Value::Number(_) => true,
        Value::Word(word) => word == "O_RDWR" || word == "O_NONBLOCK",
        Value::List(words) => words.iter().all(are_flags),
        _ => false,
    }
}

const O_RDWR: i64 = 0x2;
const O_NONBLOCK_LINUX: i64 = 0x800;
const O_NONBLOCK_FREEBSD: i64 = 0x4;

/// A descriptor that no script has.
const UNNAMED: Descriptor = u64::MAX;

fn descriptor(value: &Value) -> Result<Descriptor, String> {
    match value {
        Value::Number(number) => Ok(*number),
        _ => Err("the first argument is no descriptor".into()),
    }
}

fn result_as_descriptor(call: &Call) -> Result<Descriptor, String> {
    Descriptor::try_from(call.result).map_err(|_| format!("{} must succeed", call.name))
}

fn compare(call: &Call, outcome: &Outcome) -> Result<(), String> {
    let name = &call.name;
    match (outcome, &call.errno) {
        (Outcome::Done(result), _) if *result == call.result => Ok(()),
        (Outcome::Done(result), _) => {
            Err(format!("{name}: expected {}, got {result}", call.result))
        }
        (Outcome::Failed(errno), _) if call.result != -1 => {
            Err(format!("{name}: expected {}, got {errno}", call.result))
        }
        (Outcome::Failed(_), None) => Ok(()),
        (Outcome::Failed(errno), Some(expected)) if same_errno(errno, expected) => Ok(()),
        (Outcome::Failed(errno), Some(expected)) => {
            Err(format!("{name}: expected {expected}, got {errno}"))
        }
    }
}

fn same_errno(a: &str, b: &str) -> bool {
    let one = |errno| if errno == "EWOULDBLOCK" { "EAGAIN" } else { errno };
    one(a) == one(b)
}

fn get_option(
    sockets: &mut Sockets,
    descriptor: Descriptor,
    option: (&Value, &Value),
    value: &Value,
) -> Result<Outcome, String> {
    match (words(option)?, value) {
        (("SOL_SOCKET", "SO_ERROR"), Value::List(expected)) => {
            let error = sockets.take_error(descriptor);
            let is_expected = match (error, expected.as_slice()) {
                (_, [Value::Any]) | (None, [Value::Number(0)]) => true,
                (Some(error), [Value::Word(expected)]) => same_errno(error, expected),
                (Some(error), [Value::Number(number)]) => errno_number(error) == Some(*number),
                _ => false,
            };
            match is_expected {
                true => Ok(Outcome::Done(0)),
                false => Err(format!("SO_ERROR: expected {expected:?}, got {error:?}")),
            }
        }
        (("IPPROTO_SCTP", "SCTP_STATUS"), Value::Struct(fields)) => {
            let status = sockets.status(descriptor).ok_or("SCTP_STATUS: no association")?;
            for (name, expected) in fields {
                check_status(&status, name, expected)?;
            }
            Ok(Outcome::Done(0))
        }
        ((_, name), _) => Err(format!("unknown option {name} to get")),
    }
}

/// As Linux numbers them.
fn errno_number(error: &str) -> Option<u64> {
    match error {
        "ECONNRESET" => Some(104),
        "ETIMEDOUT" => Some(110),
        "ECONNREFUSED" => Some(111),
        _ => None,
    }
}

fn check_status(status: &Status, name: &str, expected: &Value) -> Result<(), String> {
    let number = match name {
        "sstat_rwnd" => u64::from(status.peer_window),
        "sstat_unackdata" => status.unacknowledged.into(),
        "sstat_penddata" => status.pending.into(),
        "sstat_instrms" => status.inbound_streams.into(),
        "sstat_outstrms" => status.outbound_streams.into(),
        "sstat_fragmentation_point" => status.fragment_len.into(),
        "sstat_state" => {
            let state = state_name(status.state);
            return match expected {
                Value::Any => Ok(()),
                Value::Word(word) if word == state => Ok(()),
                _ => Err(format!("{name}: expected {expected:?}, got {state}")),
            };
        }
        "sstat_assoc_id" | "sstat_primary" if *expected == Value::Any => return Ok(()),
        _ => return Err(format!("unknown field {name}, or no such value for it")),
    };
    match expected {
        Value::Any => Ok(()),
        Value::Number(expected) if *expected == number => Ok(()),
        _ => Err(format!("{name}: expected {expected:?}, got {number}")),
    }
}

fn state_name(state: State) -> &'static str {
    match state {
        State::Closed => "SCTP_CLOSED",
        State::CookieWait => "SCTP_COOKIE_WAIT",
        State::CookieEchoed => "SCTP_COOKIE_ECHOED",
        State::Established => "SCTP_ESTABLISHED",
        State::ShutdownPending => "SCTP_SHUTDOWN_PENDING",
        State::ShutdownReceived => "SCTP_SHUTDOWN_RECEIVED",
        State::ShutdownSent => "SCTP_SHUTDOWN_SENT",
        State::ShutdownAckSent => "SCTP_SHUTDOWN_ACK_SENT",
    }
}

fn set_option(
    sockets: &mut Sockets,
    option: (&Value, &Value),
    value: &Value,
) -> Result<Outcome, String> {
    let (level, name) = words(option)?;
    let Value::Struct(fields) = value else { return Err(format!("{name} takes {{...}}")) };
    if level != "IPPROTO_SCTP" {
        return Err(format!("unknown option {level}, {name} to set"));
    }
    let set: fn(&mut Config, &str, &Value) -> Option<()> = match name {
        "SCTP_RTOINFO" => set_rto,
        "SCTP_INITMSG" => set_init,
        "SCTP_PEER_ADDR_PARAMS" => set_path,
        _ => return Err(format!("unknown option {name} to set")),
    };
    let mut result = Ok(Outcome::Done(0));
    sockets.configure(|config| {
        for (field, value) in fields {
            if set(config, field, value).is_none() {
                result = Err(format!("{name}: {field}={value:?} is not supported"));
            }
        }
    });
    result
}

fn set_rto(config: &mut Config, field: &str, value: &Value) -> Option<()> {
    let place = match field {
        "srto_initial" => &mut config.rto_initial,
        "srto_max" => &mut config.rto_max,
        "srto_min" => &mut config.rto_min,
        "srto_assoc_id" => return Some(()),
        _ => return None,
    };
    match value {
        Value::Any | Value::Number(0) => {}
        Value::Number(number) => *place = Duration::from_millis(*number),
        _ => return None,
    }
    Some(())
}

fn set_init(config: &mut Config, field: &str, value: &Value) -> Option<()> {
    let set: fn(&mut Config, u16) -> Option<()> = match field {
        "sinit_num_ostreams" => |config, number| {
            config.outbound_streams = number;
            Some(())
        },
        "sinit_max_instreams" => |config, number| {
            config.inbound_streams_max = number;
            Some(())
        },
        "sinit_max_attempts" => |config, number| {
            config.init_retransmissions_max = u8::try_from(number).ok()?;
            Some(())
        },
        "sinit_max_init_timeo" => |config, number| {
            config.rto_init_max = Duration::from_millis(number.into());
            Some(())
        },
        _ => return None,
    };
    match value {
        // As it is.
        Value::Any | Value::Number(0) => Some(()),
        Value::Number(number) => set(config, u16::try_from(*number).ok()?),
        _ => None,
    }
}

fn set_path(config: &mut Config, field: &str, value: &Value) -> Option<()> {
    match (field, value) {
        ("spp_flags", Value::Word(_) | Value::List(_)) => {
            let words = match value {
                Value::List(words) => words.as_slice(),
                word => std::slice::from_ref(word),
            };
            for word in words {
                match word {
                    Value::Word(flag) if flag == "SPP_HB_DISABLE" => {
                        config.heartbeat_interval = None;
                    }
                    Value::Word(flag) if flag == "SPP_PMTUD_DISABLE" => {}
                    _ => return None,
                }
            }
            Some(())
        }
        (
            "spp_assoc_id" | "spp_address" | "spp_hbinterval" | "spp_pathmaxrxt" | "spp_pathmtu"
            | "spp_ipv6_flowlabel" | "spp_dscp",
            Value::Any | Value::Number(0),
        ) => Some(()),
        ("spp_pathmaxrxt", Value::Number(number)) => {
            config.path_retransmissions_max = u8::try_from(*number).ok()?;
            Some(())
        }
        ("spp_hbinterval", Value::Number(number)) => {
            config.heartbeat_interval = Some(Duration::from_millis(*number));
            Some(())
        }
        ("spp_pathmtu", Value::Number(number)) => {
            config.mtu = u16::try_from(*number).ok()?;
            Some(())
        }
        _ => None,
    }
}

fn words<'v>(option: (&'v Value, &'v Value)) -> Result<(&'v str, &'v str), String> {
    match option {
        (Value::Word(level), Value::Word(name)) => Ok((level, name)),
        _ => Err("level and name of an option are words".into()),
    }
}
