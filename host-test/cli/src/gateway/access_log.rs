//! The access log: one line a request, for people or for machines.
//!
//! **Invariant:** one request is one line, whatever bytes it was made of: control characters are escaped in both forms.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::ValueEnum;
use palisade_host::FilterState;
use serde_json::{Map, Value, json};

/// How requests are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A line of JSON.
    Json,
    /// Nothing.
    Off,
    /// A line to read.
    Text,
}

/// A request, done.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) method: String,
    pub(crate) authority: String,
    pub(crate) target: String,
    pub(crate) protocol: &'static str,
    pub(crate) peer: String,
    pub(crate) request_id: String,
    /// 0: the client went before it was answered.
    pub(crate) status: u16,
    /// Response code details, as Envoy's `%RESPONSE_CODE_DETAILS%`.
    pub(crate) details: String,
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

impl Record {
    /// The line.
    pub(crate) fn line(&self, format: Format, time: Duration, state: &FilterState) -> String {
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        let ms = time.as_secs_f64() * 1000.0;
        if format == Format::Json {
            let state: Map<String, Value> = state
                .iter()
                .map(|(name, value)| (name.clone(), text(value).into()))
                .collect();
            let now = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            return json!({
                "time": now.as_secs_f64(),
                "method": self.method,
                "authority": self.authority,
                "path": self.target,
                "protocol": self.protocol,
                "peer": self.peer,
                "request_id": self.request_id,
                "status": self.status,
                "details": self.details,
                "bytes_received": self.received,
                "bytes_sent": self.sent,
                "duration_ms": (ms * 1000.0).round() / 1000.0,
                "filter_state": state,
            })
            .to_string();
        }
        let verdict = state.get("wasm.verdict");
        let shown = verdict.map_or_else(|| self.details.clone(), text);
        let mut line = format!(
            "{} {} {} {} {ms:.1}ms",
            self.status,
            self.method,
            self.target.escape_debug(),
            shown.escape_debug()
        );
        let _ = write!(line, " in={} out={}", self.received, self.sent);
        if verdict.is_some() && self.details != shown && self.details != VIA_UPSTREAM {
            let _ = write!(line, " details={}", self.details.escape_debug());
        }
        for (name, value) in state.iter().filter(|(name, _)| *name != "wasm.verdict") {
            let _ = write!(line, " {}={:?}", name.escape_debug(), text(value));
        }
        line
    }
}

/// The details of an answer that came from the upstream.
pub(crate) const VIA_UPSTREAM: &str = "via_upstream";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_request_is_one_line() {
        let record = Record {
            method: "GET".to_owned(),
            target: "/a\nb".to_owned(),
            status: 403,
            details: "no\r\nway".to_owned(),
            received: 1,
            sent: 2,
            ..Record::default()
        };
        let mut state = FilterState::new();
        let time = Duration::from_micros(1234);
        assert_eq!(
            record.line(Format::Text, time, &state),
            r"403 GET /a\nb no\r\nway 1.2ms in=1 out=2"
        );
        state.insert("wasm.verdict".to_owned(), b"denied:x".to_vec());
        state.insert("wasm.note".to_owned(), b"\n\xff".to_vec());
        let line = record.line(Format::Text, time, &state);
        assert!(
            line.starts_with(
                r"403 GET /a\nb denied:x 1.2ms in=1 out=2 details=no\r\nway wasm.note="
            ),
            "{line}"
        );
        let json = record.line(Format::Json, time, &state);
        assert_eq!(json.lines().count(), 1);
        let json: Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(json["filter_state"]["wasm.verdict"], "denied:x");
        assert_eq!(json["duration_ms"], 1.234);
        assert_eq!(line.lines().count(), 1);
    }
}
