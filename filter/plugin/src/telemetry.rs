//! What is told: the event line, the problem body, the verdict in filter state. No `core::fmt`.
//!
//! One event is one line of JSON:
//!
//! | field | meaning |
//! |---|---|
//! | `ts` | wall time, RFC 3339, milliseconds, UTC |
//! | `action` | `denied`; `monitored` (findings let pass); `allowed` (only with `events.log: all`) |
//! | `mode` | mode of the policy |
//! | `request_id`, `client`, `method`, `path` | of the request; `path` as judged, without the query |
//! | `route` | name of the route; empty when none was chosen |
//! | `subject` | `sub` of the verified token; absent when anonymous |
//! | `stage`, `reason`, `status` | of the refusal (monitored: of the first finding and the status it would have had) |
//! | `body` | `none`, `inspected`, `prefix` (the rest passed unseen) or `streamed` (passed unseen) |
//! | `findings` | `[{stage, reason, rule, place, evidence, score, level}]`; `level` (1 surest to 4) of injection only; `evidence` is `[redacted]` for names in `events.redact` |
//!
//! **Invariant:** every string is escaped: no client byte can end a string, a line, or a terminal's patience.
//! **Cost:** linear in the report, which the engine bounds.

use core::net::IpAddr;

use palisade_engine::engine::{BodySeen, Report};
use palisade_engine::finding::Finding;
use palisade_engine::policy::Mode;
use palisade_engine::verdict::{Denial, Reason, ReasonRow, Stage};

use crate::metrics::stage_name;

/// What became of the request an event tells about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Passed, nothing found.
    Allowed,
    /// Refused.
    Denied(Stage, Reason),
    /// Passed with findings.
    Monitored(Stage, Reason),
}

/// The event line of a report. `wall_ms` is wall time in milliseconds since 1970.
#[must_use]
pub fn event(
    report: &Report,
    outcome: Outcome,
    mode: Mode,
    redact: &[Vec<u8>],
    wall_ms: u64,
) -> Vec<u8> {
    let mut json = Json::default();
    json.open(b'{');
    json.key("ts");
    timestamp(json.value(), wall_ms);
    let action = match outcome {
        Outcome::Allowed => "allowed",
        Outcome::Denied(..) => "denied",
        Outcome::Monitored(..) => "monitored",
    };
    json.text("action", action.as_bytes());
    json.text(
        "mode",
        match mode {
            Mode::Enforce => b"enforce",
            Mode::Monitor => b"monitor",
        },
    );
    json.text("request_id", &report.request_id);
    json.key("client");
    let out = json.value();
    out.push(b'"');
    address(out, report.client);
    out.push(b'"');
    json.text("method", &report.method);
    json.text("path", &report.path);
    json.text("route", &report.route);
    if !report.subject.is_empty() {
        json.text("subject", &report.subject);
    }
    if let Outcome::Denied(stage, reason) | Outcome::Monitored(stage, reason) = outcome {
        let row = reason.row();
        json.text("stage", stage_name(stage).as_bytes());
        json.text("reason", row.code.as_bytes());
        json.key("status");
        decimal(json.value(), u64::from(row.status));
    }
    json.text(
        "body",
        match report.body {
            BodySeen::None => b"none".as_slice(),
            BodySeen::Inspected => b"inspected",
            BodySeen::Prefix => b"prefix",
            BodySeen::Streamed | BodySeen::Framed => b"streamed",
        },
    );
    json.key("findings");
    json.open(b'[');
    for found in report.findings.as_slice() {
        finding(&mut json, found, redact);
    }
    json.close(b']');
    json.close(b'}');
    json.out
}

/// What happened to a provider's fetched keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeysTold {
    /// The first set came.
    Loaded,
    /// Another set came.
    Rotated,
    /// Fetches succeed again.
    Recovered,
    /// A fetch failed, and why.
    Failed(&'static str),
    /// The keys are older than `max_stale`: none serves.
    TooStale,
}

/// A line about a provider's keys.
#[derive(Debug)]
pub struct KeysEvent<'a> {
    /// What happened.
    pub told: KeysTold,
    /// Name of the provider.
    pub provider: &'a [u8],
    /// Keys it has.
    pub keys: usize,
    /// Seconds since their last fetch.
    pub age_s: Option<u64>,
    /// Failures since then.
    pub failures: u32,
    /// Seconds until the next fetch.
    pub next_s: u64,
    /// Wall time.
    pub wall_ms: u64,
}

