//! What inspection costs at most: bodies made to be laborious, in the shipped `.wasm` under wasmtime's fuel.
//!
//! **In:** texts that keep detectors busy, nested encodings, bodies of 100,000 fields. **Out:** fuel of a request.
//! **Invariant:** fuel grows as the input does; under the default budget no request costs more than [`MOST`], and what the budget
//! ends is refused, or, where the policy says so, judged by its prefix and said to be.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests: failing here is failing the test"
)]

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use palisade_engine::finding::Findings;
use palisade_engine::request::body::{BodyKind, Boundary};
use palisade_engine::stages::injection::{Here, InjectionStage};
use palisade_engine::units::UnixTime;
use palisade_host::{Clock, Module, Request, Response, Vm, VmConfig};

/// V8 runs busy inspection at about 20 units of fuel a nanosecond on a quiet machine (10 to 14 in the last runs of `cargo xtask bench injection`, on a
/// busy one): a body at most 6.5 ms.
const MOST: u64 = 130_000_000;
/// A head of the 60 KiB that Envoy takes: 2 ms, what a detector ends beyond its steps with it.
const MOST_OF_A_HEAD: u64 = 40_000_000;

/// Linear memory of a filter that has seen the worst.
const MEMORY: usize = 16 << 20;

/// Fuel that a step is worth at most.
const RATE: u64 = 130;

const TEXT: &str = "text/plain";
const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";
const XML: &str = "application/xml";

