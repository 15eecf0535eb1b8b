//! Shows the clock, and answers errors on demand.

#![expect(missing_docs, reason = "the start function is made by the SDK's macro")]

use sdk_suites::{Action, Filter, Headers, log, now, reply};

#[derive(Clone, Default)]
struct Plugin;

sdk_suites::plugin!(Plugin);

impl Filter for Plugin {
    fn request_headers(&mut self, headers: Headers) -> Action {
        log(&format!("request headers: {}", headers.all().len()));
        Action::Continue
    }

    fn response_headers(&mut self, headers: Headers) -> Action {
        headers.remove("server-message");
        for time in 1..=3 {
            log(&format!("time {time}: {}", now()));
        }
        if headers.get("reply-with-error").is_some() {
            return reply(500, &[("error", "goaway")], "fake error");
        }
        Action::Continue
    }
}
