//! Refuses requests that come from one site.

#![expect(missing_docs, reason = "the start function is made by the SDK's macro")]

use sdk_suites::{Action, Filter, Headers, hash, log, now, reply};

#[derive(Clone, Default)]
struct Plugin;

sdk_suites::plugin!(Plugin);

impl Filter for Plugin {
    fn request_headers(&mut self, headers: Headers) -> Action {
        let referer = headers.get("Referer").unwrap_or_default();
        if !referer.contains("forbidden-site") {
            headers.set("my-plugin-allowed", "true");
            return Action::Continue;
        }
        let id = hash(format!("{}{referer}", now()).as_bytes());
        let text = format!("Forbidden - Request ID: {id:x}");
        log(&text);
        reply(403, &[], &text)
    }
}
