//! SHA-256, HMAC, and the cookies that are sealed with them.

use hmac::{Hmac, KeyInit, Mac};
use rserpool_core::asap::cookie::{CookieKey, OpenError, open, seal};
use rserpool_core::compute::cookie::{COOKIE_MESSAGE_LEN_MAX, Checkpoint, Control};
use rserpool_core::compute::{JobNonce, KernelId, OutputDigest, PackageId, WorkId};
use rserpool_core::identifier::PoolHandle;
use sha2::{Digest, Sha256};

use crate::Trace;

/// The examples of FIPS 180-4: no, one and two blocks.
#[must_use]
pub fn sha256() -> u64 {
    let mut trace = Trace::new();
    for (message, expected) in [
        (&b""[..], "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        ),
    ] {
        let hash: [u8; 32] = Sha256::digest(message).into();
        assert_eq!(hash, hex(expected));
        trace.bytes(&hash);
    }
    trace.digest()
}

/// Test cases 1, 2 and 6 of RFC 4231: a key of 20 bytes, a short one, and one above a block.
#[must_use]
pub fn hmac_sha256() -> u64 {
    let mut trace = Trace::new();
    for (key, message, expected) in [
        (
            &[0x0b; 20][..],
            &b"Hi There"[..],
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (
            b"Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            &[0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
    ] {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length will do");
        mac.update(message);
        let mac: [u8; 32] = mac.finalize().into_bytes().into();
        assert_eq!(mac, hex(expected));
        trace.bytes(&mac);
    }
    trace.digest()
}

const KEY: CookieKey = CookieKey::new([0x42; 32]);
const POOL: &[u8] = b"ComputePool";

/// A cookie of version 1 as Python's hmac module seals it; each changed bit is noticed.
#[must_use]
pub fn sealed_cookies() -> u64 {
    let mut buffer = [0xee; 80];
    let len = seal(&KEY, POOL, b"row17", &mut buffer).expect("room");
    let cookie = &mut buffer[..len];
    assert_eq!(cookie[..12], *b"\x01\x03\0\0row17\0\0\0");
    let mac = "d762699c";
    assert_eq!(cookie[12..16], hex::<4>(mac));
    assert_eq!(open(&KEY, POOL, cookie), Ok(&b"row17"[..]));
    assert_eq!(open(&KEY, b"OtherPool", cookie), Err(OpenError::BadMac));
    assert_eq!(open(&CookieKey::new([0; 32]), POOL, cookie), Err(OpenError::BadMac));
    for bit in 0..cookie.len() * 8 {
        cookie[bit / 8] ^= 1 << (bit % 8);
        assert!(open(&KEY, POOL, cookie).is_err(), "bit {bit}");
        cookie[bit / 8] ^= 1 << (bit % 8);
    }
    let mut trace = Trace::new();
    trace.bytes(cookie);
    trace.digest()
}

/// A checkpoint of the compute service, sealed, opened, and sent on.
#[must_use]
pub fn compute_cookies() -> u64 {
    const CHECKPOINT: Checkpoint<'_> = Checkpoint {
        work: WorkId { job: JobNonce(7), package: PackageId(300) },
        kernel: KernelId(2),
        deadline_ms: Some(5),
        done: 3,
        all: 4,
        offset: 16,
        total: 32,
        digest: OutputDigest(1),
        parameters: &[1, 2],
        state: &[3],
    };
    let pool = PoolHandle::new(POOL).expect("a handle");
    let mut buffer = [0; COOKIE_MESSAGE_LEN_MAX];
    let len = CHECKPOINT.seal(&KEY, pool, &mut buffer).expect("room");
    let Some(Control::Cookie(cookie)) = Control::parse(&buffer[..len]) else {
        panic!("it is a cookie")
    };
    assert_eq!(Checkpoint::open(&KEY, pool, cookie), Some(CHECKPOINT));
    let mut echo = [0; COOKIE_MESSAGE_LEN_MAX];
    let echo_len = Control::write_echo(cookie, &mut echo).expect("room");
    assert_eq!(Control::parse(&echo[..echo_len]), Some(Control::CookieEcho(cookie)));
    let mut trace = Trace::new();
    trace.bytes(&buffer[..len]);
    trace.bytes(&echo[..echo_len]);
    buffer[len - 1] ^= 1;
    assert_eq!(Checkpoint::open(&KEY, pool, &buffer[8..len]), None);
    trace.digest()
}

/// The bytes of hexadecimal digits.
pub(crate) fn hex<const LEN: usize>(digits: &str) -> [u8; LEN] {
    assert_eq!(digits.len(), 2 * LEN);
    core::array::from_fn(|index| {
        u8::from_str_radix(&digits[2 * index..2 * index + 2], 16).expect("digits")
    })
}
