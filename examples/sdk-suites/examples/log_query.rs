//! Logs a parameter of the query.

#![expect(missing_docs, reason = "the start function is made by the SDK's macro")]

use sdk_suites::{Action, Filter, Headers, log, query};

#[derive(Clone, Default)]
struct Plugin;

sdk_suites::plugin!(Plugin);

fn decoded(value: &str) -> String {
    let mut out = Vec::new();
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        let mut ahead = rest.clone();
        let digits = [ahead.next(), ahead.next()]
            .map(|digit| digit.and_then(|digit| char::from(digit).to_digit(16)));
        match (byte, digits) {
            (b'%', [Some(high), Some(low)]) => {
                out.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                rest = ahead;
            }
            (b'+', _) => out.push(b' '),
            _ => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

impl Filter for Plugin {
    fn request_headers(&mut self, headers: Headers) -> Action {
        if let Some(path) = headers.get(":path") {
            let token = query(&path, "token");
            let token = token.map_or_else(|| "<missing>".to_owned(), |token| decoded(&token));
            log(&format!("token: {token}"));
        }
        Action::Continue
    }
}
