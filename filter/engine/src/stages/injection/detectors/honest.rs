//! What honest people send that looks like code, each beside the attack that it looks like.
//!
//! **In:** pairs of values. **Out:** test results.
//! **Invariant:** what clears the honest one is its language, and the attack of the same shape is still found.

use super::super::bytes::classes;
use super::{Class, Hits, Place, Strength, View, hits_of, scan};

fn is_refused(value: &str) -> bool {
    hits_of(value.as_bytes())
        .iter()
        .any(|(_, strength)| *strength == Strength::Decisive)
}

fn is_refused_cookie(value: &str) -> bool {
    let view = View::new(
        Place::Cookie,
        b"c",
        value.as_bytes(),
        classes(value.as_bytes()),
    );
    let mut hits = Hits::default();
    let mut steps = crate::budget::MAX_STEPS;
    scan(&view, &mut Vec::new(), &mut steps, &mut hits);
    Class::ALL.iter().any(|class| hits.is_decisive(*class))
}

#[test]
fn honest_values_pass_and_attacks_of_their_shape_do_not() {
    for (honest, attack) in [
        // Roads, versions, terms of payment behind the name of a command.
        ("26 Kaka Mews\nRD 2\nGardnerville", "26\nrd /s /q C:\\"),
        ("deprecated since\nGCC 4.5.0", "x\ngcc -o /tmp/x /tmp/x.c"),
        ("net 30; due now", "x; net user a b /add"),
        ("net 60 | 2% 10", "x | net user a b /add"),
        ("node >= 0.10", "node -e 1 > /tmp/x"),
        ("we use\npython 3.11", "x\npython /tmp/a.py"),
        // Versions that a package works with.
        (">=16 || 14 >=14.17", "1 || 14 >=14.17"),
        ("^12.20.0 || ^14.13.1 || >=16", "^1 || 1=1 -- "),
        // Separators of a cookie of sources.
        (
            "typ=fd|||rf=(none)|||ep=https://shop.example/?a=1|||mdm=(none)",
            "1||1=(1)",
        ),
        ("sleep(5) not working in bash", "sleep(5) and not 1"),
        ("<!-- plain words -->", "<!-- x --><img src=x onerror=a()>"),
        // A place on a map, and another parser's host.
        (
            "https://www.example.com/maps/@52.5200066,13.404954,15z/data=!3m1",
            "https://www.example.com /@10.0.0.1/data",
        ),
        // Links between documents, and what they must not lead to.
        (
            "see [the rules](../../CONTRIBUTING.md)",
            "see [x](../../../etc/passwd)",
        ),
        ("[a]: ../../docs/a.md", "[a]: ../../etc/shadow"),
        ("[logo](../../img/logo.png)", "logo ../../img/logo.png"),
        // Sentences without blanks between them.
        (
            "/\u{4ecb}\u{7d39}\u{96fb}\u{8166}\u{4e3b}\u{8981}.\u{53f0}\u{5317}\u{9019}\u{4e9b}.\u{97f3}\u{6a02}/x/\u{5831}\u{544a}\u{958b}\u{767c}\u{806f}\u{7cfb}.\u{5b78}\u{751f}\u{5de5}.\u{5177}/",
            "/\u{2026}../..\u{ff0e}/y",
        ),
    ] {
        assert!(!is_refused(honest), "{honest}");
        assert!(is_refused(attack), "{attack}");
    }
}

#[test]
fn what_is_told_of_programs_passes_and_the_program_does_not() {
    for (honest, attack) in [
        // Two folders, each one up, and one that is two up.
        (
            "from ../quinn/a.md to ../rcgen/a.der",
            "cd ../quinn/../../rcgen",
        ),
        (
            "{\"paths\":[\"../*\"],\"exclude\":[\"../dist\"]}",
            "../a/../../etc",
        ),
        // A class of a pattern, and an end of a name.
        ("[^\0-\x7F]+|x/y", "x/y[\0.jpg"),
        ("[\0-\x1f]/", "../a.php\0"),
        // What is only true in Office, and what is true elsewhere.
        (
            "<p>a</p><!--[if gte mso 9]><xml></xml><![endif]-->",
            "<!--[if !mso]><b>x</b><![endif]-->",
        ),
        (
            "<!--[if mso]><p>a</p><![endif]-->",
            "<!--[if gte mso 9|IE]><b>x</b><![endif]-->",
        ),
        // Spans of names in Markdown, and what runs a string.
        (
            "* [`process.exit()`][] does not stop it",
            "[`process.exit()`].map(eval)",
        ),
        (
            "## `child_process.spawn(command[, args])`",
            "`;child_process.spawn('id');`",
        ),
        (
            "## `process.chdir(directory)`\n",
            "process.chdir(directory)",
        ),
        // Methods of a class, and the function.
        ("Uuid::parse_str(\"67e55044\")?;", "x;parse_str(\"a=1\");"),
        // Shapes of a map, and a function of a data base.
        (
            "SRID=4326;LINESTRING(13.4 52.5,13.5 52.6)",
            "1;LINESTRING((select 1),1)",
        ),
        (
            "GEOMETRYCOLLECTION(POINT(40 10),LINESTRING(10 10,20 20))",
            "geometrycollection((select*from(select user())a))",
        ),
        // A program that is quoted says something of several languages.
        (
            "const ac = require('node:timers');\nsetTimeout(() => ac.abort(), 5);\nconsole.log('done here');\nac.close(() => done());",
            "let x = require('/tmp/a.php');\nsystem('id');",
        ),
    ] {
        assert!(!is_refused(honest), "{honest}");
        assert!(is_refused(attack), "{attack}");
    }
}

/// `const x = require('a')` is no program in PHP; what else is loaded stays a doubt.
#[test]
fn a_module_of_javascript_is_no_file_of_php() {
    for honest in [
        "const x = require('semver')",
        "const { a, b: c } = require('node:fs/promises');",
        "let {\n  a,\n  b,\n} = await require('./a.js')",
    ] {
        let found = hits_of(honest.as_bytes());
        assert!(
            !found
                .iter()
                .any(|hit| hit.0 == Class::Php && hit.1 > Strength::Weak),
            "{honest}"
        );
    }
    for doubt in [
        "$x = require('semver')",
        "const x = require('/etc/passwd')",
        "const x = require('a.jpg')",
        "const x = require('data:,a')",
        "/*\nconst {*/$x} = require('a')",
        "//const x = require('a')",
        "${//const {\nx} = require('a')",
    ] {
        let found = hits_of(doubt.as_bytes());
        assert!(
            found
                .iter()
                .any(|hit| hit.0 == Class::Php && hit.1 > Strength::Weak),
            "{doubt}"
        );
    }
}

/// What stands in a cookie is decoded by whoever reads it: its encoded blanks are no operator and number.
#[test]
fn encoded_blanks_in_a_cookie_are_no_sql() {
    assert!(!is_refused_cookie("boys'%20and%20girls'%20toys"));
    assert!(is_refused_cookie("boys' and 'a'='a"));
}
