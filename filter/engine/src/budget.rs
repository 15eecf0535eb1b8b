//! Limits that hold whatever the policy says, each with its reason.

/// Pairs a host hands over at most (Envoy caps a guest's map at 1,024 pairs).
pub const MAX_PAIRS: usize = 1024;

/// Depth of nested JSON that is read; deeper is `Malformed`. RFC 8259 §9 lets a parser set it.
pub const MAX_JSON_DEPTH: usize = 64;

/// Repeated URL decoding stops after so many rounds; what still changes is a finding of its own.
pub const MAX_DECODE_ROUNDS: usize = 4;

/// Bytes of one credential; longer is refused before any parsing (Envoy's own header limit is 60 KiB in all).
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// Steps a body may spend on inspection unless `injection.steps` says otherwise. A step is eight bytes looked at in a
/// light pass, or work of that order: about as much time whatever the text (`tests/e2e/costs.rs`).
pub const MAX_STEPS: u64 = 1_000_000;

/// A head may spend a quarter of them, 2 to the power of this.
pub const HEAD_SHARE: u32 = 2;
