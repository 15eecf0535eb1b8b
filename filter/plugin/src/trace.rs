//! `debug.trace`: the log lines that tell step by step how a request was decided. No `core::fmt`.
//!
//! Each line begins with `palisade-trace `. While the request is decided there are only markers, constants such as
//! `palisade-trace > headers` where a step begins, so that a host that meters its guest knows what each step cost; two
//! `> end` in a row give the price of a marker. Then one line of JSON each for `route`, `limit`, `verified`, `value` and `verdict`.
//!
//! **Invariant:** a listener changes no verdict. Names in `events.redact` hide their values here as they do in events, and no
//! credential is ever told.

use palisade_engine::env::{Note, Step};
use palisade_engine::finding::Finding;
use palisade_engine::policy::Policy;
use palisade_engine::stages::injection::{Explained, Value};
use palisade_engine::verdict::Denial;

use crate::metrics::stage_name;
use crate::telemetry::{Json, decimal, is_redacted};

/// What each line begins with.
pub const PREFIX: &[u8] = b"palisade-trace ";

/// The marker of a step.
#[must_use]
pub const fn marker(step: Step) -> &'static [u8] {
    match step {
        Step::Request => b"palisade-trace > request",
        Step::Route => b"palisade-trace > route",
        Step::Access => b"palisade-trace > access",
        Step::Headers => b"palisade-trace > headers",
        Step::ClientLimits => b"palisade-trace > limits(client)",
        Step::Token => b"palisade-trace > token",
        Step::Roles => b"palisade-trace > authorize",
        Step::SubjectLimits => b"palisade-trace > limits(subject)",
        Step::HeadInjection => b"palisade-trace > injection(head)",
        Step::Body => b"palisade-trace > body",
        Step::BodyInjection => b"palisade-trace > injection(body)",
        Step::FieldLimits => b"palisade-trace > limits(field)",
        Step::End => b"palisade-trace > end",
    }
}

/// The line of a note that is no marker, made in `step`.
#[must_use]
pub fn note(policy: &Policy, note: Note, step: Step) -> Option<Vec<u8>> {
    let mut json = begin();
    match note {
        Note::Enter(_) => return None,
        Note::Route(index) => {
            json.text("trace", b"route");
            let route = index.and_then(|index| policy.routes.get(index));
            json.text("name", route.map_or(&b""[..], |route| &route.name));
        }
        Note::Limit {
            index,
            used,
            wait_ms,
        } => {
            let limit = policy.limits.limits.get(index)?;
            json.text("trace", b"limit");
            json.text("step", step_name(step));
            json.text("name", &limit.name);
            number(&mut json, "used", used);
            number(&mut json, "quota", u64::from(limit.quota.count));
            number(&mut json, "wait_ms", wait_ms);
        }
        Note::Banned { wait_ms } => {
            json.text("trace", b"banned");
            json.text("step", step_name(step));
            number(&mut json, "wait_ms", wait_ms);
        }
        Note::Verified(index) => {
            let provider = policy.tokens.providers.get(index)?;
            json.text("trace", b"verified");
            json.text("provider", &provider.name);
        }
    }
    json.close(b'}');
    Some(json.out)
}

fn step_name(step: Step) -> &'static [u8] {
    let marker = marker(step);
    marker.strip_prefix(b"palisade-trace > ").unwrap_or(marker)
}

/// The line of a value with matches.
#[must_use]
pub fn value(value: &Value, redact: &[Vec<u8>]) -> Vec<u8> {
    let mut place = value.place.to_vec();
    if !value.name.is_empty() {
        place.push(b':');
        place.extend_from_slice(&value.name);
    }
    let hidden = is_redacted(&place, redact);
    let shown = |bytes| -> &[u8] { if hidden { b"[redacted]" } else { bytes } };
    let mut json = begin();
    json.text("trace", b"value");
    json.text("place", &place);
    json.text("name", &value.name);
    json.text("raw", shown(&value.raw));
    json.key("steps");
    json.open(b'[');
    for step in &value.steps {
        json.open(b'{');
        json.text("by", &step.by);
        json.text("bytes", shown(&step.bytes));
        json.close(b'}');
    }
    json.close(b']');
    json.key("matches");
    json.open(b'[');
    for seen in &value.matches {
        json.open(b'{');
        json.text("class", seen.class.name().as_bytes());
        json.text("rule", &seen.rule);
        json.text("evidence", shown(&seen.evidence));
        number(&mut json, "points", u64::from(seen.points));
        number(&mut json, "level", u64::from(seen.level));
        flag(&mut json, "excepted", seen.excepted);
        if !seen.tokens.is_empty() {
            json.text("tokens", &seen.tokens);
        }
        json.close(b'}');
    }
    json.close(b']');
    json.close(b'}');
    json.out
}

