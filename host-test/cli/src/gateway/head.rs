//! Heads, from hyper's form to the filter's and back.
//!
//! **Invariant:** what the filter saw as `:path` is byte for byte what is sent; hop-by-hop fields end here.
//! **Source:** RFC 9110 §7.6.1, RFC 9112 §3.2.2, RFC 9113 §8.3.1; `x-request-id` and `x-forwarded-*` as Envoy adds them.

use std::hash::{BuildHasher, RandomState};

use hyper::header::{HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::uri::{Authority, PathAndQuery, Scheme};
use hyper::{HeaderMap, Method, Request, Uri, Version};
use palisade_host::Headers;

use super::body::GatewayBody;

/// Fields that hold between two hops only.
const HOP_BY_HOP: [&str; 6] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Requests that no filter is asked about, with status and details: tunnels, and those that do not say once and for all which host they
/// are for (RFC 9112 §3.2).
pub(crate) fn refused(parts: &Parts) -> Option<(u16, &'static str)> {
    if parts.method == Method::CONNECT {
        return Some((403, "upgrade_failed"));
    }
    // `GET host:80` is a target for CONNECT alone.
    if parts.uri.path_and_query().is_none() {
        return Some((400, "invalid_target"));
    }
    let mut hosts = parts.headers.get_all("host").iter();
    let host = hosts.next().map(HeaderValue::as_bytes);
    if hosts.next().is_some() {
        return Some((400, "several_hosts"));
    }
    let absolute = parts
        .uri
        .authority()
        .map(|authority| authority.as_str().as_bytes());
    let named = |bytes: &[u8]| {
        !bytes.contains(&b'@') && (bytes.is_empty() || Authority::try_from(bytes).is_ok())
    };
    match absolute.or(host) {
        None if parts.version == Version::HTTP_10 => None,
        None => Some((400, "missing_host_header")),
        Some(host) if !named(host) => Some((400, "invalid_host")),
        Some(_) => None,
    }
}

/// The request's head as the filter sees it: pseudo-headers, then what the client sent without hop-by-hop fields, with a request id
/// and the peer added to the forwarding chain.
pub(crate) fn of_request(parts: &Parts, peer: &str, scheme: &str) -> Headers {
    let mut headers = Headers::new();
    let host = parts.headers.get("host").map(HeaderValue::as_bytes);
    // The authority of an absolute target goes before `host`.
    let authority = parts
        .uri
        .authority()
        .map(|authority| authority.as_str().as_bytes())
        .or(host);
    let path = match parts.uri.path_and_query() {
        Some(path) => path.as_str(),
        None => parts.uri.path(),
    };
    headers.add(":method", parts.method.as_str());
    headers.add(":scheme", scheme);
    headers.add(":authority", authority.unwrap_or_default());
    headers.add(":path", if path.is_empty() { "/" } else { path });
    add_fields(&parts.headers, &mut headers);
    if headers.get("x-request-id").is_none() {
        headers.add("x-request-id", request_id());
    }
    let mut chain = headers.get_all("x-forwarded-for").collect::<Vec<_>>();
    chain.push(peer.as_bytes());
    let chain = chain.join(&b","[..]);
    headers.set("x-forwarded-for", chain);
    headers.set("x-forwarded-proto", scheme);
    headers
}

/// Regular fields without `host` and those that end here.
pub(crate) fn add_fields(from: &HeaderMap, to: &mut Headers) {
    let named: Vec<String> = from
        .get_all("connection")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    for (name, value) in from {
        let name = name.as_str();
        // RFC 9113 §8.2.2: of `te` only `trailers` may go on.
        let ends_here = match name {
            "host" => true,
            "te" => value != "trailers",
            name => HOP_BY_HOP.contains(&name) || named.iter().any(|hop| hop == name),
        };
        if !ends_here {
            to.add(name, value);
        }
    }
}

/// All fields, as of trailers.
pub(crate) fn of_trailers(map: &HeaderMap) -> Headers {
    map.iter()
        .map(|(name, value)| (name.as_str(), value))
        .collect()
}

/// Regular fields for hyper; what HTTP cannot carry is left out.
pub(crate) fn fields(headers: &Headers) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers.iter().filter(|(name, _)| !name.starts_with(b":")) {
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            map.append(name, value);
        }
    }
    map
}

/// The request to send: exactly the target that the filter let go. `None` if it is none that can be sent.
pub(crate) fn to_request(
    headers: &Headers,
    body: GatewayBody,
    http2: bool,
) -> Option<Request<GatewayBody>> {
    let path = headers.get(":path")?;
    let authority = headers.get(":authority").unwrap_or_default();
    let mut map = fields(headers);
    let target = || {
        PathAndQuery::try_from(path)
            .ok()
            .filter(|target| target.as_str().as_bytes() == path)
    };
    let uri = if http2 {
        let mut parts = hyper::http::uri::Parts::default();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(Authority::try_from(authority).ok()?);
        parts.path_and_query = Some(target()?);
        map.remove("host");
        Uri::from_parts(parts).ok()?
    } else {
        map.insert("host", HeaderValue::from_bytes(authority).ok()?);
        map.remove("te");
        if path == b"*" {
            Uri::from_static("*")
        } else {
            target()?.into()
        }
    };
    let mut request = Request::new(body);
    *request.method_mut() = Method::from_bytes(headers.get(":method")?).ok()?;
    *request.uri_mut() = uri;
    *request.headers_mut() = map;
    Some(request)
}

/// 128 random bits, in the form of a UUID.
fn request_id() -> String {
    let bits = u128::from(RandomState::new().hash_one(0)) << 64
        | u128::from(RandomState::new().hash_one(1));
    let hex = format!("{bits:032x}");
    let mut id = String::with_capacity(36);
    for (at, digit) in hex.chars().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            id.push('-');
        }
        id.push(digit);
    }
    id
}
