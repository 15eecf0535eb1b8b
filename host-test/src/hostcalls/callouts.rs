//! ABI sections HTTP calls, gRPC calls, FFI: this host has no clusters and no foreign functions yet.
//!
//! Source: Envoy answers an unknown cluster with BAD_ARGUMENT, an unknown gRPC call and an unknown function with NOT_FOUND.
//! Invariant: pointers are checked first all the same, so that a guest's mistake shows.

use crate::abi::{
    memory::{Answer, Cx},
    pairs,
    types::Status,
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
    _timeout: i32,
    call_out: i32,
) -> Answer {
    cx.read(upstream, upstream_size)?;
    cx.read(body, body_size)?;
    for map in [
        cx.read(headers, headers_size)?,
        cx.read(trailers, trailers_size)?,
    ] {
        pairs::decode(&map).ok_or(Status::BadArgument)?;
    }
    cx.check_u32(call_out)?;
    Err(Status::BadArgument.into())
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
    _timeout: i32,
    call_out: i32,
) -> Answer {
    cx.read(message, message_size)?;
    let (from, size) = (upstream, upstream_size);
    grpc_stream(
        cx,
        from,
        size,
        service,
        service_size,
        method,
        method_size,
        metadata,
        metadata_size,
        call_out,
    )
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
    cx.read(upstream, upstream_size)?;
    cx.read(service, service_size)?;
    cx.read(method, method_size)?;
    pairs::decode(&cx.read(metadata, metadata_size)?).ok_or(Status::BadArgument)?;
    cx.check_u32(stream_out)?;
    Err(Status::BadArgument.into())
}

pub(super) fn grpc_send(
    cx: &mut Cx<'_, '_>,
    _stream: i32,
    message: i32,
    message_size: i32,
    _end: i32,
) -> Answer {
    cx.read(message, message_size)?;
    Err(Status::NotFound.into())
}

pub(super) fn grpc_end(_cx: &mut Cx<'_, '_>, _call: i32) -> Answer {
    Err(Status::NotFound.into())
}

pub(super) fn foreign_function(
    cx: &mut Cx<'_, '_>,
    name: i32,
    name_size: i32,
    arguments: i32,
    arguments_size: i32,
    data_out: i32,
    size_out: i32,
) -> Answer {
    cx.read(name, name_size)?;
    cx.read(arguments, arguments_size)?;
    cx.check_u32(data_out)?;
    cx.check_u32(size_out)?;
    Err(Status::NotFound.into())
}

/// The status of the last gRPC call-out: there was none.
pub(super) fn get_status(
    cx: &mut Cx<'_, '_>,
    code_out: i32,
    text_out: i32,
    size_out: i32,
) -> Answer {
    cx.check_u32(code_out)?;
    cx.give(b"", text_out, size_out)?;
    cx.write_u32(code_out, 0)
}
