//! Cookie fields → pairs, all occurrences.
//!
//! **In:** every `cookie` field of the head. **Out:** raw names and values.
//! **Invariant:** every byte between two `;` is in a name or a value; a pair without `=` is a value without a
//! name, as browsers store it; quotes stay.
//! **Source:** RFC 6265 §4.2 and §5.4, RFC 9113 §8.2.3 (cookie crumbs).

use super::RequestHead;

impl<'a> RequestHead<'a> {
    /// Every `name=value` pair of every `cookie` field, in order, trimmed of blanks; names may repeat.
    pub fn cookies(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + '_ {
        self.all(b"cookie")
            .flat_map(|field| field.split(|byte| *byte == b';'))
            .map(trim)
            .filter(|pair| !pair.is_empty())
            .map(split_pair)
    }
}

fn split_pair(pair: &[u8]) -> (&[u8], &[u8]) {
    let equals = pair.iter().position(|byte| *byte == b'=');
    match equals.and_then(|equals| pair.split_at_checked(equals)) {
        Some((name, value)) => (trim(name), trim(value.get(1..).unwrap_or_default())),
        None => (b"", pair),
    }
}

/// Without blanks and tabs around it.
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::super::RequestHead;

    type Pairs = &'static [(&'static [u8], &'static [u8])];

    const CASES: &[(&[&[u8]], Pairs)] = &[
        (&[], &[]),
        (&[b""], &[]),
        (&[b"a=1"], &[(b"a", b"1")]),
        (
            &[b"a=1; b=2;c=3"],
            &[(b"a", b"1"), (b"b", b"2"), (b"c", b"3")],
        ),
        (
            &[b"a=1", b"x=y; a=2"],
            &[(b"a", b"1"), (b"x", b"y"), (b"a", b"2")],
        ),
        (&[b" \ta \t=\t 1 ; ;; "], &[(b"a", b"1")]),
        (&[b"a=b=c=="], &[(b"a", b"b=c==")]),
        (&[b"alone"], &[(b"", b"alone")]),
        (&[b"=v; n="], &[(b"", b"v"), (b"n", b"")]),
        (&[b"q=\"a b\""], &[(b"q", b"\"a b\"")]),
        (&[b"a=\x00\xff,\x80"], &[(b"a", b"\x00\xff,\x80")]),
    ];

    #[test]
    fn pairs() {
        for (fields, expected) in CASES {
            let pairs = fields.iter().map(|value| (&b"cookie"[..], *value));
            let head = RequestHead::decode(pairs);
            assert_eq!(head.cookies().collect::<Vec<_>>(), *expected, "{fields:?}");
        }
    }

    #[test]
    fn every_byte_is_kept() {
        for byte in 0..=255_u8 {
            let value = [b'a', b'=', b'x', byte, b'y'];
            let head = RequestHead::decode(core::iter::once((&b"cookie"[..], &value[..])));
            let seen: usize = head
                .cookies()
                .map(|(name, value)| name.len() + value.len())
                .sum();
            assert_eq!(seen, if byte == b';' { 3 } else { 4 });
        }
    }
}
