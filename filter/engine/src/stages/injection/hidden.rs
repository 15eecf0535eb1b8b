//! Attacks in places and spellings that a reader may overlook, and what honest clients send there; written for this project.

use super::{Here, InjectionStage};
use crate::budget::MAX_STEPS;
use crate::finding::Findings;
use crate::request::RequestHead;
use crate::request::body::{BodyKind, kind};
use crate::units::UnixTime;
use crate::verdict::Reason;

fn judge(pairs: &[(&str, &str)], body: &[u8]) -> Option<Reason> {
    let stage = InjectionStage::new(1, 5);
    let pairs = pairs
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let head = RequestHead::decode(pairs);
    let (mut steps, mut found) = (MAX_STEPS, Findings::default());
    let here = Here::new(b"", UnixTime(0));
    let denied = stage
        .inspect_head(&head, here, &mut steps, &mut found)
        .and_then(|()| stage.inspect_body(kind(&head), body, here, &mut steps, &mut found));
    denied.err().map(|denial| denial.reason)
}

fn of_path(path: &str) -> Option<Reason> {
    judge(&[(":path", path)], b"")
}

fn of_cookie(cookie: &str) -> Option<Reason> {
    judge(&[(":path", "/"), ("cookie", cookie)], b"")
}

fn of_body(media_type: &str, body: &[u8]) -> Option<Reason> {
    judge(&[(":path", "/"), ("content-type", media_type)], body)
}

#[test]
fn wrapped_text_is_unwrapped_wherever_it_stands() {
    for value in [
        "/api/v1.2/item/PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg",
        "/api/v1.2/item/PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==",
        "/?q=data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==",
        // In lines, with signs that lenient readers pass over, twice, and URL-encoded within.
        "/?q=PHNjcmlwdD5h%0D%0AbGVydCgxKTwv%0D%0Ac2NyaXB0Pg==",
        "/?q=PHNj!cmlwdD5hb*GVydCgx.KTwvc2NyaXB0Pg==",
        "/?q=UEhOamNtbHdkRDVoYkdWeWRDZ3hLVHd2YzJOeWFYQjBQZz09",
        "/?q=JTNDc2NyaXB0JTNFYWxlcnQoMSklM0Mvc2NyaXB0JTNF",
    ] {
        assert_eq!(of_path(value), Some(Reason::Injection), "{value}");
    }
    for value in [
        "/assets/app.3f2a9c1e7b5d4a60.min.js",
        "/users/3fa85f64-5717-4562-b3fc-2c963f66afa6/orders",
        "/blog/the-quick-brown-fox-jumps-over-the-lazy-dog",
        "/?q=data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7",
        "/?q=HelloWorldHelloWorld,again",
    ] {
        assert_eq!(of_path(value), None, "{value}");
    }
}

#[test]
fn cookies_are_read_as_lenient_readers_do() {
    for cookie in [
        // Octal escapes, as Python's reader undoes them; a `;` in quotes, as the servers of RFC 2109 read it.
        "a=\"\\047\\040OR\\0401=1--\\040\"",
        "$Version=1; a=\"x'; DROP TABLE users;-- \"; $Path=\"/\"",
        "a=1; b=\"<img src=x;y onerror=alert(1)>\"",
        "a=1;b=\"; cat /etc/passwd;\"",
    ] {
        assert_eq!(of_cookie(cookie), Some(Reason::Injection), "{cookie}");
    }
    for cookie in [
        "a=\"b c\"; d=\"e",
        "$Version=1; id=\"x;y\"; $Path=\"/a\"",
        "a=\"; b=\"; c=\"",
        "prefs=\"dark\\054wide\"",
    ] {
        assert_eq!(of_cookie(cookie), None, "{cookie}");
    }
    // Quotes without end are looked at once.
    assert_eq!(of_cookie(&"a=\"b;".repeat(2000)), None);
}

#[test]
fn a_reference_may_have_any_number_of_zeros() {
    for zeros in [1, 5, 12, 300] {
        let zeros = "0".repeat(zeros);
        let body = format!("a=%26%23{zeros}60;script%26%23x{zeros}3E;alert(1)");
        let kind = "application/x-www-form-urlencoded";
        assert_eq!(
            of_body(kind, body.as_bytes()),
            Some(Reason::Injection),
            "{body}"
        );
    }
    let body = "&#0".repeat(40_000);
    assert_eq!(of_body("text/plain", body.as_bytes()), None);
}