/// Pieces that keep a detector busy or make it look again, by the content type that carries them.
const PIECES: &[(&str, &str)] = &[
    (TEXT, "it's a 'select' from the union, or not? "),
    (TEXT, "{{a}} ${b} #{c} <d e=f> "),
    (TEXT, "a/b/../c.txt and find the cat (who else) "),
    (TEXT, "%2541&#x41;\\u0041+"),
    (
        TEXT,
        "The quick brown fox jumps over the lazy dog, and nobody asks why. ",
    ),
    (
        TEXT,
        "<p class=\"a\">Hello <b>world</b>, <a href=\"https://example.org/?a=1&amp;b=2\">more</a></p>\n",
    ),
    (TEXT, "function add(a, b) { return a + b; } // adds\n"),
    (TEXT, "a"),
    (TEXT, "'"),
    (TEXT, "\""),
    (TEXT, "("),
    (TEXT, "<"),
    (TEXT, "<a b='"),
    (TEXT, "/*"),
    (TEXT, "--\n"),
    (TEXT, "$("),
    (TEXT, "${"),
    (TEXT, "{a,"),
    (TEXT, "http://a@b\\c:1/ "),
    (TEXT, "_a_("),
    (TEXT, "db.x "),
    (TEXT, "$ne:"),
    (TEXT, "a.b.c["),
    (TEXT, "document["),
    (TEXT, "alert/*"),
    (TEXT, "(a=*)(&"),
    (TEXT, "child::a/"),
    (TEXT, "O:8:\"a\":1:{"),
    (TEXT, "%252541"),
    (TEXT, "&amp;amp;amp;lt;"),
    (TEXT, "+AD"),
    (TEXT, "?a=b&c=d "),
    (FORM, "a&"),
    (FORM, "a=b&"),
    (FORM, "a=%3Cb%3E'or&"),
    (FORM, "a=?b=c%26d=%7b%22e%22:%22f%22%7d&"),
    (FORM, "a=WyJjIG9yIDE9MSJd&"),
    (JSON, "\"{\\\"b\\\":\\\"' or {{1\\\"}\","),
    (JSON, "\"a=b&c=<d>\","),
    (JSON, "{\"a\":\"b\"},"),
    (XML, "<a b=\"c\">d&amp;</a>"),
    (XML, "<a><![CDATA[' or]]></a>"),
    (XML, "<!ENTITY a \"b\">"),
    (
        TEXT,
        "--B\r\nContent-Disposition: form-data; name=a\r\n\r\n",
    ),
    (TEXT, ";cat /"),
    (TEXT, "|a"),
    (TEXT, ";a.b(c)"),
    (TEXT, "`a`"),
    (TEXT, "<svg onload="),
    (TEXT, "<a href='javascript:"),
    (TEXT, "&#x41"),
    // What a search for the dearest texts found.
    (TEXT, "<ac:\\\" or \"%aa`<![CDATA["),
    (TEXT, "a=b%{\\u0041'||C:\\.a&a;"),
    (TEXT, "a=b%2541<%function(doc('ls&a;"),
    (TEXT, "on=redis.call(/usr/bin/a/**/like\\u0041${"),
    (TEXT, "`${this.c'a't\\u0041${ ` `--\n"),
    (TEXT, "<a/**/redis.call(%41[="),
    (TEXT, "'\"`#\n select a/**/b"),
    (TEXT, "c=\\x41.call`{{a}};"),
    (TEXT, "c=(a)(\\x41.call`&amp;"),
    (TEXT, "src='\\u{41}/require('+ADw-"),
    (TEXT, "style=\"Function(\\x41&lt;"),
    (TEXT, "<xsl:include url(<{{\"<!--"),
    (TEXT, "&#-require('%25"),
    (TEXT, "(\"a\")("),
    (TEXT, "require('"),
    (TEXT, "{{\"a\"${"),
    (TEXT, "<svg ><a b='<c d=\"url(\" e="),
    (TEXT, "\"data://a,"),
    (TEXT, "/???/"),
    (TEXT, "/bin/"),
    (TEXT, "'/?"),
    (TEXT, "&&more,"),
    (TEXT, "SELECT/**/"),
    (TEXT, "union select a,b from c "),
    (TEXT, "(a)or(b)="),
    (TEXT, "[["),
    (TEXT, "\\x41"),
    (TEXT, "${jndi:"),
    (TEXT, "${${a:-b}"),
    (TEXT, "{%a%}"),
    (TEXT, "<%=a%>"),
    (TEXT, "<?php a("),
    (TEXT, "javascript:"),
    (TEXT, "http://1.2.3.4/"),
    (TEXT, "http://0x7f.1/"),
    (TEXT, "../"),
    (TEXT, "..\\"),
    (TEXT, "php://a"),
    (TEXT, "%0d%0aSet-Cookie:"),
    (TEXT, "new a("),
    (TEXT, "process."),
    (TEXT, "java.lang."),
    (TEXT, "O:1:"),
    (TEXT, "'||'"),
    (TEXT, "' or "),
    (TEXT, "1=1 "),
    (TEXT, "; ; "),
    (TEXT, "=?"),
    (TEXT, "<!--"),
    (TEXT, "<!DOCTYPE a ["),
    (TEXT, "<a "),
    (TEXT, " onx="),
    (TEXT, "a=>"),
    (TEXT, "()=>"),
    (TEXT, ".constructor"),
    (TEXT, "__proto__"),
    (TEXT, "\\n"),
    (TEXT, "\n"),
    (TEXT, "é"),
    (TEXT, "',("),
    (TEXT, "!a~b"),
    (TEXT, "&colon;"),
    (TEXT, "a|b;"),
    (TEXT, "\\u{41}"),
    (TEXT, "\\74 "),
    (TEXT, "+ADw-"),
];

/// What hostile texts are mixed of; white space is written as a picture of itself.
const TOKENS: &str = r##"a ab or select union eval exec system alert script href onload style http data javascript file cat id sh curl etc bin function
return new this document window require process java php class constructor __proto__ xmlns ENTITY DOCTYPE SYSTEM ldap jndi uid cn where from in like and not
sleep char 0x41 1 12 1.2.3.4 localhost example.org ' " ` ( ) [ ] { } < > / // \ | || & && ; : :: , . .. ... - -- + * ** /* */ # $ $( ${ #{ {{ }} {% %} <% %>
<? ?> </ <! <!-- --> = == => ! != ? ?? @ @@ ^ ~ % %41 %2541 %u0041 &#65; &#x41; &lt; \u0041 \x41 \101 ␠ ␠␠ ␊ ␍␊ ␉ é ＜ ␀"##;

