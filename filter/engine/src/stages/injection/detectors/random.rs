//! Whether a value is drawn at random: a password of a password manager, a token in base85.
//!
//! **In:** a view in which something was found. **Out:** a yes or no.
//! **Invariant:** no value with a blank, a word that any language needs, a pair that opens a template or a call, or a sign at its end
//! that an attack ends with is random: what somebody writes repeats itself, what is drawn changes its kind of sign at every second byte.
//! **Cost:** one pass over at most [`MOST`] bytes, only after a hit.

use super::super::bytes::{self, BLANK, CONTROL, HIGH, LINE};
use super::{Place, View};

/// Shorter ones say too little.
const LEAST: usize = 10;
/// Longer ones are documents.
const MOST: usize = 128;
/// Letters of one case, or digits, in a row.
const RUN: usize = 5;
/// Other signs in a row.
const SIGNS: usize = 4;

/// Kind of a byte: small, capital, digit, any other sign.
const fn kind(byte: u8) -> usize {
    match byte {
        b'a'..=b'z' => 0,
        b'A'..=b'Z' => 1,
        b'0'..=b'9' => 2,
        _ => 3,
    }
}

/// What templates, calls, climbs, comments in place of blanks and written objects have.
const fn opens(first: u8, second: u8) -> bool {
    matches!(
        (first, second),
        (b'{', b'{' | b'%')
            | (b'}', b'}')
            | (b'$' | b'#' | b'*' | b'@' | b'%' | b'~', b'{')
            | (b'$' | b'(' | b'@', b'(')
            | (b'(', b')')
            | (b'[', b'[' | b'=' | b'#')
            | (b'<', b'%' | b'/' | b'!' | b'#')
            | (b'.', b'.')
            | (b'/', b'*')
            | (b'*', b'/')
            | (b'-', b'-')
            | (b':', b'"')
    )
}

/// Whether the value is drawn at random.
pub(super) fn is_random(view: &View<'_>) -> bool {
    let value = view.bytes;
    let is_field = matches!(
        view.place,
        Place::Query | Place::Header | Place::Cookie | Place::Body
    );
    if !is_field
        || !is_secret(view.name)
        || view.is_name
        || view.is_file
        || view.words != 0
        || view.classes & (BLANK | LINE | CONTROL | HIGH) != 0
        || !(LEAST..=MOST).contains(&value.len())
        || matches!(
            value.last(),
            Some(b'\'' | b'"' | b'`' | b'#' | b'-' | b';' | b'\\')
        )
    {
        return false;
    }
    let mut kinds = [0_usize; 4];
    // Signs that base64 and names have not: what is written in base64 is looked at for what it says.
    let (mut quotes, mut odd) = (0_usize, 0_usize);
    let (mut changes, mut run) = (0_usize, 0_usize);
    let mut before = b' ';
    let mut last = usize::MAX;
    for &byte in value {
        let here = kind(byte);
        if here == last {
            run = run.saturating_add(1);
        } else {
            run = 1;
            changes = changes.saturating_add(1);
        }
        if run > (if here == 3 { SIGNS } else { RUN }) || opens(before, byte) {
            return false;
        }
        if let Some(count) = kinds.get_mut(here) {
            *count = count.saturating_add(1);
        }
        quotes = quotes.saturating_add(usize::from(matches!(byte, b'\'' | b'"' | b'`')));
        let plain = matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_' | b'.' | b'~');
        odd = odd.saturating_add(usize::from(here == 3 && !plain));
        (last, before) = (here, byte);
    }
    let [small, capitals, digits, signs] = kinds;
    let twice = |count: usize| count.saturating_mul(2);
    small > 1
        && capitals > 1
        && digits > 0
        && small.saturating_add(capitals) > 5
        && odd > 1
        && twice(signs) <= value.len().saturating_add(4)
        && twice(changes) >= value.len()
        && quotes <= value.len().div_ceil(8)
}

/// A field of this name holds what a password manager draws; elsewhere signs run, and `a'-'b`, `a*)(&b` and `a;wget$IFS` need no listed word.
pub(in crate::stages::injection) fn is_secret(name: &[u8]) -> bool {
    bytes::contains_any(bytes::upto(name, NAME), &[b"pass", b"pwd", b"secret"])
}

/// Bytes of a name that are read: it is asked for at every value of a document.
const NAME: usize = 256;

#[cfg(test)]
mod tests {
    use super::super::super::bytes::classes;
    use super::super::{Place, View, hits_of, hits_of_named};
    use super::{NAME, is_random, is_secret};

    #[test]
    fn a_name_is_read_so_far() {
        for name in ["password", "user.pwd", "CLIENT_SECRET"] {
            assert!(is_secret(name.as_bytes()), "{name}");
        }
        let long = |before: usize| format!("{}secret", "n".repeat(before));
        assert!(is_secret(long(NAME - 6).as_bytes()));
        assert!(!is_secret(long(NAME - 5).as_bytes()));
        assert!(!is_secret(long(1 << 20).as_bytes()));
        assert!(!is_secret(b""));
    }

    fn random(value: &str) -> bool {
        let bytes = value.as_bytes();
        is_random(&View::new(Place::Body, b"password", bytes, classes(bytes)))
    }

    #[test]
    fn passwords_of_managers_are_random_and_payloads_are_not() {
        for value in [
            "4U<Ua>&8L6_JwSk+WF",
            "gk_Q;\"w#F0H-h{D6O",
            "Xu8?k|wB{q2T~Rm5",
            "pY4&wKz<7Qb!vN2d",
            "ypXd>&6kT2&Lq9",
        ] {
            assert!(random(value), "{value}");
            assert!(
                hits_of_named(Place::Body, b"newPassword", value.as_bytes()).is_empty(),
                "{value}"
            );
        }
        for value in [
            "1'or'1'='1",
            "aB3xK9'or'1'='1",
            "xQ7'/**/or/**/1=1",
            "aB3xK9'='",
            "admin'#",
            "Ab1';id;#",
            "Ab1xQ9|id",
            "x9aBq{{7*7}}Kd3",
            "x9aBq${7*7}Kd3Qw",
            "x9aBq$(w)Kd3Qw",
            "aB3/../../x",
            "<Svg/oNloAd=a1>",
            "aB3x';DROP/**/x9",
            "${${::-j}${::-n}:aB9}",
            "aB3xK9 or 1=1",
            "Tzo4OiJzdGRDbGFzcyI6MDp7fQ==",
            "O:8:\"stdClass\":1:{s:1:\"a\";i:2;}",
        ] {
            assert!(!random(value), "{value}");
        }
    }

    #[test]
    fn what_is_put_behind_random_signs_is_found() {
        for value in [
            "xK9$mQ2a'or'1'='1",
            "xK9$mQ2a';ls;#",
            "xK9$mQ2a|id",
            "xK9$mQ2a{{7*7}}",
            "xK9$mQ2a$(id)",
            "xK9$mQ2a'='",
            "aB3Cd'-'0xK9",
            "xK9*)(&Q2a=1Zb",
            "xK9$mQ2a<img src=x onerror=a()>",
            "xK9$mQ2a../../etc/passwd",
            "<sCriPt/src=//14.rs?",
        ] {
            assert!(!hits_of(value.as_bytes()).is_empty(), "{value}");
        }
    }
}
