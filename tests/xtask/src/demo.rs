//! The demo: its keys, its token, and the curl lines that `serve` prints and the README shows.

use palisade_engine::stages::token::jws;
use palisade_engine::stages::token::{HmacAlgorithm, Key, Secret};

/// Keys of the demo, as VM environment variables. Public: they protect nothing.
pub(crate) const KEYS: [(&str, &str); 2] = [
    (
        "PALISADE_JWT_KEY",
        "demo-jwt-key-demo-jwt-key-demo-jwt-key-0",
    ),
    (
        "PALISADE_SESSION_KEY",
        "demo-session-key-demo-session-key-demo-0",
    ),
];

/// A bearer token of the example policy for `alice`, role `admin`, good for ten years.
pub(crate) fn token() -> String {
    let issued = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let claims = format!(
        r#"{{"iss":"https://id.example.com","aud":"shop","sub":"alice","roles":["admin"],"iat":{issued},"exp":{}}}"#,
        issued.saturating_add(315_360_000)
    );
    let secret = Secret(KEYS[0].1.as_bytes().to_vec());
    Key::new(None, HmacAlgorithm::Sha256, &secret)
        .map(|key| jws::mint(&key, &claims))
        .unwrap_or_default()
}

/// What to try against `address`.
pub(crate) fn examples(address: &str) -> String {
    let token = token();
    let base = format!("http://{address}");
    format!(
        r#"Try, in another terminal:

  TOKEN={token}

  # a benign request passes; the upstream shows what it received
  curl -i '{base}/search?q=red+shoes'
  # a valid token passes and becomes x-user; the client's own x-user is stripped
  curl -i -H "authorization: Bearer $TOKEN" -H 'x-user: root' {base}/account/orders
  # a forged one is 401
  curl -i -H "authorization: Bearer ${{TOKEN}}x" {base}/account/orders
  # SQL injection is 403, in the query and in a JSON body
  curl -i "{base}/search?q=%27%20OR%201=1--"
  curl -i -H 'content-type: application/json' -d '{{"name":"<script>alert(1)</script>"}}' {base}/comments
  # the 101st request of a client within ten minutes is 429
  for i in $(seq 101); do curl -s -o /dev/null -w '%{{http_code}}\n' {base}/; done | sort | uniq -c
"#
    )
}