/// The line about a provider's keys: `action` is `keys`, `event` one of `loaded`, `rotated`, `recovered`, `failed`,
/// `too_stale`; `why` is there for a failure.
#[must_use]
pub fn keys_event(event: &KeysEvent<'_>) -> Vec<u8> {
    let mut json = Json::default();
    json.open(b'{');
    json.key("ts");
    timestamp(json.value(), event.wall_ms);
    json.text("action", b"keys");
    json.text("provider", event.provider);
    let (word, why): (&[u8], &str) = match event.told {
        KeysTold::Loaded => (b"loaded", ""),
        KeysTold::Rotated => (b"rotated", ""),
        KeysTold::Recovered => (b"recovered", ""),
        KeysTold::Failed(why) => (b"failed", why),
        KeysTold::TooStale => (b"too_stale", ""),
    };
    json.text("event", word);
    if !why.is_empty() {
        json.text("why", why.as_bytes());
    }
    let mut number = |name, number| {
        json.key(name);
        decimal(json.value(), number);
    };
    number("keys", u64::try_from(event.keys).unwrap_or(u64::MAX));
    if let Some(age) = event.age_s {
        number("age_s", age);
    }
    number("failures", u64::from(event.failures));
    number("next_s", event.next_s);
    json.close(b'}');
    json.out
}

/// The line about a rate limit service that is told of hits: `action` is `fleet`, `event` `failed` or `recovered`.
#[must_use]
pub fn fleet_event(cluster: &[u8], domain: &[u8], answers: bool, wall_ms: u64) -> Vec<u8> {
    let mut json = Json::default();
    json.open(b'{');
    json.key("ts");
    timestamp(json.value(), wall_ms);
    json.text("action", b"fleet");
    json.text("cluster", cluster);
    json.text("domain", domain);
    json.text("event", if answers { b"recovered" } else { b"failed" });
    json.close(b'}');
    json.out
}

pub(crate) fn finding(json: &mut Json, found: &Finding, redact: &[Vec<u8>]) {
    json.open(b'{');
    json.text("stage", stage_name(found.stage).as_bytes());
    json.text("reason", found.reason.row().code.as_bytes());
    json.text("rule", &found.rule);
    json.text("place", &found.place);
    if !found.evidence.is_empty() {
        let hidden = is_redacted(&found.place, redact);
        json.text(
            "evidence",
            if hidden {
                b"[redacted]"
            } else {
                &found.evidence
            },
        );
    }
    json.key("score");
    decimal(json.value(), u64::from(found.score));
    if found.level > 0 {
        json.key("level");
        decimal(json.value(), u64::from(found.level));
    }
    json.close(b'}');
}

/// Whether evidence from `place` (`kind:name`) may not be shown: the kind itself (`cookie` hides all cookies), the
/// whole name, or one of the segments of a body path (`user.password`, `/user/password`, `items[0]`) is on the list.
#[must_use]
pub fn is_redacted(place: &[u8], redact: &[Vec<u8>]) -> bool {
    let mut parts = place.splitn(2, |byte| *byte == b':');
    let kind = parts.next().unwrap_or_default();
    let name = parts.next().unwrap_or_default();
    redact.iter().any(|hidden| {
        kind.eq_ignore_ascii_case(hidden)
            || name.eq_ignore_ascii_case(hidden)
            || name
                .split(|byte| matches!(byte, b'/' | b'.' | b'[' | b']'))
                .any(|segment| segment.eq_ignore_ascii_case(hidden))
    })
}

