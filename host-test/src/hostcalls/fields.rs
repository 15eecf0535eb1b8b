//! Headers and trailers: ABI section HTTP fields.
//!
//! Invariant: a map is there only while Envoy has it: from its callback until it has gone on, and again while logging; else the call is
//! a bad argument. Values are raw bytes; a read of one value gives the first of repeated fields.

use crate::{
    abi::{
        memory::{Answer, Cx, Fail},
        pairs,
        types::Status,
    },
    module::Abi,
    state::{HostState, callouts::CalloutEvent, headers::Headers},
    stream::state::Way,
};

fn map(state: &mut HostState, kind: i32) -> Result<&mut Headers, Fail> {
    if (4..8).contains(&kind) {
        return received(state, kind);
    }
    let way = if kind < 2 {
        Way::Request
    } else {
        Way::Response
    };
    let stream = state.stream().ok_or(Status::BadArgument)?;
    let logging = stream.logging;
    let direction = stream.way(way);
    match kind {
        0 | 2 if direction.headers_open || (logging && direction.seen) => {
            Ok(&mut direction.headers)
        }
        1 | 3 if direction.trailers_open || logging => direction
            .trailers
            .as_mut()
            .ok_or_else(|| Status::BadArgument.into()),
        _ => Err(Status::BadArgument.into()),
    }
}

/// Maps of a call-out (4 to 7): there in the callback that brings them, for the root and all its streams.
fn received(state: &mut HostState, kind: i32) -> Result<&mut Headers, Fail> {
    let root = state.root_of_current().ok_or(Status::BadArgument)?;
    let event = state.callouts.received(root).ok_or(Status::BadArgument)?;
    match (kind, event) {
        (4, CalloutEvent::GrpcInitialMetadata(map))
        | (5, CalloutEvent::GrpcTrailingMetadata(map))
        | (6, CalloutEvent::HttpResponse { headers: map, .. })
        | (7, CalloutEvent::HttpResponse { trailers: map, .. }) => Ok(map),
        _ => Err(Status::BadArgument.into()),
    }
}

/// The maps of call-outs can only be read, and so can those of a stream that has ended.
fn writable(state: &mut HostState, kind: i32) -> Result<&mut Headers, Fail> {
    if kind >= 4 || state.stream().is_some_and(|stream| stream.logging) {
        return Err(Status::BadArgument.into());
    }
    map(state, kind)
}

pub(super) fn get_pairs(cx: &mut Cx<'_, '_>, kind: i32, data_out: i32, size_out: i32) -> Answer {
    let bytes = pairs::encode(map(cx.state(), kind)?);
    cx.give(&bytes, data_out, size_out)
}

pub(super) fn get_size(cx: &mut Cx<'_, '_>, kind: i32, size_out: i32) -> Answer {
    let size = pairs::encoded_size(map(cx.state(), kind)?);
    cx.write_u32(size_out, u32::try_from(size).unwrap_or(u32::MAX))
}

pub(super) fn set_pairs(cx: &mut Cx<'_, '_>, kind: i32, data: i32, size: i32) -> Answer {
    let fields = cx.map(data, size)?;
    *writable(cx.state(), kind)? = fields;
    Ok(())
}

pub(super) fn get_value(
    cx: &mut Cx<'_, '_>,
    kind: i32,
    name: i32,
    name_size: i32,
    data_out: i32,
    size_out: i32,
) -> Answer {
    let name = cx.read(name, name_size)?;
    let state = cx.state();
    // Of the maps that are there no more, the log callback sees empty ones.
    let logging = state.stream().is_some_and(|stream| stream.logging);
    let value = match map(state, kind) {
        Ok(map) => map.get(&name).map(<[u8]>::to_vec),
        Err(_) if logging && (0..4).contains(&kind) => None,
        Err(fail) => return Err(fail),
    };
    let value = match value {
        Some(value) => value,
        // A missing field is an empty one in ABI 0.1.0.
        None if cx.state().abi == Abi::V0_1_0 => Vec::new(),
        None => return Err(Status::NotFound.into()),
    };
    cx.give(&value, data_out, size_out)
}

pub(super) fn add_value(
    cx: &mut Cx<'_, '_>,
    kind: i32,
    name: i32,
    name_size: i32,
    value: i32,
    value_size: i32,
) -> Answer {
    let (name, value) = (cx.read(name, name_size)?, cx.read(value, value_size)?);
    writable(cx.state(), kind)?.add(name, value);
    Ok(())
}

pub(super) fn replace_value(
    cx: &mut Cx<'_, '_>,
    kind: i32,
    name: i32,
    name_size: i32,
    value: i32,
    value_size: i32,
) -> Answer {
    let (name, value) = (cx.read(name, name_size)?, cx.read(value, value_size)?);
    writable(cx.state(), kind)?.set(name, value);
    Ok(())
}

pub(super) fn remove_value(cx: &mut Cx<'_, '_>, kind: i32, name: i32, name_size: i32) -> Answer {
    let name = cx.read(name, name_size)?;
    writable(cx.state(), kind)?.remove(name);
    Ok(())
}
