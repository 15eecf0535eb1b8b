//! Logs its configuration.

#![expect(missing_docs, reason = "the start function is made by the SDK's macro")]

use sdk_suites::{Action, Filter, Headers, log};

#[derive(Clone, Default)]
struct Plugin {
    secret: String,
}

sdk_suites::plugin!(Plugin);

impl Filter for Plugin {
    fn configure(&mut self, configuration: &str) {
        configuration.clone_into(&mut self.secret);
    }

    fn request_headers(&mut self, headers: Headers) -> Action {
        let _ = headers;
        log(&format!("secret: {}", self.secret));
        Action::Continue
    }
}