/// The problem body (RFC 9457): a stable code and the request id, nothing else.
#[must_use]
pub fn problem(row: &ReasonRow, denial: Option<&Denial>, request_id: &[u8]) -> Vec<u8> {
    let limits = denial.filter(|denial| denial.stage == Stage::Limits);
    let registered = limits.and_then(|denial| denial.reason.problem_type());
    let mut json = Json::default();
    json.open(b'{');
    json.key("type");
    let out = json.value();
    out.extend_from_slice(match registered {
        Some(_) => b"\"https://iana.org/assignments/http-problem-types#",
        None => b"\"urn:palisade:problem:",
    });
    out.extend_from_slice(registered.unwrap_or(row.code).as_bytes());
    out.push(b'"');
    json.text("title", row.title.as_bytes());
    json.key("status");
    decimal(json.value(), u64::from(row.status));
    json.text("code", row.code.as_bytes());
    json.text("request_id", request_id);
    if let (Some(denial), Some(_)) = (limits, registered) {
        json.key("violated-policies");
        let out = json.value();
        out.push(b'[');
        for name in &denial.violated {
            // A policy's names are plain: nothing in them is escaped.
            out.push(b'"');
            out.extend_from_slice(name);
            out.extend_from_slice(b"\",");
        }
        if out.last() == Some(&b',') {
            out.pop();
        }
        out.push(b']');
    }
    json.close(b'}');
    json.out
}

/// The verdict for access logs (`%FILTER_STATE(wasm.verdict:PLAIN)%`): `denied:<stage>:<code>`, `monitored:…` or `allowed`.
#[must_use]
pub fn verdict(outcome: Outcome) -> Vec<u8> {
    let (word, stage, reason) = match outcome {
        Outcome::Allowed => return b"allowed".to_vec(),
        Outcome::Denied(stage, reason) => ("denied:", stage, reason),
        Outcome::Monitored(stage, reason) => ("monitored:", stage, reason),
    };
    let mut out = word.as_bytes().to_vec();
    out.extend_from_slice(stage_name(stage).as_bytes());
    out.push(b':');
    out.extend_from_slice(reason.row().code.as_bytes());
    out
}

/// A writer of JSON text that knows where commas go.
#[derive(Debug, Default)]
pub(crate) struct Json {
    pub(crate) out: Vec<u8>,
    comma: bool,
}

impl Json {
    fn separate(&mut self) {
        if self.comma {
            self.out.push(b',');
        }
        self.comma = false;
    }

    pub(crate) fn open(&mut self, bracket: u8) {
        self.separate();
        self.out.push(bracket);
    }

    pub(crate) fn close(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.comma = true;
    }

    pub(crate) fn key(&mut self, name: &str) {
        self.separate();
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    /// Where the value after a key is written.
    pub(crate) fn value(&mut self) -> &mut Vec<u8> {
        self.comma = true;
        &mut self.out
    }

    pub(crate) fn text(&mut self, name: &str, bytes: &[u8]) {
        self.key(name);
        string(self.value(), bytes);
    }
}

/// A JSON string. UTF-8 stays; of anything else each byte from 0x80 becomes `\u00XX`. Control bytes, quotes,
/// `\`, `<` and DEL are escaped.
fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    let utf8 = core::str::from_utf8(bytes).is_ok();
    out.push(b'"');
    for byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            0..=0x1f | b'<' | 0x7f => escape(out, *byte),
            0x80.. if !utf8 => escape(out, *byte),
            _ => out.push(*byte),
        }
    }
    out.push(b'"');
}

fn escape(out: &mut Vec<u8>, byte: u8) {
    out.extend_from_slice(b"\\u00");
    hex_digit(out, byte >> 4);
    hex_digit(out, byte & 15);
}

fn hex_digit(out: &mut Vec<u8>, digit: u8) {
    out.push(if digit < 10 {
        b'0'.wrapping_add(digit)
    } else {
        b'a'.wrapping_sub(10).wrapping_add(digit)
    });
}

/// A number in decimal digits.
pub fn decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [b'0'; 20];
    let mut used = 0_usize;
    for slot in digits.iter_mut().rev() {
        *slot = b'0'.wrapping_add(u8::try_from(number % 10).unwrap_or(0));
        number /= 10;
        used = used.wrapping_add(1);
        if number == 0 {
            break;
        }
    }
    let start = digits.len().saturating_sub(used);
    out.extend_from_slice(digits.get(start..).unwrap_or_default());
}

fn padded(out: &mut Vec<u8>, number: u64, width: u32) {
    let mut unit = 1_u64;
    for _ in 1..width {
        unit = unit.saturating_mul(10);
        if number < unit {
            out.push(b'0');
        }
    }
    decimal(out, number);
}

