//! Rare literals, statements, clauses and blanks, and the honest text that looks alike.

use super::super::hits_of;
use super::{Class, Strength};

fn caught(value: &str) -> bool {
    hits_of(value.as_bytes()).contains(&(Class::Sqli, Strength::Decisive))
}

#[track_caller]
fn all(values: &[&str], wanted: bool) {
    for value in values {
        assert_eq!(caught(value), wanted, "{value}");
    }
}

#[test]
fn literals_with_names_and_quotes_of_their_own() {
    let attacks = [
        "1 or b'1'",
        "7 or X'31'",
        "1 or $$a$$=$$a$$",
        "1 or $t$a$t$=$t$a$t$",
        "a' or $$a$$=$$a$$--",
        "1 or q'[a]'='a'",
        "1 or nq'!a!'='a'",
        "1 or date'2020-01-01'<now()",
        "1 or timestamp '2020-01-01 00:00:00' < now()",
        "1 or not 0",
        "0x31 or 1",
        "1 or ~0",
        "!1 or 1",
        "1 between 1 and 1",
        "2 between 1 and 2--",
        "1 member of ('[1]')",
        "@@version",
        "@@GLOBAL.datadir",
    ];
    all(&attacks, true);
    let honest = [
        "it costs between 1 and 5",
        "1 between 2 and 3 of us",
        "not 0",
        "1 or not",
        "10 or not 10, that is the question",
        "$$5 or $$6",
        "1 or $$",
        "where $$x$$ and $$y$$ = $$z$$",
        "b'1'",
        "print(b'1' or b'2')",
        "0x10 or 16",
        "1 or ~5",
        "!important or 1",
        "1 member of the team",
        "@@hostname please",
        "@@ -1,2 +1,3 @@",
        "user@@version",
    ];
    all(&honest, false);
}

#[test]
fn statements_that_no_listed_word_starts() {
    let attacks = [
        "1;table users",
        "1'; table users--",
        "1;handler users read first",
        "1;pragma table_info(users)",
        "1; show tables",
        "1;show columns from users",
        "1;desc app_users",
        "1'; describe users#",
        "1;explain select 1",
        "1;prepare s from @a",
        "1;grant all on *.* to x",
        "1;load data infile 'x' into table y",
        "1;load data local infile 'x'",
        "1;lock tables x write",
        "1;optimize table users",
        "1;flush privileges",
        "1;begin--",
    ];
    all(&attacks, true);
    let honest = [
        "table; users",
        "1; table for two",
        "1;table;2",
        "show tables at the fair",
        "1; show tables at the fair",
        "1; show columns from the report",
        "1; describe yourself",
        "1; explain why",
        "1; begin with the soup",
        "Chapter 1; begin",
        "1; do sleep well",
        "1; grant all of them a wish",
        "1; load data into the truck",
        "1; lock tables and chairs",
        "1; prepare salad from tomatoes",
        "buy 1; vacuum the floor",
        "vacuum",
        "1; handler reads it",
    ];
    all(&honest, false);
}

#[test]
fn clauses_behind_a_value() {
    let attacks = [
        "1 limit 1,1 into @a",
        "1 offset 0 rows fetch next 1 rows only",
        "1 fetch first row only",
        "1 for update nowait",
        "1 for update--",
        "1' for update#",
        "1 lock in share mode",
        "1 with rollup",
        "1 window w as ()",
        "1 collate nocase",
    ];
    all(&attacks, true);
    let honest = [
        "1 limit",
        "1 offset 0",
        "1 with rollup door",
        "1 window with a view",
        "1 collate set",
        "1 for update",
        "2 for sharing",
        "3 fetch first class parcels",
        "1 lock in the door",
    ];
    all(&honest, false);
}