fn filter() -> &'static Module {
    static MODULE: OnceLock<Module> = OnceLock::new();
    MODULE.get_or_init(|| {
        let path = palisade_tests::root().join("target/palisade.wasm");
        assert!(
            path.is_file(),
            "{} is missing: `cargo xtask wasm` builds it",
            path.display()
        );
        Module::from_file(path).unwrap()
    })
}

fn start(injection: &str, body: &str) -> Vm {
    let policy = format!(
        r#"{{"injection": {injection}, "body": {body}, "events": {{"log": "all"}}, "routes": [{{"name": "all", "match": {{"path": "/*"}}}}]}}"#
    );
    let config = VmConfig {
        plugin_configuration: policy.into_bytes(),
        clock: Clock::virtual_at(Duration::from_secs(1_800_000_000)),
        allow_on_headers_stop_iteration: true,
        seed: Some(7),
        ..VmConfig::default()
    };
    Vm::start(filter(), config).unwrap_or_else(|error| panic!("{error}"))
}

/// Status, fuel, and the log of one request.
fn ask(vm: &mut Vm, kind: &str, body: &[u8]) -> (u16, u64) {
    let request = Request::post("/", body).header("content-type", kind);
    let shown = || String::from_utf8_lossy(body.get(..80).unwrap_or(body)).into_owned();
    let outcome = vm
        .exchange(&request, |_| Response::new(200, "ok"))
        .unwrap_or_else(|error| panic!("{error}: {:?}", shown()));
    (outcome.status, outcome.trace.fuel())
}

/// A body of about `size` bytes.
fn filled(kind: &str, piece: &str, size: usize) -> Vec<u8> {
    let many = piece.repeat(size / piece.len());
    match kind {
        JSON => format!("[{many}0]"),
        XML => format!("<r>{many}</r>"),
        _ => many,
    }
    .into_bytes()
}

/// Steps that the body spends, as far as `most` goes.
fn steps_of(kind: &str, body: &[u8], most: u64) -> u64 {
    let kind = match kind {
        FORM => BodyKind::Form,
        JSON => BodyKind::Json,
        XML => BodyKind::Xml,
        TEXT => BodyKind::Other,
        _ => BodyKind::Multipart(Boundary::new(b"B").unwrap()),
    };
    let (mut steps, mut found) = (most, Findings::default());
    let stage = InjectionStage::new(1, 1000);
    let _ = stage.inspect_body(
        kind,
        body,
        Here::new(b"", UnixTime(0)),
        &mut steps,
        &mut found,
    );
    most - steps
}

/// Numbers that look like chance (splitmix64).
fn next(seed: &mut u64) -> usize {
    *seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    usize::try_from((mixed ^ (mixed >> 31)) >> 33).unwrap()
}

/// A step is worth the same time whatever the text: what is mixed of the languages' own signs costs no more fuel than its steps say.
#[test]
fn steps_tell_the_time() {
    let mut vm = start(
        r#"{"threshold": 1000, "steps": 67108864}"#,
        r#"{"max": "1MiB"}"#,
    );
    let (_, nothing) = ask(&mut vm, TEXT, b"");
    let rounds = std::env::var("PALISADE_COST_ROUNDS").ok();
    let rounds: usize = rounds.map_or(150, |rounds| rounds.parse().unwrap());
    let seed = std::env::var("PALISADE_SEED").ok();
    let mut seed = seed.map_or(6, |seed| seed.parse().unwrap());
    let words: Vec<&str> = TOKENS.split_ascii_whitespace().collect();
    let mut texts: Vec<(&str, String)> = PIECES
        .iter()
        .map(|&(kind, piece)| (kind, piece.to_owned()))
        .collect();
    for _ in 0..rounds {
        let tokens = 1 + next(&mut seed) % 5;
        let piece: String = (0..tokens)
            .map(|_| words[next(&mut seed) % words.len()])
            .collect();
        let blanks = [
            ('␠', " "),
            ('␊', "\n"),
            ('␍', "\r"),
            ('␉', "\t"),
            ('␀', "\0"),
        ];
        let piece = blanks.iter().fold(piece, |piece, (picture, blank)| {
            piece.replace(*picture, blank)
        });
        texts.push((TEXT, piece));
    }
    let (mut rates, mut bent) = (Vec::new(), Vec::new());
    for (kind, piece) in texts {
        let mut measure = |size| {
            let body = filled(kind, &piece, size);
            let (_, fuel) = ask(&mut vm, kind, &body);
            let steps = steps_of(kind, &body, u64::MAX);
            let length = u64::try_from(body.len()).unwrap();
            (fuel.saturating_sub(nothing), steps, length)
        };
        let (before, _, short) = measure(4 * 1024);
        let (fuel, steps, long) = measure(32 * 1024);
        if fuel * 10 / long > (before * 10 / short) * 13 / 10 + 100 {
            bent.push((before / short, fuel / long, piece.clone()));
        }
        rates.push((fuel / steps.max(1), fuel / long, steps * 10 / long, piece));
    }
    rates.sort_unstable();
    for (rate, fuel, steps, piece) in &rates {
        println!("{rate} a step, {fuel} a byte, {steps} tenths of a step a byte: {piece:?}");
    }
    assert!(bent.is_empty(), "fuel a byte of 4 and of 32 KiB: {bent:?}");
    let (rate, .., piece) = rates.last().unwrap();
    assert!(*rate <= RATE, "{rate} a step: {piece:?}");
}

