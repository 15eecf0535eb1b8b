//! Claim rules: what a claim must be, for a provider or on a route.
//!
//! **In:** a claim as written in JSON, and a rule of the policy. **Out:** whether it holds.
//! **Invariant:** the claim's own type decides how it is compared: a string by its text, a number by its exact value
//! whatever its size, a boolean by its word. An absent claim, `null` and a value of another kind hold nothing, `exists`
//! apart. A list is never equal to anything: it contains.
//! **Source:** RFC 8259 §6 (numbers), RFC 6901 (the place of a claim).
//! **Cost:** linear in the claim times the values asked.

use alloc::vec::Vec;
use core::cmp::Ordering;

use super::claims::{Claims, string};
use crate::budget::MAX_JSON_DEPTH;
use crate::json::{Event, Reader};

/// A rule: all its tests must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The claim as the policy names it, for events.
    pub name: Vec<u8>,
    /// JSON Pointer to it.
    pub claim: Vec<u8>,
    /// What it must be.
    pub tests: Vec<Test>,
}

/// One test of a rule. Values are texts: the claim's type says how they are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// It is one of these.
    OneOf(Vec<Vec<u8>>),
    /// A list that has all of these.
    Contains(Vec<Vec<u8>>),
    /// A list that has one of these.
    ContainsAny(Vec<Vec<u8>>),
    /// A number, at least this.
    Min(Vec<u8>),
    /// A number, at most this.
    Max(Vec<u8>),
    /// Whether it is there and not `null`.
    Exists(bool),
}

impl Rule {
    /// A claim that cannot be found in one way only holds nothing.
    pub(super) fn holds(&self, claims: &Claims) -> bool {
        let Ok(value) = claims.pointer(&self.claim) else {
            return false;
        };
        let value = value.filter(|value| *value != b"null");
        self.tests.iter().all(|test| test.holds(value))
    }
}

impl Test {
    fn holds(&self, value: Option<&[u8]>) -> bool {
        let value = match (self, value) {
            (Self::Exists(wanted), value) => return value.is_some() == *wanted,
            (_, None) => return false,
            (_, Some(value)) => value,
        };
        match self {
            Self::OneOf(wanted) => wanted.iter().any(|wanted| is(value, wanted)),
            Self::Contains(wanted) => wanted.iter().all(|wanted| has(value, wanted)),
            Self::ContainsAny(wanted) => wanted.iter().any(|wanted| has(value, wanted)),
            Self::Min(least) => matches!(
                compare(value, least),
                Some(Ordering::Greater | Ordering::Equal)
            ),
            Self::Max(most) => {
                matches!(compare(value, most), Some(Ordering::Less | Ordering::Equal))
            }
            Self::Exists(_) => false,
        }
    }
}

/// Whether a JSON value is the scalar that a text stands for.
fn is(value: &[u8], wanted: &[u8]) -> bool {
    match value.first() {
        Some(b'"') => string(value).is_some_and(|text| text.is(wanted)),
        Some(b't' | b'f') => value == wanted,
        Some(_) => compare(value, wanted) == Some(Ordering::Equal),
        None => false,
    }
}

/// Whether an array has an element, or a string a word between blanks.
fn has(value: &[u8], wanted: &[u8]) -> bool {
    if let Some(text) = string(value) {
        return text
            .decode()
            .split(|byte| *byte == b' ')
            .any(|word| !word.is_empty() && word == wanted);
    }
    let mut reader = Reader::new(value, MAX_JSON_DEPTH);
    if !matches!(reader.next_event(), Ok(Some(Event::ArrayStart))) {
        return false;
    }
    while let Ok(Some(element)) = reader.value() {
        if is(element, wanted) {
            return true;
        }
    }
    false
}

/// How a number compares to another; `None` when one is not a number.
pub(crate) fn compare(number: &[u8], other: &[u8]) -> Option<Ordering> {
    Some(Decimal::read(number)?.compare(&Decimal::read(other)?))
}

