//! What came of a request, and how it differs from what should have.

use palisade_engine::verdict::Reason;

use anyhow::Result;

use super::format::{ExpectTable, Fields};
use super::value::Surroundings;

/// What a driver saw of one request. All bytes raw, names lower case.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Code of the reason if it was denied.
    pub denied: Option<String>,
    /// Status at the client.
    pub status: u16,
    /// Header fields at the client.
    pub reply: Vec<(Vec<u8>, Vec<u8>)>,
    /// Whether `reply` holds all fields; otherwise only those that the engine itself decides.
    pub reply_complete: bool,
    /// What the upstream got; `None`: nothing.
    pub upstream: Option<Upstream>,
    /// Events, one text each; `None`: the driver cannot see them.
    pub events: Option<Vec<String>>,
    /// The filter trapped, or the driver broke.
    pub trap: Option<String>,
}

/// A request as the upstream got it.
#[derive(Debug, Clone, Default)]
pub struct Upstream {
    /// Header fields, pseudo-headers among them.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Body.
    pub body: Vec<u8>,
}

/// Header fields of a reply that the engine decides (the others are the plugin's).
pub const ENGINE_FIELDS: [&str; 5] = [
    "retry-after",
    "ratelimit",
    "ratelimit-policy",
    "www-authenticate",
    "allow",
];

/// The reason with this code.
#[must_use]
pub fn reason(code: &str) -> Option<Reason> {
    Reason::ALL
        .into_iter()
        .find(|reason| reason.row().code == code)
}

impl ExpectTable {
    /// The differences between what should be and what is, one line each: `what: expected …, found …`.
    ///
    /// # Errors
    /// An expected value cannot be rendered.
    pub fn differences(
        &self,
        outcome: &Outcome,
        sent_body: &[u8],
        upstream_status: u16,
        surroundings: Surroundings<'_>,
    ) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        if let Some(trap) = &outcome.trap {
            lines.push(format!("trap: expected none, found {trap}"));
            return Ok(lines);
        }
        if self.deny != outcome.denied {
            lines.push(format!(
                "verdict: expected {}, found {}",
                verdict(self.deny.as_ref()),
                verdict(outcome.denied.as_ref())
            ));
        }
        let status = self.status.unwrap_or_else(|| {
            self.deny
                .as_deref()
                .and_then(reason)
                .map_or(upstream_status, |reason| reason.row().status)
        });
        if status != outcome.status {
            lines.push(format!(
                "status: expected {status}, found {}",
                outcome.status
            ));
        }
        if self.deny.is_some() && outcome.upstream.is_some() {
            lines.push("upstream: expected nothing, found the denied request".to_owned());
        }
        let known = |name: &str| outcome.reply_complete || ENGINE_FIELDS.contains(&name);
        compare(
            "reply",
            &self.reply,
            &outcome.reply,
            known,
            surroundings,
            &mut lines,
        )?;
        match &outcome.upstream {
            Some(upstream) => {
                compare(
                    "upstream",
                    &self.upstream,
                    &upstream.headers,
                    |_| true,
                    surroundings,
                    &mut lines,
                )?;
                if upstream.body != sent_body {
                    lines.push(format!(
                        "upstream body: expected the {} bytes sent, found {} bytes",
                        sent_body.len(),
                        upstream.body.len()
                    ));
                }
                if let Some(path) = &self.upstream_path {
                    let path = path.render(surroundings)?;
                    let found = upstream
                        .headers
                        .iter()
                        .find(|(name, _)| name == b":path")
                        .map(|(_, value)| value);
                    if found != Some(&path) {
                        lines.push(format!(
                            "upstream path: expected {}, found {}",
                            show(&path),
                            found.map_or_else(String::new, |value| show(value))
                        ));
                    }
                }
            }
            None if self.deny.is_none() => {
                lines.push("upstream: expected the request, found nothing".to_owned())
            }
            None => {}
        }
        if let Some(events) = &outcome.events {
            for text in &self.event {
                if !events.iter().any(|event| event.contains(text)) {
                    lines.push(format!(
                        "event: expected one with `{text}`, found {events:?}"
                    ));
                }
            }
            for text in &self.event_lacks {
                if let Some(event) = events.iter().find(|event| event.contains(text)) {
                    lines.push(format!("event: expected none with `{text}`, found {event}"));
                }
            }
        }
        Ok(lines)
    }
}

fn compare(
    side: &str,
    expected: &Fields,
    found: &[(Vec<u8>, Vec<u8>)],
    known: impl Fn(&str) -> bool,
    surroundings: Surroundings<'_>,
    lines: &mut Vec<String>,
) -> Result<()> {
    let values = |name: &str| -> Vec<&[u8]> {
        found
            .iter()
            .filter(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value.as_slice())
            .collect()
    };
    let shown = |values: &[&[u8]]| match values {
        [] => "nothing".to_owned(),
        values => values
            .iter()
            .map(|value| show(value))
            .collect::<Vec<_>>()
            .join(" and "),
    };
    for name in expected.present.iter().filter(|name| known(name)) {
        if values(name).is_empty() {
            lines.push(format!("{side} {name}: expected some value, found nothing"));
        }
    }
    for name in expected.absent.iter().filter(|name| known(name)) {
        let values = values(name);
        if !values.is_empty() {
            lines.push(format!(
                "{side} {name}: expected nothing, found {}",
                shown(&values)
            ));
        }
    }
    for (name, value) in expected.equal.iter().filter(|(name, _)| known(name)) {
        let value = value.render(surroundings)?;
        let values = values(name);
        if values != [value.as_slice()] {
            lines.push(format!(
                "{side} {name}: expected {}, found {}",
                show(&value),
                shown(&values)
            ));
        }
    }
    for (name, text) in expected.contain.iter().filter(|(name, _)| known(name)) {
        let values = values(name);
        if !values
            .iter()
            .any(|value| String::from_utf8_lossy(value).contains(text))
        {
            lines.push(format!(
                "{side} {name}: expected a value with `{text}`, found {}",
                shown(&values)
            ));
        }
    }
    Ok(())
}

fn verdict(denied: Option<&String>) -> String {
    denied.map_or_else(|| "allow".to_owned(), |code| format!("deny {code}"))
}

/// Bytes for a reader, cut.
#[must_use]
pub fn show(bytes: &[u8]) -> String {
    const MOST: usize = 200;
    let mut text: String = bytes
        .iter()
        .take(MOST)
        .flat_map(|byte| std::ascii::escape_default(*byte))
        .map(char::from)
        .collect();
    if bytes.len() > MOST {
        text.push_str(&format!("… ({} bytes)", bytes.len()));
    }
    format!("`{text}`")
}