#[test]
fn a_part_is_judged_with_its_headers() {
    let multipart = |head: &str, content: &[u8]| {
        let mut body = format!("--B\r\n{head}\r\n\r\n").into_bytes();
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n--B--\r\n");
        of_body("multipart/form-data; boundary=B", &body)
    };
    let disposition = "Content-Disposition: form-data; name=\"q\"";
    let script = "<script>alert(1)</script>";
    for (head, content) in [
        (
            format!("{disposition}; filename=\"a.txt\"\r\nContent-Type: {script}"),
            "x",
        ),
        (format!("{disposition}\r\nX-Note: {script}"), "x"),
        (format!("{disposition}\r\n{script}"), "x"),
        (
            format!(
                "{disposition}; filename=\"a.txt\"; filename*=UTF-8''..%2F..%2F..%2Fetc%2Fpasswd"
            ),
            "x",
        ),
        (format!("{disposition}; filename*=utf-8'en'shell.php"), "x"),
        (
            format!("{disposition}\r\nContent-Type: text/plain; charset=utf-7"),
            "x",
        ),
        (
            format!("{disposition}\r\nContent-Type: text/plain; charset=\"IBM037\""),
            "x",
        ),
        (
            "Content-Disposition: form-data; name=\"_charset_\"".to_owned(),
            "utf-7",
        ),
        (
            format!("{disposition}; filename=\"blob\"\r\nContent-Type: application/json"),
            "{\"a\":\"' OR 1=1-- \"}",
        ),
    ] {
        assert_eq!(
            multipart(&head, content.as_bytes()),
            Some(Reason::Injection),
            "{head}"
        );
    }
    for (head, content) in [
        (
            format!("{disposition}; filename=\"Zoë's photo (1).jpeg\"\r\nContent-Type: image/jpeg"),
            "\u{7f}'",
        ),
        (
            format!(
                "{disposition}; filename=\"r.pdf\"; filename*=UTF-8''r%C3%A9sum%C3%A9%20(1).pdf\r\nContent-Type: application/pdf\r\nContent-Length: 3"
            ),
            "x",
        ),
        (
            format!("{disposition}\r\nContent-Type: text/plain; charset=UTF-8"),
            "x",
        ),
        (
            "Content-Disposition: form-data; name=\"_charset_\"".to_owned(),
            "windows-1252",
        ),
        (
            format!("{disposition}; filename=\"blob\"\r\nContent-Type: application/json"),
            "{\"a\":\"O'Brien\"}",
        ),
        (
            format!("{disposition}; filename=\"blob\"\r\nContent-Type: image/png"),
            "' OR 1=1-- ",
        ),
    ] {
        assert_eq!(multipart(&head, content.as_bytes()), None, "{head}");
    }
}

#[test]
fn wide_letters_are_read_wherever_they_begin() {
    let wide = |text: &str, big: bool| -> Vec<u8> {
        let bytes = |unit: u16| {
            if big {
                unit.to_be_bytes()
            } else {
                unit.to_le_bytes()
            }
        };
        text.encode_utf16().flat_map(bytes).collect()
    };
    for big in [false, true] {
        for text in [
            "\u{4e00}\u{4e8c}' OR 1=1-- ",
            "\u{4e00}=1&a=' OR 1=1-- ",
            "\u{4e00}\u{4e00}\u{4e00}\u{4e00}\u{4e00}\u{4e00}' OR 1=1-- ",
            "' OR 1=1-- ",
        ] {
            for media_type in ["text/plain", "application/x-www-form-urlencoded"] {
                let body = wide(text, big);
                assert_eq!(
                    of_body(media_type, &body),
                    Some(Reason::Injection),
                    "{text}"
                );
            }
        }
        assert_eq!(
            of_body("text/plain", &wide("\u{4e00}: it's nothing", big)),
            None
        );
    }
    assert_eq!(
        of_body(
            "application/octet-stream",
            b"\x00\x01\x02\x00a\x00\x00b\x00\x03"
        ),
        None
    );
    assert_eq!(
        kind(&RequestHead::decode(core::iter::empty())),
        BodyKind::Other
    );
}
