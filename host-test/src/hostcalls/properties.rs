//! ABI section Properties: what a guest can ask about a stream, and what it leaves for access logs.
//!
//! In: a path of segments separated by NUL. Out: the value in Envoy's form (text as it is, numbers 64-bit little-endian).
//! Source: Envoy's attributes that a host can know without routes, TLS and upstream hosts; the others (`upstream.*`, `node.*`,
//! `connection.*` of TLS, `cluster_name` …) are there if `StreamInfo::properties` or `VmConfig::properties` name them, and NOT_FOUND else;
//! either overrides any. A property that a guest sets is filter state under `wasm.` and readable by the same path.

use crate::{
    abi::{
        memory::{Answer, Cx},
        types::Status,
    },
    state::{HostState, headers::Headers},
};

/// Envoy's groups of attributes that filters meet.
const GROUPS: [&[u8]; 6] = [
    b"connection",
    b"destination",
    b"request",
    b"response",
    b"source",
    b"upstream",
];

pub(super) fn get(
    cx: &mut Cx<'_, '_>,
    path: i32,
    path_size: i32,
    data_out: i32,
    size_out: i32,
) -> Answer {
    let path = cx.read(path, path_size)?;
    // A whole group of attributes is no value.
    if path.is_empty() || GROUPS.contains(&path.as_slice()) {
        return Err(Status::SerializationFailure.into());
    }
    let value = lookup(cx.state(), &path).ok_or(Status::NotFound)?;
    cx.give(&value, data_out, size_out)
}

pub(super) fn set(
    cx: &mut Cx<'_, '_>,
    path: i32,
    path_size: i32,
    value: i32,
    value_size: i32,
) -> Answer {
    let (path, value) = (cx.read(path, path_size)?, cx.read(value, value_size)?);
    let stream = cx.state().stream().ok_or(Status::NotFound)?;
    stream.filter_state.insert(state_name(&path), value);
    Ok(())
}

/// The name in filter state: `wasm.` and the path as the guest gave it, less a trailing NUL.
fn state_name(path: &[u8]) -> String {
    let path = path.strip_suffix(b"\0").unwrap_or(path);
    format!("wasm.{}", String::from_utf8_lossy(path))
}

fn find(properties: &[(String, Vec<u8>)], text: &str) -> Option<Vec<u8>> {
    let found = properties.iter().find(|(name, _)| name == text);
    found.map(|(_, value)| value.clone())
}

fn lookup(state: &mut HostState, path: &[u8]) -> Option<Vec<u8>> {
    let text = String::from_utf8_lossy(path.strip_suffix(b"\0").unwrap_or(path)).replace('\0', ".");
    match text.as_str() {
        "plugin_name" => return Some(state.plugin_name.clone().into_bytes()),
        "plugin_root_id" => return Some(state.root_id.clone().into_bytes()),
        "plugin_vm_id" => return Some(state.vm_id.clone().into_bytes()),
        _ => {}
    }
    let current = state.current;
    let of_proxy = find(&state.properties, &text);
    let now = state.clock.wall_nanos();
    let Some(stream) = state.stream() else {
        return of_proxy;
    };
    // A path of several segments can be set, but is not found again.
    let single = !path.strip_suffix(b"\0").unwrap_or(path).contains(&0);
    if let Some(value) = stream
        .filter_state
        .get(&state_name(path))
        .filter(|_| single)
    {
        return Some(value.clone());
    }
    if let Some(value) = find(&stream.info.properties, &text).or(of_proxy) {
        return Some(value);
    }
    // What is read from headers is there while their map is, and in the log; the sizes count what is there.
    let gone = Headers::new();
    let request = if stream.logging || stream.request.headers_open {
        &stream.request.headers
    } else {
        &gone
    };
    let response = &stream.response.headers;
    let header = |name: &str| request.get(name).map(<[u8]>::to_vec);
    let some_text = |text: &str| Some(text.as_bytes().to_vec()).filter(|text| !text.is_empty());
    let int = |number: u64| Some(number.to_le_bytes().to_vec());
    let port = |address: &str| {
        address
            .rsplit_once(':')
            .and_then(|(_, port)| port.parse().ok())
    };
    match text.as_str() {
        "source.address" => some_text(&stream.info.source_address),
        "source.port" => int(port(&stream.info.source_address)?),
        "destination.address" => some_text(&stream.info.destination_address),
        "destination.port" => int(port(&stream.info.destination_address)?),
        "request.protocol" => some_text(&stream.info.protocol),
        "request.path" => header(":path"),
        "request.url_path" => Some(
            header(":path")?
                .split(|byte| *byte == b'?')
                .next()
                .unwrap_or_default()
                .to_vec(),
        ),
        "request.query" => header(":path")?
            .splitn(2, |byte| *byte == b'?')
            .nth(1)
            .map(<[u8]>::to_vec),
        "request.host" => header(":authority"),
        "request.scheme" => header(":scheme"),
        "request.method" => header(":method"),
        "request.id" => header("x-request-id"),
        "request.referer" => header("referer"),
        "request.useragent" => header("user-agent"),
        "request.size" => int(header("content-length")
            .and_then(|text| String::from_utf8(text).ok()?.parse().ok())
            .unwrap_or(0)),
        "request.total_size" => int(header("content-length")
            .and_then(|text| String::from_utf8(text).ok()?.parse().ok())
            .unwrap_or(0_u64)
            .saturating_add(request.byte_size() as u64)),
        "request.time" => int(now),
        // One connection a stream, no routes, no TLS, no direction: what Envoy says of a plain listener.
        "connection.id" | "connection_id" => int(current.into()),
        "connection.mtls" => Some(vec![0]),
        "xds.route_name" => Some(Vec::new()),
        "xds.listener_direction" => int(0),
        "response.flags" => int(0),
        "response.grpc_status" => {
            let trailers = stream.response.trailers.as_ref();
            let status = trailers.and_then(|map| map.text("grpc-status"));
            int(status
                .or_else(|| response.text("grpc-status"))?
                .parse()
                .ok()?)
        }
        "response.code" => int(response.status()?.into()),
        "response.code_details" if !stream.response.seen => None,
        "response.code_details" => some_text(
            stream
                .reply
                .as_ref()
                .map_or("via_upstream", |reply| &reply.details),
        ),
        other => {
            if let Some(name) = other.strip_prefix("filter_state.") {
                return stream.filter_state.get(name).cloned();
            }
            let (map, name) = if let Some(name) = other.strip_prefix("request.headers.") {
                (Some(request), name)
            } else if let Some(name) = other.strip_prefix("response.headers.") {
                (Some(response), name)
            } else {
                let name = other.strip_prefix("response.trailers.")?;
                (stream.response.trailers.as_ref(), name)
            };
            let values: Vec<&[u8]> = map?.get_all(name).collect();
            (!values.is_empty()).then(|| values.join(&b','))
        }
    }
}
