//! Which parts are judged, and which bodies split in one way only.
//!
//! **In:** bodies. **Out:** assertions.
//! **Invariant:** what one reader takes for a field is judged, whatever the others take it for.

use super::super::{Exception, Here, InjectionStage};
use crate::budget::MAX_STEPS;
use crate::finding::Findings;
use crate::request::RequestHead;
use crate::request::body::{BodyKind, Boundary, kind};
use crate::units::UnixTime;
use crate::verdict::Reason;

fn judge(content_type: &[u8], body: &[u8]) -> (Option<Reason>, Findings) {
    let stage = InjectionStage::new(1, 5);
    let pairs = [(&b"content-type"[..], content_type)];
    let head = RequestHead::decode(pairs.into_iter());
    let (mut steps, mut found) = (MAX_STEPS, Findings::default());
    let denied = stage.inspect_body(
        kind(&head),
        body,
        Here::new(b"", UnixTime(0)),
        &mut steps,
        &mut found,
    );
    (denied.err().map(|denial| denial.reason), found)
}

fn part(head: &str, content: &str) -> String {
    format!("--B\r\n{head}\r\n\r\n{content}\r\n")
}

const TYPE: &[u8] = b"multipart/form-data; boundary=B";
const ATTACK: &str = "' OR 1=1-- ";
const FIELD: &str = "Content-Disposition: form-data; name=\"q\"";
const FILE: &str = "Content-Disposition: form-data; name=\"q\"; filename=\"O'Brien.txt\"";

#[test]
fn only_a_part_that_everyone_takes_for_a_file_is_left_out() {
    const CASES: &[(&str, Option<Reason>)] = &[
        (FIELD, Some(Reason::Injection)),
        (FILE, None),
        (
            "content-disposition:form-data;name=q;filename=a.txt\r\nContent-Type: image/png",
            None,
        ),
        (
            "Content-Disposition: form-data; name=\"q\"; filename=\"a.txt\"\r\ncontent-transfer-encoding: binary",
            None,
        ),
        (
            "Content-Disposition: form-data; name=\"filename\"",
            Some(Reason::Injection),
        ),
        (
            "Content-Disposition: form-data; name=\"q\"\r\nX: filename=a",
            Some(Reason::Injection),
        ),
        (
            "Content-Disposition: form-data; name=\"q\"; filename=\"\"",
            Some(Reason::Injection),
        ),
        (
            "Content-Disposition: form-data; name=\"q\"; filename*=UTF-8''a",
            Some(Reason::Injection),
        ),
        (
            "Content-Disposition: form-data; name='q; filename=\"f\"; x='",
            Some(Reason::Injection),
        ),
        (
            "Content-Disposition: form-data; name=\"q\\\"; filename=\"f\"",
            Some(Reason::Injection),
        ),
        (
            "Content-Disposition: form-data; name=\"q; filename=f\"",
            Some(Reason::Injection),
        ),
        (
            "Content-Disposition: form-data; name=q\r\n ; filename=f",
            Some(Reason::Injection),
        ),
        ("X: filename=f", Some(Reason::Injection)),
        (
            "Content-Disposition: form-data; name=q\r\nContent-Disposition: form-data; name=q; filename=f",
            Some(Reason::Injection),
        ),
        (
            "Content-Disposition: form-data; name=q\n\nx: filename=f",
            Some(Reason::MalformedBody),
        ),
        (
            "Content-Disposition: form-data; name=q\rx: filename=f",
            Some(Reason::MalformedBody),
        ),
        (
            "Content-Disposition: form-data; name=q\r\nContent-Transfer-Encoding: base64",
            Some(Reason::Injection),
        ),
        (
            "Content-Disposition: form-data; name=q\r\nContent-Transfer-Encoding: x-uuencode",
            Some(Reason::MalformedBody),
        ),
        (
            "Content-Disposition: form-data; name=\"q\"; filename=\"f\"; filename*=UTF-8''f",
            None,
        ),
    ];
    for (head, expected) in CASES {
        let body = part(head, ATTACK) + "--B--\r\n";
        assert_eq!(judge(TYPE, body.as_bytes()).0, *expected, "{head}");
    }
}