/// An address: IPv4 dotted, IPv6 as eight groups without zero compression (RFC 4291 §2.2 form 1).
pub(crate) fn address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => {
            for (index, octet) in v4.octets().into_iter().enumerate() {
                if index > 0 {
                    out.push(b'.');
                }
                decimal(out, u64::from(octet));
            }
        }
        IpAddr::V6(v6) => {
            for (index, group) in v6.segments().into_iter().enumerate() {
                if index > 0 {
                    out.push(b':');
                }
                let mut started = false;
                for nibble in [
                    group >> 12,
                    (group >> 8) & 15,
                    (group >> 4) & 15,
                    group & 15,
                ] {
                    started |= nibble != 0;
                    if started {
                        hex_digit(out, u8::try_from(nibble).unwrap_or(0));
                    }
                }
                if !started {
                    out.push(b'0');
                }
            }
        }
    }
}

/// RFC 3339 with milliseconds. Days to civil date by eras of 400 years counted from March (proleptic Gregorian).
fn timestamp(out: &mut Vec<u8>, wall_ms: u64) {
    let (ms, seconds) = (wall_ms % 1000, wall_ms / 1000);
    let (second_of_day, days) = (seconds % 86_400, seconds / 86_400);
    let shifted = days.wrapping_add(719_468); // days from 0000-03-01 to 1970-01-01
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let leap = (day_of_era / 1460)
        .wrapping_sub(day_of_era / 36_524)
        .wrapping_add(day_of_era / 146_096);
    let year_of_era = day_of_era.wrapping_sub(leap) / 365;
    let before = year_of_era
        .wrapping_mul(365)
        .wrapping_add(year_of_era / 4)
        .wrapping_sub(year_of_era / 100);
    let day_of_year = day_of_era.wrapping_sub(before);
    let shifted_month = day_of_year.wrapping_mul(5).wrapping_add(2) / 153;
    let month_start = shifted_month.wrapping_mul(153).wrapping_add(2) / 5;
    let day = day_of_year.wrapping_sub(month_start).wrapping_add(1);
    let january = shifted_month >= 10;
    let month = if january {
        shifted_month.wrapping_sub(9)
    } else {
        shifted_month.wrapping_add(3)
    };
    let year = era
        .wrapping_mul(400)
        .wrapping_add(year_of_era)
        .wrapping_add(u64::from(january));
    out.push(b'"');
    padded(out, year, 4);
    out.push(b'-');
    padded(out, month, 2);
    out.push(b'-');
    padded(out, day, 2);
    out.push(b'T');
    padded(out, second_of_day / 3600, 2);
    out.push(b':');
    padded(out, second_of_day / 60 % 60, 2);
    out.push(b':');
    padded(out, second_of_day % 60, 2);
    out.push(b'.');
    padded(out, ms, 3);
    out.extend_from_slice(b"Z\"");
}

#[cfg(test)]
mod tests {
    use super::*;
    use palisade_engine::finding::Findings;

    fn report() -> Report {
        let mut findings = Findings::default();
        findings.push(
            Finding::new(Stage::Injection, Reason::Injection)
                .rule(b"sqli")
                .place(b"query", b"q")
                .evidence(b"' OR 1=1--\xff\n"),
        );
        findings.push(
            Finding::new(Stage::Injection, Reason::Injection)
                .rule(b"xss")
                .place(b"body", b"user.Password")
                .evidence(b"<script>"),
        );
        Report {
            route: b"search".to_vec(),
            client: IpAddr::from([192, 0, 2, 1]),
            subject: b"ann".to_vec(),
            method: b"GET".to_vec(),
            path: b"/se\"arch".to_vec(),
            request_id: b"r-1".to_vec(),
            head_only: false,
            grpc: false,
            body: BodySeen::None,
            findings,
        }
    }

    #[test]
    fn an_event_is_one_line_of_json_without_secrets() {
        let line = event(
            &report(),
            Outcome::Denied(Stage::Injection, Reason::Injection),
            Mode::Enforce,
            &[b"password".to_vec()],
            1_795_238_628_042,
        );
        let expected = concat!(
            r#"{"ts":"2026-11-21T05:23:48.042Z","action":"denied","mode":"enforce","request_id":"r-1","#,
            r#""client":"192.0.2.1","method":"GET","path":"/se\"arch","route":"search","subject":"ann","#,
            r#""stage":"injection","reason":"injection","status":403,"body":"none","findings":["#,
            r#"{"stage":"injection","reason":"injection","rule":"sqli","place":"query:q","#,
            r#""evidence":"' OR 1=1--\u00ff\u000a","score":0},"#,
            r#"{"stage":"injection","reason":"injection","rule":"xss","place":"body:user.Password","#,
            r#""evidence":"[redacted]","score":0}]}"#
        );
        assert_eq!(String::from_utf8(line).unwrap(), expected);
    }

