//! Forms a request comes in: told apart, read, made into the request a filter sees.
//!
//! **In:** text or bytes of one form. **Out:** [`Input`], with notes on what was assumed, left out, or not in the form at all.
//! **Invariant:** every byte of target, headers and body is kept as it stands; what Envoy or curl would change is noted.

use anyhow::{Context, Result, bail};
use palisade_host::{Headers, Request};
use serde_json::Value;

use super::{curl, har, raw};

/// A request to explain.
#[derive(Debug, Clone)]
pub struct Input {
    /// As the filter will see it.
    pub request: Request,
    /// What form it came in.
    pub form: &'static str,
    /// What to know about how it was read.
    pub notes: Vec<String>,
}

/// A request as its form tells it.
#[derive(Debug, Clone, Default)]
pub(super) struct Draft {
    pub(super) method: String,
    pub(super) scheme: String,
    pub(super) authority: Vec<u8>,
    pub(super) target: Vec<u8>,
    /// In order, names as written.
    pub(super) fields: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) body: Vec<u8>,
    pub(super) trailers: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) notes: Vec<String>,
}

impl Draft {
    pub(super) fn has(&self, name: &str) -> bool {
        self.fields
            .iter()
            .any(|(field, _)| field.eq_ignore_ascii_case(name.as_bytes()))
    }

    /// As Envoy hands it to a filter: `host` is `:authority`, hop-by-hop fields are gone, a body has its length.
    pub(super) fn finish(mut self, form: &'static str, peer: &str) -> Input {
        if let Some(at) = self
            .fields
            .iter()
            .position(|(name, _)| name.eq_ignore_ascii_case(b"host"))
        {
            // The first names the authority; another one is the filter's to judge.
            let (_, host) = self.fields.remove(at);
            self.authority = host;
        }
        let coded = self.has("transfer-encoding");
        if !self.body.is_empty() && !self.has("content-length") && !coded {
            let length = self.body.len().to_string().into_bytes();
            self.fields.push((b"content-length".to_vec(), length));
        }
        let path = self.target.split(|byte| *byte == b'?').next();
        let path = path.map(String::from_utf8_lossy).unwrap_or_default();
        if ["//", "/./", "/../"].iter().any(|odd| path.contains(odd)) || path.ends_with("/..") {
            self.notes.push(
                "Envoy normalizes a path before a filter sees it, if so configured; here it is judged as it stands"
                    .to_owned(),
            );
        }
        let mut headers = Headers::default();
        headers.add(":authority", &self.authority);
        headers.add(":path", &self.target);
        headers.add(":method", &self.method);
        headers.add(":scheme", &self.scheme);
        for (name, value) in &self.fields {
            let name = name.to_ascii_lowercase();
            if !matches!(
                name.as_slice(),
                b"connection" | b"keep-alive" | b"proxy-connection"
            ) {
                headers.add(name, value);
            }
        }
        let mut request = Request::get("/").from_address(peer);
        request.headers = headers;
        // What follows the head of an upgrade is no body, but the head is not the end either.
        let upgrades = request.headers.get("upgrade").is_some();
        if !self.body.is_empty() || upgrades {
            request.chunks.push(self.body);
        }
        if !self.trailers.is_empty() {
            request.trailers = Some(
                self.trailers
                    .iter()
                    .map(|(name, value)| (name.as_slice(), value.as_slice()))
                    .collect(),
            );
        }
        Input {
            request,
            form,
            notes: self.notes,
        }
    }
}

impl Input {
    /// A curl command line.
    ///
    /// # Errors
    /// What curl would not understand either, or would read from somewhere else.
    pub fn curl(text: &str, peer: &str) -> Result<Self> {
        let draft = curl::read(text).context("the curl command line")?;
        Ok(draft.finish("curl", peer))
    }

    /// A raw HTTP/1.1 request.
    ///
    /// # Errors
    /// It is none, or is cut.
    pub fn raw(bytes: &[u8], peer: &str) -> Result<Self> {
        let draft = raw::read(bytes).context("the raw request")?;
        Ok(draft.finish("raw HTTP", peer))
    }

    /// A HAR: a file (its entry `number`, from 0), an entry, or a request.
    ///
    /// # Errors
    /// It is none, or has no such entry.
    pub fn har(text: &str, number: usize, peer: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text).context("the HAR is not JSON")?;
        let draft = har::read(&value, number).context("the HAR")?;
        Ok(draft.finish("HAR", peer))
    }

    /// An event line that the filter logged. It holds a part of its request: the notes say which is missing.
    ///
    /// # Errors
    /// It is none.
    pub fn event(text: &str, host: &str, peer: Option<&str>) -> Result<Self> {
        let start = text.find('{').context("the event is not JSON")?;
        let (_, json) = text.split_at(start);
        let value: Value = serde_json::Deserializer::from_str(json)
            .into_iter()
            .next()
            .context("the event is empty")?
            .context("the event is not JSON")?;
        let (draft, client) = har::event(&value, host).context("the event")?;
        let from = peer.map_or_else(
            || match client.contains(':') {
                true => format!("[{client}]:40000"),
                false => format!("{client}:40000"),
            },
            str::to_owned,
        );
        Ok(draft.finish("event", &from))
    }

    /// Whatever it is.
    ///
    /// # Errors
    /// It is none of the forms.
    pub fn detect(bytes: &[u8], number: usize, host: &str, peer: Option<&str>) -> Result<Self> {
        let from = peer.unwrap_or(PEER);
        let text = std::str::from_utf8(bytes).map(str::trim_start);
        if let Ok(text) = text {
            if text.starts_with("curl") {
                return Self::curl(text, from);
            }
            let json = text.find('{').and_then(|at| text.get(at..));
            if let Some(Ok(value)) = json.map(serde_json::from_str::<Value>) {
                if value.get("findings").is_some() {
                    return Self::event(text, host, peer);
                }
                if text.starts_with('{') {
                    return Self::har(text, number, from);
                }
            }
        }
        let line = bytes.split(|byte| *byte == b'\n').next();
        let line = String::from_utf8_lossy(line.unwrap_or_default());
        if line.trim_end().ends_with("HTTP/1.1") || line.trim_end().ends_with("HTTP/1.0") {
            return Self::raw(bytes, from);
        }
        bail!(
            "this is neither a curl command line nor raw HTTP/1.1, nor a HAR, nor an event of the filter"
        )
    }
}

/// Where a request comes from when nobody says: an address for documentation (RFC 5737).
pub const PEER: &str = "203.0.113.7:40000";

/// URL-encodes all but unreserved bytes.
pub(super) fn percent(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            out.push(*byte);
        } else {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    out
}

/// Scheme, authority and target of a URL; the fragment stays with the client.
pub(super) fn url(text: &str) -> Result<(String, String, String)> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    if rest.is_empty() || !matches!(scheme, "http" | "https") {
        bail!("`{text}` is not a URL of http or https");
    }
    let rest = rest.split('#').next().unwrap_or(rest);
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(at);
    let authority = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let target = if target.starts_with('/') {
        target.to_owned()
    } else {
        format!("/{target}")
    };
    Ok((scheme.to_owned(), authority.to_owned(), target))
}
