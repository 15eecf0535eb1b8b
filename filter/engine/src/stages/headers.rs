//! Header inspection: lists, bounds, repeats, control bytes, framing.
//!
//! **In:** the decoded head, its faults included. **Out:** the first denial; one finding a reason.
//! **Invariant:** all occurrences of a field are looked at. The stage always runs; what the policy does not
//! list (methods, hosts, content types) is free, what cannot be read in one way only is refused always.
//! `authorization` may repeat here: the token stage answers that with its own reason.
//! **Source:** RFC 9110 §5 (fields, singletons), RFC 9112 §6 (framing), RFC 9113 §8.2.
//! **Cost:** one pass over the bytes of the head, eight at a time.

use alloc::vec::Vec;

use crate::finding::{Finding, Findings};
use crate::request::body;
use crate::request::cookie::trim;
use crate::request::target::PathFault;
use crate::request::{Known, RequestHead, host};
use crate::verdict::{Denial, Reason, Stage};

/// Compiled `headers` section.
#[derive(Debug, Clone)]
pub struct HeaderPolicy {
    /// Allowed methods; empty: all.
    pub methods: Vec<Vec<u8>>,
    /// Allowed hosts, lower case, without port; `*.example.com` takes any subdomain; empty: all.
    pub hosts: Vec<Vec<u8>>,
    /// Allowed content types (`type/subtype`, lower case; `type/*`) of requests that carry a body; empty: all.
    pub content_types: Vec<Vec<u8>>,
    /// Required header names, lower case; an empty value does not count.
    pub require: Vec<Vec<u8>>,
    /// Forbidden header names, lower case.
    pub forbid: Vec<Vec<u8>>,
    /// Bounds.
    pub max: HeaderBounds,
    /// Whether an encoded slash in the path is let through.
    pub escaped_slash: EscapedSlash,
}

/// What to do with `%2F` and `%5C` in a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EscapedSlash {
    /// Refuse with `malformed_path`.
    Deny,
    /// Keep it as data inside its segment.
    Keep,
}

/// Bounds of `headers.max`; each is the largest value let through.
#[derive(Debug, Clone, Copy)]
pub struct HeaderBounds {
    /// Fields.
    pub count: usize,
    /// Bytes of all names and values.
    pub bytes: usize,
    /// Bytes of one value.
    pub value: usize,
    /// Bytes of the target.
    pub target: usize,
    /// Query parameters.
    pub params: usize,
    /// Cookie pairs.
    pub cookies: usize,
}

impl HeaderPolicy {
    /// Judges the head. Everything is looked at even after a refusal, so that monitor mode reports it all.
    ///
    /// # Errors
    /// One of the header reasons: the first.
    pub fn inspect(&self, head: &RequestHead<'_>, found: &mut Findings) -> Result<(), Denial> {
        let mut report = Report {
            found,
            denial: None,
        };
        self.method(head, &mut report);
        self.target(head, &mut report);
        self.authority(head, &mut report);
        self.fields(head, &mut report);
        framing(head, &mut report);
        self.presence(head, &mut report);
        self.content_type(head, &mut report);
        match report.denial {
            None => Ok(()),
            Some(denial) => Err(denial),
        }
    }

    fn method(&self, head: &RequestHead<'_>, report: &mut Report<'_>) {
        if head.faults.repeated_pseudo {
            report.refuse(Reason::RepeatedHeader, b"pseudo-header", b"");
        }
        if !is_token(head.method) || !head.protocol.iter().all(|byte| is_tchar(*byte)) {
            report.refuse(Reason::MalformedHeader, b":method", head.method);
        }
        if !head.scheme.iter().all(|byte| is_tchar(*byte)) {
            report.refuse(Reason::MalformedHeader, b":scheme", head.scheme);
        }
        if !self.methods.is_empty() && !self.methods.iter().any(|method| method == head.method) {
            let denial = report.refuse(Reason::MethodNotAllowed, b":method", head.method);
            if let Some(denial) = denial {
                denial.headers.push(("allow", self.allow()));
            }
        }
    }

    /// Value of `allow` (RFC 9110 §10.2.1).
    fn allow(&self) -> Vec<u8> {
        let mut value = Vec::new();
        for method in &self.methods {
            if !value.is_empty() {
                value.extend_from_slice(b", ");
            }
            value.extend_from_slice(method);
        }
        value
    }

    fn target(&self, head: &RequestHead<'_>, report: &mut Report<'_>) {
        if head.target.len() > self.max.target {
            report.refuse(Reason::TargetTooLarge, b":path", b"");
        }
        if let Some(fault) = head.faults.path
            && (fault != PathFault::HiddenSlash || self.escaped_slash == EscapedSlash::Deny)
        {
            let rule = fault.name().as_bytes();
            report.refuse_at(Reason::MalformedPath, rule, b"path", b"", head.raw_path);
        }
        let query = head.query.unwrap_or_default();
        if has_control(query) || query.contains(&b'\t') {
            // No evidence: a token may be in it.
            report.refuse_at(Reason::MalformedHeader, b":path", b"query", b"", b"");
        }
        if head.params().nth(self.max.params).is_some() {
            report.refuse(Reason::TargetTooLarge, b"params", b"");
        }
    }

