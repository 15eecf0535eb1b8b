//! What a guest asks of other services, for real: HTTP calls, gRPC calls and gRPC streams to the clusters of `--clusters`.
//!
//! **In:** the library's [`Callout`]s. **Out:** [`CalloutEvent`]s, delivered to the VM that asked.
//! **Invariant:** each call is one task that ends with its guest; it takes no longer than its timeout, reads no more than [`MOST`] bytes
//! of a message, keeps at most [`WAITING`] messages of a guest that the service does not take, and
//! [`MOST_CALLS`] are under way for one guest.
//! **Source:** gRPC over HTTP/2; what becomes of a status, of trailers without body and of a reset: as Envoy's gRPC client.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::{Buf, Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body;
use palisade_host::{CallId, Callout, CalloutEvent, CalloutFailure, Headers};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, spawn_local};

use super::Worker;
use super::body::{GatewayBody, Outgoing, Worked};
use super::guest::Guest;
use super::head;
use super::stats::{down, up};
use super::upstream::{self, Answered, Target};

/// Bytes of an HTTP response, or of one gRPC message.
const MOST: usize = 4 << 20;
/// Messages of a guest that wait for a gRPC service.
const WAITING: usize = 256;

/// Calls of one guest under way at a time; as many as Envoy's circuit breaker lets through to a cluster.
const MOST_CALLS: usize = 1024;
/// What is over that is refused after a moment, so that a guest that calls again and again does not take the whole thread.
const REFUSAL: Duration = Duration::from_millis(10);

/// Statuses of gRPC.
const OK: i32 = 0;
const UNKNOWN: i32 = 2;
const RESOURCE_EXHAUSTED: i32 = 8;
const INTERNAL: i32 = 13;
const UNAVAILABLE: i32 = 14;

/// The calls of one guest that are under way.
#[derive(Debug, Default)]
pub(crate) struct Calls(RefCell<HashMap<CallId, Call>>);

#[derive(Debug)]
struct Call {
    task: AbortHandle,
    /// What the guest sends on a gRPC stream; dropped when it ends its side.
    messages: Option<mpsc::Sender<Bytes>>,
}

impl Drop for Call {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Calls {
    /// Ends all.
    pub(crate) fn clear(&self) {
        self.0.borrow_mut().clear();
    }
}

/// Where a call's events go.
struct Line {
    worker: Rc<Worker>,
    guest: Weak<Guest>,
    id: CallId,
}

impl Line {
    fn deliver(&self, event: CalloutEvent) {
        let Some(guest) = self.guest.upgrade() else {
            return;
        };
        if let Ok(steps) = self.worker.call(&guest, |vm| vm.deliver(self.id, event)) {
            self.worker.tell(&guest, steps);
        }
    }

