//! Resuming, closing, answering: ABI sections on HTTP streams.
//!
//! Invariant: nothing happens inside the call; it is noted on the stream and takes effect when the callback has returned, as in Envoy.

use crate::{
    abi::{
        memory::{Answer, Cx},
        types::Status,
    },
    stream::state::{GuestReply, Way},
};

pub(super) fn resume(cx: &mut Cx<'_, '_>, direction: i32) -> Answer {
    match direction {
        0 => resume_request(cx),
        1 => resume_response(cx),
        2 if cx.state().stream().is_some_and(|stream| stream.tcp) => {
            resume_way(cx, Way::Request, true)
        }
        // An HTTP stream has no TCP side; Envoy lets it pass.
        2 => Ok(()),
        // Envoy does not resume the upstream side of a connection.
        3 => Err(Status::Unimplemented.into()),
        _ => Err(Status::BadArgument.into()),
    }
}

pub(super) fn resume_request(cx: &mut Cx<'_, '_>) -> Answer {
    resume_way(cx, Way::Request, false)
}

pub(super) fn resume_response(cx: &mut Cx<'_, '_>) -> Answer {
    resume_way(cx, Way::Response, false)
}

/// Notes the wish; one for a kind of stream that this is not has no effect, as in Envoy.
fn resume_way(cx: &mut Cx<'_, '_>, way: Way, tcp: bool) -> Answer {
    let state = cx.state();
    let current = state.current;
    let stream = state.stream().ok_or(Status::BadArgument)?;
    if stream.tcp != tcp {
        return Ok(());
    }
    stream.way(way).resume = true;
    // Envoy forgets the request's headers here, whichever direction goes on, and never the response's.
    stream.request.headers_open = false;
    state.touched.push(current);
    Ok(())
}

pub(super) fn close(cx: &mut Cx<'_, '_>, direction: i32) -> Answer {
    let tcp = match direction {
        0 | 1 => false,
        2 | 3 => true,
        _ => return Err(Status::BadArgument.into()),
    };
    let state = cx.state();
    let current = state.current;
    let stream = state.stream().ok_or(Status::BadArgument)?;
    if stream.tcp == tcp {
        stream.closed = true;
        state.touched.push(current);
    }
    Ok(())
}

/// The host has no routes; asked for in vain, answered well.
pub(super) fn clear_route_cache(_cx: &mut Cx<'_, '_>) -> Answer {
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "the ABI's own list")]
pub(super) fn send_local_response(
    cx: &mut Cx<'_, '_>,
    status: i32,
    details: i32,
    details_size: i32,
    body: i32,
    body_size: i32,
    headers: i32,
    headers_size: i32,
    grpc_status: i32,
) -> Answer {
    let details = cx.read(details, details_size)?;
    let body = cx.read(body, body_size)?;
    let headers = cx.map(headers, headers_size)?;
    let status = u16::try_from(status)
        .ok()
        .filter(|status| (100..=999).contains(status))
        .ok_or(Status::BadArgument)?;
    let details = String::from_utf8_lossy(&details).into_owned();
    let grpc_status = (grpc_status >= 0).then_some(grpc_status);
    let state = cx.state();
    let current = state.current;
    let stream = state.stream().ok_or(Status::BadArgument)?;
    // Of several in one callback the first stands; a later one may take a reply's place as long as nothing of it has gone out.
    if !stream.tcp && (!stream.replied || stream.reply.is_some()) && stream.guest_reply.is_none() {
        stream.guest_reply = Some(GuestReply {
            status,
            details,
            headers,
            body,
            grpc_status,
        });
        state.touched.push(current);
    }
    Ok(())
}
