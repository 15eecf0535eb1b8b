//! Where credentials are: exactly one over all sources a route accepts.
//!
//! **In:** the head and the accepted providers. **Out:** the one credential, none, or a refusal.
//! **Invariant:** every occurrence of every source is looked at. Two `authorization` fields are two credentials
//! whatever their schemes; a source named by several providers counts once. An empty cookie or header value
//! carries nothing; a `Bearer` without a token is a (bad) credential; another scheme is no bearer token.
//! **Source:** RFC 6750 §2 ("clients MUST NOT use more than one method"), RFC 9110 §11.4, §11.6.2.

use super::{Provider, RouteToken, Source};
use crate::request::RequestHead;

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
) -> Carried<'a, 'p> {
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
            Source::Bearer => match head.first(AUTHORIZATION).and_then(bearer) {
                Some(token) => Found::One(token),
                None => Found::Nothing,
            },
            Source::Header(name) => single(head.all(name)),
            Source::Cookie(name) => single(
                head.cookies()
                    .filter(|(cookie, _)| cookie == name)
                    .map(|(_, value)| value),
            ),
        };
        match (found, &carried) {
            (Found::Nothing, _) => {}
            (Found::One(token), Carried::Nothing) => carried = Carried::One { token, source },
            (Found::One(_) | Found::Several, _) => return Carried::Several(source),
        }
    }
    carried
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

/// The token of `Bearer TOKEN`; `None` for another scheme.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let value = value.trim_ascii();
    let (scheme, rest) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"bearer") {
        return None;
    }
    match rest.first() {
        None | Some(b' ' | b'\t') => Some(rest.trim_ascii_start()),
        Some(_) => None,
    }
}
