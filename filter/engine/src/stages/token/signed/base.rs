//! The signature base of an HTTP message: what a signer of RFC 9421 has signed.
//!
//! **In:** a message and the covered components. **Out:** its lines, or the word for what is wrong.
//! **Supported:** `@method`, `@target-uri`, `@authority`, `@scheme`, `@request-target`, `@path`, `@query`,
//! `@query-param`, `@status`, header fields as they are, with `bs`, with `key` (dictionaries), and with `sf` where the
//! type of the field is known. **Refused:** `req` and `tr` (we see no related request and no trailers), `sf` of other
//! fields, unknown parameters, a component twice, a component that is not there.
//! **Invariant:** no value holds a line feed, so lines are what they seem. Fields of several lines are joined in order.
//! **Source:** RFC 9421 §2. **Cost:** linear in components times bytes of what they cover.

use alloc::vec::Vec;

use super::sf::{self, Bare, Item};
use super::{base64, sf::Parameters};
use crate::request::{RequestHead, body};

/// A message whose signature is looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    pub(super) head: &'a RequestHead<'a>,
    /// Of a response.
    pub(super) status: Option<&'a [u8]>,
}

/// Appends the lines of `components` and of the signature's own parameters.
pub(super) fn write(
    message: Message<'_>,
    components: &[Item<'_>],
    parameters: &Parameters<'_>,
    out: &mut Vec<u8>,
) -> Result<(), &'static str> {
    let mut rest = components;
    while let Some((component, after)) = rest.split_first() {
        rest = after;
        if after.iter().any(|other| same(component, other)) {
            return Err("component_twice");
        }
        sf::write_item(component, out);
        out.extend_from_slice(b": ");
        let start = out.len();
        write_value(message, component, out)?;
        let value = out.get(start..).unwrap_or_default();
        if value.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
            return Err("component_value");
        }
        out.push(b'\n');
    }
    out.extend_from_slice(b"\"@signature-params\": ");
    sf::write_inner(components, parameters, out);
    Ok(())
}

/// Whether two identifiers name one component: the order of their parameters does not matter.
fn same(one: &Item<'_>, other: &Item<'_>) -> bool {
    one.value == other.value
        && one.parameters.len() == other.parameters.len()
        && one
            .parameters
            .iter()
            .all(|parameter| other.parameters.contains(parameter))
}

/// What a field's parameters ask for.
enum Form<'a> {
    Plain,
    Bytes,
    Structured,
    Member(&'a [u8]),
}

fn write_value(
    message: Message<'_>,
    component: &Item<'_>,
    out: &mut Vec<u8>,
) -> Result<(), &'static str> {
    let Bare::String(name) = component.value else {
        return Err("component");
    };
    let head = message.head;
    if name == b"@query-param" {
        return match component.parameters.as_slice() {
            [(b"name", Bare::String(wanted))] => write_query_parameter(head, wanted, out),
            _ => Err("component_parameter"),
        };
    }
    if let [b'@', ..] = name {
        if !component.parameters.is_empty() {
            return Err("component_parameter");
        }
        return write_derived(message, name, out);
    }
    write_field(head, name, form(&component.parameters)?, out)
}

fn form<'a>(parameters: &Parameters<'a>) -> Result<Form<'a>, &'static str> {
    let mut form = Form::Plain;
    for (name, value) in parameters {
        form = match (form, *name, value) {
            (Form::Plain, b"bs", Bare::Boolean(true)) => Form::Bytes,
            (Form::Plain, b"sf", Bare::Boolean(true)) => Form::Structured,
            (Form::Plain | Form::Structured, b"key", Bare::String(key)) => Form::Member(key),
            (Form::Member(key), b"sf", Bare::Boolean(true)) => Form::Member(key),
            _ => return Err("component_parameter"),
        };
    }
    Ok(form)
}

fn write_derived(message: Message<'_>, name: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
    let head = message.head;
    match (name, message.status) {
        (b"@status", Some(status)) => out.extend_from_slice(status),
        (_, Some(_)) | (b"@status", None) => return Err("component"),
        (b"@method", None) => out.extend_from_slice(head.method),
        (b"@authority", None) => write_authority(head.scheme, head.authority, out),
        (b"@scheme", None) => write_lower(head.scheme, out),
        (b"@target-uri", None) => {
            write_uri(head.scheme, head.authority, head.raw_path, out);
            if let Some(query) = head.query {
                out.push(b'?');
                out.extend_from_slice(query);
            }
        }
        (b"@request-target", None) => out.extend_from_slice(head.target),
        (b"@path", None) => write_path(head.raw_path, out),
        (b"@query", None) => {
            out.push(b'?');
            out.extend_from_slice(head.query.unwrap_or_default());
        }
        _ => return Err("component"),
    }
    Ok(())
}

