//! Parameters that a server reads together: ASP.NET and arrays of JavaScript join the values of one name with commas.
//!
//! **In:** `name=value&…`, and the query when it is a body's. **Out:** calls of [`Inspection::value`] with the joined values.
//! **Invariant:** names are one when they are it decoded, without regard to case, and without an index (`a`, `A`, `%61`, `a[]`, `a[0]`).
//! A name of its own joins nothing.
//! **Source:** `NameValueCollection` and `HttpRequest.Params` of .NET; `Array.prototype.toString` of ECMAScript.
//! **Cost:** nothing when every value is plain; else one pass over the names. Only where one occurs twice the values are copied once;
//! comparing names that fall together is paid for.

use alloc::vec::Vec;

use super::bytes::rest;
use super::inspection::{Inspection, Place};
use crate::request::body::decode_form;

/// One value of a name that may occur again.
#[derive(Clone, Copy)]
struct Entry<'a> {
    key: u32,
    /// The next entry that falls into the same place, from 1; 0: none.
    next: u32,
    done: bool,
    name: &'a [u8],
    value: &'a [u8],
}

/// Names that were seen, and seen again, by some bits of their keys.
struct Seen {
    once: [u64; WORDS],
    twice: [u64; WORDS],
}

/// Words of a set of 4,096 bits.
const WORDS: usize = 64;

/// Chains of entries.
const CHAINS: usize = 1024;

/// Looks at the joined values of `text`; `before`: pairs that stand before it.
pub(super) fn look(before: &[u8], text: &[u8], place: Place, inspection: &mut Inspection<'_>) {
    inspection.pay(before.len().saturating_add(text.len()));
    let mut seen = Seen {
        once: [0; WORDS],
        twice: [0; WORDS],
    };
    let mut any = false;
    for (name, _) in pairs(before).chain(pairs(text)) {
        any |= seen.add(key(name));
    }
    if !any {
        return;
    }
    let mut entries: Vec<Entry<'_>> = Vec::new();
    let mut last = [0_u32; CHAINS];
    for (name, value) in pairs(before).chain(pairs(text)) {
        let key = key(name);
        if !seen.again(key) {
            continue;
        }
        entries.push(Entry {
            key,
            next: 0,
            done: false,
            name,
            value,
        });
        let index = u32::try_from(entries.len()).unwrap_or(0);
        if let Some(slot) = last.get_mut(place_of(key, CHAINS)) {
            let tail = core::mem::replace(slot, index);
            if let Some(tail) = at(tail).and_then(|tail| entries.get_mut(tail)) {
                tail.next = index;
            }
        }
    }
    let mut joined = Vec::new();
    let mut index = 0_usize;
    while let Some(first) = entries.get(index).copied() {
        index = index.saturating_add(1);
        if first.done || inspection.is_over() {
            continue;
        }
        joined.clear();
        joined.extend_from_slice(first.value);
        let mut many = false;
        let mut next = first.next;
        while let Some(other) = at(next).and_then(|at| entries.get_mut(at)) {
            next = other.next;
            inspection.pay(0);
            if inspection.is_over() {
                break;
            }
            if other.key == first.key && !other.done {
                other.done = true;
                many = true;
                joined.push(b',');
                joined.extend_from_slice(other.value);
            }
        }
        if many {
            inspection.joined(place, &decode_form(first.name), &joined);
        }
    }
}

/// Names with a value.
fn pairs(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    text.split(|&byte| byte == b'&').filter_map(|pair| {
        let equals = pair.iter().position(|&byte| byte == b'=')?;
        let (name, value) = pair.split_at_checked(equals)?;
        (value.len() > 1).then(|| (name, rest(value, 1)))
    })
}

/// The place of an entry that is counted from 1.
fn at(index: u32) -> Option<usize> {
    usize::try_from(index.checked_sub(1)?).ok()
}

/// A name as servers see it, in 32 bits (FNV-1a): what falls together by chance is joined too.
fn key(name: &[u8]) -> u32 {
    let mut hash = 0x811C_9DC5_u32;
    let mut left = name;
    while let Some((&first, after)) = left.split_first() {
        left = after;
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let byte = match (first, after) {
            (b'+', _) => b' ',
            (b'%', [high, low, after @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    left = after;
                    (high.wrapping_shl(4) | low).to_le_bytes()[0]
                }
                _ => first,
            },
            _ => first,
        };
        if byte == b'[' && is_index(left) {
            break;
        }
        hash = (hash ^ u32::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0193);
    }
    hash
}

/// `]`, `0]`, `%5D`: nothing that would be a name of its own.
fn is_index(text: &[u8]) -> bool {
    let digits = text.iter().position(|byte| !byte.is_ascii_digit());
    let end = rest(text, digits.unwrap_or(text.len()));
    end == b"]" || end.eq_ignore_ascii_case(b"%5d")
}

/// Where a key falls in a table of `size`, a power of two.
fn place_of(key: u32, size: usize) -> usize {
    let mixed = key ^ (key >> 15);
    usize::try_from(mixed).unwrap_or(0) & size.saturating_sub(1)
}

impl Seen {
    fn spot(key: u32) -> (usize, u64) {
        let spot = place_of(key, WORDS * 64);
        let bit = u32::try_from(spot & 63).unwrap_or(0);
        (spot >> 6, 1_u64.wrapping_shl(bit))
    }

