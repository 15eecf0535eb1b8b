//! Where credentials are: exactly one over all sources a route accepts.
//!
//! **In:** the head, the accepted providers, whether the connection has a certificate. **Out:** the one credential, none, or a refusal.
//! **Invariant:** every occurrence of every source is looked at. Two `authorization` fields are two credentials
//! whatever their schemes; a source named by several providers counts once. An empty cookie or header value
//! carries nothing; a `Bearer` without a token is a (bad) credential; another scheme is no bearer token. A certificate is
//! presented with every request of its connection: it counts where a request carries no other credential.
//! **Source:** RFC 6750 §2 ("clients MUST NOT use more than one method"), RFC 9110 §11.4, §11.6.2.

use super::{Provider, RouteToken, Source};
use crate::request::RequestHead;
use crate::request::body::decode_form;

/// What a request carries.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Carried<'a, 'p> {
    /// Nothing.
    Nothing,
    /// One credential.
    One {
        /// Its bytes.
        token: &'a [u8],
        /// Where it was.
        source: &'p Source,
    },
    /// More than one; where the second was.
    Several(&'p Source),
}

const AUTHORIZATION: &[u8] = b"authorization";

/// Looks at every source of the providers `route` accepts.
pub(super) fn credential<'a, 'p>(
    providers: &'p [Provider],
    route: &RouteToken,
    head: &RequestHead<'a>,
    certified: bool,
) -> Carried<'a, 'p> {
    let mut certificate = None;
    let mut carried = Carried::Nothing;
    if repeats_authorization(head) {
        return Carried::Several(&Source::Bearer);
    }
    let mut earlier = 0_usize;
    for index in &route.any {
        let place = earlier;
        earlier = earlier.saturating_add(1);
        let Some(provider) = providers.get(*index) else {
            continue;
        };
        let source = &provider.from;
        let known = route
            .any
            .iter()
            .take(place)
            .filter_map(|index| providers.get(*index))
            .any(|earlier| earlier.from == *source);
        if known {
            continue;
        }
        let found = match source {
            Source::Basic => match head.first(AUTHORIZATION).and_then(|it| after(b"basic", it)) {
                Some(pair) => Found::One(pair),
                None => Found::Nothing,
            },
            Source::Bearer => match head
                .first(AUTHORIZATION)
                .and_then(|it| after(b"bearer", it))
            {
                Some(token) => Found::One(token),
                None => Found::Nothing,
            },
            Source::Certificate => {
                certificate = certified.then_some(source);
                Found::Nothing
            }
            Source::Header(name) => single(head.all(name)),
            Source::Cookie(name) => single(
                head.cookies()
                    .filter(|(cookie, _)| cookie == name)
                    .map(|(_, value)| value),
            ),
            Source::Query(name) => single(
                head.params()
                    .filter(|(param, _)| param == name || decode_form(param) == *name)
                    .map(|(_, value)| value),
            ),
        };
        match (found, &carried) {
            (Found::Nothing, _) => {}
            (Found::One(token), Carried::Nothing) => carried = Carried::One { token, source },
            (Found::One(_) | Found::Several, _) => return Carried::Several(source),
        }
    }
    match (carried, certificate) {
        (Carried::Nothing, Some(source)) => Carried::One { token: b"", source },
        (carried, _) => carried,
    }
}

/// Whether there is more than one `authorization` field (RFC 9110 §11.6.2: it is no list).
pub(super) fn repeats_authorization(head: &RequestHead<'_>) -> bool {
    head.all(AUTHORIZATION).nth(1).is_some()
}

enum Found<'a> {
    Nothing,
    One(&'a [u8]),
    Several,
}

/// The only value. Two are too many even when one of them is empty: recipients differ in which they take.
fn single<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> Found<'a> {
    match (values.next(), values.next()) {
        (_, Some(_)) => Found::Several,
        (None | Some([]), None) => Found::Nothing,
        (Some(value), None) => Found::One(value),
    }
}

/// The token of `SCHEME TOKEN`; `None` for another scheme. `scheme` is in lower case.
fn after<'a>(scheme: &[u8], value: &'a [u8]) -> Option<&'a [u8]> {
    let value = value.trim_ascii();
    let (given, rest) = value.split_at_checked(scheme.len())?;
    if !given.eq_ignore_ascii_case(scheme) {
        return None;
    }
    match rest.first() {
        None | Some(b' ' | b'\t') => Some(rest.trim_ascii_start()),
        Some(_) => None,
    }
}
