//! A rate limiter over shared data, as it is often written first: read the count, add one, write it back.
//!
//! In: a configuration `LIMIT` or `LIMIT cas`. Out: 429 for a client that was let through LIMIT times.
//! Invariant: none without `cas`: between the read and the write another worker may count too, and one of the two is lost. With
//! `cas` the write is refused if the count has changed since it was read, and is tried again. `palisade simulate` tells them apart.

#![expect(missing_docs, reason = "the start function is made by the SDK's macro")]

use proxy_wasm::{
    hostcalls,
    traits::{Context, HttpContext, RootContext},
    types::{Action, ContextType, LogLevel, Status},
};

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Root { plan: Plan { limit: 0, cas: false } }));
}}

/// Tries before a request is refused because others always write first.
const TRIES: usize = 100;

#[derive(Clone, Copy)]
struct Plan {
    limit: u64,
    cas: bool,
}

struct Root {
    plan: Plan,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        let text = self.get_plugin_configuration().unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let mut words = text.split_whitespace();
        let limit = words.next().and_then(|word| word.parse().ok());
        let (Some(limit), cas @ (None | Some("cas")), None) = (limit, words.next(), words.next())
        else {
            let _ = hostcalls::log(
                LogLevel::Error,
                "the configuration is `LIMIT` or `LIMIT cas`",
            );
            return false;
        };
        self.plan = Plan {
            limit,
            cas: cas.is_some(),
        };
        true
    }

    fn create_http_context(&self, _context: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream { plan: self.plan }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct Stream {
    plan: Plan,
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        let client = self
            .get_property(vec!["source", "address"])
            .unwrap_or_default();
        let client = String::from_utf8_lossy(&client).into_owned();
        let key = format!("count of {}", client.split(':').next().unwrap_or_default());
        for _ in 0..TRIES {
            let (value, cas) = self.get_shared_data(&key);
            let count = value
                .and_then(|bytes| Some(u64::from_le_bytes(bytes.try_into().ok()?)))
                .unwrap_or(0);
            if count >= self.plan.limit {
                break;
            }
            let next = count.saturating_add(1).to_le_bytes();
            // A key that is not there yet takes any cas; a number never handed out writes it only if it is still not there.
            let cas = self.plan.cas.then(|| cas.unwrap_or(u32::MAX));
            match self.set_shared_data(&key, Some(&next), cas) {
                Ok(()) => return Action::Continue,
                Err(Status::CasMismatch) => {}
                Err(_) => break,
            }
        }
        self.send_http_response(429, vec![], Some(b"too many\n"));
        Action::Pause
    }
}
