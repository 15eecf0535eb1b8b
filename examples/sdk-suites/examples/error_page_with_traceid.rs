//! Answers errors with a page that names the trace.

#![expect(missing_docs, reason = "the start function is made by the SDK's macro")]

use sdk_suites::{Action, Filter, Headers, reply};

#[derive(Clone, Default)]
struct Plugin {
    trace: String,
}

sdk_suites::plugin!(Plugin);

impl Filter for Plugin {
    fn request_headers(&mut self, headers: Headers) -> Action {
        let google = headers.get("x-cloud-trace-context");
        let google = google.and_then(|value| value.split('/').next().map(str::to_owned));
        let standard = headers.get("traceparent");
        let standard = standard.and_then(|value| value.split('-').nth(1).map(str::to_owned));
        self.trace = google.or(standard).unwrap_or_default();
        Action::Continue
    }

    fn response_headers(&mut self, headers: Headers) -> Action {
        let status: u32 = headers
            .get(":status")
            .and_then(|status| status.parse().ok())
            .unwrap_or(0);
        if status < 400 {
            return Action::Continue;
        }
        let page = format!("<h1>Error {status}</h1>\n<p>Trace: {}</p>\n", self.trace);
        reply(status, &[("content-type", "text/html")], &page)
    }
}