#[test]
fn fuel_grows_as_the_input_does() {
    let mut vm = start(
        r#"{"threshold": 1000, "steps": 67108864}"#,
        r#"{"max": "1MiB"}"#,
    );
    let (_, nothing) = ask(&mut vm, TEXT, b"");
    let mut worst = (0, "");
    for &(kind, piece) in PIECES {
        let (small, large) = (
            filled(kind, piece, 8 * 1024),
            filled(kind, piece, 128 * 1024),
        );
        let (_, at_small) = ask(&mut vm, kind, &small);
        let (status, at_large) = ask(&mut vm, kind, &large);
        let a_byte = |fuel: u64, body: &[u8]| {
            fuel.saturating_sub(nothing) * 10 / u64::try_from(body.len()).unwrap()
        };
        let (before, after) = (a_byte(at_small, &small), a_byte(at_large, &large));
        println!("{kind} {piece:?}: {status}, {before} then {after} tenths of a unit a byte");
        assert!(
            after * 10 <= before * 13 + 100,
            "{kind} {piece:?}: {before} then {after} tenths of a unit a byte"
        );
        worst = worst.max((after, piece));
    }
    println!(
        "the dearest: {:?}, {} tenths of a unit a byte",
        worst.1, worst.0
    );
}

#[test]
fn the_default_budget_bounds_every_text() {
    let mut vm = start(r#"{"threshold": 1000}"#, r#"{"max": "1MiB"}"#);
    let mut over = Vec::new();
    for &(kind, piece) in PIECES {
        let (status, fuel) = ask(&mut vm, kind, &filled(kind, piece, 128 * 1024));
        println!("{kind} {piece:?}: {status}, {fuel}");
        if fuel > MOST {
            over.push((kind, piece, fuel));
        }
    }
    assert!(over.is_empty(), "{over:?}");
}

#[test]
fn a_quarter_bounds_every_head() {
    let mut vm = start(
        r#"{"threshold": 1000}"#,
        r#"{}, "headers": {"max": {"bytes": "1MiB", "value": "1MiB"}}"#,
    );
    let mut worst = (0, "");
    let mut spent = 0;
    for &(_, piece) in PIECES {
        let plain = piece.replace(|sign: char| sign.is_control() || !sign.is_ascii(), " ");
        let value = plain.repeat(60_000 / plain.len());
        for name in ["x-note", "cookie"] {
            let request = Request::get("/").header(name, &value);
            let outcome = vm.exchange(&request, |_| Response::new(200, "ok")).unwrap();
            spent += usize::from(outcome.status == 403);
            worst = worst.max((outcome.trace.fuel(), piece));
        }
    }
    println!("heads: the dearest {worst:?}, {spent} over the steps");
    assert!(worst.0 <= MOST_OF_A_HEAD, "{worst:?}");
    assert!(spent > 0, "{spent}");
}

/// A part of a document, by its number.
type Part = fn(usize) -> String;

/// What honest clients send, each of 128 KiB.
fn honest() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let rows: [(&str, &str, &str, Part); 8] = [
        ("an article in HTML", TEXT, "\n", |n| {
            format!(
                "<section id=\"part-{n}\" class=\"article lead\"><h2>Part {n}</h2>\n<p>The <em>quick</em> brown fox, see \
                <a href=\"https://example.org/page?id={n}&amp;lang=en\">the page</a>, costs &euro;{n}.50 &mdash; or so.</p>\n\
                <ul><li>one</li><li><img src=\"/img/{n}.png\" alt=\"a picture\" width=\"40\"></li></ul></section>"
            )
        }),
        ("orders in JSON", JSON, ",", |n| {
            format!(
                "{{\"id\":{n},\"sku\":\"AB-{n}\",\"name\":\"Blue widget, large\",\"price\":{n}.5,\"tags\":[\"new\",\"sale\"],\
                \"note\":\"Leave it at the door, please; it's open.\",\"url\":\"https://example.org/p/{n}?a=1&b=2\"}}"
            )
        }),
        ("numbers in JSON", JSON, ",", |n| {
            format!("{{\"a\":{n},\"b\":\"x{n}\",\"c\":true}}")
        }),
        ("an article in HTML in JSON", JSON, ",", |n| {
            format!(
                "\"<p class=\\\"a\\\">Part {n}: <b>bold</b> and <a href=\\\"/x/{n}\\\">a link</a>.</p>\""
            )
        }),
        ("a form", FORM, "&", |n| {
            format!("field_{n}=some+words+of+a+user%2C+number+{n}%21&choice_{n}=on")
        }),
        ("a table", TEXT, "\n", |n| {
            format!("{n},\"Miller, Jane\",jane.{n}@example.org,2024-01-{n:02},12.50,\"5 Main St.\"")
        }),
        ("prose in Markdown", TEXT, "\n\n", |n| {
            format!(
                "## Step {n}\n\nOpen the **settings** (see [the manual](https://example.org/doc#{n})), then choose `Save` - it's\n\
                all that *you* need to do. Don't forget: the file is at docs/step-{n}.md; ask Bob & Alice."
            )
        }),
        ("XML", XML, "\n", |n| {
            format!(
                "<item id=\"{n}\"><name>Widget {n}</name><price currency=\"EUR\">{n}.50</price></item>"
            )
        }),
    ];
    rows.into_iter()
        .map(|(name, kind, joint, row)| {
            let mut text = String::new();
            let mut number = 1;
            while text.len() < 127 * 1024 {
                text.push_str(&row(number));
                text.push_str(joint);
                number += 1;
            }
            let text = text.trim_end_matches(joint);
            let body = match kind {
                JSON => format!("[{text}]"),
                XML => format!("<list>{text}</list>"),
                _ => text.to_owned(),
            };
            (name, kind, body.into_bytes())
        })
        .collect()
}

