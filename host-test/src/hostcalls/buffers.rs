//! Bodies and configurations: ABI section Buffers.
//!
//! Source: start and size as Envoy's wasm extension reads them: at 0, size 0 prepends, a size short of the whole replaces that much,
//! more replaces all; at or past the end appends; anything else is a bad argument.

use crate::{
    abi::{
        memory::{Answer, Cx, Fail},
        types::Status,
    },
    state::{HostState, callouts::CalloutEvent},
    stream::state::Way,
};

const REQUEST_BODY: i32 = 0;
const RESPONSE_BODY: i32 = 1;
const DOWNSTREAM_DATA: i32 = 2;
const UPSTREAM_DATA: i32 = 3;
const CALL_BODY: i32 = 4;
const CALL_MESSAGE: i32 = 5;
const VM_CONFIGURATION: i32 = 6;
const PLUGIN_CONFIGURATION: i32 = 7;
const CALL_DATA: i32 = 8;

/// Highest number of a kind of buffer.
const LAST_KIND: i32 = 8;

/// A buffer to read. A body that is not there is an empty one; the plugin's configuration is there in its callback only.
fn read(state: &mut HostState, kind: i32) -> Result<&[u8], Fail> {
    match kind {
        VM_CONFIGURATION => Ok(&state.vm_configuration),
        PLUGIN_CONFIGURATION => state
            .root()
            .filter(|root| root.configuring)
            .map(|root| root.configuration.as_slice())
            .ok_or_else(|| Status::NotFound.into()),
        CALL_BODY | CALL_MESSAGE => received(state, kind).ok_or_else(|| Status::NotFound.into()),
        CALL_DATA => state
            .call_data
            .as_deref()
            .ok_or_else(|| Status::NotFound.into()),
        REQUEST_BODY | RESPONSE_BODY => Ok(body(state, kind).map_or(&[], |body| body.as_slice())),
        _ => body(state, kind).map(|body| body.as_slice()),
    }
}

/// What a call-out brought, in its callback.
fn received(state: &mut HostState, kind: i32) -> Option<&[u8]> {
    let root = state.root_of_current()?;
    match (kind, state.callouts.received(root)?) {
        (CALL_BODY, CalloutEvent::HttpResponse { body, .. }) => Some(body),
        (CALL_MESSAGE, CalloutEvent::GrpcMessage(message)) => Some(message),
        _ => None,
    }
}

fn body(state: &mut HostState, kind: i32) -> Result<&mut Vec<u8>, Fail> {
    let way = match kind {
        REQUEST_BODY | DOWNSTREAM_DATA => Way::Request,
        RESPONSE_BODY | UPSTREAM_DATA => Way::Response,
        4..=LAST_KIND => return Err(Status::NotFound.into()),
        _ => return Err(Status::BadArgument.into()),
    };
    let direction = state
        .stream()
        .filter(|stream| stream.tcp == (kind >= DOWNSTREAM_DATA))
        .map(|stream| stream.way(way))
        .filter(|direction| direction.body_open);
    direction
        .map(|direction| &mut direction.body)
        .ok_or_else(|| {
            // A body that is not there cannot be written; a connection's bytes are not found.
            if kind >= DOWNSTREAM_DATA {
                Status::NotFound.into()
            } else {
                Status::BadArgument.into()
            }
        })
}

pub(super) fn get(
    cx: &mut Cx<'_, '_>,
    kind: i32,
    start: i32,
    max: i32,
    data_out: i32,
    size_out: i32,
) -> Answer {
    let (start, max) = (start.cast_unsigned(), max.cast_unsigned());
    let end = start.saturating_add(max);
    let buffer = read(cx.state(), kind)?;
    let length = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
    let (start, end) = (start.min(length) as usize, end.min(length) as usize);
    let bytes = buffer.get(start..end).unwrap_or_default().to_vec();
    cx.give(&bytes, data_out, size_out)
}

/// ABI 0.1.0: the plugin's configuration, or the VM's where there is no plugin yet.
pub(super) fn configuration(cx: &mut Cx<'_, '_>, data_out: i32, size_out: i32) -> Answer {
    let state = cx.state();
    let plugin = state.root().map(|root| root.configuration.clone());
    let bytes = plugin.unwrap_or_else(|| state.vm_configuration.clone());
    cx.give(&bytes, data_out, size_out)
}

pub(super) fn status(cx: &mut Cx<'_, '_>, kind: i32, size_out: i32, flags_out: i32) -> Answer {
    let size = u32::try_from(read(cx.state(), kind)?.len()).unwrap_or(u32::MAX);
    cx.check_u32(flags_out)?;
    cx.write_u32(size_out, size)?;
    cx.write_u32(flags_out, 0)
}

pub(super) fn set(
    cx: &mut Cx<'_, '_>,
    kind: i32,
    start: i32,
    max: i32,
    data: i32,
    size: i32,
) -> Answer {
    let (start, max) = (start.cast_unsigned() as usize, max.cast_unsigned() as usize);
    let bytes = cx.read(data, size)?;
    if matches!(kind, CALL_BODY..=CALL_DATA) {
        read(cx.state(), kind)?;
        return Err(Status::BadArgument.into());
    }
    let most = cx.state().memory_guard.limit_bytes;
    let buffer = body(cx.state(), kind)?;
    let replaced = match start {
        0 => 0..max.min(buffer.len()),
        start if start >= buffer.len() => buffer.len()..buffer.len(),
        _ => return Err(Status::BadArgument.into()),
    };
    if buffer.len() - replaced.len() + bytes.len() > most {
        return Err(cx.full("bytes of a body", most));
    }
    buffer.splice(replaced, bytes);
    Ok(())
}
