//! Where credentials are: exactly one over all sources that are looked at.
//!
//! **In:** the head, the sources of the accepted providers, whether the connection has a certificate. **Out:** the one credential, none, or a refusal; and a head
//! without the credentials that were verified.
//! **Invariant:** every occurrence of every source is looked at. Two `authorization` fields are two credentials
//! whatever their schemes; a source named by several providers counts once. An empty cookie, parameter or header value
//! carries nothing; a scheme without a token is a (bad) credential; another scheme is no token of ours.
//! A certificate is presented with every request of its connection: it counts where a request carries no other credential.
//! **Source:** RFC 6750 §2 ("clients MUST NOT use more than one method"), RFC 9110 §11.4, §11.6.2.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use super::{Source, copy};
use crate::request::body::decode_form;
use crate::request::cookie::trim;
use crate::request::{Known, RequestHead};
use crate::verdict::Edits;

/// What a request carries.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Carried<'a, 'p> {
    /// Nothing.
    Nothing,
    /// One credential.
    One {
        /// Its bytes.
        token: Cow<'a, [u8]>,
        /// Where it was.
        source: &'p Source,
    },
    /// More than one; where the second was.
    Several(&'p Source),
}

const AUTHORIZATION: &[u8] = b"authorization";
const COOKIE: &[u8] = b"cookie";
const PATH: &[u8] = b":path";

/// Looks at every source. That `authorization` is not repeated was checked before.
pub(super) fn credential<'a, 'p>(
    sources: impl Iterator<Item = &'p Source> + Clone,
    head: &RequestHead<'a>,
    certified: bool,
) -> Carried<'a, 'p> {
    let mut certificate = None;
    let mut carried = Carried::Nothing;
    let mut earlier = 0_usize;
    for source in sources.clone() {
        let known = earlier > 0 && sources.clone().take(earlier).any(|other| other == source);
        earlier = earlier.saturating_add(1);
        if known {
            continue;
        }
        if *source == Source::Certificate {
            certificate = certified.then_some(source);
            continue;
        }
        match (source.find(head), &carried) {
            (Found::Nothing, _) => {}
            (Found::One(token), Carried::Nothing) => carried = Carried::One { token, source },
            (Found::One(_) | Found::Several, _) => return Carried::Several(source),
        }
    }
    match (carried, certificate) {
        (Carried::Nothing, Some(source)) => Carried::One {
            token: Cow::Borrowed(&[]),
            source,
        },
        (carried, _) => carried,
    }
}

/// Whether there is more than one `authorization` field (RFC 9110 §11.6.2: it is no list).
pub(super) fn repeats_authorization(head: &RequestHead<'_>) -> bool {
    head.count(Known::Authorization) > 1
}

enum Found<'a> {
    Nothing,
    One(Cow<'a, [u8]>),
    Several,
}

impl Source {
    fn find<'a>(&self, head: &RequestHead<'a>) -> Found<'a> {
        match self {
            Self::Basic => in_authorization(head, b"basic"),
            Self::Bearer => in_authorization(head, b"bearer"),
            Self::Certificate => Found::Nothing,
            Self::Header(name) => single(head.all(name)),
            Self::Scheme { header, prefix } => match single(head.all(header)) {
                Found::One(Cow::Borrowed(value)) => after_scheme(value, prefix),
                other => other,
            },
            Self::Cookie(name) => single(
                head.cookies()
                    .filter(|(cookie, _)| cookie == name)
                    .map(|(_, value)| value),
            ),
            Self::Query(name) => {
                let values = head
                    .params()
                    .filter(|(param, _)| is_param(param, name))
                    .map(|(_, value)| value);
                match single(values) {
                    Found::One(Cow::Borrowed(value)) if is_coded(value) => {
                        Found::One(Cow::Owned(decode_form(value)))
                    }
                    other => other,
                }
            }
        }
    }

    /// The header that carries the credential alone.
    #[must_use]
    pub fn header(&self) -> Option<&[u8]> {
        match self {
            Self::Basic | Self::Bearer => Some(AUTHORIZATION),
            Self::Header(name) | Self::Scheme { header: name, .. } => Some(name),
            Self::Certificate | Self::Cookie(_) | Self::Query(_) => None,
        }
    }

    /// The name of the field, cookie or parameter that carries a secret.
    #[must_use]
    pub fn name(&self) -> Option<&[u8]> {
        match self {
            Self::Cookie(name) | Self::Query(name) => Some(name),
            other => other.header(),
        }
    }
}

