//! A request around one value: where clients put what users type, and how they encode it there.
//!
//! **In:** a value, a [`Place`]. **Out:** a [`Request`] of an ordinary client.
//! **Invariant:** whoever reads the request as its type says gets the value back byte for byte; a value that a place cannot carry has no
//! request there.
//! **Source:** WHATWG URL (form encoding), RFC 3986, RFC 8259, RFC 6265, RFC 9110 §5.5, RFC 7578, XML 1.0.

use serde::Deserialize;
use serde_json::json;

use super::Request;

/// Where a value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// A query parameter.
    Query,
    /// A field of an urlencoded body.
    Form,
    /// A string of a JSON body.
    Json,
    /// A cookie.
    Cookie,
    /// A header field.
    Header,
    /// The end of the path.
    Path,
    /// A part of a multipart body.
    Multipart,
    /// Text of an element.
    Xml,
    /// A whole body of plain text.
    Text,
}

/// What a value of the repository's corpus is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum As {
    /// What a user typed: encoded for its place.
    #[default]
    Value,
    /// A name of a parameter or field.
    Name,
    /// A query string as it is, `a[$ne]=1&b=2`: in the query, and as a form.
    Query,
    /// A JSON text: the body, as it is.
    Json,
    /// An XML document: the body, as it is.
    Xml,
    /// A path as it is, not encoded.
    Path,
}

impl Place {
    /// Places of a value.
    pub const ALL: [Self; 9] = [
        Self::Query,
        Self::Form,
        Self::Json,
        Self::Cookie,
        Self::Header,
        Self::Path,
        Self::Multipart,
        Self::Xml,
        Self::Text,
    ];

    /// Name in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Form => "form",
            Self::Json => "json",
            Self::Cookie => "cookie",
            Self::Header => "header",
            Self::Path => "path",
            Self::Multipart => "multipart",
            Self::Xml => "xml",
            Self::Text => "text",
        }
    }
}

impl As {
    /// Places where it can stand, in the order of [`Place::ALL`].
    #[must_use]
    pub const fn places(self) -> &'static [Place] {
        match self {
            Self::Value => &[
                Place::Query,
                Place::Form,
                Place::Json,
                Place::Cookie,
                Place::Header,
                Place::Path,
                Place::Multipart,
                Place::Xml,
            ],
            Self::Name => &[Place::Query, Place::Form, Place::Json, Place::Multipart],
            Self::Query => &[Place::Query, Place::Form],
            Self::Json => &[Place::Json],
            Self::Xml => &[Place::Xml],
            Self::Path => &[Place::Path],
        }
    }
}

const BOUNDARY: &str = "----WebKitFormBoundary7MA4YWxkTrZu0gW";

/// A request with `value` in `place`; `None`: it cannot stand there. `escaped`: JSON strings with every character as `\uXXXX`.
#[must_use]
pub fn request(value: &str, place: Place, what: As, escaped: bool) -> Option<Request> {
    if !what.places().contains(&place) && place != Place::Text {
        return None;
    }
    let get = |path: String| Some(browser("GET", path, None, Vec::new()));
    let post = |path: &str, kind: &str, body: String| {
        let kind = Some(kind.to_owned());
        Some(browser("POST", path.to_owned(), kind, body.into_bytes()))
    };
    const FORM: &str = "application/x-www-form-urlencoded";
    const JSON: &str = "application/json";
    match (place, what) {
        (Place::Query, As::Query) => get(format!("/catalogue/search?{value}")),
        (Place::Query, As::Name) => get(format!("/catalogue/search?page=2&{}=1", url(value, b""))),
        (Place::Query, _) => get(format!(
            "/catalogue/search?page=2&q={}&sort=name",
            url(value, b"")
        )),
        (Place::Form, As::Query) => post("/account/profile", FORM, value.to_owned()),
        (Place::Form, As::Name) => {
            post("/account/profile", FORM, format!("id=31&{}=1", form(value)))
        }
        (Place::Form, _) => post(
            "/account/profile",
            FORM,
            format!("id=31&about={}&newsletter=on", form(value)),
        ),
        (Place::Json, As::Json) => post("/api/v1/items", JSON, value.to_owned()),
        (Place::Json, As::Name) => post(
            "/api/v1/items",
            JSON,
            json!({ "id": 31, "attributes": { value: true } }).to_string(),
        ),
        (Place::Json, _) => {
            let string = if escaped {
                let units = value.encode_utf16();
                let units: Vec<String> = units.map(|unit| format!("\\u{unit:04x}")).collect();
                format!("\"{}\"", units.concat())
            } else {
                json!(value).to_string()
            };
            post(
                "/api/v1/items",
                JSON,
                format!(r#"{{"id":31,"item":{{"title":{string},"tags":["a","b"]}}}}"#),
            )
        }
        (Place::Cookie, _) => {
            let mut request = browser("GET", "/".to_owned(), None, Vec::new());
            let cookie = format!("theme=dark; last={}; visits=7", url(value, b""));
            request.headers.push(("Cookie".to_owned(), cookie));
            Some(request)
        }
        (Place::Header, _) => {
            if value.bytes().any(|byte| byte < 0x20 || byte == 0x7F) || value.trim() != value {
                return None;
            }
            let mut request = browser("GET", "/".to_owned(), None, Vec::new());
            request
                .headers
                .push(("X-Search-Term".to_owned(), value.to_owned()));
            Some(request)
        }
        (Place::Path, As::Path) => get(value.to_owned()),
        (Place::Path, _) => {
            let value = value.strip_prefix('/').unwrap_or(value);
            get(format!("/files/{}", url(value, b"/")))
        }
        (Place::Multipart, As::Name) => {
            let name: String = value
                .chars()
                .map(|one| match one {
                    '"' => "%22".to_owned(),
                    '\r' => "%0D".to_owned(),
                    '\n' => "%0A".to_owned(),
                    one => one.to_string(),
                })
                .collect();
            multipart(&name, "1")
        }
        (Place::Multipart, _) => multipart("about", value),
        (Place::Xml, As::Xml) => post("/soap/orders", "text/xml; charset=utf-8", value.to_owned()),
        (Place::Xml, _) => {
            let legal = |one: char| matches!(one, '\t' | '\n' | '\r' | ' '..);
            if !value.chars().all(legal) {
                return None;
            }
            let text = value
                .replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;");
            post(
                "/soap/orders",
                "application/xml",
                format!(
                    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<order id=\"31\"><note>{text}</note><count>2</count></order>"
                ),
            )
        }
        (Place::Text, _) => post("/notes", "text/plain; charset=utf-8", value.to_owned()),
    }
}

fn multipart(name: &str, value: &str) -> Option<Request> {
    if value.contains(BOUNDARY) {
        return None;
    }
    let body = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"id\"\r\n\r\n31\r\n\
         --{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n--{BOUNDARY}--\r\n"
    );
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    Some(browser(
        "POST",
        "/account/photo".to_owned(),
        Some(kind),
        body.into_bytes(),
    ))
}