    /// Whether it may have been seen before.
    fn add(&mut self, key: u32) -> bool {
        let (word, bit) = Self::spot(key);
        let (Some(once), Some(twice)) = (self.once.get_mut(word), self.twice.get_mut(word)) else {
            return false;
        };
        let again = *once & bit != 0;
        *once |= bit;
        if again {
            *twice |= bit;
        }
        again
    }

    fn again(&self, key: u32) -> bool {
        let (word, bit) = Self::spot(key);
        self.twice.get(word).is_some_and(|word| word & bit != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Here, InjectionStage};
    use super::{is_index, key};
    use crate::budget::MAX_STEPS;
    use crate::finding::Findings;
    use crate::request::RequestHead;
    use crate::request::body::BodyKind;
    use crate::units::UnixTime;
    use crate::verdict::Reason;

    fn judge(query: &str, body: &str) -> (Option<Reason>, String) {
        let here = Here::new(b"", UnixTime(0)).with_query(query.as_bytes());
        let (mut steps, mut found) = (MAX_STEPS, Findings::default());
        let stage = InjectionStage::new(1, 5);
        let denied = stage.inspect_body(
            BodyKind::Form,
            body.as_bytes(),
            here,
            &mut steps,
            &mut found,
        );
        let place = found.as_slice().last().map_or(String::new(), |finding| {
            String::from_utf8_lossy(&finding.place).into_owned()
        });
        (denied.err().map(|denial| denial.reason), place)
    }

    fn is_refused_in_query(query: &str) -> bool {
        let path = format!("/?{query}");
        let pairs = [(&b":path"[..], path.as_bytes())];
        let head = RequestHead::decode(pairs.into_iter());
        let (mut steps, mut found) = (MAX_STEPS, Findings::default());
        InjectionStage::new(1, 5)
            .inspect_head(&head, Here::new(b"", UnixTime(0)), &mut steps, &mut found)
            .is_err()
    }

    #[test]
    fn what_a_server_joins_is_judged_joined() {
        for text in [
            "a=1+union/*&a=*/select+2",
            "id=1+union/*&x=1&ID=*/select/*&id=*/password/*&id=*/from+users",
            "a=1+union/*&%61=*/select+2",
            "a[]=1+union/*&a[]=*/select+2",
            "a[0]=1+union/*&a%5B1%5D=*/select+2",
        ] {
            assert!(is_refused_in_query(text), "{text}");
            assert_eq!(judge("", text).0, Some(Reason::Injection), "{text}");
        }
        let (refused, place) = judge("a=1+union/*&b=2", "c=1&a=*/select+2");
        assert_eq!(refused, Some(Reason::Injection));
        assert_eq!(place, "body:a");
        for text in [
            "a=1+union/*&b=*/select+2",
            "a=1+union/*&a[b]=*/select+2",
            "tag=a&tag=b&tag=c+d",
            "q=it%27s&q=don%27t+know",
            "filter[]=price+%3C+5&filter[]=colour:+red",
            "name=O%27Brien&name=D%27Angelo&email=a%40b.example&email=c%40d.example",
            "line=1+%2F+2&line=3+*+4&line=(none)",
            "item[0][name]=Nuts+%26+bolts&item[1][name]=Bolts+%26+nuts&item[0][n]=1&item[1][n]=2",
            "a=&a=&a",
            "&&=&=",
        ] {
            assert!(!is_refused_in_query(text), "{text}");
            assert_eq!(judge("", text).0, None, "{text}");
            assert_eq!(judge(text, "x=1").0, None, "{text}");
        }
    }

    #[test]
    fn semicolons_may_separate() {
        for (text, refused) in [
            ("a=x;id=1+or+1=1--+", true),
            ("a=x;b=<script>alert(1)</script>;c=y", true),
            ("style=color:red;width:10px", false),
            ("v=a=1;b=2;c=3", false),
            ("note=first;+second;+third=3", false),
            ("a=1;jsessionid=0A1B2C", false),
        ] {
            assert_eq!(is_refused_in_query(text), refused, "{text}");
            assert_eq!(judge("", text).0.is_some(), refused, "{text}");
        }
    }

    #[test]
    fn names_are_one_as_servers_see_them() {
        let one = key(b"name");
        for same in [
            "NAME",
            "%6eame",
            "name[]",
            "name[12]",
            "name%5B%5d",
            "nam%65[0]",
        ] {
            assert_eq!(key(same.as_bytes()), one, "{same}");
        }
        for other in ["name[a]", "name[", "name[1][b]", "nam", "%name", "na me"] {
            assert_ne!(key(other.as_bytes()), one, "{other}");
        }
        assert!(is_index(b"]") && is_index(b"07]") && !is_index(b"") && !is_index(b"1"));
    }

    /// Many names, many times, and names that fall together: bounded.
    #[test]
    fn cost_is_linear() {
        let spent = |body: &str| {
            let (mut steps, mut found) = (u64::MAX, Findings::default());
            let here = Here::new(b"", UnixTime(0));
            let stage = InjectionStage::new(1, u32::MAX);
            let _ = stage.inspect_body(
                BodyKind::Form,
                body.as_bytes(),
                here,
                &mut steps,
                &mut found,
            );
            u64::MAX - steps
        };
        let one = |count: usize| "a='&".repeat(count);
        let many = |count: usize| {
            (0..count)
                .map(|index| format!("a{}='&", index % (count / 2)))
                .collect::<String>()
        };
        assert!(spent(&one(16_000)) <= spent(&one(4_000)) * 5);
        assert!(spent(&many(8_000)) <= spent(&many(2_000)) * 6);
    }
}
