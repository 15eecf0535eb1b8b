//! What injection detection saw in a value, and how decoding got there: for `debug.trace`.
//!
//! **In:** the same head or body, after the verdict. **Out:** [`Explained`]: every value with a match, its bytes as sent and after
//! each decoding step, and the matches, those that an exception took out and those without points among them.
//! **Invariant:** nothing here judges: the detectors, decoders and exceptions are the stage's own, run once more on the same bytes.
//! **Cost:** none unless asked for; bounded by [`Explained::MAX`] values and [`Value::MAX_BYTES`] bytes each.

use alloc::vec::Vec;

use super::detectors::shape;
use super::inspection::{Encoding, Place};
use super::{Class, Clean, Here, InjectionStage, body, decode, fields};
use crate::budget::MAX_STEPS;
use crate::finding::{Finding, Findings};
use crate::request::RequestHead;
use crate::request::body::BodyKind;

/// What was seen in a head or a body.
#[derive(Debug, Default)]
pub struct Explained {
    /// Values with matches, in the order they were looked at.
    pub values: Vec<Value>,
    /// Score of the whole, as if nothing had stopped at the threshold.
    pub score: u32,
    /// Score that blocks on its route.
    pub threshold: u32,
}

/// One value with matches.
#[derive(Debug)]
pub struct Value {
    /// `path`, `query`, `header`, `cookie` or `body`.
    pub place: &'static [u8],
    /// Name as exceptions know it.
    pub name: Vec<u8>,
    /// As sent, cut to [`Value::MAX_BYTES`].
    pub raw: Vec<u8>,
    /// What decoding made of it, step by step.
    pub steps: Vec<Decoded>,
    /// What matched.
    pub matches: Vec<Match>,
}

/// One decoding step.
#[derive(Debug)]
pub struct Decoded {
    /// What was undone: `joined` (several values of one name), `percent`, `plus`, `html entity`, `base64`, …
    pub by: Vec<u8>,
    /// What was left, cut to [`Value::MAX_BYTES`].
    pub bytes: Vec<u8>,
}

/// One match in one view of a value.
#[derive(Debug, PartialEq, Eq)]
pub struct Match {
    /// Its class.
    pub class: Class,
    /// The lowest level at which it blocks by itself, at the default threshold.
    pub level: u8,
    /// The class's name, or the operator's pattern's.
    pub rule: Vec<u8>,
    /// The bytes that matched, cut as a finding's.
    pub evidence: Vec<u8>,
    /// Points at this level; 0: below what this level looks for.
    pub points: u32,
    /// An exception took it out.
    pub excepted: bool,
    /// SQL: the kinds of the tokens of the view, `before-quote logic number operator number comment`.
    pub tokens: Vec<u8>,
}

impl Explained {
    /// Values kept.
    pub const MAX: usize = 32;
}

impl Value {
    /// Bytes kept of a view.
    pub const MAX_BYTES: usize = 2048;
    /// Matches kept.
    const MAX_MATCHES: usize = 16;
}

impl Match {
    pub(super) fn new(
        (class, level): (Class, u8),
        rule: &[u8],
        evidence: &[u8],
        points: u32,
    ) -> Self {
        Self {
            class,
            level,
            rule: cut(rule, Finding::MAX_EVIDENCE),
            evidence: cut(evidence, Finding::MAX_EVIDENCE),
            points,
            excepted: false,
            tokens: Vec::new(),
        }
    }
}

/// Stands for values that were sent apart.
const SEVERAL: &[u8] = b"(several values of this name)";

/// Collects what an inspection sees.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    matches: Vec<Match>,
    values: Vec<Value>,
}

impl Watch {
    /// A match in the value that is being looked at.
    #[cold]
    pub(super) fn see(&mut self, mut seen: Match, excepted: bool) {
        seen.excepted = excepted;
        if self.matches.len() < Value::MAX_MATCHES && !self.matches.contains(&seen) {
            self.matches.push(seen);
        }
    }

