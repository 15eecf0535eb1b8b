//! Tells the kind of device from the user agent.

#![expect(missing_docs, reason = "the start function is made by the SDK's macro")]

use sdk_suites::{Action, Filter, Headers};

#[derive(Clone, Default)]
struct Plugin;

sdk_suites::plugin!(Plugin);

impl Filter for Plugin {
    fn request_headers(&mut self, headers: Headers) -> Action {
        let agent = headers
            .get("user-agent")
            .unwrap_or_default()
            .to_ascii_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| agent.contains(word));
        let kind = if has(&["bot", "crawler", "spider"]) {
            "bot"
        } else if has(&["ipad", "tablet"]) || (has(&["android"]) && !has(&["mobile"])) {
            "tablet"
        } else if has(&["iphone", "mobile"]) {
            "phone"
        } else if has(&["sm-t"]) {
            "tablet"
        } else if agent.is_empty() {
            "other"
        } else {
            "desktop"
        };
        headers.set("x-device-type", kind);
        Action::Continue
    }
}
