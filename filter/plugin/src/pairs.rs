//! The pair codec of Proxy-Wasm maps (ABI v0.2.1, "Serialization"): read in place, written once.
//!
//! **In:** bytes of `proxy_get_header_map_pairs`. **Out:** an iterator of borrowed names and values.
//! **Invariant:** every length is checked against the bytes before the first pair is handed out; a map that
//! does not fit exactly is refused whole, so no stage ever sees half a head.
//! **Cost:** two linear passes over the length table.

/// A checked map.
#[derive(Debug, Clone, Copy)]
pub struct Pairs<'a> {
    lengths: &'a [u8],
    data: &'a [u8],
}

impl<'a> Pairs<'a> {
    /// Checks the map; `None` when it is not one. No bytes, or a single zero byte, is the empty map.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        const EMPTY: Pairs<'static> = Pairs {
            lengths: &[],
            data: &[],
        };
        if let [] | [0] = bytes {
            return Some(EMPTY);
        }
        let (count, rest) = take_u32(bytes)?;
        let table = count.checked_mul(8)?;
        let (lengths, data) = rest.split_at_checked(table)?;
        let mut need = 0_usize;
        let mut left = lengths;
        while let Some((length, rest)) = take_u32(left) {
            need = need.checked_add(length)?.checked_add(1)?;
            left = rest;
        }
        (need == data.len()).then_some(Self { lengths, data })
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (name_length, rest) = take_u32(self.lengths)?;
        let (value_length, rest) = take_u32(rest)?;
        let (name, data) = take_terminated(self.data, name_length)?;
        let (value, data) = take_terminated(data, value_length)?;
        self.lengths = rest;
        self.data = data;
        Some((name, value))
    }
}

/// Writes a map.
#[must_use]
pub fn encode<'a>(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone) -> Vec<u8> {
    let mut out = Vec::new();
    let mut count = 0_usize; // not `count()`: it adds with a check
    for _ in pairs.clone() {
        count = count.saturating_add(1);
    }
    put_u32(&mut out, count);
    for (name, value) in pairs.clone() {
        put_u32(&mut out, name.len());
        put_u32(&mut out, value.len());
    }
    for (name, value) in pairs {
        out.extend_from_slice(name);
        out.push(0);
        out.extend_from_slice(value);
        out.push(0);
    }
    out
}

fn put_u32(out: &mut Vec<u8>, number: usize) {
    out.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
}

fn take_u32(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((usize::try_from(u32::from_le_bytes(*number)).ok()?, rest))
}

fn take_terminated(bytes: &[u8], length: usize) -> Option<(&[u8], &[u8])> {
    let (value, rest) = bytes.split_at_checked(length)?;
    let (_, rest) = rest.split_first()?;
    Some((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Map<'a> = &'a [(&'a [u8], &'a [u8])];

    const MAPS: [Map<'static>; 4] = [
        &[],
        &[(b"a", b"1")],
        &[(b"a", b"1"), (b"b", b"22"), (b"a", b"")],
        &[(b":path", b"/\xff\x80"), (b"", b""), (b"x", b"a\0b")],
    ];

    fn encoded(map: Map<'_>) -> Vec<u8> {
        encode(map.iter().copied())
    }

    #[test]
    fn what_is_written_is_read() {
        for map in MAPS {
            let bytes = encoded(map);
            let read: Vec<_> = Pairs::parse(&bytes).unwrap().collect();
            assert_eq!(read, map);
        }
    }

    #[test]
    fn the_specification_example() {
        let bytes = encoded(&[(b"a", b"1"), (b"b", b"22")]);
        let expected = [
            &[2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0][..],
            b"a\x001\0b\x0022\0",
        ]
        .concat();
        assert_eq!(bytes, expected);
    }

    #[test]
    fn empty_maps() {
        assert_eq!(Pairs::parse(b"").unwrap().count(), 0);
        assert_eq!(Pairs::parse(b"\0").unwrap().count(), 0);
        assert_eq!(Pairs::parse(b"\0\0\0\0").unwrap().count(), 0);
        assert!(Pairs::parse(b"\x01").is_none());
    }

    #[test]
    fn cut_at_every_byte_or_longer_is_refused() {
        for map in MAPS.iter().filter(|map| !map.is_empty()) {
            let bytes = encoded(map);
            for end in 2..bytes.len() {
                assert!(
                    Pairs::parse(&bytes[..end]).is_none(),
                    "{map:?} cut at {end}"
                );
            }
            let longer = [bytes.as_slice(), b"x"].concat();
            assert!(Pairs::parse(&longer).is_none());
        }
    }

    #[test]
    fn hostile_lengths_are_refused() {
        assert!(Pairs::parse(&[0xff; 64]).is_none());
        assert!(
            Pairs::parse(&[1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).is_none()
        );
    }
}
