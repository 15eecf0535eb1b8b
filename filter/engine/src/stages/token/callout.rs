//! Call-outs: what a verifier asks of a service beside the upstream, and what came of it.
//!
//! **In:** a verifier that cannot judge from the request alone. **Out:** [`Callout`] for the host to send, [`Waited`] for the
//! verifier when it is asked again.
//! **Invariant:** each provider of a request waits at most once: asked again, it finds its [`Waited`] and must judge. Neither
//! request nor answer is ever shown by `Debug`: they hold credentials.
//! **Source:** RFC 7662 §2 (introspection), RFC 7517 §5 (key sets).
//! **Cost:** an answer is kept up to [`MAX_ANSWER_BYTES`], for as long as its request waits for something else.

use alloc::vec::Vec;

/// Bytes of an answer that are kept; a longer one counts as none.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// A request to a cluster of the host.
#[derive(Clone, PartialEq, Eq)]
pub struct Callout {
    /// Index of the provider that asks.
    pub provider: usize,
    /// Name of the cluster.
    pub cluster: Vec<u8>,
    /// Header fields; `:method`, `:path` and `:authority` among them.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Body.
    pub body: Vec<u8>,
    /// How long the host waits for the whole answer.
    pub timeout_ms: u32,
}

impl core::fmt::Debug for Callout {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Callout")
            .field("provider", &self.provider)
            .field("timeout_ms", &self.timeout_ms)
            .finish_non_exhaustive()
    }
}

/// What a service answered.
#[derive(Clone, PartialEq, Eq)]
pub struct Replied {
    /// HTTP status.
    pub status: u16,
    /// Body, whole.
    pub body: Vec<u8>,
}

impl core::fmt::Debug for Replied {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Replied")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// A wait that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waited {
    /// Index of the provider that waited.
    pub provider: usize,
    /// The keys it waited for were fetched since.
    pub keys: bool,
    /// The answer to its call-out; `None`: there was none.
    pub replied: Option<Replied>,
}