#[test]
fn blanks_of_unicode_are_blanks() {
    for blank in [
        "\u{a0}", "\u{1680}", "\u{2000}", "\u{200a}", "\u{202f}", "\u{205f}", "\u{3000}",
    ] {
        for attack in [
            "1 union select 1,2",
            "1 or 1=1",
            "1' or 'a'='a",
            "x' union select a from b--",
        ] {
            let value = attack.replace(' ', blank);
            assert!(caught(&value), "{value:?}");
        }
    }
    let honest = [
        "C\u{2019}est super\u{a0}! Oui\u{a0}: 1 ou 2\u{a0}; merci",
        "Prix\u{a0}: 10\u{a0}000\u{a0}\u{20ac}, union\u{a0}?",
        "L'heure\u{a0}: \u{ab}\u{a0}or\u{a0}\u{bb} ou \u{ab}\u{a0}and\u{a0}\u{bb}",
        "1\u{a0}or\u{a0}2",
        "\u{6771}\u{4eac}\u{90fd}\u{3000}\u{6e2f}\u{533a}\u{3000}1-2-3",
        "\u{5c71}\u{7530}\u{3000}\u{592a}\u{90ce}",
        "select\u{3000}\u{9078}\u{629e}\u{3000}from\u{3000}ABC",
    ];
    all(&honest, false);
}

#[test]
fn pieces_of_conditions_alone() {
    let attacks = [
        "hi\"\") or (\"\"a\"\"=\"\"a\"\"",
        "\" or \"\"1\"\"=\"\"1\"\" --",
        "x\"\" OR \"\"b\"\" <> \"\"c\"\"",
        "hi\"\"\"\") or (\"\"\"\"a\"\"\"\"=\"\"\"\"a\"\"\"",
        "' or a=a\u{2013}",
        "x' or b=b\u{2014}",
        "in (0,1)",
        "IN(5, -7, 9)",
        "in ('a','b')",
        "in/**/('a','b')",
        "in\n(0,1)",
        "like null",
        "like\tnull",
        "like/**/null",
        "title/**/LIKE/**/'",
        "xor\t5-",
        "from\tusers\u{c}where  name=\"x\"",
        "from/**/users/**/where/*x*/name=\"x\"",
        "print/**/@@version",
        "print\n@@version",
        "backup\tdatabase/**/master\nto\tdisk='\\\\10.0.0.1\\s\\x.bak'",
        "RESTORE/*x*/DATABASE/*x*/shop/*x*/FROM/*x*/DISK/**/=/*x*/'c:\\x.bak'",
        "title LIKE '",
        "xor 5-",
        "b,1=1",
        "from users where name=\"x\"",
        "1.e.tables",
        "1.E.tAblES",
        "1.e(ascii",
        "1.E(ascii(user()))",
        "1 union select.``1.e.x",
        "1/*'*/",
        "12/*!00000\"*/",
        "--sp_password",
        "@version--",
        "@@datadir--",
        "1' or@'1' is null #",
        "x\" and @\"a\"=\"a",
        "1!=0--",
        "5=5-- -",
        "1 version() limit 1,1",
        "select 1,con_cat(0x4142,version())",
        "@x select @x as x into y--",
        "print @@version",
        "backup database master to disk='\\\\10.0.0.1\\s\\x.bak'",
        "RESTORE DATABASE shop FROM DISK = 'c:\\x.bak'",
    ];
    all(&attacks, true);
    let honest = [
        "\"He said \"\"yes\"\" or \"\"no\"\"\"",
        "Name,\"5\"\" disk or 3\"\" disk\",12",
        "<a href=\"\"x\"\" or title=\"\"y\"\">",
        "either this or that \u{2013}",
        "rock 'n' roll or jazz \u{2013}",
        "Monday or Tuesday\u{2014}",
        "in (2) parts",
        "in (my opinion) yes",
        "In (0,1) we integrate f",
        "like null pointers",
        "like nullable",
        "print: @@",
        "backup\tdatabase master to disk",
        "what is it like '",
        "XOR gate",
        "xor 5",
        "color=red,size=5",
        "a,b=1",
        "from Berlin to Rome: price=5",
        "1.e. see below",
        "2.e.g. this",
        "@anna-- thanks",
        "@media--dark",
        "--save-dev",
        "--skip",
        "1/* it is */",
        "1/*x*/2",
        "if (a == @\"x\" || b == @\"y\")",
        "and @\"verbatim string\"",
        "a=1--",
        "please backup database master to disk",
        "select case: brown or black?",
        "select case, colour and size",
        "restore database from backup = later",
        "'and",
        "print @@",
    ];
    all(&honest, false);
}