    /// The value was looked at.
    #[cold]
    pub(super) fn end_value(
        &mut self,
        place: Place,
        name: &[u8],
        raw: &[u8],
        encoding: Encoding,
        is_joined: bool,
    ) {
        let mut matches = core::mem::take(&mut self.matches);
        if matches.is_empty() || self.values.len() >= Explained::MAX {
            return;
        }
        let mut steps = Vec::new();
        if is_joined {
            steps.push(step(b"joined", raw));
        }
        let plus = encoding == Encoding::Form;
        let mut last = decode::steps(raw, encoding != Encoding::Plain, plus, |by, bytes| {
            let bytes = cut(bytes, Value::MAX_BYTES);
            steps.push(Decoded { by, bytes });
        });
        let changed = !steps.is_empty();
        let mut unwrapped = Vec::new();
        let text = match place {
            Place::Path => last.strip_prefix(b"/").unwrap_or(&last),
            Place::Query | Place::Header | Place::Cookie | Place::Body => &last,
        };
        if decode::base64(text, &mut unwrapped) {
            steps.push(step(b"base64", &unwrapped));
        } else if changed && matches!(place, Place::Header | Place::Cookie) && last.contains(&b'+')
        {
            for byte in last.iter_mut().filter(|byte| **byte == b'+') {
                *byte = b' ';
            }
            steps.push(step(b"plus", &last));
        }
        for seen in matches.iter_mut().filter(|seen| seen.class == Class::Sqli) {
            let decoded = steps.iter().map(|step| step.bytes.as_slice());
            let view = core::iter::once(raw)
                .chain(decoded)
                .rfind(|view| fields::find(view, &seen.evidence).is_some());
            seen.tokens = shape(view.unwrap_or_default());
        }
        self.values.push(Value {
            place: place.name(),
            name: cut(name, Finding::MAX_EVIDENCE),
            raw: cut(if is_joined { SEVERAL } else { raw }, Value::MAX_BYTES),
            steps,
            matches,
        });
    }
}

impl InjectionStage {
    /// What [`InjectionStage::inspect_head`] sees, without an end at the threshold.
    #[must_use]
    pub fn explain_head(&self, head: &RequestHead<'_>, here: Here<'_>) -> Explained {
        self.explain(here, |inspection| {
            self.look_at_head(head, &mut Clean::default(), inspection);
        })
    }

    /// What [`InjectionStage::inspect_body`] sees, without an end at the threshold.
    #[must_use]
    pub fn explain_body(&self, kind: BodyKind, bytes: &[u8], here: Here<'_>) -> Explained {
        self.explain(here, |inspection| {
            let _ = body::look(kind, bytes, inspection);
        })
    }

    fn explain(&self, here: Here<'_>, look: impl FnOnce(&mut super::Inspection<'_>)) -> Explained {
        let mut watch = Watch::default();
        let mut steps = MAX_STEPS.saturating_mul(16);
        let mut found = Findings::default();
        let mut inspection =
            super::Inspection::new(self, here, &mut steps, &mut found).watched(&mut watch);
        look(&mut inspection);
        let score = inspection.score();
        Explained {
            values: watch.values,
            score,
            threshold: self.rules_of(here.route).threshold,
        }
    }
}

fn step(by: &[u8], bytes: &[u8]) -> Decoded {
    Decoded {
        by: cut(by, by.len()),
        bytes: cut(bytes, Value::MAX_BYTES),
    }
}