/// A number of any size: nothing is rounded.
struct Decimal<'a> {
    negative: bool,
    /// Digits before and after the point, leading zeros left out.
    whole: &'a [u8],
    fraction: &'a [u8],
    /// Places of the first digit before the point; of zero: nothing.
    order: Option<i64>,
}

impl<'a> Decimal<'a> {
    /// The grammar of JSON; an exponent of more than nine digits is no number to us.
    fn read(text: &'a [u8]) -> Option<Self> {
        let (negative, text) = match text.strip_prefix(b"-") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (digits, exponent) = match text.iter().position(|byte| matches!(byte, b'e' | b'E')) {
            Some(at) => {
                let (digits, rest) = text.split_at_checked(at)?;
                (digits, exponent(rest.get(1..)?)?)
            }
            None => (text, 0),
        };
        let (mut whole, mut fraction) = match digits.iter().position(|byte| *byte == b'.') {
            Some(at) => {
                let (whole, rest) = digits.split_at_checked(at)?;
                let fraction = rest.get(1..)?;
                if fraction.is_empty() {
                    return None;
                }
                (whole, fraction)
            }
            None => (digits, &[][..]),
        };
        let plain = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
        if whole.is_empty() || !plain(whole) || !plain(fraction) {
            return None;
        }
        if let [b'0', rest @ ..] = whole {
            if !rest.is_empty() {
                return None;
            }
            whole = rest;
        }
        let mut before = i64::try_from(whole.len()).ok()?;
        if whole.is_empty() {
            while let [b'0', rest @ ..] = fraction {
                fraction = rest;
                before = before.saturating_sub(1);
            }
        }
        let zero = whole.is_empty() && fraction.is_empty();
        Some(Self {
            negative: negative && !zero,
            whole,
            fraction,
            order: (!zero).then(|| before.saturating_add(exponent)),
        })
    }

    fn compare(&self, other: &Self) -> Ordering {
        let size = match (self.negative, other.negative) {
            (true, false) => return Ordering::Less,
            (false, true) => return Ordering::Greater,
            _ => self
                .order
                .cmp(&other.order)
                .then_with(|| self.digits(other)),
        };
        if self.negative { size.reverse() } else { size }
    }

    /// Digit by digit, of numbers of one order; zeros at the end count for nothing.
    fn digits(&self, other: &Self) -> Ordering {
        let mut one = self.whole.iter().chain(self.fraction);
        let mut two = other.whole.iter().chain(other.fraction);
        loop {
            match (one.next(), two.next()) {
                (None, None) => return Ordering::Equal,
                (left, right) => {
                    let left = left.copied().unwrap_or(b'0');
                    let order = left.cmp(&right.copied().unwrap_or(b'0'));
                    if order != Ordering::Equal {
                        return order;
                    }
                }
            }
        }
    }
}

