//! Verdict ▸ effects: the [`Reply`] to send and the [`Telling`] to write. Pure: nothing is done here.
//!
//! **Invariant:** a refused request is never edited and never passes; in monitor mode nothing is refused. The client
//! learns the status, a stable code and its request id; rule, place and evidence go to the event only.
//! Filter state is written for refusals, findings and `events.log: all` alone: it costs a hostcall.

use palisade_engine::engine::{BodySeen, Pass, Refusal, Report};
use palisade_engine::policy::{EventLog, Mode, Policy};
use palisade_engine::verdict::{Denial, ReasonRow};

use crate::pairs;
use crate::telemetry::{self, Outcome};

/// A reply in place of the upstream's.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Response details: `palisade_<code>`.
    pub details: Vec<u8>,
    /// Encoded header map.
    pub headers: Vec<u8>,
    /// Problem body; empty for HEAD and gRPC.
    pub body: Vec<u8>,
    /// gRPC status for a gRPC request.
    pub grpc: Option<u8>,
}

/// What is told about a request: the outcome, and the report to write its event from, when one is wanted.
#[derive(Debug)]
pub struct Telling {
    /// What became of it.
    pub outcome: Outcome,
    /// Its facts.
    pub report: Report,
    /// Whether an event line is written.
    pub event: bool,
}

/// The reply of a refusal.
#[must_use]
pub fn reply(policy: &Policy, refusal: &Refusal) -> Reply {
    let row = refusal.denial.reason.row();
    let report = &refusal.report;
    build_reply(
        &row,
        Some(&refusal.denial),
        &policy.security_headers,
        report.grpc,
        report.head_only,
        &report.request_id,
    )
}

/// The reply when the host failed us before anything could be judged: nothing of the request is known.
#[must_use]
pub fn host_failure(security_headers: &[(Vec<u8>, Vec<u8>)]) -> Reply {
    build_reply(&HOST_FAILURE, None, security_headers, false, false, b"")
}

/// Not an engine reason: the engine never saw the request.
pub const HOST_FAILURE: ReasonRow = ReasonRow {
    status: 503,
    code: "host_failure",
    title: "Service Unavailable",
    grpc: 14,
};

fn build_reply(
    row: &ReasonRow,
    denial: Option<&Denial>,
    security_headers: &[(Vec<u8>, Vec<u8>)],
    grpc: bool,
    head_only: bool,
    request_id: &[u8],
) -> Reply {
    const PROBLEM: &[(&[u8], &[u8])] = &[
        (b"content-type", b"application/problem+json"),
        (b"cache-control", b"no-store"),
    ];
    const ANSWER: &[(&[u8], &[u8])] = &[
        (b"content-type", b"application/json"),
        (b"cache-control", b"no-store"),
    ];
    // The host writes the content type of a gRPC reply.
    const GRPC: &[(&[u8], &[u8])] = &[(b"cache-control", b"no-store")];
    let answer = denial.and_then(|denial| denial.body.as_ref());
    let grpc = grpc && answer.is_none();
    let own = match (grpc, answer) {
        (true, _) => GRPC,
        (false, None) => PROBLEM,
        (false, Some(_)) => ANSWER,
    };
    let owed = denial
        .map(|denial| denial.headers.as_slice())
        .unwrap_or_default();
    let headers = own
        .iter()
        .copied()
        .chain(
            owed.iter()
                .map(|(name, value)| (name.as_bytes(), value.as_slice())),
        )
        .chain(
            security_headers
                .iter()
                .map(|(name, value)| (name.as_slice(), value.as_slice())),
        );
    let mut details = b"palisade_".to_vec();
    details.extend_from_slice(row.code.as_bytes());
    Reply {
        status: row.status,
        details,
        headers: pairs::encode(headers),
        body: if grpc || head_only {
            Vec::new()
        } else {
            answer.map_or_else(|| telemetry::problem(row, denial, request_id), Vec::clone)
        },
        grpc: grpc.then_some(row.grpc),
    }
}

/// What is told of a refusal. `held` is false when monitor mode let the request go before it was judged: then it
/// is told as monitored.
#[must_use]
pub fn tell_refusal(policy: &Policy, refusal: Refusal, held: Held) -> Telling {
    let Denial { stage, reason, .. } = refusal.denial;
    Telling {
        outcome: match held {
            Held::Yes => Outcome::Denied(stage, reason),
            Held::No => Outcome::Monitored(stage, reason),
        },
        report: refusal.report,
        event: policy.events.log != EventLog::None,
    }
}

/// Whether the head of a request still waits for its verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// It has gone on (monitor mode): a verdict can only be told.
    No,
    /// A verdict can be carried out.
    Yes,
}

/// What is told of a request that passed, if anything.
#[must_use]
pub fn tell_pass(policy: &Policy, pass: &mut Pass) -> Option<Telling> {
    let report = pass.report.take()?;
    let outcome = match report.findings.as_slice().first() {
        Some(found) => Outcome::Monitored(found.stage, found.reason),
        None => Outcome::Allowed,
    };
    let event = match policy.events.log {
        EventLog::All => true,
        // What passed unseen behind the bound is told, whatever was found in front of it.
        EventLog::Denied => outcome != Outcome::Allowed || report.body == BodySeen::Prefix,
        EventLog::None => false,
    };
    Some(Telling {
        outcome,
        report,
        event,
    })
}

/// The event line, when one is wanted.
#[must_use]
pub fn event_line(policy: &Policy, telling: &Telling, wall_ms: u64) -> Vec<u8> {
    telemetry::event(
        &telling.report,
        telling.outcome,
        policy.mode,
        &policy.events.redact,
        wall_ms,
    )
}

/// Whether a request may pass when the host fails before it could be judged.
#[must_use]
pub const fn passes_unjudged(mode: Mode) -> bool {
    match mode {
        Mode::Enforce => false,
        Mode::Monitor => true,
    }
}