#[test]
fn honest_bodies_fit_in_the_default() {
    let mut vm = start("{}", "{}");
    let mut refused = Vec::new();
    for (name, kind, body) in honest() {
        let (status, fuel) = ask(&mut vm, kind, &body);
        let steps = steps_of(kind, &body, u64::MAX);
        println!(
            "{name}: {} bytes, {status}, {fuel} fuel, {steps} steps",
            body.len()
        );
        if status != 200 {
            refused.push((name, status));
        }
    }
    assert!(refused.is_empty(), "{refused:?}");
}

/// Bodies of very many fields.
fn crowds() -> Vec<(&'static str, Vec<u8>)> {
    let many = 100_000;
    let numbered = |before: &str, behind: &str| {
        (0..many)
            .map(|number| format!("{before}{number:x}{behind}"))
            .collect::<String>()
    };
    let part = "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n";
    vec![
        (FORM, "a&".repeat(many).into_bytes()),
        (FORM, numbered("a", "=b&").into_bytes()),
        (
            JSON,
            format!("{{{}\"z\":0}}", numbered("\"", "\":0,")).into_bytes(),
        ),
        (JSON, format!("[{}0]", "\"\",".repeat(many)).into_bytes()),
        (
            XML,
            format!("<r>{}</r>", "<a>b</a>".repeat(many)).into_bytes(),
        ),
        (
            "multipart/form-data; boundary=B",
            format!("{}--B--\r\n", part.repeat(many / 6)).into_bytes(),
        ),
    ]
}

