//! Masks card numbers and ten-digit codes in responses.

#![expect(missing_docs, reason = "the start function is made by the SDK's macro")]

use sdk_suites::{Action, Body, Filter, Headers};

#[derive(Clone, Default)]
struct Plugin;

sdk_suites::plugin!(Plugin);

/// Digits but the last that are shown become `X`: `dddd-dddd-dddd-dddd` keeps four, ten digits keep three.
fn mask(bytes: &[u8]) -> Vec<u8> {
    let card = |at: usize| {
        let candidate = bytes.get(at..at + 19)?;
        let fits = candidate.iter().enumerate().all(|(index, byte)| {
            if index % 5 == 4 {
                *byte == b'-'
            } else {
                byte.is_ascii_digit()
            }
        });
        fits.then_some((19, 4))
    };
    let code = |at: usize| {
        let candidate = bytes.get(at..at + 10)?;
        candidate.iter().all(u8::is_ascii_digit).then_some((10, 3))
    };
    let mut out = Vec::new();
    while let Some(byte) = bytes.get(out.len()) {
        let at = out.len();
        let Some((length, shown)) = card(at).or_else(|| code(at)) else {
            out.push(*byte);
            continue;
        };
        let hidden = length - shown;
        out.extend(
            bytes
                .iter()
                .skip(at)
                .take(length)
                .enumerate()
                .map(|(index, byte)| {
                    if index < hidden && byte.is_ascii_digit() {
                        b'X'
                    } else {
                        *byte
                    }
                }),
        );
    }
    out
}

impl Filter for Plugin {
    fn request_headers(&mut self, headers: Headers) -> Action {
        headers.set("Accept-Encoding", "identity");
        Action::Continue
    }

    fn response_headers(&mut self, headers: Headers) -> Action {
        for (name, value) in headers.all() {
            let masked = mask(&value);
            if masked != value {
                headers.set(&name, &String::from_utf8_lossy(&masked));
            }
        }
        Action::Continue
    }

    fn response_body(&mut self, body: Body) {
        let bytes = body.get();
        let masked = mask(&bytes);
        if masked != bytes {
            body.set(&masked);
        }
    }
}
