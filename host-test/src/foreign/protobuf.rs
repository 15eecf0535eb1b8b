//! As much of Protocol Buffers as Envoy's foreign functions speak: length-delimited fields and a flag.
//!
//! In: bytes of a message. Out: its fields by number, in order. Invariant: what the C++ library refuses is refused: cut fields, number 0,
//! groups that do not close, varints past ten bytes. Source: protobuf.dev, Encoding.

/// The length-delimited fields of a message, in order; fields of other kinds are read and left out. `None`: no message.
pub(super) fn fields(bytes: &[u8]) -> Option<Vec<(u32, &[u8])>> {
    let mut input = Input(bytes);
    let mut found = Vec::new();
    while !input.0.is_empty() {
        let (number, kind) = input.tag()?;
        if kind == 2 {
            found.push((number, input.delimited()?));
        } else {
            input.skip(number, kind, 100)?;
        }
    }
    Some(found)
}

/// A flag and a text, as fields 1 and 2; what is false or empty is not written.
pub(super) fn flag_and_text(flag: bool, text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    if flag {
        out.extend_from_slice(&[1 << 3, 1]);
    }
    if !text.is_empty() {
        out.push((2 << 3) | 2);
        let mut size = text.len();
        while size > 0x7f {
            out.push(u8::try_from(size & 0x7f).unwrap_or_default() | 0x80);
            size >>= 7;
        }
        out.push(u8::try_from(size).unwrap_or_default());
        out.extend_from_slice(text.as_bytes());
    }
    out
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn tag(&mut self) -> Option<(u32, u8)> {
        let tag = u32::try_from(self.varint()?).ok()?;
        let kind = u8::try_from(tag & 7).ok()?;
        (tag >> 3 != 0).then_some((tag >> 3, kind))
    }

    fn take(&mut self, size: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(size)?;
        self.0 = rest;
        Some(taken)
    }

    fn delimited(&mut self) -> Option<&'a [u8]> {
        let size = usize::try_from(self.varint()?).ok()?;
        self.take(size)
    }

    fn skip(&mut self, number: u32, kind: u8, depth: u8) -> Option<()> {
        match kind {
            0 => self.varint().map(drop),
            1 => self.take(8).map(drop),
            2 => self.delimited().map(drop),
            3 => loop {
                let (inner, kind) = self.tag()?;
                if kind == 4 {
                    return (inner == number).then_some(());
                }
                self.skip(inner, kind, depth.checked_sub(1)?)?;
            },
            5 => self.take(4).map(drop),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_a_message_and_nothing_else() {
        type Fields = Option<Vec<(u32, &'static [u8])>>;
        let rows: [(&[u8], Fields); 13] = [
            (b"", Some(vec![])),
            (b"\x0a\x01a", Some(vec![(1, b"a")])),
            (b"\x0a\x01a\x0a\x00", Some(vec![(1, b"a"), (1, b"")])),
            (b"\x08\x96\x01\x12\x01b", Some(vec![(2, b"b")])),
            (b"\x0912345678\x0d1234\x12\x00", Some(vec![(2, b"")])),
            (b"\x0b\x13\x14\x08\x01\x0c\x12\x00", Some(vec![(2, b"")])),
            (b"\x0b\x14", None),
            (b"\x0c", None),
            (b"\x0f", None),
            (b"\x02\x00", None),
            (b"\x0a\x02a", None),
            (b"\x0a", None),
            (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", None),
        ];
        for (bytes, expected) in rows {
            assert_eq!(fields(bytes), expected, "{}", bytes.escape_ascii());
        }
        let nested = [0x0b; 300];
        assert_eq!(fields(&nested), None, "nesting is bounded");
    }

    #[test]
    fn writes_what_is_not_the_default() {
        assert_eq!(flag_and_text(true, ""), b"\x08\x01");
        assert_eq!(flag_and_text(false, "no"), b"\x12\x02no");
        let long = flag_and_text(false, &"x".repeat(300));
        assert_eq!(long.get(..3), Some(&b"\x12\xac\x02"[..]));
    }
}