    fn authority(&self, head: &RequestHead<'_>, report: &mut Report<'_>) {
        if head.faults.several_hosts {
            report.refuse(Reason::RepeatedHeader, b"host", head.authority);
        }
        let host = host::of(head.authority);
        if host.is_none() && !head.authority.is_empty() {
            report.refuse(Reason::MalformedHeader, b":authority", head.authority);
        }
        let matches = |host| {
            self.hosts
                .iter()
                .any(|pattern| host::matches(pattern, host))
        };
        if !self.hosts.is_empty() && !host.is_some_and(matches) {
            report.refuse(Reason::HostNotAllowed, b":authority", head.authority);
        }
    }

    fn fields(&self, head: &RequestHead<'_>, report: &mut Report<'_>) {
        if head.faults.too_many || head.fields.len() > self.max.count {
            report.refuse(Reason::HeadersTooLarge, b"count", b"");
        }
        if head.authority.len() > self.max.value {
            report.refuse(Reason::HeadersTooLarge, b"value", b"");
        }
        let mut bytes = 0_usize;
        for field in &head.fields {
            bytes = bytes
                .saturating_add(field.name.len())
                .saturating_add(field.value.len());
            if field.value.len() > self.max.value {
                report.refuse_at(
                    Reason::HeadersTooLarge,
                    b"value",
                    b"header",
                    field.name,
                    b"",
                );
            }
            if !is_token(field.name) {
                report.refuse(Reason::MalformedHeader, field.name, b"");
            }
            if has_control(field.value) {
                report.refuse(
                    Reason::MalformedHeader,
                    field.name,
                    evidence(field.name, field.value),
                );
            }
        }
        if bytes > self.max.bytes {
            report.refuse(Reason::HeadersTooLarge, b"bytes", b"");
        }
        for (known, name) in SINGLE {
            if head.count(*known) > 1 {
                report.refuse(Reason::RepeatedHeader, name, b"");
            }
        }
        if head.count(Known::Cookie) > 0 && head.cookies().nth(self.max.cookies).is_some() {
            report.refuse(Reason::HeadersTooLarge, b"cookies", b"");
        }
    }

    fn presence(&self, head: &RequestHead<'_>, report: &mut Report<'_>) {
        for name in &self.forbid {
            if let Some(value) = head.first(name) {
                report.refuse(Reason::ForbiddenHeader, name, evidence(name, value));
            }
        }
        for name in &self.require {
            let is_host = name == b"host" && !head.authority.is_empty();
            if !is_host && !head.all(name).any(|value| !trim(value).is_empty()) {
                report.refuse(Reason::MissingHeader, name, b"");
            }
        }
    }

    fn content_type(&self, head: &RequestHead<'_>, report: &mut Report<'_>) {
        if self.content_types.is_empty() || !carries_body(head) {
            return;
        }
        let mut values = head.all(b"content-type");
        let essence = values.next().map(body::essence);
        let listed = |essence: &[u8]| self.content_types.iter().any(|item| is_type(item, essence));
        if !essence.is_some_and(listed) {
            let evidence = essence.unwrap_or_default();
            report.refuse(Reason::ContentTypeNotAllowed, b"content-type", evidence);
        }
    }
}

/// Findings and the first denial of one request.
struct Report<'f> {
    found: &'f mut Findings,
    denial: Option<Denial>,
}

impl Report<'_> {
    /// Refuses because of a header, named by the rule.
    fn refuse(&mut self, reason: Reason, rule: &[u8], evidence: &[u8]) -> Option<&mut Denial> {
        self.refuse_at(reason, rule, b"header", rule, evidence)
    }

    /// The denial, when this is the first.
    #[cold]
    fn refuse_at(
        &mut self,
        reason: Reason,
        rule: &[u8],
        kind: &[u8],
        name: &[u8],
        evidence: &[u8],
    ) -> Option<&mut Denial> {
        let mut others = self.found.as_slice().iter();
        if !others.any(|finding| finding.stage == Stage::Headers && finding.reason == reason) {
            let rule = rule.get(..Finding::MAX_EVIDENCE).unwrap_or(rule);
            let finding = Finding::new(Stage::Headers, reason).rule(rule);
            self.found
                .push(finding.place(kind, name).evidence(evidence));
        }
        if self.denial.is_some() {
            return None;
        }
        Some(self.denial.insert(Denial::new(Stage::Headers, reason)))
    }
}

