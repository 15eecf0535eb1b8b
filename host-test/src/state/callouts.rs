//! What guests ask of other services, and what comes back: the types an embedder works with, and the host's account of open calls.
//!
//! In: hostcalls. Out: `Callout`s in order for the embedder; the library does no I/O of its own.
//! Invariant: an id is in use from its call to its last event; an event for any other id is dropped.
//! Source: ABI v0.2.1. As in Envoy a call belongs to the root context, whichever of its streams made it: the end of a stream
//! cancels nothing, the end of the root cancels all; ids go up by 4, the low bits say HTTP, gRPC call or gRPC stream.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use crate::state::headers::Headers;

/// gRPC's status for a reply that makes no sense.
const INTERNAL: i32 = 13;
/// gRPC's status for a service that cannot be reached.
const UNAVAILABLE: i32 = 14;

/// A call-out as the guest knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(pub(crate) u32);

impl CallId {
    /// The id of this number.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number the guest was given.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// What a guest asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Callout {
    /// An HTTP request; answered by one [`CalloutEvent::HttpResponse`] or [`CalloutEvent::HttpFailure`].
    Http {
        /// The call.
        id: CallId,
        /// Where to: a name of [`Clusters`].
        cluster: String,
        /// Headers, `:method`, `:path` and `:authority` among them; `content-length` if there is a body.
        headers: Headers,
        /// Body.
        body: Vec<u8>,
        /// Trailers; empty if there are none.
        trailers: Headers,
        /// How long it may take; zero: as long as it wants.
        timeout: Duration,
    },
    /// A gRPC call with one message each way: a message, or a close that says why not.
    Grpc {
        /// The call.
        id: CallId,
        /// Where to: a name of [`Clusters`].
        cluster: String,
        /// Full name of the service.
        service: String,
        /// The method.
        method: String,
        /// Initial metadata.
        metadata: Headers,
        /// The message, serialized.
        message: Vec<u8>,
        /// How long it may take; zero: as long as it wants.
        timeout: Duration,
    },
    /// A gRPC stream, open both ways until a close.
    GrpcOpen {
        /// The stream.
        id: CallId,
        /// Where to: a name of [`Clusters`].
        cluster: String,
        /// Full name of the service.
        service: String,
        /// The method.
        method: String,
        /// Initial metadata.
        metadata: Headers,
    },
    /// A message on a gRPC stream.
    GrpcSend {
        /// The stream.
        id: CallId,
        /// The message, serialized.
        message: Vec<u8>,
        /// The guest sends no more.
        end: bool,
    },
    /// The guest ends its side of a gRPC stream, with no further message; what comes in is still delivered.
    GrpcEnd {
        /// The stream.
        id: CallId,
    },
    /// Cancelled by the guest, or its root context went: nothing must be answered any more.
    Cancel {
        /// The call.
        id: CallId,
    },
}

impl Callout {
    /// The call this is about.
    #[must_use]
    pub const fn id(&self) -> CallId {
        match self {
            Self::Http { id, .. }
            | Self::Grpc { id, .. }
            | Self::GrpcOpen { id, .. }
            | Self::GrpcSend { id, .. }
            | Self::GrpcEnd { id }
            | Self::Cancel { id } => *id,
        }
    }

    /// How long the call may take, if that is bounded.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        match self {
            Self::Http { timeout, .. } | Self::Grpc { timeout, .. } => {
                Some(*timeout).filter(|timeout| !timeout.is_zero())
            }
            _ => None,
        }
    }

    /// What Envoy tells a guest when its call goes wrong like this, in order; nothing if the call is over or was cancelled.
    #[must_use]
    pub fn failed(&self, failure: CalloutFailure) -> Vec<CalloutEvent> {
        match (self, failure.reply()) {
            (Self::Cancel { .. }, _) => Vec::new(),
            (Self::Http { .. }, None) => vec![CalloutEvent::HttpFailure],
            (Self::Http { .. }, Some((status, body, _))) => vec![CalloutEvent::HttpResponse {
                headers: Headers::from([
                    (":status", status.to_string()),
                    ("content-length", body.len().to_string()),
                    ("content-type", "text/plain".to_owned()),
                ]),
                body: body.into_bytes(),
                trailers: Headers::new(),
            }],
            (Self::Grpc { .. }, _) => vec![failure.grpc_close()],
            _ => failure.grpc_stream(),
        }
    }
}

