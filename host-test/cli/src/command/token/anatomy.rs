//! What a token says of itself, before anybody believes it.
//!
//! **Invariant:** the signature is never in what is told. Nothing here decides: the engine does, this only reads aloud.

use palisade_cli::keys::from_base64url;
use serde_json::{Value, json};

/// A token taken apart.
#[derive(Debug)]
pub(super) struct Anatomy {
    /// What it looks like.
    pub(super) form: &'static str,
    pub(super) header: Option<Value>,
    pub(super) claims: Option<Value>,
    /// What anybody should know of it.
    pub(super) notes: Vec<String>,
}

impl Anatomy {
    pub(super) fn of(token: &str, now: u64) -> Self {
        let mut notes = Vec::new();
        if token.is_empty() {
            return Self {
                form: "no token that could be read",
                header: None,
                claims: None,
                notes,
            };
        }
        let parts: Vec<&str> = token.split('.').collect();
        let (form, header, claims) = match parts.as_slice() {
            ["v1", payload, _] => ("session token, format v1", None, part(payload)),
            [header, payload, _] if part(header).is_some() => {
                ("JWT (compact JWS)", part(header), part(payload))
            }
            [_, _, _, _, _] => {
                notes.push(
                    "five parts: it is encrypted (JWE), which no provider accepts".to_owned(),
                );
                ("JWE", parts.first().and_then(|header| part(header)), None)
            }
            [_, _, _] => {
                notes.push("its header is not base64url of a JSON object".to_owned());
                ("three parts, but no JWT", None, None)
            }
            _ => match colon(token) {
                Some(claims) => ("session token, format colon", None, Some(claims)),
                None => ("opaque: nothing in it can be read", None, None),
            },
        };
        if let Some(header) = &header {
            about_header(header, &mut notes);
        }
        if form.starts_with("JWT") && claims.is_none() {
            notes.push("its payload is not base64url of a JSON object".to_owned());
        }
        if let Some(claims) = &claims {
            about_times(claims, now, &mut notes);
        }
        Self {
            form,
            header,
            claims,
            notes,
        }
    }

    /// A text member of the header.
    pub(super) fn header_text(&self, name: &str) -> Option<&str> {
        self.header.as_ref()?.get(name)?.as_str()
    }

    pub(super) fn claim(&self, name: &str) -> Option<&Value> {
        self.claims.as_ref()?.get(name)
    }

    pub(super) fn json(&self) -> Value {
        json!({ "form": self.form, "header": self.header, "claims": self.claims, "notes": self.notes })
    }

    pub(super) fn human(&self) -> String {
        let mut text = format!("token: {}", self.form);
        for (name, value) in [("header", &self.header), ("claims", &self.claims)] {
            if let Some(value) = value {
                text.push_str(&format!("\n  {name}  {value}"));
            }
        }
        for note in &self.notes {
            text.push_str(&format!("\n  note    {note}"));
        }
        text
    }
}

fn part(text: &str) -> Option<Value> {
    let value: Value = serde_json::from_slice(&from_base64url(text)?).ok()?;
    value.is_object().then_some(value)
}

fn colon(token: &str) -> Option<Value> {
    let (rest, mac) = token.rsplit_once(':')?;
    let (subject, issued_at) = rest.rsplit_once(':')?;
    let issued_at: u64 = issued_at.parse().ok()?;
    let hex = !mac.is_empty() && mac.bytes().all(|byte| byte.is_ascii_hexdigit());
    hex.then(|| json!({ "sub": subject, "iat": issued_at }))
}

fn about_header(header: &Value, notes: &mut Vec<String>) {
    if let Some(algorithm) = header.get("alg").and_then(Value::as_str)
        && algorithm.eq_ignore_ascii_case("none")
    {
        notes.push(
            "its `alg` is `none`: nobody signed it. An old attack; no policy can allow it (RFC 8725 section 3.1)"
                .to_owned(),
        );
    }
    for name in ["jwk", "jku", "x5c", "x5u"] {
        if header.get(name).is_some() {
            notes.push(format!(
                "its header brings a key of its own along (`{name}`): whoever sent it chose that key; it is refused, never followed (RFC 8725 section 3.10)"
            ));
        }
    }
    for name in ["crit", "b64"] {
        if header.get(name).is_some() {
            notes.push(format!("its header asks for an extension (`{name}`)"));
        }
    }
}

fn about_times(claims: &Value, now: u64, notes: &mut Vec<String>) {
    for (name, past, future) in [
        ("exp", "expired", "expires"),
        ("nbf", "held from", "holds only from"),
        ("iat", "was issued", "was issued in the future,"),
    ] {
        let time = claims.get(name).and_then(Value::as_f64);
        let Some(time) = time.filter(|time| (0.0..=253_402_300_799.0).contains(time)) else {
            continue;
        };
        let difference = time - f64::from(u32::try_from(now).unwrap_or(u32::MAX));
        let said = if difference <= 0.0 { past } else { future };
        notes.push(format!("`{name}`: it {said} {}", span(difference)));
    }
}

/// `3m ago`, `in 2h`.
fn span(seconds: f64) -> String {
    let length = seconds.abs();
    let text = [(86_400.0, "d"), (3600.0, "h"), (60.0, "m")]
        .into_iter()
        .find(|(unit, _)| length >= *unit)
        .map_or_else(
            || format!("{length:.0}s"),
            |(unit, name)| format!("{:.0}{name}", (length / unit).floor()),
        );
    if seconds <= 0.0 {
        format!("{text} ago")
    } else {
        format!("in {text}")
    }
}
