//! Messages of RSPLIB's example services and its component status reports.
//!
//! Services share a header: type, flags and a length that counts it; numbers are big endian.

use rserpool::capture::Protocol;

/// Fields by name.
pub(super) type Fields = Vec<(&'static str, String)>;

/// The gist of a message.
pub(super) fn summary(protocol: Protocol, data: &[u8]) -> String {
    let fields = fields(protocol, data);
    if fields.is_empty() {
        return format!("{} bytes", data.len());
    }
    let fields: Vec<String> =
        fields.into_iter().map(|(name, value)| format!("{name} {value}")).collect();
    fields.join(", ")
}

/// The fields of a message, as far as it has them.
pub(super) fn fields(protocol: Protocol, data: &[u8]) -> Fields {
    let fields = match protocol {
        Protocol::PingPong => ping_pong(data),
        Protocol::CalcApp => calc_app(data),
        Protocol::Fractal => fractal(data),
        Protocol::Scripting => scripting(data),
        Protocol::ComponentStatus => component_status(data),
        _ => None,
    };
    fields.unwrap_or_default()
}

fn ping_pong(data: &[u8]) -> Option<Fields> {
    let mut fields = vec![("message", u64_at(data, 4)?.to_string())];
    let text = if data.first() == Some(&2) {
        fields.push(("reply", u64_at(data, 12)?.to_string()));
        data.get(20..)?
    } else {
        data.get(12..)?
    };
    fields.push(("text", format!("\"{}\"", text.escape_ascii())));
    Some(fields)
}

fn calc_app(data: &[u8]) -> Option<Fields> {
    Some(vec![
        ("job", u32_at(data, 4)?.to_string()),
        ("size", u64_at(data, 8)?.to_string()),
        ("completed", u64_at(data, 16)?.to_string()),
    ])
}

fn fractal(data: &[u8]) -> Option<Fields> {
    if data.first() == Some(&1) {
        let double = |at| u64_at(data, at).map(f64::from_bits);
        return Some(vec![
            ("size", format!("{}x{}", u32_at(data, 4)?, u32_at(data, 8)?)),
            ("iterations", u32_at(data, 12)?.to_string()),
            ("algorithm", u32_at(data, 16)?.to_string()),
            ("C1", format!("{}+{}i", double(20)?, double(28)?)),
            ("C2", format!("{}+{}i", double(36)?, double(44)?)),
            ("N", double(52)?.to_string()),
        ]);
    }
    let (x, y, points) = (u32_at(data, 4)?, u32_at(data, 8)?, u32_at(data, 12)?);
    if (x, y, points) == (u32::MAX, u32::MAX, 0) {
        return Some(vec![("end", "of image".to_owned())]);
    }
    Some(vec![("from", format!("({x}, {y})")), ("points", points.to_string())])
}

fn scripting(data: &[u8]) -> Option<Fields> {
    let text = |at: usize| Some(format!("\"{}\"", data.get(at..)?.escape_ascii()));
    Some(match data.first()? {
        0 => vec![("reason", u32_at(data, 4)?.to_string()), ("text", text(8)?)],
        1 => vec![("text", text(4)?)],
        2 | 3 => vec![("bytes", data.get(4..)?.len().to_string())],
        5 if data.len() == 4 => vec![],
        5 | 6 => vec![("status", u32_at(data, 4)?.to_string())],
        7 => {
            let hash: String = data.get(4..24)?.iter().map(|byte| format!("{byte:02x}")).collect();
            let needed = data.get(1)? & 1 != 0;
            vec![("SHA-1", hash), ("upload needed", needed.to_string())]
        }
        _ => vec![],
    })
}

fn component_status(data: &[u8]) -> Option<Fields> {
    let text = |at: usize| {
        let text = data.get(at..)?.first_chunk::<128>()?;
        let text = text.split(|&byte| byte == 0).next()?;
        Some(format!("\"{}\"", text.escape_ascii()))
    };
    let group = match data.get(8)? {
        1 => "registrar",
        2 => "pool element",
        3 => "pool user",
        _ => "unknown component",
    };
    let mut fields = vec![
        ("sender", format!("{group} {:#x}", u64_at(data, 8)? & 0x00ff_ffff_ffff_ffff)),
        ("uptime", format!("{:.3} s", u64_at(data, 16)? as f64 / 1e6)),
        ("location", text(28)?),
        ("status", text(156)?),
    ];
    let workload = u32_at(data, 284)?;
    if workload >> 16 != 0xffff {
        let percent = f64::from(workload >> 16) / f64::from(0xfffe_u32) * 100.0;
        fields.push(("workload", format!("{percent:.1}%")));
    }
    fields.push(("associations", (workload & 0xffff).to_string()));
    Some(fields)
}

fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..)?.first_chunk().map(|&bytes| u32::from_be_bytes(bytes))
}

fn u64_at(data: &[u8], at: usize) -> Option<u64> {
    data.get(at..)?.first_chunk().map(|&bytes| u64::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_calc_app_request_shows_its_job() {
        let request = b"\x01\0\0\x18\0\0\0\x01\0\0\0\0\0\x08\x8a\xc9\0\0\0\0\0\0\0\0";
        assert_eq!(summary(Protocol::CalcApp, request), "job 1, size 559817, completed 0");
    }

    #[test]
    fn a_cut_message_shows_its_length() {
        assert_eq!(summary(Protocol::CalcApp, &[1, 0, 0, 24, 0]), "5 bytes");
    }
}
