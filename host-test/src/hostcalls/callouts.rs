//! ABI sections HTTP calls, gRPC calls.
//!
//! In: a guest's wish. Out: a `Callout` in the queue and an id; nothing is sent here.
//! Invariant: pointers and maps are checked before anything is queued: a call that does not answer OK leaves no trace.
//! Source: Envoy: an HTTP call needs a known cluster, `:method`, `:path`, `:authority` and a timeout below 2^31, else BAD_ARGUMENT; a body
//! sets `content-length`. A gRPC target is a cluster's name or a serialized `GrpcService`; PARSE_FAILURE if it is neither.
//! A gRPC id of the wrong kind is BAD_ARGUMENT for `send`; one that is not open NOT_FOUND.

use std::time::Duration;

use crate::{
    abi::{
        memory::{Answer, Cx, Fail},
        types::Status,
    },
    state::{
        callouts::{CallId, Callout, Kind, MOST_OPEN},
        headers::Headers,
    },
};

#[expect(clippy::too_many_arguments, reason = "the ABI's own list")]
pub(super) fn http_call(
    cx: &mut Cx<'_, '_>,
    upstream: i32,
    upstream_size: i32,
    headers: i32,
    headers_size: i32,
    body: i32,
    body_size: i32,
    trailers: i32,
    trailers_size: i32,
    timeout: i32,
    call_out: i32,
) -> Answer {
    let cluster = text(&cx.read(upstream, upstream_size)?);
    let body = cx.read(body, body_size)?;
    let mut headers = map(cx, headers, headers_size)?;
    let trailers = map(cx, trailers, trailers_size)?;
    cx.write_u32(call_out, 0)?;
    let timeout = u64::try_from(timeout).map_err(|_| Status::BadArgument)?;
    let state = cx.state();
    let root = state.root_of_current().ok_or(Status::BadArgument)?;
    let complete = [":path", ":method", ":authority"]
        .iter()
        .all(|name| headers.get(name).is_some());
    if !complete || !state.callouts.clusters.contains(&cluster) {
        return Err(Status::BadArgument.into());
    }
    if !body.is_empty() {
        headers.set("content-length", body.len().to_string());
    }
    if state.callouts.open.len() >= MOST_OPEN {
        return Err(cx.full("call-outs open at a time", MOST_OPEN));
    }
    let id = state.callouts.begin(Kind::Http, root);
    state.callouts.asked.push(Callout::Http {
        id,
        cluster,
        headers,
        body,
        trailers,
        timeout: Duration::from_millis(timeout),
    });
    cx.write_u32(call_out, id.0)
}

#[expect(clippy::too_many_arguments, reason = "the ABI's own list")]
pub(super) fn grpc_call(
    cx: &mut Cx<'_, '_>,
    upstream: i32,
    upstream_size: i32,
    service: i32,
    service_size: i32,
    method: i32,
    method_size: i32,
    metadata: i32,
    metadata_size: i32,
    message: i32,
    message_size: i32,
    timeout: i32,
    call_out: i32,
) -> Answer {
    let upstream = cx.read(upstream, upstream_size)?;
    let service = text(&cx.read(service, service_size)?);
    let method = text(&cx.read(method, method_size)?);
    let message = cx.read(message, message_size)?;
    let metadata = map(cx, metadata, metadata_size)?;
    let timeout = Duration::from_millis(timeout.cast_unsigned().into());
    let (cluster, id) = begin_grpc(cx, Kind::Grpc, &upstream, call_out)?;
    cx.state().callouts.asked.push(Callout::Grpc {
        id,
        cluster,
        service,
        method,
        metadata,
        message,
        timeout,
    });
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "the ABI's own list")]
pub(super) fn grpc_stream(
    cx: &mut Cx<'_, '_>,
    upstream: i32,
    upstream_size: i32,
    service: i32,
    service_size: i32,
    method: i32,
    method_size: i32,
    metadata: i32,
    metadata_size: i32,
    stream_out: i32,
) -> Answer {
    let upstream = cx.read(upstream, upstream_size)?;
    let service = text(&cx.read(service, service_size)?);
    let method = text(&cx.read(method, method_size)?);
    let metadata = map(cx, metadata, metadata_size)?;
    let (cluster, id) = begin_grpc(cx, Kind::GrpcStream, &upstream, stream_out)?;
    cx.state().callouts.asked.push(Callout::GrpcOpen {
        id,
        cluster,
        service,
        method,
        metadata,
    });
    Ok(())
}

/// Finds the cluster of a gRPC call and gives the call its id.
fn begin_grpc(
    cx: &mut Cx<'_, '_>,
    kind: Kind,
    upstream: &[u8],
    call_out: i32,
) -> Result<(String, CallId), Fail> {
    cx.check_u32(call_out)?;
    let state = cx.state();
    let root = state.root_of_current().ok_or(Status::BadArgument)?;
    let clusters = &state.callouts.clusters;
    let name = text(upstream);
    let cluster = if let Some(inner) = cluster_of(upstream).map(text) {
        // As with a name that Envoy finds only when it sends.
        if !clusters.contains(&inner) {
            return Err(Status::InternalFailure.into());
        }
        inner
    } else if clusters.contains(&name) {
        name
    } else {
        return Err(Status::ParseFailure.into());
    };
    if state.callouts.open.len() >= MOST_OPEN {
        return Err(cx.full("call-outs open at a time", MOST_OPEN));
    }
    let id = state.callouts.begin(kind, root);
    cx.write_u32(call_out, id.0)?;
    Ok((cluster, id))
}

