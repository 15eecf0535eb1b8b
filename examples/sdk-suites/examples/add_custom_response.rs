//! Answers server errors with a redirect to a page about them.

#![expect(missing_docs, reason = "the start function is made by the SDK's macro")]

use sdk_suites::{Action, Filter, Headers, reply};

#[derive(Clone, Default)]
struct Plugin;

sdk_suites::plugin!(Plugin);

impl Filter for Plugin {
    fn response_headers(&mut self, headers: Headers) -> Action {
        let status = headers.get(":status").unwrap_or_default();
        if !status.starts_with('5') {
            return Action::Continue;
        }
        let page = "https://storage.googleapis.com/www.example.com/server-error.html";
        reply(302, &[("Origin-Status", &status), ("Location", page)], "")
    }
}