#[test]
fn the_boundary_of_the_content_type_splits() {
    let attack = part(FIELD, ATTACK) + "--B--";
    let calm = part(FIELD, "calm") + &part(FILE, "\0\u{1}--A'--") + "--B--\r\n";
    let cases: &[(&[u8], String, Option<Reason>)] = &[
        (TYPE, calm.clone(), None),
        (b"multipart/form-data; boundary=\"B\"", calm, None),
        (TYPE, String::new(), None),
        (TYPE, format!("\r\n{attack}"), Some(Reason::Injection)),
        (
            TYPE,
            format!("--A\r\n{FILE}\r\n\r\n\r\n{attack}"),
            Some(Reason::Injection),
        ),
        (TYPE, part(FILE, "x") + &attack, Some(Reason::Injection)),
        (
            TYPE,
            part(FIELD, &format!("{}{ATTACK}", "\u{1}".repeat(99))) + "--B--",
            Some(Reason::Injection),
        ),
        (
            TYPE,
            part(FIELD, &format!("a--B\r\n{FILE}\r\n\r\n{ATTACK}")) + "--B--",
            Some(Reason::MalformedBody),
        ),
        (
            TYPE,
            part(FIELD, &format!("a\n--B\r\n{FILE}\r\n\r\n{ATTACK}")) + "--B--",
            Some(Reason::MalformedBody),
        ),
        (
            TYPE,
            part(FIELD, &format!("a\r\n--Bx\r\n{FILE}\r\n\r\n{ATTACK}")) + "--B--",
            Some(Reason::MalformedBody),
        ),
        // Django needs no line end before a boundary, PHP reads parts behind the last one.
        (
            TYPE,
            part(FILE, &format!("a--B\r\n{FIELD}\r\n\r\n{ATTACK}")) + "--B--",
            Some(Reason::MalformedBody),
        ),
        (
            TYPE,
            part(FIELD, "calm") + "--B--\r\n" + &part(FIELD, "calm"),
            Some(Reason::MalformedBody),
        ),
        // Without an end the last part is none, or the rest.
        (TYPE, part(FIELD, "calm"), None),
        (TYPE, part(FIELD, ATTACK), Some(Reason::Injection)),
        (TYPE, part(FILE, ATTACK), Some(Reason::Injection)),
        (TYPE, "calm".into(), Some(Reason::MalformedBody)),
        (TYPE, format!("--B--\r\n{ATTACK}"), Some(Reason::Injection)),
        (
            b"multipart/form-data",
            part(FILE, ATTACK) + "--B--",
            Some(Reason::Injection),
        ),
        (
            b"multipart/form-data; boundary=B; boundary=C",
            part(FILE, ATTACK) + "--B--",
            Some(Reason::Injection),
        ),
        (
            b"multipart/form-data; xboundary=A; boundary=B",
            part(FILE, ATTACK) + "--B--",
            Some(Reason::Injection),
        ),
        (
            b"multipart/form-data; boundary*=B; boundary=B",
            part(FILE, ATTACK) + "--B--",
            Some(Reason::Injection),
        ),
        (
            b"text/plain",
            part(FILE, ATTACK) + "--B--",
            Some(Reason::Injection),
        ),
    ];
    for (content_type, body, expected) in cases {
        assert_eq!(judge(content_type, body.as_bytes()).0, *expected, "{body}");
    }
    let calm = part(FIELD, "calm") + &part(FILE, "\0\u{1}") + "--B--\r\n";
    for end in 0..calm.len() {
        assert_ne!(
            judge(TYPE, &calm.as_bytes()[..end]).0,
            Some(Reason::Injection)
        );
    }
}