fn exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        other => (false, other),
    };
    if digits.is_empty() || digits.len() > 9 {
        return None;
    }
    let size = super::claims::digits(digits).and_then(|size| i64::try_from(size).ok())?;
    Some(if negative { size.wrapping_neg() } else { size })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(claim: &str, test: Test) -> Rule {
        Rule {
            name: claim.as_bytes().to_vec(),
            claim: claim.as_bytes().to_vec(),
            tests: alloc::vec![test],
        }
    }

    fn texts(list: &[&str]) -> Vec<Vec<u8>> {
        list.iter().map(|text| text.as_bytes().to_vec()).collect()
    }

    fn holds(payload: &str, claim: &str, test: Test) -> bool {
        let claims = Claims::read(payload.as_bytes().to_vec()).unwrap();
        rule(claim, test).holds(&claims)
    }

    #[test]
    fn numbers_compare_exactly() {
        use Ordering::{Equal, Greater, Less};
        const CASES: &[(&str, &str, Option<Ordering>)] = &[
            ("0", "-0", Some(Equal)),
            ("0.000", "0e9", Some(Equal)),
            ("1", "1.0", Some(Equal)),
            ("1000", "1e3", Some(Equal)),
            ("0.001", "1E-3", Some(Equal)),
            ("12.50", "1.25e1", Some(Equal)),
            ("9007199254740993", "9007199254740992", Some(Greater)),
            (
                "123456789012345678901234567890",
                "123456789012345678901234567891",
                Some(Less),
            ),
            ("-2", "-1", Some(Less)),
            ("-1", "1", Some(Less)),
            ("0", "0.1", Some(Less)),
            ("0", "-0.1", Some(Greater)),
            ("9", "10", Some(Less)),
            ("0.09", "0.1", Some(Less)),
            ("1e999999999", "1e999999998", Some(Greater)),
            ("1e-999999999", "0", Some(Greater)),
            ("1e9999999999", "1", None),
            ("01", "1", None),
            ("1.", "1", None),
            (".5", "1", None),
            ("+1", "1", None),
            ("", "1", None),
            ("-", "1", None),
            ("1e", "1", None),
            ("0x1", "1", None),
            ("NaN", "1", None),
            ("1 ", "1", None),
        ];
        for (one, other, expected) in CASES {
            let (a, b) = (one.as_bytes(), other.as_bytes());
            assert_eq!(compare(a, b), *expected, "{one} {other}");
            let reversed = expected.map(Ordering::reverse);
            assert_eq!(compare(b, a), reversed, "{other} {one}");
        }
    }

    #[test]
    fn values() {
        const PAYLOAD: &str = r#"{"s":"read","n":5.0,"b":true,"z":null,"l":["a",1,["b"],{"c":1},true],
            "w":"read write","o":{"a":{"b":[10,20]}},"e":"\u0061dmin","t/x":1,"m~n":2,"d":{"k":1,"k":2},"":3}"#;
        let one = |list: &[&str]| Test::OneOf(texts(list));
        let all = |list: &[&str]| Test::Contains(texts(list));
        let any = |list: &[&str]| Test::ContainsAny(texts(list));
        let min = |text: &str| Test::Min(text.as_bytes().to_vec());
        let max = |text: &str| Test::Max(text.as_bytes().to_vec());
        let cases: &[(&str, Test, bool)] = &[
            ("/s", one(&["read"]), true),
            ("/s", one(&["rea"]), false),
            ("/s", one(&["x", "read"]), true),
            ("/s", one(&[]), false),
            ("/n", one(&["5"]), true),
            ("/n", one(&["5.00"]), true),
            ("/n", one(&["6"]), false),
            ("/b", one(&["true"]), true),
            ("/b", one(&["false"]), false),
            ("/b", one(&["1"]), false),
            ("/z", one(&["null"]), false),
            ("/z", Test::Exists(true), false),
            ("/z", Test::Exists(false), true),
            ("/none", Test::Exists(false), true),
            ("/none", one(&[""]), false),
            ("/l", one(&["a"]), false),
            ("/l", all(&["a", "1", "true"]), true),
            ("/l", all(&["a", "b"]), false),
            ("/l", all(&["c"]), false),
            ("/l", any(&["b", "1.0"]), true),
            ("/l/2", all(&["b"]), true),
            ("/l/2/0", one(&["b"]), true),
            ("/l/02", Test::Exists(true), false),
            ("/l/-", Test::Exists(true), false),
            ("/w", all(&["read"]), true),
            ("/w", all(&["rea"]), false),
            ("/w", all(&["read write"]), false),
            ("/w", all(&[""]), false),
            ("/o", all(&["a"]), false),
            ("/o/a/b", all(&["20"]), true),
            ("/o/a/b/1", min("20"), true),
            ("/o/a/b/1", min("20.01"), false),
            ("/o/a/b/1", max("20"), true),
            ("/o/a/b/1", max("19"), false),
            ("/s", min("0"), false),
            ("/b", min("0"), false),
            ("/e", one(&["admin"]), true),
            ("/t~1x", one(&["1"]), true),
            ("/m~0n", one(&["2"]), true),
            ("/m~01n", Test::Exists(true), false),
            ("/", one(&["3"]), true),
            ("/d/k", Test::Exists(true), false),
            ("/d/k", Test::Exists(false), false),
        ];
        for (claim, test, expected) in cases {
            assert_eq!(
                holds(PAYLOAD, claim, test.clone()),
                *expected,
                "{claim} {test:?}"
            );
        }
    }
}