/// Fields of one value (RFC 9110 §5.3), besides lengths and codings, which are a matter of framing.
const SINGLE: &[(Known, &[u8])] = &[
    (Known::ContentRange, b"content-range"),
    (Known::ContentType, b"content-type"),
    (Known::Date, b"date"),
    (Known::Expect, b"expect"),
    (Known::From, b"from"),
    (Known::Host, b"host"),
    (Known::IfModifiedSince, b"if-modified-since"),
    (Known::IfRange, b"if-range"),
    (Known::IfUnmodifiedSince, b"if-unmodified-since"),
    (Known::MaxForwards, b"max-forwards"),
    (Known::Origin, b"origin"),
    (Known::ProxyAuthorization, b"proxy-authorization"),
    (Known::Range, b"range"),
    (Known::Referer, b"referer"),
    (Known::UserAgent, b"user-agent"),
];

/// Where a body ends must be said once: one length of digits only, or the one coding `chunked`.
fn framing(head: &RequestHead<'_>, report: &mut Report<'_>) {
    let lengths = head.count(Known::ContentLength);
    let codings = head.count(Known::TransferEncoding);
    if lengths > 0 {
        let value = head.first(b"content-length").unwrap_or_default();
        if lengths > 1 || codings > 0 || body::length(value).is_none() {
            report.refuse(Reason::FramingAmbiguous, b"content-length", value);
        }
    }
    if codings > 0 {
        let value = head.first(b"transfer-encoding").unwrap_or_default();
        if codings > 1 || !value.eq_ignore_ascii_case(b"chunked") {
            report.refuse(Reason::FramingAmbiguous, b"transfer-encoding", value);
        }
    }
    // HTTP/2 allows `trailers` only (RFC 9113 §8.2.2), and HTTP/1 forbids to name `chunked` (RFC 9112 §7.4);
    // hosts strip what else HTTP/1 allows.
    if head.count(Known::Te) > 0 {
        for value in head.all(b"te") {
            if !value.is_empty() && !value.eq_ignore_ascii_case(b"trailers") {
                report.refuse(Reason::FramingAmbiguous, b"te", value);
            }
        }
    }
}

/// A length over 0 or a coding; without either (HTTP/2 may leave both out) a method that sends content and a
/// content type.
fn carries_body(head: &RequestHead<'_>) -> bool {
    if head.count(Known::TransferEncoding) > 0 {
        return true;
    }
    if head.count(Known::ContentLength) > 0 {
        let mut lengths = head.all(b"content-length");
        return lengths.any(|value| body::length(value) != Some(0));
    }
    head.count(Known::ContentType) > 0 && matches!(head.method, b"POST" | b"PUT" | b"PATCH")
}

/// Whether `type/subtype` or `type/*` takes a media type.
fn is_type(item: &[u8], essence: &[u8]) -> bool {
    match item.strip_suffix(b"*") {
        Some(start) => essence
            .get(..start.len())
            .is_some_and(|begin| start.ends_with(b"/") && begin.eq_ignore_ascii_case(start)),
        None => item.eq_ignore_ascii_case(essence),
    }
}

/// Bytes that may be shown: none of a credential.
fn evidence<'v>(name: &[u8], value: &'v [u8]) -> &'v [u8] {
    match Known::of(name) {
        Some(Known::Authorization | Known::Cookie | Known::ProxyAuthorization) => b"",
        _ => value,
    }
}

/// Whether a value has a control byte other than tab (RFC 9110 §5.5). Bytes over 0x7f are text to some.
fn has_control(value: &[u8]) -> bool {
    let (words, rest) = value.as_chunks::<8>();
    words
        .iter()
        .any(|word| may_have_control(*word) && word.iter().any(is_control))
        || rest.iter().any(is_control)
}

const fn is_control(byte: &u8) -> bool {
    matches!(byte, 0..=8 | 10..=31 | 127)
}

/// Whether one of eight bytes is under 0x20 or 0x7f: the borrow into its top bit tells (exact for "any").
const fn may_have_control(word: [u8; 8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = 0x8080_8080_8080_8080;
    let word = u64::from_le_bytes(word);
    let low = word.wrapping_sub(0x2020_2020_2020_2020) & !word;
    let delete = word ^ 0x7f7f_7f7f_7f7f_7f7f;
    let delete = delete.wrapping_sub(ONES) & !delete;
    (low | delete) & TOPS != 0
}

/// A non-empty token (RFC 9110 §5.6.2).
fn is_token(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| is_tchar(*byte))
}

#[inline]
fn is_tchar(byte: u8) -> bool {
    TCHAR.get(usize::from(byte)).copied().unwrap_or_default()
}

const TCHAR: [bool; 256] = {
    let mut table = [false; 256];
    let mut marks: &[u8] = b"!#$%&'*+-.^_`|~\
        0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    while let [mark, rest @ ..] = marks {
        #[expect(
            clippy::indexing_slicing,
            clippy::as_conversions,
            reason = "a constant: the compiler runs it"
        )]
        {
            table[*mark as usize] = true;
        }
        marks = rest;
    }
    table
};

#[cfg(test)]
mod tests;
