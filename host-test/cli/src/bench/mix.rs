//! The requests that a bench asks: a mix for any filter, or the cases of scenario files marked `bench: true`.
//!
//! **Out:** cases with every byte known; the same bytes in every run.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};
use palisade_host::Request;

use crate::mint;
use crate::scenario::{self, format::Configuration, value::Surroundings};

/// One thing to measure.
#[derive(Debug, Clone)]
pub struct Case {
    /// `file/name`, or `mix/name`.
    pub name: String,
    /// What the guest is started with.
    pub setup: Setup,
    /// Asked in this order; what they cost is added up.
    pub requests: Vec<Asked>,
}

/// A request and what the upstream answers.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The request.
    pub request: Request,
    /// Status of the upstream.
    pub upstream: u16,
}

/// What a guest is started with.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// Plugin configuration.
    pub config: Vec<u8>,
    /// Configuration of the VM.
    pub vm_config: Vec<u8>,
    /// Which root context.
    pub root_id: String,
    /// Foreign functions that the host does without.
    pub without_functions: BTreeSet<String>,
    /// Environment the guest sees.
    pub env: Vec<(String, String)>,
    /// Wall time, seconds since 1970.
    pub wall: u64,
}

/// Wall time of the mix: 2026-08-01T00:00:00Z.
pub const WALL: u64 = 1_785_542_400;

/// The example policy, which the mix is measured under when no filter is named.
const DEMO_POLICY: &str = include_str!("../../../../examples/policies/shop.yaml");

/// Keys of the demonstration. Public: they protect nothing.
const DEMO_KEYS: [(&str, &str); 2] = [
    (
        "PALISADE_JWT_KEY",
        "demo-jwt-key-demo-jwt-key-demo-jwt-key-0",
    ),
    (
        "PALISADE_SESSION_KEY",
        "demo-session-key-demo-session-key-demo-0",
    ),
];

/// The example policy with its demonstration keys.
///
/// # Errors
/// The policy is not read.
pub fn demo() -> Result<Setup> {
    let document = crate::policy_file::Document::parse(DEMO_POLICY)
        .map_err(|error| anyhow::anyhow!("the example policy: {error}"))?;
    Ok(Setup {
        config: document.json().into_bytes(),
        env: DEMO_KEYS
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        wall: WALL,
        ..Setup::default()
    })
}

/// A bearer token that the example policy accepts.
///
/// # Errors
/// None that the code as it is can cause.
pub fn demo_token() -> Result<String> {
    let claims = r#"{"iss":"https://id.example.com","aud":"shop","sub":"alice","roles":["admin"],"exp":4102444800}"#;
    let header = r#"{"alg":"HS256","typ":"JWT"}"#;
    let [(_, key), _] = DEMO_KEYS;
    let token = mint::jwt("HS256", key.as_bytes(), header, claims)?;
    Ok(String::from_utf8(token)?)
}

/// Headers of a desktop browser.
const BROWSER: [(&str, &str); 13] = [
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    ),
    (
        "accept",
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    ),
    ("accept-language", "en-US,en;q=0.9,de;q=0.8"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    (
        "referer",
        "https://shop.example.com/catalogue/shoes?page=2&sort=price",
    ),
    (
        "sec-ch-ua",
        "\"Chromium\";v=\"126\", \"Not.A/Brand\";v=\"24\"",
    ),
    ("sec-ch-ua-mobile", "?0"),
    ("sec-ch-ua-platform", "\"Linux\""),
    ("sec-fetch-dest", "document"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-site", "same-origin"),
    ("upgrade-insecure-requests", "1"),
    (
        "cookie",
        "theme=dark; cart=8f14e45fceea167a; _ga=GA1.2.1890834871.1718000000",
    ),
];

/// The mix for any filter: a small GET, a browser's GET, JSON of 1 KB and of 64 KB. `headers` are added to each request.
#[must_use]
pub fn default_mix(setup: &Setup, headers: &[(String, String)]) -> Vec<Case> {
    let browser = |request: Request| {
        BROWSER.iter().fold(request, |request, (name, value)| {
            request.header(name, value)
        })
    };
    let json = |bytes: usize| {
        let request = Request::new("POST", "/comments")
            .header("content-type", "application/json")
            .header("content-length", bytes.to_string());
        // Pieces of 16 KiB, as they come off a socket.
        json_body(bytes)
            .chunks(16 << 10)
            .fold(request, Request::chunk)
    };
    let cases = [
        ("GET small", Request::get("/")),
        (
            "GET browser",
            browser(Request::get(
                "/account/orders?q=red+shoes&page=2&sort=price_asc",
            )),
        ),
        ("POST 1 KB", json(1 << 10)),
        ("POST 64 KB", json(64 << 10)),
    ];
    cases
        .into_iter()
        .map(|(name, request)| {
            let request = headers
                .iter()
                .fold(request, |request, (name, value)| {
                    request.header(name, value)
                })
                .from_address("192.0.2.7:4711");
            Case {
                name: format!("mix/{name}"),
                setup: setup.clone(),
                requests: vec![Asked {
                    request,
                    upstream: 200,
                }],
            }
        })
        .collect()
}

/// A JSON document of exactly so many bytes (at least 32), as an order looks.
fn json_body(bytes: usize) -> Vec<u8> {
    let (head, tail) = (r#"{"items":["#, r#"],"note":""#);
    let mut body = head.to_owned();
    let mut number = 0_u32;
    loop {
        let comma = if number == 0 { "" } else { "," };
        let item = format!(r#"{comma}{{"sku":"SHOE-{number:04}","size":42,"colour":"dark red"}}"#);
        if body.len() + item.len() + tail.len() + 2 > bytes {
            break;
        }
        body.push_str(&item);
        number += 1;
    }
    body.push_str(tail);
    let left = bytes.saturating_sub(body.len() + 2);
    body.extend("please wrap it ".chars().cycle().take(left));
    body.push_str("\"}");
    body.into_bytes()
}

/// The cases of a scenario file that are marked `bench: true`, named `stem/case`.
///
/// # Errors
/// The file cannot be read, or a value in it not be made.
pub fn scenario_cases(path: &Path) -> Result<Vec<Case>> {
    let file = scenario::load(path)?;
    let stem = path
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_default();
    let mut cases = Vec::new();
    for case in file.cases.iter().filter(|case| case.bench) {
        let env = file.env(case);
        let surroundings = Surroundings {
            env: &env,
            folder: file.folder(),
            wall: file.wall,
        };
        let mut requests = Vec::new();
        for request in &case.requests {
            let messages = request
                .messages(surroundings)
                .with_context(|| format!("{}: case `{}`", path.display(), case.name))?;
            for _ in 0..request.times {
                for (_, message) in &messages {
                    requests.push(Asked {
                        request: message.request(),
                        upstream: message.upstream,
                    });
                }
            }
        }
        cases.push(Case {
            name: format!("{stem}/{}", case.name),
            setup: Setup {
                config: file.configuration_of(case)?,
                vm_config: file
                    .vm_configuration
                    .as_ref()
                    .map(Configuration::bytes)
                    .unwrap_or_default(),
                root_id: file.root_id.clone(),
                without_functions: file.without_functions.clone(),
                env: env.into_iter().collect(),
                wall: file.wall,
            },
            requests,
        });
    }
    Ok(cases)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_json_of_exactly_that_size() {
        for bytes in [64, 1 << 10, 1025, 64 << 10] {
            let body = json_body(bytes);
            assert_eq!(body.len(), bytes);
            assert!(serde_json::from_slice::<serde_json::Value>(&body).is_ok());
        }
    }
}
