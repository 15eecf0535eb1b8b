//! The codec of header maps as they cross the boundary.
//!
//! In: fields, or a guest's bytes. Out: bytes (count, sizes, then each name and value NUL-terminated, little-endian), or fields.
//! Invariant: a malformed map from a guest is refused, never read past its end; at most 1024 pairs and 1 MiB, Envoy's bounds.
//! Source: ABI v0.2.1, "Serialization"; the bounds are those of proxy-wasm's C++ host. Cost: linear.

use crate::state::headers::Headers;

/// Most pairs a guest may send.
const MAX_PAIRS: usize = 1024;
/// Most bytes a guest may send.
const MAX_BYTES: usize = 1 << 20;

pub(crate) fn encoded_size(fields: &Headers) -> usize {
    if fields.is_empty() {
        0
    } else {
        4 + fields.len() * 10 + fields.byte_size()
    }
}

/// The map as the guest gets it; an empty one is no bytes at all.
pub(crate) fn encode(fields: &Headers) -> Vec<u8> {
    let mut out = Vec::with_capacity(encoded_size(fields));
    if fields.is_empty() {
        return out;
    }
    let mut number =
        |n: usize| out.extend_from_slice(&u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes());
    number(fields.len());
    for (name, value) in fields.iter() {
        number(name.len());
        number(value.len());
    }
    for (name, value) in fields.iter() {
        out.extend_from_slice(name);
        out.push(0);
        out.extend_from_slice(value);
        out.push(0);
    }
    out
}

/// A guest's map; no bytes, or one NUL, are an empty one.
pub(crate) fn decode(bytes: &[u8]) -> Option<Headers> {
    // The specification has two forms of an empty map.
    if matches!(bytes, [] | [0]) {
        return Some(Headers::new());
    }
    if bytes.len() > MAX_BYTES {
        return None;
    }
    let (count, rest) = number(bytes)?;
    if count > MAX_PAIRS {
        return None;
    }
    let (mut sizes, mut text) = rest.split_at_checked(count.checked_mul(8)?)?;
    let mut fields = Headers::new();
    for _ in 0..count {
        let (name_size, value_size);
        (name_size, sizes) = number(sizes)?;
        (value_size, sizes) = number(sizes)?;
        let (name, value);
        (name, text) = terminated(text, name_size)?;
        (value, text) = terminated(text, value_size)?;
        fields.add(name, value);
    }
    Some(fields)
}

fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((usize::try_from(u32::from_le_bytes(*number)).ok()?, rest))
}

fn terminated(bytes: &[u8], size: usize) -> Option<(&[u8], &[u8])> {
    let (text, rest) = bytes.split_at_checked(size)?;
    match rest.split_first()? {
        (0, rest) => Some((text, rest)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What holds for any bytes: a map that is read and written again is the same map. `tests/fuzz` has it too.
    fn check(bytes: &[u8]) {
        let Some(fields) = decode(bytes) else { return };
        let written = encode(&fields);
        assert_eq!(written.len(), encoded_size(&fields));
        // Names come out in lower case, and what follows a map is dropped; nothing grows.
        assert!(written.len() <= bytes.len());
        assert_eq!(decode(&written), Some(fields));
    }

    /// A short fuzzing run that is the same each time: bytes at random, and maps with bytes changed.
    #[test]
    fn any_bytes() {
        let mut seed = 1_u64;
        let mut random = move |below: usize| {
            // SplitMix64.
            seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            usize::try_from((z ^ (z >> 31)) % below.max(1) as u64).unwrap()
        };
        for _ in 0..200_000 {
            let mut bytes: Vec<u8> = if random(4) == 0 {
                (0..random(40)).map(|_| random(256) as u8).collect()
            } else {
                let text = |size: usize| "aB-:\0\u{ff}".repeat(size).into_bytes();
                encode(
                    &(0..random(5))
                        .map(|_| (text(random(3)), text(random(4))))
                        .collect(),
                )
            };
            for _ in 0..random(4) {
                let at = random(bytes.len());
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = random(256) as u8;
                }
            }
            bytes.truncate(bytes.len() - random(bytes.len() / 8));
            check(&bytes);
        }
    }

    #[test]
    fn round_trip_and_every_cut() {
        let fields = Headers::from([(&b"a"[..], &b"1"[..]), (b"b", b""), (b"a", b"\xff\0\n")]);
        let bytes = encode(&fields);
        assert_eq!(bytes.len(), encoded_size(&fields));
        assert_eq!(decode(&bytes), Some(fields));
        for cut in 1..bytes.len() {
            assert_eq!(decode(&bytes[..cut]), None, "cut at {cut}");
        }
        assert_eq!(encode(&Headers::new()), b"");
        assert_eq!(decode(b""), Some(Headers::new()));
        assert_eq!(decode(b"\0"), Some(Headers::new()));
    }

    #[test]
    fn bounds_and_garbage() {
        let many = |count: usize| encode(&(0..count).map(|_| ("a", "b")).collect());
        assert_eq!(decode(&many(1024)).map(|fields| fields.len()), Some(1024));
        assert_eq!(decode(&many(1025)), None);
        let big = |bytes: usize| encode(&Headers::from([("a", "b".repeat(bytes - 15))]));
        assert_eq!(big(MAX_BYTES).len(), MAX_BYTES);
        assert!(decode(&big(MAX_BYTES)).is_some());
        assert_eq!(decode(&big(MAX_BYTES + 1)), None);
        for garbage in [
            &[0xff; 4][..],
            &[0xff; 64],
            &[1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0, 0],
        ] {
            assert_eq!(decode(garbage), None, "{garbage:?}");
        }
        // A byte other than NUL where one must stand.
        let mut bytes = encode(&Headers::from([("a", "b")]));
        *bytes.last_mut().unwrap() = 1;
        assert_eq!(decode(&bytes), None);
    }
}
