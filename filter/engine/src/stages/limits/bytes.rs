//! Little-endian numbers in packed entries: 16, 24, 32 and 48 bits, and LEB128.
//!
//! **In:** bytes of the store. **Out:** numbers, or `None` at the first thing that does not fit. Never panics.

use alloc::vec::Vec;

/// The latest time an entry can hold, in milliseconds (48 bits: about 8,900 years).
pub(super) const MAX_TIME: u64 = (1 << 48) - 1;

/// Reads from the front of a slice.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) const fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    pub(super) const fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        match self.rest.split_at_checked(count) {
            Some((taken, rest)) => {
                self.rest = rest;
                Some(taken)
            }
            None => None,
        }
    }

    pub(super) const fn u8(&mut self) -> Option<u8> {
        match self.rest.split_first() {
            Some((first, rest)) => {
                self.rest = rest;
                Some(*first)
            }
            None => None,
        }
    }

    pub(super) const fn u16(&mut self) -> Option<u16> {
        match self.rest.split_first_chunk::<2>() {
            Some((bytes, rest)) => {
                self.rest = rest;
                Some(u16::from_le_bytes(*bytes))
            }
            None => None,
        }
    }

    pub(super) const fn u24(&mut self) -> Option<u32> {
        match self.rest.split_first_chunk::<3>() {
            Some((&[a, b, c], rest)) => {
                self.rest = rest;
                Some(u32::from_le_bytes([a, b, c, 0]))
            }
            None => None,
        }
    }

    pub(super) const fn u32(&mut self) -> Option<u32> {
        match self.rest.split_first_chunk::<4>() {
            Some((bytes, rest)) => {
                self.rest = rest;
                Some(u32::from_le_bytes(*bytes))
            }
            None => None,
        }
    }

    pub(super) const fn u64(&mut self) -> Option<u64> {
        match self.rest.split_first_chunk::<8>() {
            Some((bytes, rest)) => {
                self.rest = rest;
                Some(u64::from_le_bytes(*bytes))
            }
            None => None,
        }
    }

    /// 48 bits: a time or a client's tag.
    pub(super) const fn time(&mut self) -> Option<u64> {
        match self.rest.split_first_chunk::<6>() {
            Some((&[a, b, c, d, e, f], rest)) => {
                self.rest = rest;
                Some(u64::from_le_bytes([a, b, c, d, e, f, 0, 0]))
            }
            None => None,
        }
    }

    pub(super) fn varint(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in [0_u32, 7, 14, 21, 28, 35, 42] {
            let byte = self.u8()?;
            number |= u64::from(byte & 0x7f).wrapping_shl(shift);
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }
}

pub(super) fn push_u16(out: &mut Vec<u8>, number: u16) {
    out.extend_from_slice(&number.to_le_bytes());
}

pub(super) fn push_u24(out: &mut Vec<u8>, number: u32) {
    let [a, b, c, _] = number.to_le_bytes();
    out.extend_from_slice(&[a, b, c]);
}

pub(super) fn push_u32(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(&number.to_le_bytes());
}

/// Writes the low 48 bits.
pub(super) fn push_time(out: &mut Vec<u8>, time: u64) {
    let [a, b, c, d, e, f, _, _] = time.min(MAX_TIME).to_le_bytes();
    out.extend_from_slice(&[a, b, c, d, e, f]);
}

/// Writes at most 49 bits; more saturates.
pub(super) fn push_varint(out: &mut Vec<u8>, number: u64) {
    let mut left = number.min((1 << 49) - 1);
    while left >= 0x80 {
        let [low, ..] = left.to_le_bytes();
        out.push(low | 0x80);
        left >>= 7;
    }
    let [low, ..] = left.to_le_bytes();
    out.push(low);
}

/// Leaves room for a 16-bit length; [`close`] fills it in.
pub(super) fn open(out: &mut Vec<u8>) -> usize {
    let at = out.len();
    out.extend_from_slice(&[0, 0]);
    at
}

/// Fills in the length of what was written since [`open`]; `None` when it does not fit.
pub(super) fn close(out: &mut [u8], at: usize) -> Option<()> {
    let written = out.get_mut(at..)?;
    let length = u16::try_from(written.len().checked_sub(2)?).ok()?;
    if let [low, high, ..] = written {
        [*low, *high] = length.to_le_bytes();
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        for number in [
            0,
            1,
            127,
            128,
            300,
            16383,
            16384,
            u64::from(u32::MAX),
            MAX_TIME,
            (1 << 49) - 1,
        ] {
            let mut out = Vec::new();
            push_varint(&mut out, number);
            push_time(&mut out, number);
            let mut reader = Reader::new(&out);
            assert_eq!(reader.varint(), Some(number));
            assert_eq!(reader.time(), Some(number.min(MAX_TIME)));
            assert!(reader.rest.is_empty());
            for cut in 0..out.len() - 6 {
                assert_eq!(
                    Reader::new(&out[..cut]).varint(),
                    None,
                    "{number} cut at {cut}"
                );
            }
        }
        assert_eq!(Reader::new(&[0xff; 9]).varint(), None);
        assert_eq!(Reader::new(&[1, 2]).u24(), None);
        assert_eq!(Reader::new(&[1, 2, 3]).u24(), Some(0x03_02_01));
    }

    #[test]
    fn lengths_are_filled_in() {
        let mut out = vec![9];
        let at = open(&mut out);
        out.extend_from_slice(&[7; 300]);
        assert_eq!(close(&mut out, at), Some(()));
        assert_eq!(out[..3], [9, 44, 1]);
        out.extend_from_slice(&[0; 0x1_0000]);
        assert_eq!(close(&mut out, at), None);
    }
}