/// What the engine said: refused, passed, or wait for the body.
#[derive(Debug, Clone, Copy)]
pub enum Said<'a> {
    /// It goes on.
    Allow,
    /// It is refused.
    Deny(&'a Denial),
    /// The body must come.
    Need,
}

/// The line of a verdict: of the head, or of the body.
#[must_use]
pub fn verdict(
    said: Said<'_>,
    findings: &[Finding],
    seen: &Explained,
    threshold: Option<u32>,
    redact: &[Vec<u8>],
) -> Vec<u8> {
    let mut json = begin();
    json.text("trace", b"verdict");
    match said {
        Said::Allow => json.text("said", b"allow"),
        Said::Need => json.text("said", b"need body"),
        Said::Deny(denial) => {
            let row = denial.reason.row();
            json.text("said", b"deny");
            json.text("stage", stage_name(denial.stage).as_bytes());
            json.text("reason", row.code.as_bytes());
            number(&mut json, "status", u64::from(row.status));
        }
    }
    if let Some(threshold) = threshold {
        number(&mut json, "score", u64::from(seen.score));
        number(&mut json, "threshold", u64::from(threshold));
    }
    json.key("findings");
    json.open(b'[');
    for found in findings {
        crate::telemetry::finding(&mut json, found, redact);
    }
    json.close(b']');
    json.close(b'}');
    json.out
}

fn begin() -> Json {
    let mut json = Json::default();
    json.out.extend_from_slice(PREFIX);
    json.open(b'{');
    json
}

fn number(json: &mut Json, name: &str, number: u64) {
    json.key(name);
    decimal(json.value(), number);
}

fn flag(json: &mut Json, name: &str, flag: bool) {
    json.key(name);
    let out = json.value();
    out.extend_from_slice(if flag { b"true" } else { b"false" });
}

#[cfg(test)]
mod tests {
    use super::*;
    use palisade_engine::stages::injection::{Class, Decoded, Match};
    use palisade_engine::verdict::{Reason, Stage};

    fn parsed(line: &[u8]) -> serde_json::Value {
        let json = line.strip_prefix(PREFIX).unwrap();
        assert!(!json.iter().any(|byte| *byte < 0x20));
        serde_json::from_slice(json).unwrap()
    }

    #[test]
    fn lines_are_json_and_markers_are_not() {
        assert!(marker(Step::Request).starts_with(PREFIX));
        let policy = br#"{"limits":[{"name":"per-client","key":["client"],"quota":"100/1m"}]}"#;
        let policy = Policy::from_plugin_bytes(policy, &|_| None).unwrap();
        assert!(note(&policy, Note::Enter(Step::End), Step::End).is_none());
        assert!(note(&policy, Note::Verified(0), Step::Token).is_none());
        let limit = Note::Limit {
            index: 0,
            used: 3,
            wait_ms: 0,
        };
        assert_eq!(
            parsed(&note(&policy, limit, Step::ClientLimits).unwrap()),
            serde_json::json!({ "trace": "limit", "step": "limits(client)", "name": "per-client", "used": 3, "quota": 100,
                                "wait_ms": 0 })
        );
        assert_eq!(
            parsed(&note(&policy, Note::Banned { wait_ms: 7 }, Step::ClientLimits).unwrap()),
            serde_json::json!({ "trace": "banned", "step": "limits(client)", "wait_ms": 7 })
        );
        assert_eq!(
            parsed(&note(&policy, Note::Route(Some(0)), Step::Route).unwrap()),
            serde_json::json!({ "trace": "route", "name": "default" })
        );
        let denial = Denial::new(Stage::Injection, Reason::Injection);
        let line = verdict(
            Said::Deny(&denial),
            &[],
            &Explained::default(),
            Some(5),
            &[],
        );
        assert_eq!(
            parsed(&line),
            serde_json::json!({ "trace": "verdict", "said": "deny", "stage": "injection", "reason": "injection", "status": 403,
                                "score": 0, "threshold": 5, "findings": [] })
        );
    }

    #[test]
    fn a_value_is_told_unless_its_name_is_redacted() {
        let seen = Value {
            place: b"body",
            name: b"user.password".to_vec(),
            raw: b"%27hunter2\n".to_vec(),
            steps: vec![Decoded {
                by: b"percent".to_vec(),
                bytes: b"'hunter2\n".to_vec(),
            }],
            matches: vec![Match {
                class: Class::Sqli,
                level: 1,
                rule: b"sqli".to_vec(),
                evidence: b"'hunter2".to_vec(),
                points: 5,
                excepted: false,
                tokens: Vec::new(),
            }],
        };
        let told = value(&seen, &[]);
        assert_eq!(parsed(&told)["steps"][0]["bytes"], "'hunter2\n");
        let hidden = value(&seen, &[b"password".to_vec()]);
        assert!(!hidden.windows(7).any(|part| part == b"hunter2"));
        assert_eq!(parsed(&hidden)["matches"][0]["evidence"], "[redacted]");
    }
}
