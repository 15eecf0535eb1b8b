//! CSRF: a session in a cookie comes with every request of a browser, whoever caused it. What changes something must show
//! that our own pages caused it.
//!
//! **In:** the session's key and id, the head. **Out:** whether the request is our own; the cookie that tells pages
//! their token. **Rules,** for methods that are not safe, and for safe ones that ask for another method
//! (`x-http-method-override` and its like, a parameter `_method`):
//! 1. `sec-fetch-site`, where a browser sends it, is `same-origin` or `none`, or `same-site` if the policy says so;
//! 2. `origin`, where it is sent, is the host of the request (and no step down to http) or one that the policy lists, which
//!    stands above 1; `null` is nobody's;
//! 3. the header carries `base64url(MAC(key, "palisade csrf token" NUL sid))`: always, also when neither of the two was sent.
//!
//! A request that changes protocols (WebSocket) cannot carry a header: there 1 holds and 2 must be sent.
//! **Invariant:** the token is compared in constant time, with every key; it is bound to the session, so a token of
//! another session, and a cookie planted by a sibling domain, are worth nothing. Each field must be single.
//! **Source:** OWASP CSRF Prevention Cheat Sheet (signed double submit), RFC 6454 §7, W3C Fetch Metadata, RFC 9110 §9.2.1.
//! **Cost:** a MAC a key for requests that are checked, one for the cookie.

use alloc::vec::Vec;

use subtle::ConstantTimeEq;

use super::Key;
use super::jws::MAX_KEYS_TRIED;
use super::session::CookieOut;
use super::{Ask, Failure, base64url};
use crate::addition::Addition;
use crate::request::RequestHead;
use crate::request::body::decode_form;
use crate::verdict::Reason;

const LABEL: &[u8] = b"palisade csrf token\0";
/// Fields by which frameworks take another method than the request's.
const OVERRIDES: [&[u8]; 3] = [
    b"x-http-method-override",
    b"x-http-method",
    b"x-method-override",
];

/// CSRF rules of a session provider.
#[derive(Debug, Clone)]
pub struct Csrf {
    /// Header that carries the token, lower case.
    pub header: Vec<u8>,
    /// Cookie that tells pages their token; `None`: the application tells them.
    pub cookie: Option<CookieOut>,
    /// Origins of others that may send such requests.
    pub origins: Vec<Vec<u8>>,
    /// Whether other hosts of the same site may.
    pub same_site: bool,
    /// Methods that are not checked.
    pub safe_methods: Vec<Vec<u8>>,
}

/// The token of the session `sid` under `key`.
pub(super) fn token(key: &Key, sid: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    key.with_mac(&[LABEL, sid], |mac| base64url::encode(mac, &mut out));
    out
}

impl Csrf {
    /// Whether this request of the session `sid` may be carried out.
    pub(super) fn judge(&self, keys: &[Key], sid: &[u8], ask: &Ask<'_>) -> Result<(), Failure> {
        let head = ask.head;
        let upgrades = !head.protocol.is_empty() || head.first(b"upgrade").is_some();
        let safe = self.safe_methods.iter().any(|name| name == head.method) && !overrides(head);
        if safe && !upgrades {
            return Ok(());
        }
        let origin = self.origin(head)?;
        if origin != Origin::Listed {
            self.site(head)?;
        }
        if safe || head.method == b"CONNECT" {
            return match origin {
                Origin::None => failed("csrf_origin"),
                Origin::Own | Origin::Listed => Ok(()),
            };
        }
        let Some(given) = single(head, &self.header)? else {
            return failed("csrf_token_missing");
        };
        let mut same = false;
        for key in keys.iter().take(MAX_KEYS_TRIED) {
            same |= bool::from(token(key, sid).as_slice().ct_eq(given));
        }
        if same { Ok(()) } else { failed("csrf_token") }
    }

    /// The cookie that tells pages their token, when the client does not have it.
    pub(super) fn cookie(
        &self,
        keys: &[Key],
        sid: &[u8],
        max_age: u64,
        head: &RequestHead<'_>,
    ) -> Option<Addition> {
        let cookie = self.cookie.as_ref()?;
        let value = token(keys.first()?, sid);
        let mut held = head.cookies().filter(|(name, _)| *name == cookie.name);
        let (first, second) = (held.next(), held.next());
        if second.is_none() && first.is_some_and(|(_, held)| bool::from(held.ct_eq(&value))) {
            return None;
        }
        Some(cookie.set(&value, max_age))
    }

    fn origin(&self, head: &RequestHead<'_>) -> Result<Origin, Failure> {
        let Some(origin) = single(head, b"origin")? else {
            return Ok(Origin::None);
        };
        if self
            .origins
            .iter()
            .any(|listed| listed.eq_ignore_ascii_case(origin))
        {
            return Ok(Origin::Listed);
        }
        let (secure, host) = match (
            origin.strip_prefix(b"https://"),
            origin.strip_prefix(b"http://"),
        ) {
            (Some(host), _) => (true, host),
            (None, Some(host)) => (false, host),
            (None, None) => return failed("csrf_origin"),
        };
        let default: &[u8] = if secure { b":443" } else { b":80" };
        let ours = head.authority;
        let ours = ours.strip_suffix(default).unwrap_or(ours);
        if host.is_empty()
            || !host.eq_ignore_ascii_case(ours)
            || (!secure && head.scheme == b"https")
        {
            return failed("csrf_origin");
        }
        Ok(Origin::Own)
    }

    fn site(&self, head: &RequestHead<'_>) -> Result<(), Failure> {
        match single(head, b"sec-fetch-site")? {
            None | Some(b"same-origin" | b"none") => Ok(()),
            Some(b"same-site") if self.same_site => Ok(()),
            Some(_) => failed("csrf_site"),
        }
    }
}

/// Whose page sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// Nobody says.
    None,
    Own,
    Listed,
}

fn failed<T>(what: &'static str) -> Result<T, Failure> {
    Err(Failure::new(Reason::CsrfFailed, what))
}

/// The only value of a field; several are a failure.
fn single<'a>(head: &RequestHead<'a>, name: &[u8]) -> Result<Option<&'a [u8]>, Failure> {
    let mut values = head.all(name);
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        _ => failed("csrf_repeated"),
    }
}

/// Whether an application may take another method than the request's.
fn overrides(head: &RequestHead<'_>) -> bool {
    OVERRIDES.iter().any(|name| head.first(name).is_some())
        || head
            .params()
            .any(|(name, _)| decode_form(name).eq_ignore_ascii_case(b"_method"))
}