    fn close(&self, status: i32, message: impl Into<String>) {
        if status != OK {
            up(&self.worker.plan.stats.numbers.callouts_failed);
        }
        let message = message.into();
        self.deliver(CalloutEvent::GrpcClose { status, message });
    }
}

impl Line {
    /// A gRPC call that got no response.
    fn fail(&self, why: &anyhow::Error) {
        match kind_of(why).reply() {
            Some((_, text, details)) => self.close(UNAVAILABLE, format!("{text}{{{details}}}")),
            None => self.close(INTERNAL, ""),
        }
    }
}

/// A call under way is one of the active ones until its task ends, however it ends.
struct Counted(Rc<Worker>);

impl Counted {
    fn new(worker: &Rc<Worker>) -> Self {
        let numbers = &worker.plan.stats.numbers;
        up(&numbers.callouts);
        up(&numbers.callouts_active);
        Self(Rc::clone(worker))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        down(&self.0.plan.stats.numbers.callouts_active);
    }
}

/// Does what a guest asked for.
pub(crate) fn begin(worker: &Rc<Worker>, guest: &Rc<Guest>, callout: Callout) {
    let id = callout.id();
    let line = Line {
        worker: Rc::clone(worker),
        guest: Rc::downgrade(guest),
        id,
    };
    let opens = matches!(
        callout,
        Callout::Http { .. } | Callout::Grpc { .. } | Callout::GrpcOpen { .. }
    );
    if opens && guest.calls.0.borrow().len() >= MOST_CALLS {
        up(&worker.plan.stats.numbers.callouts_failed);
        let events = callout.failed(CalloutFailure::Refused);
        spawn_local(async move {
            tokio::time::sleep(REFUSAL).await;
            for event in events {
                line.deliver(event);
            }
        });
        return;
    }
    let target = |cluster: &str| worker.plan.clusters.get(cluster).cloned();
    match callout {
        Callout::Http {
            cluster,
            headers,
            body,
            trailers,
            timeout,
            ..
        } => {
            let target = target(&cluster);
            let call = Callout::Http {
                id,
                cluster: String::new(),
                headers: Headers::new(),
                body: Vec::new(),
                trailers: Headers::new(),
                timeout,
            };
            start(worker, guest, id, None, async move {
                let asked = http(&line.worker, target, &headers, body, &trailers);
                let events = match limited(timeout, asked).await {
                    Ok(event) => vec![event],
                    Err(why) => {
                        complain!("palisade: HTTP call to `{cluster}`: {why:#}");
                        up(&line.worker.plan.stats.numbers.callouts_failed);
                        call.failed(kind_of(&why))
                    }
                };
                for event in events {
                    line.deliver(event);
                }
            });
        }
        Callout::Grpc {
            cluster,
            service,
            method,
            metadata,
            message,
            timeout,
            ..
        } => {
            let target = target(&cluster);
            start(worker, guest, id, None, async move {
                let path = format!("/{service}/{method}");
                let (mut sending, body) = GatewayBody::pieces(None);
                let _ = sending.put(framed(&message), None, true);
                let answered = async {
                    let answered =
                        grpc(&line.worker, target, &path, &metadata, timeout, body).await?;
                    let mut first = None;
                    let end = receive(answered, |event| {
                        if let CalloutEvent::GrpcMessage(message) = event {
                            first.get_or_insert(message);
                        }
                    })
                    .await;
                    Ok((first, end))
                };
                match limited(timeout, answered).await {
                    Ok((Some(message), Ended { status: OK, .. })) => {
                        line.deliver(CalloutEvent::GrpcMessage(message));
                    }
                    Ok((None, Ended { status: OK, .. })) => line.close(INTERNAL, "no message"),
                    Ok((_, Ended { status, message })) => line.close(status, message),
                    Err(why) => {
                        complain!("palisade: gRPC call {path} to `{cluster}`: {why:#}");
                        line.fail(&why);
                    }
                }
            });
        }
        Callout::GrpcOpen {
            cluster,
            service,
            method,
            metadata,
            ..
        } => {
            let target = target(&cluster);
            let (messages, inbox) = mpsc::channel(WAITING);
            start(worker, guest, id, Some(messages), async move {
                let path = format!("/{service}/{method}");
                let (sending, body) = GatewayBody::pieces(None);
                let answered = async {
                    let asked = grpc(&line.worker, target, &path, &metadata, Duration::ZERO, body);
                    let answered = asked.await?;
                    Ok(receive(answered, |event| line.deliver(event)).await)
                };
                let end = tokio::select! {
                    end = answered => end,
                    never = feed(inbox, sending) => match never {},
                };
                match end {
                    Ok(Ended { status, message }) => line.close(status, message),
                    Err(why) => {
                        let why: anyhow::Error = why;
                        complain!("palisade: gRPC stream {path} to `{cluster}`: {why:#}");
                        up(&line.worker.plan.stats.numbers.callouts_failed);
                        for event in kind_of(&why).grpc_stream() {
                            line.deliver(event);
                        }
                    }
                }
            });
        }
        Callout::GrpcSend { message, end, .. } => {
            let mut calls = guest.calls.0.borrow_mut();
            let Some(call) = calls.get_mut(&id) else {
                return;
            };
            let kept = call
                .messages
                .as_ref()
                .is_none_or(|messages| messages.try_send(framed(&message)).is_ok());
            if end {
                call.messages = None;
            }
            if !kept {
                calls.remove(&id);
                drop(calls);
                // Not from here: the guest is told when it is not in the middle of something.
                spawn_local(async move {
                    line.close(
                        RESOURCE_EXHAUSTED,
                        "the service does not take what the guest sends",
                    );
                });
            }
        }
        Callout::GrpcEnd { .. } => {
            if let Some(call) = guest.calls.0.borrow_mut().get_mut(&id) {
                call.messages = None;
            }
        }
        Callout::Cancel { .. } => {
            guest.calls.0.borrow_mut().remove(&id);
        }
    }
}

fn start(
    worker: &Rc<Worker>,
    guest: &Rc<Guest>,
    id: CallId,
    messages: Option<mpsc::Sender<Bytes>>,
    call: impl Future<Output = ()> + 'static,
) {
    let counted = Counted::new(worker);
    let holder = Rc::downgrade(guest);
    let task = spawn_local(async move {
        let _counted = counted;
        call.await;
        if let Some(guest) = holder.upgrade() {
            guest.calls.0.borrow_mut().remove(&id);
        }
    })
    .abort_handle();
    guest
        .calls
        .0
        .borrow_mut()
        .insert(id, Call { task, messages });
}

/// The call's own timeout has passed.
#[derive(Debug)]
struct TooLong(Duration);

impl std::fmt::Display for TooLong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "no answer in {:?}", self.0)
    }
}