fn cut(bytes: &[u8], most: usize) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(bytes.get(..most).unwrap_or(bytes));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::injection::Exception;
    use crate::units::UnixTime;

    fn stage(except: Vec<Exception>) -> InjectionStage {
        InjectionStage {
            except,
            ..InjectionStage::new(1, 5)
        }
    }

    fn told(value: &Value) -> String {
        let show = |bytes: &[u8]| bytes.escape_ascii().to_string();
        let mut text = show(&value.raw);
        for step in &value.steps {
            text.push_str(" |");
            text.push_str(&show(&step.by));
            text.push_str("| ");
            text.push_str(&show(&step.bytes));
        }
        text
    }

    #[test]
    fn decoding_is_told_step_by_step() {
        const CASES: &[(&str, &str)] = &[
            ("a=' OR 1=1-- ", "\\' OR 1=1-- "),
            (
                "a=%27+OR+1%3D1--+",
                "%27+OR+1%3D1--+ |percent, plus| \\' OR 1=1-- ",
            ),
            (
                "a=%2527%2520OR%25201%253D1--%2520",
                "%2527%2520OR%25201%253D1--%2520 |percent| %27%20OR%201%3D1--%20 |percent| \\' OR 1=1-- ",
            ),
            (
                "a=%26lt;script%26gt;alert(1)",
                "%26lt;script%26gt;alert(1) |percent| &lt;script&gt;alert(1) |html entity| <script>alert(1)",
            ),
            (
                "a=\\u003cscript\\x3ealert(1)",
                "\\\\u003cscript\\\\x3ealert(1) |backslash escape| <script>alert(1)",
            ),
            (
                "a=1+union/*&a=*/select+2",
                "(several values of this name) |joined| 1+union/*,*/select+2 |plus| 1 union/*,*/select 2",
            ),
            (
                "a=PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==",
                "PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg== |base64| <script>alert(1)</script>",
            ),
        ];
        for (body, expected) in CASES {
            let seen = stage(Vec::new()).explain_body(
                BodyKind::Form,
                body.as_bytes(),
                Here::new(b"r", UnixTime(0)),
            );
            let values: Vec<String> = seen.values.iter().map(told).collect();
            assert_eq!(values, [*expected], "{body}");
            assert!(seen.score >= 5, "{body}: {}", seen.score);
        }
    }

    /// The bytes of a match stand in one of the views that are shown: what is explained is what was judged.
    #[test]
    fn every_match_is_in_a_view_that_is_shown() {
        const VALUES: &[&str] = &[
            "1%27%20union%20select%20null--%20",
            "%252e%252e%252f%252e%252e%252fetc%252fpasswd",
            "..%c0%af..%c0%afetc/passwd",
            "x%u003cscript%u003ealert(1)",
            "127.0.0.1;+cat+/etc/passwd",
            "%26%2360;svg+onload=alert(1)%26%2362;",
            "Jm9sOyBjYXQgL2V0Yy9wYXNzd2QgOyBscyAtbGE=",
        ];
        for value in VALUES {
            let body = alloc::format!("q={value}");
            let seen = stage(Vec::new()).explain_body(
                BodyKind::Form,
                body.as_bytes(),
                Here::new(b"r", UnixTime(0)),
            );
            for value in &seen.values {
                for found in &value.matches {
                    let mut views = vec![&value.raw];
                    views.extend(value.steps.iter().map(|step| &step.bytes));
                    let within = |view: &&Vec<u8>| {
                        view.windows(found.evidence.len())
                            .any(|part| part == found.evidence)
                    };
                    assert!(views.iter().any(within), "{}: {found:?}", told(value));
                }
            }
            assert!(!seen.values.is_empty(), "{value}");
        }
    }

    #[test]
    fn sql_is_told_by_its_tokens() {
        const CASES: &[(&str, &str)] = &[
            (
                "q=%27+OR+1%3D1--+",
                "before-quote logic number operator number comment",
            ),
            (
                "q=5 < 6 and 7 > 3",
                "number operator number logic number operator number",
            ),
        ];
        for (body, expected) in CASES {
            let seen = stage(Vec::new()).explain_body(
                BodyKind::Form,
                body.as_bytes(),
                Here::new(b"r", UnixTime(0)),
            );
            let mut matches = seen.values.iter().flat_map(|value| &value.matches);
            let tokens = matches.next().map(|seen| seen.tokens.escape_ascii());
            assert_eq!(
                tokens.map(|t| alloc::format!("{t}")).as_deref(),
                Some(*expected),
                "{body}"
            );
        }
    }

    #[test]
    fn exceptions_show_as_such_and_weigh_nothing() {
        let except = Exception {
            route: Some(b"r".to_vec()),
            field: Some(b"q".to_vec()),
            classes: vec![Class::Xss],
            ..Exception::default()
        };
        let body = b"q=<script>alert(1)</script>";
        for (route, excepted, score) in [(&b"r"[..], true, 0), (b"other", false, 5)] {
            let seen = stage(vec![except.clone()]).explain_body(
                BodyKind::Form,
                body,
                Here::new(route, UnixTime(0)),
            );
            let matches: Vec<&Match> = seen.values.iter().flat_map(|v| &v.matches).collect();
            assert!(!matches.is_empty());
            assert!(
                matches
                    .iter()
                    .filter(|seen| seen.class == Class::Xss)
                    .all(|seen| seen.excepted == excepted)
            );
            assert_eq!(seen.score, score);
        }
    }

    /// Any bytes, of any length: bounded, no panic.
    #[test]
    fn hostile_bodies_are_bounded() {
        let every: Vec<u8> = (0..=255).collect();
        let mut body = Vec::new();
        for at in 0..60_u8 {
            body.extend_from_slice(&[b'a'.wrapping_add(at % 26), b'=']);
            body.extend_from_slice(&b"%27%20OR%201=1--%20<script>".repeat(200));
            body.push(b'&');
        }
        for bytes in [&every[..], &body, b"=", b"", b"%", b"q=%"] {
            for kind in [BodyKind::Form, BodyKind::Json, BodyKind::Other] {
                let seen = stage(Vec::new()).explain_body(kind, bytes, Here::new(b"", UnixTime(0)));
                assert!(seen.values.len() <= Explained::MAX);
                for value in &seen.values {
                    assert!(value.raw.len() <= Value::MAX_BYTES);
                    assert!(value.steps.len() <= 9);
                    assert!(value.matches.len() <= Value::MAX_MATCHES);
                }
            }
        }
    }
}
