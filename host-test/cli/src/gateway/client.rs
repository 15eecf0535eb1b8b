//! The client's end of an exchange: a head once, then pieces of a body.
//!
//! **Invariant:** one head at most; a body that has begun ends whole or breaks off; HEAD is answered without a body.

use hyper::{Response, StatusCode};
use palisade_host::{Forward, Headers, LocalReply};
use tokio::sync::oneshot;

use super::access_log::VIA_UPSTREAM;
use super::body::{GatewayBody, Outgoing, Worked, WrongLength, announced};
use super::exchange::{Exchange, FILTER_FAILED, length};
use super::head::fields;
use super::stats::up;

/// The client's end: a head once, then pieces of a body.
pub(super) struct Client {
    pub(super) head: Option<oneshot::Sender<Response<GatewayBody>>>,
    pub(super) out: Outgoing,
    /// The request is HEAD: whatever comes, its body goes nowhere (RFC 9110 §9.3.2).
    pub(super) bodiless: bool,
    /// Nobody listens any more.
    pub(super) gone: bool,
}

impl Client {
    pub(super) fn new(head: oneshot::Sender<Response<GatewayBody>>, bodiless: bool) -> Self {
        Self {
            head: Some(head),
            bodiless,
            out: Outgoing::default(),
            gone: false,
        }
    }

    /// Sends what waits; else waits until nobody listens.
    pub(super) async fn work(&mut self) {
        if let Some(head) = &mut self.head {
            head.closed().await;
            self.gone = true;
        } else if self.out.work().await == Worked::Unread {
            self.gone = true;
        }
    }

    /// Sends on what was let go; an error breaks it off.
    pub(super) fn forward(
        &mut self,
        exchange: &Exchange,
        forward: Forward,
    ) -> Result<(), WrongLength> {
        let trailers = forward.trailers.as_ref().map(fields);
        let Some(headers) = &forward.headers else {
            return self.out.put(forward.body, trailers, forward.end);
        };
        // Such a response announces what another would have.
        let empty = self.bodiless || matches!(headers.status(), Some(100..=199 | 204 | 304));
        let length = if empty { None } else { announced(headers)? };
        let (mut out, mut body) = GatewayBody::pieces(length);
        if self.bodiless {
            out = Outgoing::default();
        }
        if self.bodiless || forward.is_only_headers() {
            body = GatewayBody::Whole(None);
        }
        out.put(forward.body, trailers, forward.end)?;
        self.out = out;
        self.send(exchange, headers, VIA_UPSTREAM, body);
        Ok(())
    }

    /// Sends a whole reply in the upstream's place.
    pub(super) fn reply(&mut self, exchange: &Exchange, reply: LocalReply) {
        if self.head.is_none() || reply.reset {
            // The head has gone: all that can be said is that the rest will not come.
            exchange.detail(&reply.details);
            self.head = None;
            return;
        }
        up(&exchange.worker.plan.stats.numbers.local_replies);
        let body = if self.bodiless {
            GatewayBody::Whole(None)
        } else {
            exchange.record.borrow_mut().sent += length(&reply.body);
            GatewayBody::whole(reply.body)
        };
        self.send(exchange, &reply.headers, &reply.details, body);
    }

    fn send(&mut self, exchange: &Exchange, headers: &Headers, details: &str, body: GatewayBody) {
        let status = headers
            .status()
            .and_then(|status| StatusCode::from_u16(status).ok());
        let status = status.unwrap_or(StatusCode::BAD_GATEWAY);
        exchange.note(status.as_u16(), details);
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = fields(headers);
        if let Some(head) = self.head.take() {
            let _ = head.send(response);
        }
    }

    /// What was let go cannot be sent.
    pub(super) fn refuse(&mut self, exchange: &Exchange, status: u16, details: &str) {
        exchange.detail(details);
        if let Some(head) = self.head.take() {
            exchange.note(status, details);
            up(&exchange.worker.plan.stats.numbers.local_replies);
            let _ = head.send(status_only(status));
        }
    }

    /// The VM was lost or somebody broke off: 503 if the client has seen nothing; a body that has begun breaks off with its sender.
    pub(super) fn fail(&mut self, exchange: &Exchange) {
        if let Some(head) = self.head.take() {
            exchange.record.borrow_mut().status = 503;
            if exchange.record.borrow().details.is_empty() {
                exchange.detail(FILTER_FAILED);
            }
            let _ = head.send(status_only(503));
        }
    }
}

pub(super) fn status_only(status: u16) -> Response<GatewayBody> {
    let mut response = Response::new(GatewayBody::Whole(None));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    response
}
