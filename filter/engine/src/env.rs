//! What a decision needs from outside: two clocks, the connection, the counter store, the host's own verifier; and who
//! listens to it, if anybody does.
//!
//! **Invariant:** generic, never `dyn`: an indirect call would defeat the proof that no panic is
//! reachable from a request (`cargo xtask wasm`).

use alloc::vec::Vec;
use core::net::IpAddr;

pub use crate::stages::limits::Worker;
use crate::units::{Monotonic, UnixTime};

/// The outside world of one decision.
#[derive(Debug)]
pub struct Env<'a, S> {
    /// Monotonic time: limits, bans, how long answers are remembered.
    pub now: Monotonic,
    /// Wall time: tokens, events.
    pub wall: UnixTime,
    /// Shared counters, and what else the host does for us.
    pub counters: &'a mut S,
}

/// The downstream connection of a request, as the host knows it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Connection<'a> {
    /// The peer's address; `None`: it has none (a pipe).
    pub peer: Option<IpAddr>,
    /// The client certificate that the host has validated; `None`: there was none, or the policy does
    /// not ask for one.
    pub certificate: Option<Certificate<'a>>,
}

/// A validated client certificate. Empty: the certificate has no such entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Certificate<'a> {
    /// Subject (RFC 2253 form, as the host prints it).
    pub subject: &'a [u8],
    /// The first URI entry of its subject alternative names.
    pub uri_san: &'a [u8],
    /// The first DNS entry of its subject alternative names.
    pub dns_san: &'a [u8],
    /// SHA-256 of the certificate in lower-case hex.
    pub sha256: &'a [u8],
}

/// A version handed out with a stored value. `Cas(0)` never leaves this crate as an argument:
/// Proxy-Wasm hosts treat it as "unconditional".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cas(pub u32);

impl Cas {
    /// A version no host hands out: a swap against it creates a missing key and fails on a present one.
    pub const ABSENT: Self = Self(u32::MAX);
}

/// Why the store did not do what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreError {
    /// Somebody else wrote first.
    CasMismatch,
    /// The host failed; the policy of the stage decides.
    Failed,
}

impl<S: Outside> Env<'_, S> {
    /// A step of the data path begins.
    #[inline]
    pub(crate) fn enter(&mut self, step: Step) {
        if self.counters.listens() {
            self.counters.note(Note::Enter(step));
        }
    }
}

/// Steps of the data path, in order, as `debug.trace` tells them apart: [`crate::verdict::Stage`] names who refused,
/// a step where the work was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Reading of the head.
    Request,
    /// Choice of the route.
    Route,
    /// Address lists.
    Access,
    /// Header inspection.
    Headers,
    /// Limits by client and headers.
    ClientLimits,
    /// Credentials.
    Token,
    /// Roles.
    Roles,
    /// Limits by subject.
    SubjectLimits,
    /// Injection detection in the head.
    HeadInjection,
    /// Whether and how the body is read.
    Body,
    /// Injection detection in the body.
    BodyInjection,
    /// Limits by body fields.
    FieldLimits,
    /// The verdict stands.
    End,
}

/// What a listener is told while a request is decided: numbers, so that listening costs next to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// A step begins, and the one before it ends.
    Enter(Step),
    /// The route was chosen, by its index; none takes the request.
    Route(Option<usize>),
    /// A limit was looked at.
    Limit {
        /// Its index.
        index: usize,
        /// Charges in its window, this request's among them.
        used: u64,
        /// Milliseconds until the next is admitted; 0: this one was.
        wait_ms: u64,
    },
    /// A ban stands, or begins.
    Banned {
        /// Milliseconds until it ends.
        wait_ms: u64,
    },
    /// A credential was verified by the provider of this index.
    Verified(usize),
}

/// What happens to the limits' table now and then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableEvent {
    /// So many clients made room in a full set.
    Evicted(u32),
    /// Another worker wrote first; it is tried again.
    Conflict,
    /// A newcomer met a floor of so many thousandths of its quota.
    Floor(u32),
    /// A ban that stood was dropped for want of room.
    BanDropped,
    /// A value that no version of ours can have written: what cannot be read of it counts for nothing.
    Unreadable,
}

/// Hash of a signature that a host is asked to verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashName {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// What a host says of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostVerdict {
    /// It holds.
    Valid,
    /// It does not, or the host cannot read key or signature.
    Invalid,
    /// The host has no such function.
    Absent,
}

/// All a host does for a decision: it stores, it may verify signatures, it may listen. A listener is told what was
/// decided, and cannot change it.
pub trait Outside: CounterStore {
    /// What this worker keeps for limits, whatever the policy.
    fn worker(&mut self) -> &mut Worker;

    /// Whether [`Outside::note`] wants to be called.
    fn listens(&self) -> bool {
        false
    }

    /// Something was decided.
    fn note(&mut self, _note: Note) {}

    /// Something happened to the limits' table, for metrics; always told, and rare.
    fn table(&mut self, _event: TableEvent) {}

    /// Verifies an RSA PKCS#1 v1.5 or ECDSA (DER) signature under a key in SPKI DER, where the host can.
    fn verify_signature(
        &mut self,
        _hash: HashName,
        _key: &[u8],
        _message: &[u8],
        _signature: &[u8],
    ) -> HostVerdict {
        HostVerdict::Absent
    }
}

/// A shared key-value store with compare-and-swap.
pub trait CounterStore {
    /// Replaces the content of `out` with the value of `key`; `Cas::ABSENT` and an empty `out` when
    /// there is none.
    ///
    /// # Errors
    /// [`StoreError::Failed`] when the host failed.
    fn load(&mut self, key: &[u8], out: &mut Vec<u8>) -> Result<Cas, StoreError>;

    /// Writes `value` if the version of `key` is still `cas`.
    ///
    /// # Errors
    /// [`StoreError::CasMismatch`] when it is not, [`StoreError::Failed`] when the host failed.
    fn compare_and_swap(&mut self, key: &[u8], value: &[u8], cas: Cas) -> Result<(), StoreError>;
}

/// An in-memory store with the semantics of Envoy's shared data, for tests, the playground and tools; and the one worker
/// that uses it.
#[derive(Debug, Default)]
pub struct MemoryStore {
    entries: alloc::collections::BTreeMap<Vec<u8>, (Vec<u8>, u32)>,
    last: u32,
    worker: Worker,
}

impl MemoryStore {
    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing was stored yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of all keys and values.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.entries
            .iter()
            .map(|(key, (value, _))| key.len().saturating_add(value.len()))
            .sum()
    }
}

impl Outside for MemoryStore {
    fn worker(&mut self) -> &mut Worker {
        &mut self.worker
    }
}

impl CounterStore for MemoryStore {
    fn load(&mut self, key: &[u8], out: &mut Vec<u8>) -> Result<Cas, StoreError> {
        out.clear();
        match self.entries.get(key) {
            Some((value, cas)) => {
                out.extend_from_slice(value);
                Ok(Cas(*cas))
            }
            None => Ok(Cas::ABSENT),
        }
    }

    fn compare_and_swap(&mut self, key: &[u8], value: &[u8], cas: Cas) -> Result<(), StoreError> {
        if let Some((_, current)) = self.entries.get(key)
            && *current != cas.0
        {
            return Err(StoreError::CasMismatch);
        }
        self.last = self
            .last
            .wrapping_add(1)
            .clamp(1, u32::MAX.saturating_sub(1));
        self.entries
            .insert(key.to_vec(), (value.to_vec(), self.last));
        Ok(())
    }
}