#[test]
fn a_hundred_thousand_fields_are_bounded_and_never_silent() {
    let mut denies = start("{}", r#"{"max": "1MiB"}"#);
    let mut passes = start(
        r#"{"over": "prefix", "steps": 65536}"#,
        r#"{"max": "1MiB"}"#,
    );
    let mut short = start("{}", "{}");
    for (kind, body) in crowds() {
        let started = Instant::now();
        let (status, fuel) = ask(&mut denies, kind, &body);
        println!(
            "{kind}: {} bytes, {status}, {fuel}, {:?}",
            body.len(),
            started.elapsed()
        );
        assert!(matches!(status, 200 | 403), "{kind}: {status}");
        assert!(fuel <= MOST, "{kind}: {fuel}");
        // The same where the policy lets the rest pass: the event says how far it was read.
        let request = Request::post("/", &body).header("content-type", kind);
        let outcome = passes
            .exchange(&request, |_| Response::new(200, "ok"))
            .unwrap();
        assert_eq!(outcome.status, 200, "{kind}");
        assert!(outcome.trace.fuel() <= MOST, "{kind}");
        // Over what is held: refused before anything is read.
        let (status, fuel) = ask(&mut short, kind, &body);
        if body.len() > 128 * 1024 {
            assert_eq!(status, 413, "{kind}");
            assert!(fuel < 1_000_000, "{kind}: {fuel}");
        }
    }
}

/// Requests made to be laborious, of every kind: bodies that keep detectors busy, many fields, bits that demand codes, long heads, what is no body at all.
fn hostile() -> Vec<Request> {
    let post = |kind: &str, body: &[u8]| Request::post("/", body).header("content-type", kind);
    let mut all = Vec::new();
    for (index, &(kind, piece)) in PIECES.iter().enumerate() {
        let size = if index % 16 == 0 { 120 } else { 1 + index % 7 } * 1024;
        all.push(post(kind, &filled(kind, piece, size)));
        let value = piece.replace(|sign: char| sign.is_control() || !sign.is_ascii(), " ");
        let field = value.repeat(512 / value.len().max(1));
        all.push(
            Request::get("/")
                .header("x-note", &field)
                .header("cookie", &field),
        );
    }
    for (kind, body) in crowds() {
        all.push(post(kind, body.get(..100 * 1024).unwrap_or(&body)));
        all.push(post(kind, &body));
    }
    for coding in ["deflate", "gzip", "br"] {
        let codes = [2, 8, 0x20, 0x80, 0].repeat(20_000);
        all.push(post(TEXT, &codes).header("content-encoding", coding));
    }
    for (kind, body) in [
        (JSON, "[".repeat(90_000)),
        (XML, "<a>".repeat(30_000)),
        (FORM, format!("f={}", "%25".repeat(30_000))),
    ] {
        all.push(post(kind, body.as_bytes()));
    }
    all
}

#[test]
fn memory_stops_growing() {
    let mut vm = start(r#"{"steps": 131072}"#, "{}");
    let requests = hostile();
    let (mut memory, mut refused) = (Vec::new(), 0);
    for number in 0..2_000 {
        let request = &requests[number % requests.len()];
        let outcome = vm
            .exchange(request, |_| Response::new(200, "ok"))
            .unwrap_or_else(|error| panic!("{number}: {error}"));
        refused += usize::from(outcome.status != 200);
        memory.push(vm.memory_bytes() / 65_536);
    }
    let marks = [0, requests.len(), 1_000, 1_999].map(|at| memory[at]);
    println!(
        "{} kinds, {refused} refused, pages at the start, after all kinds, half-way, at the end: {marks:?}",
        requests.len()
    );
    assert!(refused > 200);
    assert_eq!(memory[1_000], memory[1_999], "pages: {marks:?}");
    assert!(vm.memory_bytes() <= MEMORY, "{} bytes", vm.memory_bytes());
}
