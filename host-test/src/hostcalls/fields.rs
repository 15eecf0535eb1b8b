//! Headers and trailers: ABI section HTTP fields.
//!
//! Invariant: a map is there only while Envoy has it: from its callback until it has gone on, and again, to read, while logging.
//! What is not there reads as an empty list, but has no size, no values and takes no writes. Values are raw bytes.
//! Source: Envoy as `ENVOY.md` has it: `host` is `:authority`, a replaced field goes to the end, repeats of Envoy's own fields are joined.

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

/// Highest number of a kind of map.
const LAST_KIND: i32 = 7;

/// Request fields that Envoy holds once; a second value is joined to the first.
const HELD_ONCE: [&[u8]; 16] = [
    b":authority",
    b":method",
    b":path",
    b":scheme",
    b"accept",
    b"authorization",
    b"content-length",
    b"content-type",
    b"origin",
    b"referer",
    b"te",
    b"user-agent",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-proto",
    b"x-request-id",
];

/// A map, if it is there to be read.
fn readable(state: &mut HostState, kind: i32) -> Result<Option<&mut Headers>, Fail> {
    if !(0..=LAST_KIND).contains(&kind) {
        return Err(Status::BadArgument.into());
    }
    if kind >= 4 {
        return Ok(received(state, kind));
    }
    let way = if kind < 2 {
        Way::Request
    } else {
        Way::Response
    };
    let Some(stream) = state.stream() else {
        return Ok(None);
    };
    let logging = stream.logging;
    let direction = stream.way(way);
    Ok(match kind {
        0 | 2 => Some(&mut direction.headers)
            .filter(|_| direction.headers_open || (logging && direction.seen)),
        // Envoy has no request trailers for logs.
        1 if logging => None,
        _ => direction
            .trailers
            .as_mut()
            .filter(|_| direction.trailers_open || logging),
    })
}

/// Maps of a call-out (4 to 7): there in the callback that brings them, for the root and all its streams.
fn received(state: &mut HostState, kind: i32) -> Option<&mut Headers> {
    let root = state.root_of_current()?;
    let event = state.callouts.received(root)?;
    match (kind, event) {
        (4, CalloutEvent::GrpcInitialMetadata(map))
        | (5, CalloutEvent::GrpcTrailingMetadata(map))
        | (6, CalloutEvent::HttpResponse { headers: map, .. })
        | (7, CalloutEvent::HttpResponse { trailers: map, .. }) => {
            Some(map).filter(|map| kind != 7 || !map.is_empty())
        }
        _ => None,
    }
}

/// A map that can be written: not one of a call-out, nor one of a log. Trailers may be made with the last piece of a body.
fn writable(state: &mut HostState, kind: i32) -> Result<&mut Headers, Fail> {
    if kind >= 4 {
        return Err(Status::BadArgument.into());
    }
    if let Some(stream) = state.stream() {
        if stream.logging {
            return Err(Status::BadArgument.into());
        }
        let tcp = stream.tcp;
        let direction = stream.way(if kind < 2 {
            Way::Request
        } else {
            Way::Response
        });
        if matches!(kind, 1 | 3)
            && !tcp
            && direction.body_open
            && direction.ended
            && direction.trailers.is_none()
        {
            direction.trailers = Some(Headers::new());
            direction.trailers_open = true;
        }
    }
    readable(state, kind)?.ok_or_else(|| Status::BadArgument.into())
}

/// A field's name as Envoy keeps it.
fn known_as(kind: i32, name: Vec<u8>) -> Vec<u8> {
    if kind == 0 && name.eq_ignore_ascii_case(b"host") {
        b":authority".to_vec()
    } else {
        name
    }
}

fn add(map: &mut Headers, kind: i32, name: &[u8], value: &[u8]) {
    let once = |name: &[u8]| HELD_ONCE.iter().any(|held| held.eq_ignore_ascii_case(name));
    if name.is_empty() || (kind == 0 && once(name) && map.join(name, value)) {
        return;
    }
    map.push(name, value);
}

pub(super) fn get_pairs(cx: &mut Cx<'_, '_>, kind: i32, data_out: i32, size_out: i32) -> Answer {
    let bytes = readable(cx.state(), kind)?.map_or_else(Vec::new, |map| pairs::encode(map));
    cx.give(&bytes, data_out, size_out)
}

pub(super) fn get_size(cx: &mut Cx<'_, '_>, kind: i32, size_out: i32) -> Answer {
    // Names and values added up, not the serialized form.
    let size = readable(cx.state(), kind)?
        .ok_or(Status::BadArgument)?
        .byte_size();
    cx.write_u32(size_out, u32::try_from(size).unwrap_or(u32::MAX))
}

pub(super) fn set_pairs(cx: &mut Cx<'_, '_>, kind: i32, data: i32, size: i32) -> Answer {
    let fields = cx.map(data, size)?;
    let map = writable(cx.state(), kind)?;
    *map = Headers::new();
    for (name, value) in fields.iter() {
        add(map, kind, &known_as(kind, name.to_vec()), value);
    }
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
    let name = known_as(kind, cx.read(name, name_size)?);
    let state = cx.state();
    // Of the maps that are there no more, the log callback sees empty ones.
    let logging = state.stream().is_some_and(|stream| stream.logging);
    let value = match readable(state, kind)? {
        Some(map) => map.get(&name).map(<[u8]>::to_vec),
        None if logging && (0..4).contains(&kind) => None,
        None => return Err(Status::BadArgument.into()),
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
    add(
        writable(cx.state(), kind)?,
        kind,
        &known_as(kind, name),
        &value,
    );
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
    let map = writable(cx.state(), kind)?;
    let name = known_as(kind, name);
    map.remove(&name);
    add(map, kind, &name, &value);
    Ok(())
}

pub(super) fn remove_value(cx: &mut Cx<'_, '_>, kind: i32, name: i32, name_size: i32) -> Answer {
    let name = known_as(kind, cx.read(name, name_size)?);
    writable(cx.state(), kind)?.remove(name);
    Ok(())
}
