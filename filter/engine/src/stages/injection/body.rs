//! A whole body, by what its content type says and by what its bytes say: both are believed.
//!
//! **In:** the kind and the bytes. **Out:** calls of [`Inspection::value`] for all that a reader of either finds in them.
//! **Invariant:** bytes that are a form, JSON, XML or multipart are looked at as such under any content type; what the type says is
//! looked at too. Only a text that is JSON, or XML, from end to end is not looked at as one plain value as well.
//! **Cost:** one pass for each reading; at most four.

use alloc::vec::Vec;

use super::Class;
use super::decode;
use super::fields;
use super::inspection::{Encoding, Inspection, Place};
use super::multipart;
use super::nested::{is_json, is_pair};
use super::xml;
use crate::request::body::{BodyKind, Boundary};

/// Classes that a document as a whole can be of: the others look at values.
const OF_DOCUMENTS: &[Class] = &[Class::Xxe, Class::Xss, Class::Encoding, Class::Custom];

/// Looks at all of it; `false` when the body is not what its type says, or is nested beyond reason.
pub(super) fn look(kind: BodyKind, body: &[u8], inspection: &mut Inspection<'_>) -> bool {
    if matches!(kind, BodyKind::Json | BodyKind::Multipart(_)) {
        return as_text(kind, body, inspection);
    }
    if kind == BodyKind::Xml && is_strange(body) {
        return false;
    }
    let sides = decode::utf16_sides(body);
    let mut text = Vec::new();
    let mut whole = true;
    for (big, may) in [true, false].into_iter().zip(sides) {
        if may {
            inspection.pay(body.len());
            decode::utf16(body, big, &mut text);
            whole &= as_text(kind, &text, inspection);
        }
    }
    // What has both may be neither.
    let clear = sides == [true, false] || sides == [false, true];
    whole && (clear || as_text(kind, body, inspection))
}

/// XML in UTF-32 or in a code page of mainframes, which parsers tell by its first bytes.
fn is_strange(body: &[u8]) -> bool {
    matches!(
        body,
        [0, 0, 0, b'<', ..]
            | [b'<', 0, 0, 0, ..]
            | [0, 0, 0xFE, 0xFF, ..]
            | [0xFF, 0xFE, 0, 0, ..]
            | [0x4C, 0x6F, 0xA7, 0x94, ..]
    )
}

fn as_text(kind: BodyKind, body: &[u8], inspection: &mut Inspection<'_>) -> bool {
    match kind {
        BodyKind::Json => fields::json(body, Place::Body, b"", inspection),
        BodyKind::Multipart(boundary) => multipart::parts(body, boundary.bytes(), inspection),
        BodyKind::Form => {
            let document = document(false, body, inspection);
            fields::pairs(body, Place::Body, inspection);
            document.unwrap_or(true)
        }
        BodyKind::Xml | BodyKind::Other => {
            if let Some(shallow) = document(kind == BodyKind::Xml, body, inspection) {
                return shallow;
            }
            let boundary = boundary(body);
            if boundary.is_none() && is_pair(body) {
                inspection.paired(body);
                fields::pairs(body, Place::Body, inspection);
                return true;
            }
            inspection.value(Place::Body, b"", body, Encoding::Plain);
            if let Some(boundary) = boundary {
                // Whether it splits well is the business of who believes it.
                let _ = multipart::parts(body, boundary.bytes(), inspection);
            }
            true
        }
    }
}

/// JSON or XML by its bytes, or XML because it `is_xml`: `false` when it is nested beyond reason.
fn document(is_xml: bool, body: &[u8], inspection: &mut Inspection<'_>) -> Option<bool> {
    if is_json(body) && fields::json(body, Place::Body, b"", inspection) {
        return Some(true);
    }
    if !is_xml && !xml::is_document(body) {
        return None;
    }
    let walk = xml::walk(body, Place::Body, b"", inspection);
    let classes = if walk.whole {
        OF_DOCUMENTS
    } else {
        &Class::ALL
    };
    inspection.flat(classes, |inspection| {
        inspection.value(Place::Body, b"", body, Encoding::Plain);
    });
    Some(walk.shallow)
}