pub(super) fn grpc_send(
    cx: &mut Cx<'_, '_>,
    stream: i32,
    message: i32,
    message_size: i32,
    end: i32,
) -> Answer {
    let message = cx.read(message, message_size)?;
    let id = own(cx, stream)?;
    if Kind::of(id) != Some(Kind::GrpcStream) {
        return Err(Status::BadArgument.into());
    }
    let callouts = &mut cx.state().callouts;
    let open = callouts.open.get(&id).ok_or(Status::NotFound)?;
    // What is sent on a stream that the other side closed is lost.
    if !open.remote_closed && !open.local_closed {
        callouts.asked.push(Callout::GrpcSend {
            id: CallId(id),
            message,
            end: end != 0,
        });
    }
    Ok(())
}

pub(super) fn grpc_cancel(cx: &mut Cx<'_, '_>, call: i32) -> Answer {
    let id = own(cx, call)?;
    cx.state().callouts.cancel(id);
    Ok(())
}

/// Cancels a call; of a stream it ends the guest's side only, and what still comes in is delivered.
pub(super) fn grpc_close(cx: &mut Cx<'_, '_>, call: i32) -> Answer {
    let id = own(cx, call)?;
    let callouts = &mut cx.state().callouts;
    let open = callouts.open.get_mut(&id).ok_or(Status::NotFound)?;
    if Kind::of(id) != Some(Kind::GrpcStream) {
        callouts.cancel(id);
    } else if open.remote_closed {
        callouts.open.remove(&id);
    } else if !std::mem::replace(&mut open.local_closed, true) {
        callouts.asked.push(Callout::GrpcEnd { id: CallId(id) });
    }
    Ok(())
}

/// The id of a gRPC call or stream that the current root has open.
fn own(cx: &mut Cx<'_, '_>, call: i32) -> Result<u32, Fail> {
    let id = call.cast_unsigned();
    let state = cx.state();
    let root = state.root_of_current();
    match Kind::of(id) {
        Some(Kind::Grpc | Kind::GrpcStream) => {}
        _ => return Err(Status::BadArgument.into()),
    }
    state
        .callouts
        .open
        .get(&id)
        .filter(|open| Some(open.root) == root)
        .map(|_| id)
        .ok_or_else(|| Status::NotFound.into())
}

/// How the last call-out of this root ended.
pub(super) fn get_status(
    cx: &mut Cx<'_, '_>,
    code_out: i32,
    text_out: i32,
    size_out: i32,
) -> Answer {
    cx.check_u32(code_out)?;
    let (code, message) = cx
        .state()
        .root()
        .map(|root| root.call_status.clone())
        .unwrap_or_default();
    cx.give(message.as_bytes(), text_out, size_out)?;
    cx.write_u32(code_out, code.cast_unsigned())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn map(cx: &mut Cx<'_, '_>, at: i32, size: i32) -> Result<Headers, Fail> {
    cx.map(at, size)
}

/// `envoy_grpc.cluster_name` of a serialized `GrpcService`.
fn cluster_of(bytes: &[u8]) -> Option<&[u8]> {
    field(field(bytes, 1)?, 1)
}

/// The last length-delimited field of this number in a protobuf message; `None` too if the message is malformed.
fn field(mut bytes: &[u8], number: u64) -> Option<&[u8]> {
    let mut found = None;
    while !bytes.is_empty() {
        let (tag, rest) = varint(bytes)?;
        let (skip, rest) = match tag & 7 {
            0 => (0, varint(rest)?.1),
            1 => (8, rest),
            2 => {
                let (size, rest) = varint(rest)?;
                (usize::try_from(size).ok()?, rest)
            }
            5 => (4, rest),
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(skip)?;
        if tag == number << 3 | 2 {
            found = Some(value);
        }
        bytes = rest;
    }
    found
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (position, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f).checked_shl(u32::try_from(position).ok()? * 7)?;
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(position + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `GrpcService { envoy_grpc { cluster_name: "idp", authority: "a" }, timeout { seconds: 1 } }`, a number field before it.
    const SERVICE: &[u8] = b"\x50\xac\x02\x0a\x08\x0a\x03idp\x12\x01a\x1a\x02\x08\x01";

    #[test]
    fn a_grpc_service_names_its_cluster() {
        for (bytes, cluster) in [
            (SERVICE, Some(&b"idp"[..])),
            (b"", None),
            (b"idp", None),
            // The last one counts.
            (b"\x0a\x03\x0a\x01a\x0a\x03\x0a\x01b", Some(b"b")),
            // Fixed sizes before it; a group; another field; a tag of more than 64 bits.
            (b"\x29aaaaaaaa\x2dbbbb\x0a\x03\x0a\x01a", Some(b"a")),
            (b"\x0b\x0a\x03\x0a\x01a", None),
            (b"\x12\x03\x0a\x01a", None),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", None),
            (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", None),
        ] {
            assert_eq!(cluster_of(bytes), cluster, "{bytes:?}");
        }
        // Cut anywhere it is malformed, or (after a whole field) says less; never more.
        for cut in 0..SERVICE.len() {
            let found = cluster_of(SERVICE.get(..cut).unwrap());
            assert_eq!(found, (cut == 13).then_some(&b"idp"[..]), "cut at {cut}");
        }
        // Any byte in any place is survived.
        for place in 0..SERVICE.len() {
            for byte in 0..=255 {
                let mut bytes = SERVICE.to_vec();
                *bytes.get_mut(place).unwrap() = byte;
                let found = cluster_of(&bytes).unwrap_or_default();
                assert!(found.len() < bytes.len());
            }
        }
    }
}
