//! Gives each new client a session.

#![expect(missing_docs, reason = "the start function is made by the SDK's macro")]

use sdk_suites::{Action, Filter, Headers, hash, log, now};

#[derive(Clone, Default)]
struct Plugin {
    session: Option<String>,
}

sdk_suites::plugin!(Plugin);

impl Filter for Plugin {
    fn request_headers(&mut self, headers: Headers) -> Action {
        self.session = headers
            .get("Cookie")
            .unwrap_or_default()
            .split("; ")
            .filter_map(|pair| pair.split_once('='))
            .find(|(name, _)| *name == "my_cookie")
            .map(|(_, value)| value.to_owned());
        Action::Continue
    }

    fn response_headers(&mut self, headers: Headers) -> Action {
        if let Some(session) = &self.session {
            log(&format!(
                "set_cookie: This current request is for the existing session ID: {session}"
            ));
            return Action::Continue;
        }
        let session = hash(now().to_string().as_bytes());
        headers.set(
            "Set-Cookie",
            &format!("my_cookie={session}; Path=/; HttpOnly"),
        );
        log(&format!(
            "set_cookie: New session ID created for the current request: {session}"
        ));
        Action::Continue
    }
}