/// The boundary of bytes that begin as a multipart body does.
fn boundary(body: &[u8]) -> Option<Boundary> {
    let line = body.trim_ascii_start().strip_prefix(b"--")?;
    let line = line.get(..72).unwrap_or(line);
    let end = line
        .iter()
        .position(|&byte| matches!(byte, b'\r' | b'\n'))?;
    Boundary::new(line.get(..end)?)
}

#[cfg(test)]
mod tests {
    use super::super::{Class, Exception, Here, InjectionStage};
    use crate::budget::MAX_STEPS;
    use crate::finding::Findings;
    use crate::request::body::{BodyKind, Boundary};
    use crate::units::UnixTime;
    use crate::verdict::Reason;

    fn judge_with(stage: &InjectionStage, kind: BodyKind, body: &[u8]) -> (Option<Reason>, String) {
        let (mut steps, mut found) = (MAX_STEPS, Findings::default());
        let here = Here::new(b"", UnixTime(0));
        let denied = stage.inspect_body(kind, body, here, &mut steps, &mut found);
        let place = found.as_slice().last().map_or(String::new(), |finding| {
            String::from_utf8_lossy(&finding.place).into_owned()
        });
        (denied.err().map(|denial| denial.reason), place)
    }

    fn judge(kind: BodyKind, body: &str) -> (Option<Reason>, String) {
        judge_with(&InjectionStage::new(1, 5), kind, body.as_bytes())
    }

    const KINDS: [BodyKind; 3] = [BodyKind::Form, BodyKind::Xml, BodyKind::Other];

    #[test]
    fn bytes_are_believed_under_any_content_type() {
        const CASES: &[(&str, &str)] = &[
            ("{\"a\":{\"b\":\"\\u0027 OR 1=1-- \"}}", "body:a.b"),
            (
                "<?xml version=\"1.0\"?><a><b>1</b><c>&#39; OR 1=1-- </c></a>",
                "body:a.c",
            ),
            (
                "<s:Envelope xmlns:s=\"urn:s\"><s:Body d=\"&#x27; or '1'='1\"/></s:Envelope>",
                "body:Envelope.Body@d",
            ),
            (
                "<a xmlns=\"u\"><b>uni<!-- -->on <![CDATA[select]]> password from users</b></a>",
                "body:a.b",
            ),
        ];
        for (body, place) in CASES {
            for kind in KINDS {
                assert_eq!(
                    judge(kind, body),
                    (Some(Reason::Injection), (*place).into()),
                    "{kind:?} {body}"
                );
            }
        }
        let json = judge(BodyKind::Form, "{\"a\":\"' OR 1=1-- \"}");
        assert_eq!(json, (Some(Reason::Injection), "body:a".into()));
        let multipart =
            "--B\r\nContent-Disposition: form-data; name=\"q\"\r\n\r\n' OR 1=1-- \r\n--B--";
        assert_eq!(judge(BodyKind::Other, multipart).0, Some(Reason::Injection));
        let form = "id=1&q=%2527%2520OR%25201%253D1--%2520";
        assert_eq!(judge(BodyKind::Other, form).0, Some(Reason::Injection));
        let entity = "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/hostname\">]><a>&b;</a>";
        for kind in KINDS {
            assert_eq!(judge(kind, entity).0, Some(Reason::Injection), "{kind:?}");
        }
    }