fn browser(method: &str, path: String, kind: Option<String>, body: Vec<u8>) -> Request {
    let mut headers: Vec<(String, String)> = [
        ("Host", "shop.example.com"),
        (
            "User-Agent",
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        ),
        ("Accept", "*/*"),
        ("Accept-Language", "en-GB,en;q=0.5"),
        ("Referer", "https://shop.example.com/"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    if let Some(kind) = kind {
        headers.push(("Content-Type".to_owned(), kind));
        headers.push(("Content-Length".to_owned(), body.len().to_string()));
    }
    Request {
        method: method.to_owned(),
        path,
        headers,
        body,
    }
}

/// Percent-encoding of all but unreserved bytes and `keep`.
#[must_use]
pub fn url(value: &str, keep: &[u8]) -> String {
    encode(value.as_bytes(), keep, "%20")
}

/// Form encoding.
#[must_use]
pub fn form(value: &str) -> String {
    encode(value.as_bytes(), b"*", "+")
}

/// Percent-encoding of bytes.
pub(super) fn encode(value: &[u8], keep: &[u8], blank: &str) -> String {
    let mut out = String::new();
    for byte in value {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(*byte));
            }
            b' ' => out.push_str(blank),
            byte if keep.contains(byte) => out.push(char::from(*byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_back_from_every_place() {
        let value = "a&b=\"<é>\" + 'c' \\ ; {%}";
        for place in Place::ALL {
            let request = request(value, place, As::Value, false).expect("it fits everywhere");
            let text = String::from_utf8(request.body.clone()).expect("text");
            let read = match place {
                Place::Query => unescape(between(&request.path, "&q=", "&sort")),
                Place::Form => unescape(&between(&text, "about=", "&news").replace('+', " ")),
                Place::Json => {
                    serde_json::from_str::<serde_json::Value>(&text).expect("JSON")["item"]["title"]
                        .as_str()
                        .expect("text")
                        .to_owned()
                }
                Place::Cookie => {
                    let cookie = request.headers.last().map(|(_, value)| value.as_str());
                    unescape(between(cookie.expect("a cookie"), "last=", "; visits"))
                }
                Place::Header => request.headers.last().expect("a header").1.clone(),
                Place::Path => unescape(request.path.strip_prefix("/files/").expect("a path")),
                Place::Multipart => between(&text, "about\"\r\n\r\n", "\r\n--").to_owned(),
                Place::Xml => between(&text, "<note>", "</note>")
                    .replace("&lt;", "<")
                    .replace("&gt;", ">")
                    .replace("&amp;", "&"),
                Place::Text => text,
            };
            assert_eq!(read, value, "{place:?}");
        }
    }

    #[test]
    fn what_a_place_cannot_carry_is_not_put_there() {
        assert_eq!(request("a\r\nb: c", Place::Header, As::Value, false), None);
        assert_eq!(request("a\0b", Place::Xml, As::Value, false), None);
        assert_eq!(request("{}", Place::Query, As::Json, false), None);
    }

    #[test]
    fn escapes_of_json_are_read_back() {
        let made = request("a'é\u{1f600}", Place::Json, As::Value, true).expect("a request");
        let text = String::from_utf8(made.body).expect("text");
        assert!(
            text.contains("\\u0061\\u0027\\u00e9\\ud83d\\ude00"),
            "{text}"
        );
        let read: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(read["item"]["title"], "a'é\u{1f600}");
    }

    fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
        let (_, rest) = text.split_once(from).expect("its start");
        rest.split_once(to).expect("its end").0
    }

    fn unescape(text: &str) -> String {
        let mut out = Vec::new();
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            if byte == b'%' {
                let pair: Vec<u8> = bytes.by_ref().take(2).collect();
                let pair = String::from_utf8(pair).expect("two digits");
                out.push(u8::from_str_radix(&pair, 16).expect("hexadecimal"));
            } else {
                out.push(byte);
            }
        }
        String::from_utf8(out).expect("UTF-8")
    }
}