fn in_authorization<'a>(head: &RequestHead<'a>, scheme: &[u8]) -> Found<'a> {
    match head.first_known(Known::Authorization) {
        Some(value) => after_scheme(value, scheme),
        None => Found::Nothing,
    }
}

fn is_coded(raw: &[u8]) -> bool {
    raw.iter().any(|byte| matches!(byte, b'%' | b'+'))
}

/// Whether a parameter's name, decoded, is `name`.
fn is_param(raw: &[u8], name: &[u8]) -> bool {
    if is_coded(raw) {
        decode_form(raw) == name
    } else {
        raw == name
    }
}

/// The only value. Two are too many even when one of them is empty: recipients differ in which they take.
fn single<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> Found<'a> {
    match (values.next(), values.next()) {
        (_, Some(_)) => Found::Several,
        (None | Some([]), None) => Found::Nothing,
        (Some(value), None) => Found::One(Cow::Borrowed(value)),
    }
}

/// The token of `SCHEME TOKEN`; nothing for another scheme, which is compared without regard to case. A scheme that does
/// not end in a letter or digit (`key=`) may be followed by the token at once.
fn after_scheme<'a>(value: &'a [u8], scheme: &[u8]) -> Found<'a> {
    let value = value.trim_ascii();
    let Some((given, rest)) = value.split_at_checked(scheme.len()) else {
        return Found::Nothing;
    };
    if !given.eq_ignore_ascii_case(scheme) {
        return Found::Nothing;
    }
    let word = scheme.last().is_some_and(u8::is_ascii_alphanumeric);
    match rest.first() {
        Some(byte) if word && !matches!(byte, b' ' | b'\t') => Found::Nothing,
        _ => Found::One(Cow::Borrowed(rest.trim_ascii_start())),
    }
}

/// Takes credentials out of the request that goes on.
pub(super) fn strip<'p>(
    sources: impl Iterator<Item = &'p Source> + Clone,
    head: &RequestHead<'_>,
    edits: &mut Edits,
) {
    for header in sources.clone().filter_map(Source::header) {
        if !edits.remove.iter().any(|removed| removed == header) {
            edits.remove.push(copy(header));
        }
    }
    let cookie = |name: &[u8]| {
        let mut sources = sources.clone();
        sources.any(|source| matches!(source, Source::Cookie(cookie) if cookie == name))
    };
    if sources
        .clone()
        .any(|source| matches!(source, Source::Cookie(_)))
    {
        let mut kept = Vec::new();
        let pairs = head
            .all(COOKIE)
            .flat_map(|field| field.split(|byte| *byte == b';'))
            .map(trim)
            .filter(|pair| !pair.is_empty());
        for pair in pairs {
            let name = pair.split(|byte| *byte == b'=').next().unwrap_or(pair);
            if pair.contains(&b'=') && cookie(trim(name)) {
                continue;
            }
            if !kept.is_empty() {
                kept.extend_from_slice(b"; ");
            }
            kept.extend_from_slice(pair);
        }
        if kept.is_empty() {
            edits.remove.push(copy(COOKIE));
        } else {
            edits.set.push((copy(COOKIE), kept));
        }
    }
    let param = |raw: &[u8]| {
        let mut sources = sources.clone();
        sources.any(|source| matches!(source, Source::Query(name) if is_param(raw, name)))
    };
    if let Some(query) = head.query
        && sources
            .clone()
            .any(|source| matches!(source, Source::Query(_)))
    {
        let before = head
            .target
            .len()
            .saturating_sub(query.len().saturating_add(1));
        let mut target = copy(head.target.get(..before).unwrap_or_default());
        let mut joint = b'?';
        for piece in query.split(|byte| *byte == b'&') {
            let name = piece.split(|byte| *byte == b'=').next().unwrap_or(piece);
            if !param(name) {
                target.push(core::mem::replace(&mut joint, b'&'));
                target.extend_from_slice(piece);
            }
        }
        edits.set.push((copy(PATH), target));
    }
}