    #[test]
    fn honest_documents_pass_under_any_content_type() {
        for body in [
            "{\"name\":\"O'Brien\",\"n\":[1,2,3],\"note\":\"select the best from our menu\"}",
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\"><soap:Body><m:GetPrice xmlns:m=\"https://shop.example/prices\"><m:Item>Apples &amp; pears</m:Item></m:GetPrice></soap:Body></soap:Envelope>",
            "<rss version=\"2.0\" xmlns:atom=\"http://www.w3.org/2005/Atom\"><channel><title>It's &lt;b&gt;news&lt;/b&gt;</title><description><![CDATA[<p>5 > 3 & it's true</p>]]></description></channel></rss>",
            "<Invoice xmlns=\"urn:oasis:names:specification:ubl:schema:xsd:Invoice-2\"><ID>INV-1 / 2026</ID><Note>10 % off; see terms -- thanks</Note></Invoice>",
            "a=1&b=2&tag=x&tag=y",
            "just a line of text; with 'quotes' & signs",
            "",
        ] {
            for kind in KINDS {
                assert_eq!(judge(kind, body).0, None, "{kind:?} {body}");
            }
        }
    }

    #[test]
    fn documents_in_values_are_looked_into() {
        let attacks = [
            "f={\"a\":[\"x\",\"\\u0027 OR \\u00271\\u0027=\\u00271\"]}",
            "f=%7B%22a%22%3A%22%5Cu003cscript%5Cu003ealert(1)%22%7D",
            // The same in base64.
            "f=eyJhIjoiJyBPUiBcInhcIj1cIngifQ==",
            "f=<?xml version='1.0'?><a><b>' or%20<![CDATA['1']]>='1</b></a>",
            "next=/search%3Fa%3D1%26q%3D%252527%252520or%2525201%25253D1--",
        ];
        for body in attacks {
            assert_eq!(
                judge(BodyKind::Form, body).0,
                Some(Reason::Injection),
                "{body}"
            );
        }
        let deep = "{\"a\":".repeat(60) + "1" + &"}".repeat(60);
        for body in [
            "f={\"name\":\"O'Brien\",\"page\":2}",
            "redirect_uri=https%3A%2F%2Fapp.example%2Fcb%3Fstate%3Da%26utm_source%3Dnews%2520letter",
            "f={\"name\":\"x\",\"version\":\"1.0.0\",\"scripts\":{\"test\":\"echo \\\"no test\\\" %26%26 exit 1\"}}",
            &format!("f={deep}"),
        ] {
            assert_eq!(judge(BodyKind::Form, body).0, None, "{body}");
        }
    }

    #[test]
    fn an_exception_for_a_field_holds_for_documents_in_it() {
        let mut stage = InjectionStage::new(1, 5);
        stage.except.push(Exception {
            field: Some(b"filter".to_vec()),
            classes: vec![Class::Sqli],
            ..Exception::default()
        });
        let judge = |body: &[u8]| judge_with(&stage, BodyKind::Form, body).0;
        assert_eq!(judge(b"filter={\"a\":\"\\u0027 OR 1=1-- \"}"), None);
        assert_eq!(
            judge(b"other={\"a\":\"\\u0027 OR 1=1-- \"}"),
            Some(Reason::Injection)
        );
    }

    #[test]
    fn nesting_without_end_is_refused() {
        let nested = |depth: usize| {
            let name = "<?xml version='1.0'?>".to_owned() + &"<a>".repeat(depth);
            name + &"</a>".repeat(depth)
        };
        for kind in [BodyKind::Xml, BodyKind::Other] {
            assert_eq!(judge(kind, &nested(256)).0, None);
            assert_eq!(judge(kind, &nested(257)).0, Some(Reason::MalformedBody));
        }
    }

    #[test]
    fn every_cut_of_a_body_is_read() {
        let bodies = [
            "<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]><a d='&#39;'><![CDATA[e]]>{\"f\":\"g\"}</a>",
            "{\"a\":[\"<b xmlns='c'>d</b>\",\"e=1&f=2\"]}",
            "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n--B--\r\n",
        ];
        let kinds = [
            BodyKind::Form,
            BodyKind::Json,
            BodyKind::Xml,
            BodyKind::Other,
            Boundary::new(b"B").map_or(BodyKind::Other, BodyKind::Multipart),
        ];
        for body in bodies {
            for end in 0..=body.len() {
                for kind in kinds {
                    let _ = judge(kind, body.get(..end).unwrap_or_default());
                }
            }
        }
    }
}
