//! Settings as text: `key=value`, separated by blanks.

use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

use rserpool_core::compute::KernelSet;
use rserpool_core::compute::kernels::StandardKernels;
use rserpool_core::identifier::PoolHandle;

use super::{Address, PolicySetting, ProfileSetting, RegistrarAddress, Settings, Transport};

/// A setting that cannot be read: which one, and what would be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SettingError<'t> {
    /// The key, or the whole word if it has none.
    pub key: &'t str,
    /// The value.
    pub value: &'t str,
    /// What would be right.
    pub expected: &'static str,
}

impl fmt::Display for SettingError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, value, expected } = self;
        // Nobody's key belongs into a log.
        if *key == "key" {
            return write!(f, "key=...: expected {expected}");
        }
        write!(f, "{key}={value}: expected {expected}")
    }
}

impl core::error::Error for SettingError<'_> {}

/// What is right for a value.
type Expected = &'static str;

impl Settings {
    /// Changes what `text` says: settings separated by blanks, of the form `key=value`.
    ///
    /// The first `registrar=` replaces the list, further ones add to it.
    ///
    /// # Errors
    ///
    /// At the first setting that cannot be read; those before it hold.
    pub fn apply<'t>(&mut self, text: &'t str) -> Result<(), SettingError<'t>> {
        let mut names_registrars = false;
        for word in text.split_ascii_whitespace() {
            let Some((key, value)) = word.split_once('=') else {
                return Err(SettingError { key: word, value: "", expected: "KEY=VALUE" });
            };
            if key == "registrar" && !names_registrars {
                names_registrars = true;
                self.registrars.clear();
            }
            self.set(key, value)?;
        }
        Ok(())
    }

    /// Changes one setting.
    ///
    /// # Errors
    ///
    /// If there is no such setting or the value cannot be read.
    pub fn set<'t>(&mut self, key: &'t str, value: &'t str) -> Result<(), SettingError<'t>> {
        self.try_set(key, value).map_err(|expected| SettingError { key, value, expected })
    }

    fn try_set(&mut self, key: &str, value: &str) -> Result<(), Expected> {
        match key {
            "ip" => self.address = address(value)?,
            "gw" => self.gateway = Some(value.parse().map_err(|_| "an IP address")?),
            "pool" => {
                let handle = PoolHandle::new(value.as_bytes());
                self.set_pool(handle.map_err(|_| "a pool handle of 1 to 32 bytes")?);
            }
            "registrar" if value == "none" => self.registrars.clear(),
            "registrar" => {
                let registrar = registrar(value)?;
                self.registrars.push(registrar).map_err(|_| "at most 4 registrars")?;
            }
            "announces" => self.listens_for_announces = switch(value)?,
            "transport" => {
                self.transport = match value {
                    "udp" => Transport::Udp,
                    "raw" if cfg!(feature = "raw") || !cfg!(feature = "net") => Transport::Raw,
                    "raw" => return Err("udp: this build has no raw IP"),
                    _ => return Err("udp or raw"),
                };
            }
            "udp" => self.udp_port = port(value)?,
            "profile" => {
                self.profile = match value {
                    "rsplib" => ProfileSetting::Rsplib,
                    "rfc" => ProfileSetting::Rfc,
                    _ => return Err("rsplib or rfc"),
                };
            }
            "policy" => self.policy = policy(value)?,
            "kernels" => self.kernels = kernels(value)?,
            "key" => self.key = hex(value).ok_or("64 hexadecimal digits")?,
            "id" => self.pe_id = identifier(value)?,
            "port" if port(value)? == self.asap_port => return Err("another port than `asap`"),
            "port" => self.port = port(value)?,
            "asap" if port(value)? == self.port => return Err("another port than `port`"),
            "asap" => self.asap_port = port(value)?,
            "life" => self.registration_life_ms = Some(millis(value)?),
            "rereg" => self.reregistration_ms = Some(millis(value)?),
            "heartbeat" => self.heartbeat_ms = millis(value)?,
            "cookie" => self.cookie_ms = millis(value)?,
            "grace" => self.grace_ms = millis(value)?,
            _ => return Err(KEYS),
        }
        Ok(())
    }
}

fn address(value: &str) -> Result<Address, Expected> {
    const EXPECTED: Expected = "dhcp or ADDRESS/PREFIXLENGTH";
    if value == "dhcp" || value == "auto" {
        return Ok(Address::Automatic);
    }
    let (address, prefix_len) = value.split_once('/').ok_or(EXPECTED)?;
    let address: IpAddr = address.parse().map_err(|_| EXPECTED)?;
    let prefix_len: u8 = number(prefix_len).ok_or(EXPECTED)?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    if prefix_len > bits || address.is_unspecified() || address.is_multicast() {
        return Err(EXPECTED);
    }
    Ok(Address::Static { address, prefix_len })
}