impl std::error::Error for TooLong {}

/// The response broke off, or is more than is taken.
#[derive(Debug)]
struct Broken(String);

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Broken {}

fn kind_of(why: &anyhow::Error) -> CalloutFailure {
    if why.is::<TooLong>() {
        CalloutFailure::Timeout
    } else if why.is::<Broken>() {
        CalloutFailure::Broken
    } else {
        upstream::kind_of(why)
    }
}

/// No timeout at all if it is zero.
async fn limited<T>(timeout: Duration, call: impl Future<Output = Result<T>>) -> Result<T> {
    if timeout.is_zero() {
        return call.await;
    }
    match tokio::time::timeout(timeout, call).await {
        Ok(result) => result,
        Err(_) => Err(TooLong(timeout).into()),
    }
}

async fn http(
    worker: &Worker,
    target: Option<Target>,
    headers: &Headers,
    body: Vec<u8>,
    trailers: &Headers,
) -> Result<CalloutEvent> {
    let target = target.context("no such cluster")?;
    // Envoy sets the length of a body, whatever the guest said; of none a length would take the next request's first bytes.
    let mut headers = headers.clone();
    headers.remove("content-length");
    if !body.is_empty() && trailers.is_empty() {
        headers.set("content-length", body.len().to_string());
    }
    let outgoing = if body.is_empty() && trailers.is_empty() {
        GatewayBody::Whole(None)
    } else if trailers.is_empty() {
        GatewayBody::whole(body)
    } else {
        let (mut sending, outgoing) = GatewayBody::pieces(None);
        let _ = sending.put(body, Some(head::fields(trailers)), true);
        outgoing
    };
    let request = head::to_request(&headers, outgoing, target.is_http2())
        .context("its headers make no request that can be sent")?;
    let Answered {
        response,
        connection,
    } = worker.pool.send(&target, request).await?;
    let (parts, mut body) = response.into_parts();
    let mut headers = Headers::from([(":status", parts.status.as_str())]);
    head::add_fields(&parts.headers, &mut headers);
    let (mut whole, mut trailers) = (Vec::new(), Headers::new());
    while let Some(frame) = body.frame().await {
        match frame
            .map_err(|error| Broken(error.to_string()))?
            .into_data()
        {
            Ok(data) if whole.len() + data.len() > MOST => {
                bail!(Broken(format!("the response has more than {MOST} bytes")))
            }
            Ok(data) => whole.extend_from_slice(&data),
            Err(frame) => {
                trailers = head::of_trailers(&frame.into_trailers().unwrap_or_default());
            }
        }
    }
    if let Some(connection) = connection {
        worker.pool.give_back(connection);
    }
    Ok(CalloutEvent::HttpResponse {
        headers,
        body: whole,
        trailers,
    })
}

async fn grpc(
    worker: &Worker,
    target: Option<Target>,
    path: &str,
    metadata: &Headers,
    timeout: Duration,
    body: GatewayBody,
) -> Result<Answered> {
    // gRPC is HTTP/2 whatever the URL says.
    let target = target.context("no such cluster")?.in_http2();
    let mut headers = Headers::from([
        (":method", "POST"),
        (":path", path),
        (":authority", target.address()),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ]);
    if !timeout.is_zero() {
        headers.add("grpc-timeout", format!("{}m", timeout.as_millis()));
    }
    for (name, value) in metadata.iter() {
        headers.add(name, value);
    }
    let request = head::to_request(&headers, body, true).context("no request that can be sent")?;
    worker.pool.send(&target, request).await
}

/// Writes a guest's messages as the service takes them.
async fn feed(mut inbox: mpsc::Receiver<Bytes>, mut sending: Outgoing) -> std::convert::Infallible {
    while let Some(message) = inbox.recv().await {
        let _ = sending.put(message, None, false);
        while sending.is_pending() && sending.work().await == Worked::Sent {}
    }
    let _ = sending.put(Bytes::new(), None, true);
    while sending.is_pending() && sending.work().await == Worked::Sent {}
    std::future::pending().await
}

/// How a gRPC exchange ended.
struct Ended {
    status: i32,
    message: String,
}