#[test]
fn lines_end_in_one_way() {
    let lf = |text: &str| text.replace("\r\n", "\n");
    let file = lf(&part(FILE, ATTACK)) + "--B--\n";
    let cases = [
        (
            lf(&part(FIELD, ATTACK)) + "--B--\n",
            Some(Reason::Injection),
        ),
        (lf(&part(FIELD, "calm")) + "--B--\n", None),
        (lf(&part(FIELD, "calm")) + "--B--", None),
        (format!("preamble\n{file}"), None),
        (file.clone(), None),
        // Text with other line ends in it is nobody's business.
        (
            lf(&part(FIELD, "calm")) + &lf(&part(FILE, "")) + "a\r\nb\n--B--",
            None,
        ),
        // One line of another kind.
        (
            file.replacen("--B\n", "--B\r\n", 1),
            Some(Reason::MalformedBody),
        ),
        (
            file.replace("\n--B--", "\r\n--B--"),
            Some(Reason::MalformedBody),
        ),
        (file.replace("\n\n", "\r\n\n"), Some(Reason::MalformedBody)),
        (file.replace("\n\n", "\n\r\n"), Some(Reason::MalformedBody)),
        (part(FIELD, "calm") + &file, Some(Reason::MalformedBody)),
        (
            lf(&part(FIELD, "calm")) + &part(FIELD, "calm") + "--B--\r\n",
            Some(Reason::MalformedBody),
        ),
        // To a reader that looks for CR LF twice, the head of a field.
        (
            format!("--B\n{FILE}\n\ncalm\r\n{FIELD}\r\n\r\n{ATTACK}\n--B--\n"),
            Some(Reason::Injection),
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(judge(TYPE, body.as_bytes()).0, expected, "{body:?}");
    }
    let notes = |body: &str| {
        let stage = InjectionStage::new(4, 5);
        let (mut steps, mut found) = (MAX_STEPS, Findings::default());
        let boundary = Boundary::new(b"B").map_or(BodyKind::Other, BodyKind::Multipart);
        let here = Here::new(b"", UnixTime(0));
        let _ = stage.inspect_body(boundary, body.as_bytes(), here, &mut steps, &mut found);
        found
            .as_slice()
            .iter()
            .any(|finding| finding.rule == b"protocol")
    };
    assert!(!notes(&(part(FIELD, "calm") + "--B--")));
    assert!(notes(&(lf(&part(FIELD, "calm")) + "--B--")));
    assert!(notes(&part(FIELD, "calm")));
}

#[test]
fn what_a_reader_may_undo_is_undone() {
    let coded = |coding: &str, content: &str| {
        part(
            &format!("{FIELD}\r\nContent-Transfer-Encoding: {coding}"),
            content,
        ) + "--B--"
    };
    let wide: String = ATTACK.chars().flat_map(|letter| [letter, '\0']).collect();
    let cases = [
        (
            coded("base64", "JyBPUiAx\r\nPTEtLSA="),
            Some(Reason::Injection),
        ),
        (
            coded("Base64", "!JyBPUi!AxPTEtLSA="),
            Some(Reason::Injection),
        ),
        (
            coded("base64", "QQ==JyBPUiAxPTEtLSA="),
            Some(Reason::Injection),
        ),
        (coded("base64", "aGVsbG8gd29ybGQ="), None),
        (coded("base64", ATTACK), Some(Reason::Injection)),
        (
            coded("quoted-printable", "=27=20O=\r\nR 1=3D1--=20"),
            Some(Reason::Injection),
        ),
        (coded("quoted-printable", "caf=C3=A9 =3D 5"), None),
        (
            coded("base64\r\nContent-Transfer-Encoding: 8bit", "eA=="),
            Some(Reason::MalformedBody),
        ),
        (
            part(
                &format!("{FIELD}\r\nContent-Type: text/plain; charset=ibm037"),
                "x",
            ) + "--B--",
            Some(Reason::Injection),
        ),
        (
            part(
                &format!("{FIELD}\r\nContent-Type: text/plain; charset=utf-8; charset=utf-7"),
                "x",
            ) + "--B--",
            Some(Reason::Injection),
        ),
        (
            part(
                &format!("{FIELD}\r\nContent-Type: text/plain; charset=utf-16le"),
                &wide,
            ) + "--B--",
            Some(Reason::Injection),
        ),
        (
            part(
                &format!("{FIELD}\r\nContent-Type: text/plain; charset=utf-8"),
                "x",
            ) + "--B--",
            None,
        ),
        (
            part(
                "Content-Disposition: form-data; name=\"_charset_\"",
                "cp500",
            ) + "--B--",
            Some(Reason::Injection),
        ),
        (
            part(
                "Content-Disposition: form-data; name=\"_charset_\"",
                "UTF-8",
            ) + "--B--",
            None,
        ),
        (
            part(&format!("{FIELD}; filename*=UTF-8''shell%2Ephp"), "x") + "--B--",
            Some(Reason::Injection),
        ),
        (
            part(&format!("{FIELD}; filename*0=she; filename*1=ll.php"), "x") + "--B--",
            Some(Reason::Injection),
        ),
        (
            part(
                &format!("{FIELD}; filename*=UTF-8''na%C3%AFve%20plan.pdf"),
                "x",
            ) + "--B--",
            None,
        ),
        (
            part(
                "Content-Disposition: form-data; name*=UTF-8''%27%20OR%201%3D1--%20",
                "x",
            ) + "--B--",
            Some(Reason::Injection),
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(judge(TYPE, body.as_bytes()).0, expected, "{body:?}");
    }
}

/// Which of two names counts differs: an exception for one of them does not hold.
#[test]
fn no_exception_for_a_name_that_is_not_sure() {
    let mut stage = InjectionStage::new(1, 5);
    stage.except.push(Exception {
        field: Some(b"q".to_vec()),
        ..Exception::default()
    });
    let boundary = Boundary::new(b"B").map_or(BodyKind::Other, BodyKind::Multipart);
    for (head, refused) in [
        (FIELD.into(), false),
        (format!("{FIELD}; name*=UTF-8''r"), true),
        (format!("{FIELD}; name=r"), true),
        (
            format!("Content-Disposition: form-data; name=r\r\n{FIELD}"),
            true,
        ),
    ] {
        let (mut steps, mut found) = (MAX_STEPS, Findings::default());
        let body = part(&head, ATTACK) + "--B--";
        let here = Here::new(b"", UnixTime(0));
        let denied = stage.inspect_body(boundary, body.as_bytes(), here, &mut steps, &mut found);
        assert_eq!(denied.is_err(), refused, "{head}");
    }
}

/// Of a body that goes on elsewhere, a file is a file and the field before it is judged.
#[test]
fn a_beginning_is_read_in_parts() {
    let boundary = Boundary::new(b"B").map_or(BodyKind::Other, BodyKind::Multipart);
    let judge = |body: &str| {
        let (mut steps, mut found) = (MAX_STEPS, Findings::default());
        let here = Here::new(b"", UnixTime(0));
        let stage = InjectionStage::new(1, 5);
        let bytes = body.as_bytes();
        stage
            .inspect_prefix(boundary, bytes, here, &mut steps, &mut found)
            .is_err()
    };
    assert!(judge(&part(FIELD, ATTACK)));
    assert!(judge(&(part(FIELD, ATTACK) + &part(FILE, "x"))));
    assert!(!judge(&part(FILE, ATTACK)));
    let calm = part(FIELD, "calm") + &part(FILE, ATTACK);
    for end in 0..calm.len() {
        let start = calm.get(..end).unwrap_or_default();
        assert!(!judge(start), "{end}");
    }
}

#[test]
fn a_file_is_put_where_it_is_put() {
    for (name, refused) in [
        ("../1.7z", true),
        ("..\\1.7z", true),
        ("a/../../b.txt", true),
        ("..%2fb.txt", true),
        ("photos/2024/beach.jpg", false),
        ("draft..final.txt", false),
        ("and so on...", false),
        ("..", false),
        ("C:\\fakepath\\plan.pdf", false),
    ] {
        let head = format!("Content-Disposition: form-data; name=\"f\"; filename=\"{name}\"");
        let body = part(&head, "x") + "--B--";
        assert_eq!(judge(TYPE, body.as_bytes()).0.is_some(), refused, "{name}");
    }
}

#[test]
fn findings_name_the_field() {
    let body = part("Content-Disposition: form-data; name=\"password\"", ATTACK) + "--B--";
    let (_, found) = judge(TYPE, body.as_bytes());
    assert_eq!(found.as_slice()[0].place, b"body:password");
}