/// How a call-out can go wrong. Only a response that breaks off reaches the guest as a failed HTTP call of 0 headers; for all else
/// Envoy makes a response of its own, as seen in Envoy 1.40.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CalloutFailure {
    /// No response in time: 504.
    Timeout,
    /// No connection: 503.
    Refused,
    /// The connection ended before the response's headers: 503.
    Reset,
    /// What came is not HTTP: 502.
    Garbage,
    /// The response broke off after its headers.
    Broken,
}

impl CalloutFailure {
    /// The end of a gRPC call or stream that failed like this.
    fn grpc_close(self) -> CalloutEvent {
        self.reply().map_or(
            CalloutEvent::GrpcClose {
                status: INTERNAL,
                message: String::new(),
            },
            |(_, body, details)| CalloutEvent::GrpcClose {
                status: UNAVAILABLE,
                message: format!("{body}{{{details}}}"),
            },
        )
    }

    /// What the guest of a gRPC stream is told: of Envoy's own response, which is headers only, they are the trailing metadata and
    /// the initial metadata is empty; then the end.
    #[must_use]
    pub fn grpc_stream(self) -> Vec<CalloutEvent> {
        let mut events = Vec::new();
        if let Some((_, body, _)) = self.reply() {
            events.push(CalloutEvent::GrpcInitialMetadata(Headers::new()));
            events.push(CalloutEvent::GrpcTrailingMetadata(Headers::from([
                (":status", "200"),
                ("content-type", "application/grpc"),
                ("grpc-status", &UNAVAILABLE.to_string()),
                ("grpc-message", &body),
            ])));
        }
        events.push(self.grpc_close());
        events
    }

    /// Status, body and details of Envoy's own response, if it makes one.
    #[must_use]
    pub fn reply(self) -> Option<(u16, String, &'static str)> {
        let (status, reason, details) = match self {
            Self::Timeout => {
                let body = "upstream request timeout".to_owned();
                return Some((504, body, "response_timeout"));
            }
            Self::Refused => (
                503,
                "remote connection failure",
                "upstream_reset_before_response_started{remote_connection_failure}",
            ),
            Self::Reset => (
                503,
                "connection termination",
                "upstream_reset_before_response_started{connection_termination}",
            ),
            Self::Garbage => (
                502,
                "protocol error",
                "upstream_reset_before_response_started{protocol_error}",
            ),
            Self::Broken => return None,
        };
        let body = format!(
            "upstream connect error or disconnect/reset before headers. reset reason: {reason}"
        );
        Some((status, body, details))
    }
}

/// What comes back for a call-out; given to [`crate::Vm::deliver`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CalloutEvent {
    /// The response to an HTTP call.
    HttpResponse {
        /// Headers, `:status` among them.
        headers: Headers,
        /// Body.
        body: Vec<u8>,
        /// Trailers; empty if there are none.
        trailers: Headers,
    },
    /// The response to an HTTP call broke off; the guest gets 0 headers. See [`CalloutFailure`] for other failures.
    HttpFailure,
    /// Initial metadata of a gRPC stream.
    GrpcInitialMetadata(Headers),
    /// A message; the last event of a gRPC call.
    GrpcMessage(Vec<u8>),
    /// Trailing metadata of a gRPC stream.
    GrpcTrailingMetadata(Headers),
    /// The end of a gRPC stream, or of a gRPC call that failed.
    GrpcClose {
        /// gRPC status; 0 is OK.
        status: i32,
        /// gRPC status message.
        message: String,
    },
}

impl CalloutEvent {
    /// A response without trailers.
    #[must_use]
    pub fn response(status: u16, body: impl AsRef<[u8]>) -> Self {
        Self::HttpResponse {
            headers: Headers::from([(":status", status.to_string())]),
            body: body.as_ref().to_vec(),
            trailers: Headers::new(),
        }
    }
}

/// Answers call-outs for [`crate::Vm::exchange`]: each event arrives after its delay of virtual time. A call that gets no last event
/// fails after its timeout.
pub type CalloutScript = Box<dyn FnMut(&Callout) -> Vec<(Duration, CalloutEvent)> + Send>;

/// The names that call-outs may go to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clusters(Names);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Names {
    Any,
    These(BTreeSet<String>),
}

impl Default for Names {
    fn default() -> Self {
        Self::These(BTreeSet::new())
    }
}

