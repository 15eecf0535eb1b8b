//! HAR entries, and events that the filter logged.
//!
//! **Source:** HAR 1.2; browsers write `:authority` and its like as headers, which are left out. Events: `filter/README.md`.
//! **Invariant:** what an event does not hold is noted, never made up in silence.

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::input::{Draft, percent, url};

pub(super) fn read(value: &Value, number: usize) -> Result<Draft> {
    let request = if let Some(entries) = value.pointer("/log/entries").and_then(Value::as_array) {
        let entry = entries.get(number).with_context(|| {
            format!("it has {} entries, none is number {number}", entries.len())
        })?;
        entry.get("request").context("the entry has no `request`")?
    } else {
        value.get("request").unwrap_or(value)
    };
    let text = |name: &str| request.get(name).and_then(Value::as_str);
    let (scheme, authority, target) = url(text("url").context("`request.url` is missing")?)?;
    let mut draft = Draft {
        method: text("method")
            .context("`request.method` is missing")?
            .to_owned(),
        scheme,
        authority: authority.into_bytes(),
        target: target.into_bytes(),
        ..Draft::default()
    };
    let fields = request.get("headers").and_then(Value::as_array);
    for field in fields.into_iter().flatten() {
        let part = |name: &str| field.get(name).and_then(Value::as_str).unwrap_or_default();
        if !part("name").starts_with(':') {
            let (name, value) = (part("name").as_bytes(), part("value").as_bytes());
            draft.fields.push((name.to_vec(), value.to_vec()));
        }
    }
    if let Some(post) = request.get("postData") {
        if let Some(text) = post.get("text").and_then(Value::as_str) {
            draft.body = text.as_bytes().to_vec();
        } else if let Some(params) = post.get("params").and_then(Value::as_array) {
            let mut body = Vec::new();
            for pair in params {
                let part = |name: &str| pair.get(name).and_then(Value::as_str).unwrap_or_default();
                if !body.is_empty() {
                    body.push(b'&');
                }
                body.extend(percent(part("name").as_bytes()));
                body.push(b'=');
                body.extend(percent(part("value").as_bytes()));
            }
            draft.body = body;
            draft.notes.push(
                "the HAR holds parameters instead of the body: it was written anew".to_owned(),
            );
        }
        let kind = post.get("mimeType").and_then(Value::as_str);
        if let Some(kind) = kind.filter(|_| !draft.has("content-type")) {
            let field = (b"content-type".to_vec(), kind.as_bytes().to_vec());
            draft.fields.push(field);
        }
        // A browser's length is of the body it sent, which may have been another coding's.
        draft
            .fields
            .retain(|(name, _)| !name.eq_ignore_ascii_case(b"content-length"));
    }
    Ok(draft)
}

/// What an event holds of its request, put back where it was found; and its client.
pub(super) fn event(value: &Value, host: &str) -> Result<(Draft, String)> {
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    let (Some(method), Some(path), Some(client)) = (text("method"), text("path"), text("client"))
    else {
        bail!("`method`, `path` or `client` is missing: not an event of the filter");
    };
    let mut draft = Draft {
        method: method.to_owned(),
        scheme: "https".to_owned(),
        authority: host.as_bytes().to_vec(),
        target: path.as_bytes().to_vec(),
        ..Draft::default()
    };
    let mut notes = vec![format!(
        "an event does not hold the host (taken: `{host}`), the query, headers, credentials or body; only its findings are put back"
    )];
    let mut query = Vec::new();
    let mut form = Vec::new();
    for found in value
        .get("findings")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let part = |name: &str| found.get(name).and_then(Value::as_str).unwrap_or_default();
        let (place, evidence) = (part("place"), part("evidence"));
        if part("stage") != "injection" || evidence.is_empty() {
            continue;
        }
        if evidence == "[redacted]" {
            notes.push(format!(
                "the evidence at {place} was redacted: it is left out"
            ));
            continue;
        }
        if evidence.len() >= 64 {
            notes.push(format!("the evidence at {place} is cut to its first bytes"));
        }
        let (kind, name) = place.split_once(':').unwrap_or((place, ""));
        let add = |to: &mut Vec<u8>| {
            let field = percent(name.as_bytes());
            let once = [field.as_slice(), b"="].concat();
            // Several findings are of one value: the first holds most of it.
            if !to.starts_with(&once) && !to.windows(once.len()).any(|part| part == once) {
                if !to.is_empty() {
                    to.push(b'&');
                }
                to.extend(once);
                to.extend(percent(evidence.as_bytes()));
            }
        };
        match kind {
            "query" => add(&mut query),
            "body" => add(&mut form),
            "header" if !draft.has(name) => {
                let field = (name.as_bytes().to_vec(), evidence.as_bytes().to_vec());
                draft.fields.push(field);
            }
            "cookie" if !draft.has("cookie") => {
                let pair = format!("{name}={evidence}").into_bytes();
                draft.fields.push((b"cookie".to_vec(), pair));
            }
            _ => {}
        }
    }
    if !query.is_empty() {
        draft.target.push(b'?');
        draft.target.extend(query);
    }
    if !form.is_empty() {
        notes
            .push("the body's type is not in the event: its fields are put into a form".to_owned());
        let kind = b"application/x-www-form-urlencoded".to_vec();
        draft.fields.push((b"content-type".to_vec(), kind));
        draft.body = form;
    }
    if let (Some(stage), Some(reason)) = (text("stage"), text("reason")) {
        let action = text("action").unwrap_or("denied");
        notes.push(format!("the event said: {action} by {stage}, {reason}"));
    }
    draft.notes = notes;
    Ok((draft, client.to_owned()))
}