/// Reads a gRPC response to its end.
async fn receive(answered: Answered, mut tell: impl FnMut(CalloutEvent)) -> Ended {
    let (parts, mut body) = answered.response.into_parts();
    let only_headers = body.is_end_stream();
    let headers = || {
        let mut headers = Headers::from([(":status", parts.status.as_str())]);
        head::add_fields(&parts.headers, &mut headers);
        headers
    };
    let first = if only_headers {
        Headers::new()
    } else {
        headers()
    };
    tell(CalloutEvent::GrpcInitialMetadata(first));
    if only_headers && parts.headers.contains_key("grpc-status") {
        return ended(headers(), &mut tell);
    }
    if parts.status != 200 {
        return Ended {
            status: of_http(parts.status.as_u16()),
            message: format!("HTTP status {}", parts.status.as_u16()),
        };
    }
    let broken = |message: String| Ended {
        status: INTERNAL,
        message,
    };
    let mut waiting = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            // As Envoy: a reset has no message.
            return broken(String::new());
        };
        match frame.into_data() {
            Ok(data) => {
                waiting.extend_from_slice(&data);
                loop {
                    match unframed(&mut waiting) {
                        Ok(Some(message)) => tell(CalloutEvent::GrpcMessage(message.to_vec())),
                        Ok(None) => break,
                        Err(why) => return broken(why),
                    }
                }
            }
            Err(frame) => {
                if !waiting.is_empty() {
                    return broken("the last message is cut off".to_owned());
                }
                let trailers = frame.into_trailers().unwrap_or_default();
                return ended(head::of_trailers(&trailers), &mut tell);
            }
        }
    }
    Ended {
        status: UNKNOWN,
        message: "the stream ended without trailers".to_owned(),
    }
}

/// The end, from trailers.
fn ended(trailers: Headers, tell: &mut impl FnMut(CalloutEvent)) -> Ended {
    let status = trailers
        .text("grpc-status")
        .and_then(|status| status.parse().ok());
    let message = trailers.text("grpc-message").unwrap_or_default();
    tell(CalloutEvent::GrpcTrailingMetadata(trailers));
    Ended {
        status: status.unwrap_or(UNKNOWN),
        message,
    }
}

/// A message with its five bytes before it.
fn framed(message: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(message.len() + 5);
    frame.push(0);
    frame.extend_from_slice(
        &u32::try_from(message.len())
            .unwrap_or(u32::MAX)
            .to_be_bytes(),
    );
    frame.extend_from_slice(message);
    frame.into()
}

/// Takes a whole message off, if one is there.
fn unframed(waiting: &mut BytesMut) -> Result<Option<BytesMut>, String> {
    let Some(&[flags, a, b, c, d]) = waiting.first_chunk() else {
        return Ok(None);
    };
    if flags != 0 {
        return Err("the message is compressed, which was not offered".to_owned());
    }
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    if length > MOST {
        return Err(format!("a message of {length} bytes; {MOST} are taken"));
    }
    if waiting.len() < length + 5 {
        return Ok(None);
    }
    waiting.advance(5);
    Ok(Some(waiting.split_to(length)))
}

/// Source: gRPC's mapping of HTTP statuses.
const fn of_http(status: u16) -> i32 {
    match status {
        400 => INTERNAL,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => UNAVAILABLE,
        _ => UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_cut_anywhere_give_the_same_messages() {
        let stream = [framed(b""), framed(b"one"), framed(&[7; 300])].concat();
        for cut in 0..=stream.len() {
            let (before, after) = stream.split_at(cut);
            let (mut waiting, mut messages) = (BytesMut::new(), Vec::new());
            for part in [before, after] {
                waiting.extend_from_slice(part);
                while let Some(message) = unframed(&mut waiting).expect("frames") {
                    messages.push(message.to_vec());
                }
            }
            assert_eq!(
                messages,
                [b"".to_vec(), b"one".to_vec(), vec![7; 300]],
                "{cut}"
            );
            assert!(waiting.is_empty());
        }
        let mut most = BytesMut::from(&framed(&[])[..]);
        most.truncate(1);
        for (length, taken) in [(MOST, true), (MOST + 1, false)] {
            let mut frame = most.clone();
            frame.extend_from_slice(&u32::try_from(length).expect("small").to_be_bytes());
            assert_eq!(unframed(&mut frame).is_ok(), taken, "{length}");
        }
        assert!(unframed(&mut BytesMut::from(&[1, 0, 0, 0, 0][..])).is_err());
    }
}