fn registrar(value: &str) -> Result<RegistrarAddress, Expected> {
    const EXPECTED: Expected = "ADDRESS:PORT or ADDRESS:PORT/UDPPORT";
    let (place, udp_port) = match value.split_once('/') {
        Some((place, udp_port)) => (place, Some(port(udp_port).map_err(|_| EXPECTED)?)),
        None => (value, None),
    };
    let (host, sctp_port) = place.rsplit_once(':').ok_or(EXPECTED)?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let address = host.parse().map_err(|_| EXPECTED)?;
    let sctp_port = port(sctp_port).map_err(|_| EXPECTED)?;
    Ok(RegistrarAddress { address, port: sctp_port, udp_port })
}

fn policy(value: &str) -> Result<PolicySetting, Expected> {
    const EXPECTED: Expected = "LeastUsed (lu), LeastUsedDegradation:PERCENT (lud), \
        PriorityLeastUsed:PERCENT (plu), RandomizedLeastUsed (rlu), RoundRobin (rr), \
        WeightedRoundRobin:N (wrr), Random (rand), WeightedRandom:N (wrand) or Priority:N (prio)";
    let (name, argument) = match value.split_once(':') {
        Some((name, argument)) => (name, Some(argument)),
        None => (value, None),
    };
    let count = || number::<u32>(argument.unwrap_or("1")).ok_or("a number behind the policy");
    let percent = || {
        let percent = argument.and_then(number::<u32>).filter(|&percent| percent <= 100);
        let percent = percent.ok_or("a percentage behind the policy")?;
        Ok::<u32, Expected>((u64::from(percent) * u64::from(u32::MAX) / 100) as u32)
    };
    let plain = match name {
        "lu" | "LeastUsed" => PolicySetting::LeastUsed,
        "rlu" | "RandomizedLeastUsed" => PolicySetting::RandomizedLeastUsed,
        "rr" | "RoundRobin" => PolicySetting::RoundRobin,
        "rand" | "Random" => PolicySetting::Random,
        "lud" | "LeastUsedDegradation" => {
            return percent().map(PolicySetting::LeastUsedDegradation);
        }
        "plu" | "PriorityLeastUsed" => return percent().map(PolicySetting::PriorityLeastUsed),
        "wrr" | "WeightedRoundRobin" => return count().map(PolicySetting::WeightedRoundRobin),
        "wrand" | "WeightedRandom" => return count().map(PolicySetting::WeightedRandom),
        "prio" | "Priority" => return count().map(PolicySetting::Priority),
        _ => return Err(EXPECTED),
    };
    if argument.is_some() { Err("no number behind this policy") } else { Ok(plain) }
}

/// `all`, or names or numbers of kernels with commas between.
fn kernels(value: &str) -> Result<u32, Expected> {
    const EXPECTED: Expected = "all, or kernels with commas between: fractal, monte-carlo, \
        sha-prefix, synthetic";
    if value == "all" {
        return Ok(u32::MAX);
    }
    let mut kernels = 0;
    for name in value.split(',') {
        let mut known = StandardKernels::IDS.iter();
        let id = known.find(|&&id| StandardKernels::name(id) == Some(name)).ok_or(EXPECTED)?;
        kernels |= 1_u32.checked_shl(id.0.into()).ok_or(EXPECTED)?;
    }
    Ok(kernels)
}

fn identifier(value: &str) -> Result<Option<u32>, Expected> {
    const EXPECTED: Expected = "random, or a number other than 0 (0x for hexadecimal)";
    if value == "random" {
        return Ok(None);
    }
    let id = match value.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => number(value),
    };
    id.filter(|&id| id != 0).map(Some).ok_or(EXPECTED)
}

fn switch(value: &str) -> Result<bool, Expected> {
    match value {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("on or off"),
    }
}

fn port(value: &str) -> Result<u16, Expected> {
    number(value).filter(|&port| port != 0).ok_or("a port from 1 to 65535")
}

fn millis(value: &str) -> Result<u32, Expected> {
    number(value).filter(|&millis| millis != 0).ok_or("a number of milliseconds, at least 1")
}

fn number<T: FromStr>(value: &str) -> Option<T> {
    value.parse().ok()
}

fn hex(value: &str) -> Option<[u8; 32]> {
    let digits = value.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let &[high, low] = pair else { return None };
        *byte = (digit(high)? << 4 | digit(low)?) as u8;
    }
    Some(bytes)
}

const KEYS: Expected = "a known setting: ip, gw, pool, registrar, announces, transport, udp, \
    profile, policy, kernels, key, id, port, asap, life, rereg, heartbeat, cookie, grace";

#[cfg(test)]
mod tests {
    use std::string::{String, ToString};

    use rserpool_core::entropy::{Entropy, SplitMix64};

    use super::*;

    fn set(text: &str) -> Settings {
        let mut settings = Settings::DEFAULT;
        settings.apply(text).unwrap();
        settings
    }

    fn refused(text: &str) -> String {
        Settings::DEFAULT.clone().apply(text).unwrap_err().to_string()
    }