    #[test]
    fn a_line_about_keys() {
        let line = keys_event(&KeysEvent {
            told: KeysTold::Failed("status"),
            provider: b"corporate",
            keys: 2,
            age_s: Some(601),
            failures: 3,
            next_s: 4,
            wall_ms: 0,
        });
        let expected = concat!(
            r#"{"ts":"1970-01-01T00:00:00.000Z","action":"keys","provider":"corporate","event":"failed","#,
            r#""why":"status","keys":2,"age_s":601,"failures":3,"next_s":4}"#
        );
        assert_eq!(String::from_utf8(line).unwrap(), expected);
    }

    #[test]
    fn every_byte_is_escaped_into_valid_json() {
        let all: Vec<u8> = (0..=255).collect();
        let mut out = Vec::new();
        string(&mut out, &all);
        let text: String = serde_json::from_slice(&out).unwrap();
        assert!(text.chars().map(u32::from).eq(0..=255), "{text:?}");
        assert!(out.iter().all(|byte| (0x20..0x7f).contains(byte)));
    }

    #[test]
    fn numbers_times_and_addresses() {
        const NUMBERS: [u64; 5] = [0, 9, 10, 503, u64::MAX];
        for number in NUMBERS {
            let mut out = Vec::new();
            decimal(&mut out, number);
            assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
        }
        const TIMES: [(u64, &str); 5] = [
            (0, "\"1970-01-01T00:00:00.000Z\""),
            (951_782_400_000, "\"2000-02-29T00:00:00.000Z\""),
            (951_868_799_999, "\"2000-02-29T23:59:59.999Z\""),
            (4_107_542_400_000, "\"2100-03-01T00:00:00.000Z\""),
            (1_767_225_599_007, "\"2025-12-31T23:59:59.007Z\""),
        ];
        for (ms, text) in TIMES {
            let mut out = Vec::new();
            timestamp(&mut out, ms);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
        const ADDRESSES: [(&str, &str); 3] = [
            ("255.0.10.9", "255.0.10.9"),
            ("::1", "0:0:0:0:0:0:0:1"),
            ("2001:db8::f00:10", "2001:db8:0:0:0:0:f00:10"),
        ];
        for (address_text, text) in ADDRESSES {
            let mut out = Vec::new();
            address(&mut out, address_text.parse().unwrap());
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    #[test]
    fn redaction_by_kind_name_and_segment() {
        let redact = ["authorization", "cookie", "password"].map(|name| name.as_bytes().to_vec());
        const CASES: [(&[u8], bool); 9] = [
            (b"header:Authorization", true),
            (b"header:cookie", true),
            (b"cookie:sid", true),
            (b"query:password", true),
            (b"body:user.password", true),
            (b"body:/user/password", true),
            (b"body:password_hint", false),
            (b"query:q", false),
            (b"path", false),
        ];
        for (place, hidden) in CASES {
            assert_eq!(
                is_redacted(place, &redact),
                hidden,
                "{}",
                place.escape_ascii()
            );
        }
    }

    #[test]
    fn the_problem_tells_nothing_else() {
        let body = problem(&Reason::MalformedPath.row(), None, b"\"x");
        assert_eq!(
            String::from_utf8(body).unwrap(),
            r#"{"type":"urn:palisade:problem:malformed_path","title":"Bad Request","status":400,"code":"malformed_path","request_id":"\"x"}"#
        );
        let mut denial = Denial::new(Stage::Limits, Reason::Banned);
        denial.violated = vec![b"a".to_vec(), b"b".to_vec()];
        let body = problem(&Reason::Banned.row(), Some(&denial), b"");
        assert_eq!(
            String::from_utf8(body).unwrap(),
            r#"{"type":"https://iana.org/assignments/http-problem-types#abnormal-usage-detected","title":"Too Many Requests","status":429,"code":"banned","request_id":"","violated-policies":["a","b"]}"#
        );
    }
}