fn write_lower(text: &[u8], out: &mut Vec<u8>) {
    out.extend(text.iter().map(u8::to_ascii_lowercase));
}

/// In lower case, without the port that the scheme has anyway (RFC 9110 §4.2.3).
fn write_authority(scheme: &[u8], authority: &[u8], out: &mut Vec<u8>) {
    let usual: &[u8] = if scheme.eq_ignore_ascii_case(b"https") {
        b":443"
    } else if scheme.eq_ignore_ascii_case(b"http") {
        b":80"
    } else {
        b""
    };
    write_lower(authority.strip_suffix(usual).unwrap_or(authority), out);
}

fn write_path(path: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(if path.is_empty() { b"/" } else { path });
}

/// A target without its query.
pub(super) fn write_uri(scheme: &[u8], authority: &[u8], path: &[u8], out: &mut Vec<u8>) {
    write_lower(scheme, out);
    out.extend_from_slice(b"://");
    write_authority(scheme, authority, out);
    write_path(path, out);
}

/// RFC 9421 §2.2.8. A name that is sent more than once must not be covered.
fn write_query_parameter(
    head: &RequestHead<'_>,
    wanted: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), &'static str> {
    let mut found = None;
    for (name, value) in head.params() {
        let mut encoded = Vec::new();
        encode(&body::decode_form(name), &mut encoded);
        if encoded == wanted && found.replace(value).is_some() {
            return Err("component_twice");
        }
    }
    let value = body::decode_form(found.ok_or("component_missing")?);
    if core::str::from_utf8(&value).is_err() {
        return Err("component_value");
    }
    encode(&value, out);
    Ok(())
}

/// The percent-encoding of forms (URL standard §1.3, §5.2), a space as `%20`.
fn encode(text: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'*' | b'-' | b'.' | b'_') {
            out.push(*byte);
        } else {
            out.push(b'%');
            out.extend(DIGITS.get(usize::from(byte >> 4)));
            out.extend(DIGITS.get(usize::from(byte & 15)));
        }
    }
}

fn write_field(
    head: &RequestHead<'_>,
    name: &[u8],
    form: Form<'_>,
    out: &mut Vec<u8>,
) -> Result<(), &'static str> {
    if name.is_empty() || name.iter().any(u8::is_ascii_uppercase) {
        return Err("component");
    }
    let start = out.len();
    let mut lines = 0_usize;
    for value in head.all(name) {
        if lines > 0 {
            out.extend_from_slice(b", ");
        }
        lines = lines.saturating_add(1);
        let value = value.trim_ascii();
        if let Form::Bytes = form {
            out.push(b':');
            base64::encode(value, out);
            out.push(b':');
        } else {
            out.extend_from_slice(value);
        }
    }
    if lines == 0 {
        return Err("component_missing");
    }
    let mut written = Vec::new();
    let joined = out.get(start..).unwrap_or_default();
    match form {
        Form::Plain | Form::Bytes => return Ok(()),
        Form::Structured if !DICTIONARIES.contains(&name) => return Err("component_parameter"),
        Form::Structured => {
            let members = sf::dictionary(joined, MOST_MEMBERS).ok_or("component_value")?;
            sf::write_dictionary(&members, &mut written);
        }
        Form::Member(key) => {
            let members = sf::dictionary(joined, MOST_MEMBERS).ok_or("component_value")?;
            let member = members.iter().find(|(name, _)| *name == key);
            let (_, member) = member.ok_or("component_missing")?;
            sf::write_member(member, &mut written);
        }
    }
    out.truncate(start);
    out.extend_from_slice(&written);
    Ok(())
}

/// Fields of requests that are known to be dictionaries: what `sf` can be asked of.
const DICTIONARIES: &[&[u8]] = &[
    b"content-digest",
    b"priority",
    b"repr-digest",
    b"signature",
    b"signature-input",
    b"want-content-digest",
    b"want-repr-digest",
];

/// Members of a dictionary whose members are covered.
const MOST_MEMBERS: usize = 64;