    #[test]
    fn a_board_on_the_bench() {
        let settings = set("ip=127.77.0.5/8 registrar=127.0.0.1:3863/13863 transport=raw id=0x17");
        let address = "127.77.0.5".parse().unwrap();
        assert_eq!(settings.address, Address::Static { address, prefix_len: 8 });
        let endpoint = settings.registrars[0].endpoint();
        assert_eq!(endpoint.to_string(), "127.0.0.1:3863/13863");
        assert_eq!(settings.transport, Transport::Raw);
        assert_eq!(settings.pe_id, Some(0x17));
        assert_eq!(settings.pool().to_string(), "ComputePool");
    }

    #[test]
    fn registrars_replace_those_of_the_build_and_add_up() {
        let mut settings = set("registrar=10.0.0.1:3863");
        settings.apply("registrar=10.0.0.2:3863 registrar=[2001:db8::1]:3864").unwrap();
        let endpoints: std::vec::Vec<String> =
            settings.registrars.iter().map(|it| it.endpoint().to_string()).collect();
        assert_eq!(endpoints, ["10.0.0.2:3863", "[2001:db8::1]:3864"]);
        settings.apply("registrar=none").unwrap();
        assert!(settings.registrars.is_empty());
    }

    #[test]
    fn policies_have_their_long_and_short_names() {
        for (text, expected) in [
            ("lu", PolicySetting::LeastUsed),
            ("LeastUsed", PolicySetting::LeastUsed),
            ("wrr:7", PolicySetting::WeightedRoundRobin(7)),
            ("WeightedRandom:3", PolicySetting::WeightedRandom(3)),
            ("prio", PolicySetting::Priority(1)),
            ("lud:100", PolicySetting::LeastUsedDegradation(u32::MAX)),
        ] {
            let mut settings = Settings::DEFAULT;
            settings.set("policy", text).unwrap();
            assert_eq!(settings.policy, expected, "{text}");
        }
    }

    #[test]
    fn kernels_are_named() {
        assert_eq!(set("kernels=fractal,synthetic").kernels, 1 << 1 | 1 << 4);
        assert_eq!(set("kernels=all").kernels, u32::MAX);
    }

    #[test]
    fn a_key_has_64_digits() {
        let key = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";
        assert_eq!(set(&std::format!("key={key}")).key[15..18], [0xff, 0, 0x11]);
        assert_eq!(refused("key=0011"), "key=...: expected 64 hexadecimal digits");
        let odd = key.replace('0', "g");
        assert!(refused(&std::format!("key={odd}")).starts_with("key=...: expected"));
    }

    #[test]
    fn errors_say_what_would_be_right() {
        for (text, expected) in [
            ("ip=10.0.0.1", "ip=10.0.0.1: expected dhcp or ADDRESS/PREFIXLENGTH"),
            ("ip=10.0.0.1/33", "ip=10.0.0.1/33: expected dhcp or ADDRESS/PREFIXLENGTH"),
            ("ip=239.0.0.1/8", "ip=239.0.0.1/8: expected dhcp or ADDRESS/PREFIXLENGTH"),
            ("gw=router", "gw=router: expected an IP address"),
            ("pool=", "pool=: expected a pool handle of 1 to 32 bytes"),
            ("transport=tcp", "transport=tcp: expected udp or raw"),
            ("id=0", "id=0: expected random, or a number other than 0 (0x for hexadecimal)"),
            ("port=0", "port=0: expected a port from 1 to 65535"),
            ("port=3863", "port=3863: expected another port than `asap`"),
            ("policy=wrr:x", "policy=wrr:x: expected a number behind the policy"),
            ("policy=lud", "policy=lud: expected a percentage behind the policy"),
            ("policy=rr:1", "policy=rr:1: expected no number behind this policy"),
            ("life=0", "life=0: expected a number of milliseconds, at least 1"),
            ("verbose", "verbose=: expected KEY=VALUE"),
        ] {
            assert_eq!(refused(text), expected);
        }
        for text in ["registrar=10.0.0.1", "registrar=:3863", "registrar=10.0.0.1:3863/0"] {
            assert!(refused(text).contains("ADDRESS:PORT or ADDRESS:PORT/UDPPORT"), "{text}");
        }
        assert!(refused("poool=x").contains("a known setting: ip, gw, pool"));
        assert!(refused("kernels=fractal,").contains("monte-carlo"));
        let fifth = "registrar=10.0.0.1:1 ".repeat(5);
        assert!(refused(&fifth).contains("at most 4 registrars"));
    }

    #[test]
    fn rubbish_never_panics() {
        let mut random = SplitMix64::new(5);
        let alphabet = b"=:/.[]0123456789abcdefx, registrarippolicykeyid\xc3\xa9";
        for _ in 0..20_000 {
            let len = random.below(40) as usize;
            let bytes = (0..len).map(|_| alphabet[random.below(alphabet.len() as u64) as usize]);
            let bytes: std::vec::Vec<u8> = bytes.collect();
            let _ = Settings::DEFAULT.clone().apply(&String::from_utf8_lossy(&bytes));
        }
    }
}