impl Clusters {
    /// Every name is a cluster.
    #[must_use]
    pub const fn any() -> Self {
        Self(Names::Any)
    }

    /// These are the clusters.
    #[must_use]
    pub fn named<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Self {
        Self(Names::These(names.into_iter().map(Into::into).collect()))
    }

    /// Whether there is a cluster of this name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        match &self.0 {
            Names::Any => !name.is_empty(),
            Names::These(names) => names.contains(name),
        }
    }
}

/// Calls of one VM that may be open at a time.
pub(crate) const MOST_OPEN: usize = 16_384;

/// Kinds of call, by the low bits of their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Http = 0,
    Grpc = 1,
    GrpcStream = 2,
}

/// Ids of one kind are this far apart.
const ID_STEP: u32 = 4;

impl Kind {
    /// The kind an id is of.
    pub(crate) const fn of(id: u32) -> Option<Self> {
        match id % ID_STEP {
            0 => Some(Self::Http),
            1 => Some(Self::Grpc),
            2 => Some(Self::GrpcStream),
            _ => None,
        }
    }
}

/// A call that may still get events.
pub(crate) struct Open {
    pub(crate) root: u32,
    /// The guest closed its side of a stream.
    pub(crate) local_closed: bool,
    /// The service closed its side of a stream.
    pub(crate) remote_closed: bool,
}

/// What a call-out callback may read, while it runs.
pub(crate) struct Received {
    pub(crate) root: u32,
    pub(crate) event: CalloutEvent,
}

/// The host's account of one VM's call-outs.
#[derive(Default)]
pub(crate) struct Callouts {
    pub(crate) clusters: Clusters,
    pub(crate) open: BTreeMap<u32, Open>,
    pub(crate) asked: Vec<Callout>,
    pub(crate) received: Option<Received>,
    last: [u32; 3],
}

impl fmt::Debug for Callouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callouts")
            .field("open", &self.open.len())
            .finish_non_exhaustive()
    }
}

impl Callouts {
    pub(crate) fn new(clusters: Clusters) -> Self {
        Self {
            clusters,
            ..Self::default()
        }
    }

    /// A fresh id for a call of this root.
    pub(crate) fn begin(&mut self, kind: Kind, root: u32) -> CallId {
        let mut id = kind as u32;
        if let Some(last) = self.last.get_mut(kind as usize) {
            loop {
                *last = last.wrapping_add(ID_STEP);
                id = *last | kind as u32;
                if id != 0 && !self.open.contains_key(&id) {
                    break;
                }
            }
        }
        self.open.insert(
            id,
            Open {
                root,
                local_closed: false,
                remote_closed: false,
            },
        );
        CallId(id)
    }

    /// Forgets a call and tells the embedder so.
    pub(crate) fn cancel(&mut self, id: u32) {
        if self.open.remove(&id).is_some() {
            self.asked.push(Callout::Cancel { id: CallId(id) });
        }
    }

    /// Forgets all calls of a root.
    pub(crate) fn cancel_root(&mut self, root: u32) {
        let ids: Vec<u32> = self
            .open
            .iter()
            .filter(|(_, open)| open.root == root)
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            self.cancel(id);
        }
    }

    /// What a callback of this root may read.
    pub(crate) fn received(&mut self, root: u32) -> Option<&mut CalloutEvent> {
        self.received
            .as_mut()
            .filter(|received| received.root == root)
            .map(|received| &mut received.event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_stream_ends_with_metadata_if_envoy_makes_a_response() {
        let id = CallId(2);
        let cluster = String::new();
        let open = Callout::GrpcOpen {
            id,
            cluster: cluster.clone(),
            service: cluster.clone(),
            method: cluster,
            metadata: Headers::new(),
        };
        let events = open.failed(CalloutFailure::Refused);
        let [
            CalloutEvent::GrpcInitialMetadata(initial),
            CalloutEvent::GrpcTrailingMetadata(trailing),
            CalloutEvent::GrpcClose { status: 14, .. },
        ] = events.as_slice()
        else {
            panic!("{events:?}")
        };
        assert_eq!((initial.len(), trailing.len()), (0, 4));
        let broken = open.failed(CalloutFailure::Broken);
        assert!(matches!(
            broken.as_slice(),
            [CalloutEvent::GrpcClose { status: 13, .. }]
        ));
        assert!(
            Callout::Cancel { id }
                .failed(CalloutFailure::Refused)
                .is_empty()
        );
    }
}
