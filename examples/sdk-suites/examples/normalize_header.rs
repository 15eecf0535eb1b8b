//! Tells mobile clients from hints and user agents.

#![expect(missing_docs, reason = "the start function is made by the SDK's macro")]

use sdk_suites::{Action, Filter, Headers};

#[derive(Clone, Default)]
struct Plugin;

sdk_suites::plugin!(Plugin);

impl Filter for Plugin {
    fn request_headers(&mut self, headers: Headers) -> Action {
        let hint = headers.get("Sec-CH-UA-Mobile");
        let agent = headers.get("User-Agent").unwrap_or_default();
        let mobile = hint.as_deref() == Some("?1") || agent.to_ascii_lowercase().contains("mobile");
        headers.set(
            "client-device-type",
            if mobile { "mobile" } else { "unknown" },
        );
        Action::Continue
    }
}
