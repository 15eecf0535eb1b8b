//! A guest that does what it is told and says what it sees: the same script run in two hosts shows where they differ.
//!
//! In: a script in the request header `x-probe`: `NAME|CALLBACK: ACTION, ACTION; CALLBACK#2: …`. Out: log lines `probe[NAME] …`,
//! one a callback with its arguments and one an action with its status and result.
//! Callbacks: `qh qb qt sh sb st` (re**q**uest and re**s**ponse headers, body, trailers), `done log tick call`; `#n` is the nth of its
//! kind. Words of an action are split by spaces and percent-decoded. The actions are listed in `Probe::act`.

#[cfg(target_arch = "wasm32")]
mod abi;
#[cfg(target_arch = "wasm32")]
mod probe;

#[cfg(target_arch = "wasm32")]
use probe::Probe;
