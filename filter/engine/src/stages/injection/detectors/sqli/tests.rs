//! Attacks of every context and dialect, and the honest text that looks alike.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::super::{hits_of, hits_of_named};
use super::{Class, Strength};

fn caught(value: &str) -> bool {
    hits_of(value.as_bytes()).contains(&(Class::Sqli, Strength::Decisive))
}

fn missed<'a>(values: &[&'a str]) -> Vec<&'a str> {
    values
        .iter()
        .copied()
        .filter(|value| !caught(value))
        .collect()
}

fn blocked<'a>(values: &[&'a str]) -> Vec<&'a str> {
    values
        .iter()
        .copied()
        .filter(|value| caught(value))
        .collect()
}

#[test]
fn breaks_out_of_strings_numbers_and_names() {
    let attacks = [
        // A string, closed and cut off.
        "bob'--",
        "bob' #",
        "bob'/*",
        "bob@example.org';",
        "bob' or 'a'='a",
        "bob\" or \"a\"=\"a",
        "bob') or ('a'='a",
        "x' or name is not null--",
        "x' or name=name--",
        "x'|name--",
        "x'collate nocase--",
        "x' and name not similar to id--",
        "x' sounds like 'y",
        "x'*name is \\N - '1",
        "x' in boolean mode) rlike (select (case when (2=3) then 1 else 0x28 end))#",
        "x' || app.adduser('a', 'b') || '",
        "a' ^ 'b",
        "'='",
        // A number.
        "7 or 1=1",
        "7 or true",
        "7 and 3-1=2",
        "7 and pi()>3",
        "7 or name like '%'",
        "7)) or ((2=2",
        "7 group by 1,2--",
        "7 order by 9--",
        "7 having (1 or 1)",
        "7 where 3=3",
        "7 procedure analyse(extractvalue(9,concat(0x5c,version())),1)",
        // The middle of a condition.
        "and 7=(",
        "or owner = \"",
        "or a=a",
        ") when 2 then",
        ") as total from",
        "1) from users where name='x')",
        "'a'<>'b'",
        "9<=>9",
    ];
    assert!(missed(&attacks).is_empty(), "{:?}", missed(&attacks));
}

#[test]
fn queries_are_joined_on_nested_and_hidden() {
    let attacks = [
        "-1 union select 1,2,3",
        "-1 union all select null,null,null--",
        "-1/**/union/**/select/**/password/**/from/**/users",
        "-1 /*!50000union*/ /*!50000select*/ 1,2",
        "-1 /* !50000union*/ select 1,2",
        "-1 union#x\nselect 1",
        "1#\nand#\n7=7",
        "1fUNION SELECT name FROM t",
        "1.union select.1",
        "0 union values(1,2)",
        "(select 1 x from dual)",
        "1 and select top 3 name from users",
        "1 and (select count(*) from sysibm.systables as t1,sysibm.systables as t2)>0",
        "1 rlike (select (case when (1=1) then 1 else 0x28 end))",
        "(case when 1=2 then 1 else null end)",
        "x,(select (case when (4=4) then 1 else 1/(select 0) end))",
        "select current_user;",
        "select/**/password/**/from/**/members",
        "select @@version",
        "select pg_sleep",
        "1;select pg_sleep(5)",
        "1' and (select * from (select(sleep(5)))a)#",
        "1 and 1 in (select name from master..sysdatabases)",
        "1 and 5=convert(int,(select char(113)+char(120)))",
        "(select * from generate_series(1,1,case when (5=9) then 1 else 0 end) limit 1)",
    ];
    assert!(missed(&attacks).is_empty(), "{:?}", missed(&attacks));
}

#[test]
fn statements_are_stacked() {
    let attacks = [
        "1;drop table users",
        "1;drop members--",
        "drop/**/members",
        "1; insert into users values(1,2)",
        "1;replace/**/into/**/t(a)/**/values(1)",
        "'; exec master..xp_cmdshell 'dir'--",
        "1; exec('sel'+'ect 1')",
        "; execute immediate 'sel' || 'ect 1'",
        "1; begin declare @x varchar(9)",
        "'; if 1=1 shutdown--",
        "'; begin shutdown end--",
        "1; if exists (",
        "1; delete quick from t",
        "1; update users set role=1",
        "'; grant connect to bob; --",
        "1;call p(@x, 1)",
        "1;waitfor delay '0:0:5'--",
        "1; create table t (a int)",
        "1'; WAITFOR TIME '17:48:00'--",
        "'; alter user sa identified by x--",
    ];
    assert!(missed(&attacks).is_empty(), "{:?}", missed(&attacks));
}

#[test]
fn functions_of_databases_delay_leak_and_fail() {
    let attacks = [
        "sleep(5)",
        "1 and sleep   (  5  )",
        "iif  (  1  =  2,1,1/0  )",
        "1-sleep(5)",
        "1 and benchmark(9999999,md5(1))",
        "1||pg_sleep(5)",
        "dbms_pipe.receive_message('a',5)",
        "1 and 1=utl_inaddr.get_host_address((select user from dual))",
        "1||utl_http.request('http://x.example/')",
        "extractvalue(1,concat(0x7e,version()))",
        "concat(0x223e,version(),0x3c)",
        "length(version())",
        "load_file('/etc/passwd')",
        "1 or ascii(substring(password,1,1))>64",
        "1 and find_in_set('a',b)",
        "json_keys((select convert((select concat(1,2)) using utf8)))",
        "'{\"b\":2}'::jsonb <@ '{\"a\":1}'::jsonb",
        "OR '{\"b\":2}' ->> 'b' = '2'",
        "xmltype(",
        "if(3=",
        "lo_get(1)::int",
        "1' and starts_with(password) and 'true",
        "1 and isnull(1/0)",
        "gtid_subset(concat(1,2),3)",
        "1 and st_latfromgeohash(version())",
    ];
    assert!(missed(&attacks).is_empty(), "{:?}", missed(&attacks));
}

#[test]
fn pieces_that_another_parameter_completes() {
    let attacks = [
        "round(",
        "LENGTH (",
        "concat/**/(",
        "length||(",
        "password>$(",
        "quarter. (",
        "(select",
        "@a=(select",
        "; drop",
        ";update members",
        "; set @a := 1",
        "3 and(",
        "' union/",
        "'alter t",
        "';",
        "';print'",
        "' or name-",
        "' or 1,2",
        "' * from",
        "' =#",
        "values ('a', 'b')",
        "',null) waitfor",
        "',1,2) #x",
        "from `a`.`b` limit",
        "` as `a` from",
        "x' or f (a, b);",
        "'or(f 1)--",
        "x' or a[b] is not null--",
        "x' or a~any(b[c]);vacuum--",
    ];
    assert!(missed(&attacks).is_empty(), "{:?}", missed(&attacks));
    let honest = [
        "round",
        "print(",
        "my_function(",
        "f(",
        "left :(",
        "day =(",
        "Total (",
        "Phone (home",
        "see you in a minute (or two",
        "select",
        "(selected",
        "; comment of an assembler",
        "set @john as owner",
        "Set @Ann",
        "3 and (more)",
        "'altered",
        "'union jack'",
        "\"union\"",
        "\"Union Square\"",
        "'select'",
        "' or",
        "'or so'",
        "\"*\"",
        "\"a*\"",
        "a '=' sign",
        "the '-' key",
        "press '+' twice",
        "' mod",
        "'MOD'",
        "values (see below)",
        "(2+2)*7",
        "(3=3)",
        "Values: ('a')",
        "O', Neil",
        "dogs', cats', and birds' food",
        "`code`",
        "`a` and `b`",
        "use `from` or `select`; then `limit`",
        "foo`s bar",
        "array[0]",
        "if (a[i] > b[j] && c[k] < 3) return;",
        "x['a'] or y['b']",
        "the boys' or girls (all);",
        "team A against (team B)",
        "user@example.com; drop me a line",
    ];
    assert!(blocked(&honest).is_empty(), "{:?}", blocked(&honest));
}

#[test]
fn statements_and_columns_right_behind_a_value() {
    let attacks = [
        "1;copy t from program 'id'",
        "x';copy (select '') to program 'id'--",
        "1;handler t open",
        "1;merge into t using dual on (1=1)",
        "1;vacuum",
        "x';print 'y'--",
        "x';return--",
        "1 union table members",
        "x', password='y",
        "x',role='a'--",
        "x' group by id--",
        "x' and a @> '{\"b\":1}' --",
        "'||(",
        "' like '%",
        "1 or !0",
        "1+union+all+select+1,2",
    ];
    assert!(missed(&attacks).is_empty(), "{:?}", missed(&attacks));
    let honest = [
        "1; copy of the letter",
        "2; merge the two lists",
        "1; vacuum cleaner",
        "boys'; print more --",
        "the union table is long",
        "rock', roll",
        "group by id",
        "' like",
        "(a) and (b): ok",
        "1 or 0",
        "5'10\" or 6'2\"",
        "6' or 7'",
        "d'Or 1",
        "Place d'Or 5--6",
        "2 and 2 is 4",
        "Sleep(8) is all I need",
        "why is \"SELECT * FROM members\" slow?",
        "=CONCAT(A1,\"-\",B1)",
        "'or'",
        "\"and\"",
        "'Or' is a word for light",
        "'and' is a conjunction",
        "sql+select+tutorial",
    ];
    assert!(blocked(&honest).is_empty(), "{:?}", blocked(&honest));
}

#[test]
fn names_of_the_servers_own() {
    let attacks = [
        "xp_cmdshell",
        "sp_oacreate",
        "UTL_HTTP",
        "'msdasql'",
        "information_schema",
        "pg_catalog",
        "`sqlite_master`",
        "v$version",
        "1 union select a from `information_schema`.`tables`",
    ];
    assert!(missed(&attacks).is_empty(), "{:?}", missed(&attacks));
    let honest = [
        "all_users",
        "user_objects",
        "pg_user",
        "xp_bar",
        "sp_500",
        "schema_name",
        "varchar",
        "sp_configure is a procedure of SQL Server",
        "utl",
    ];
    assert!(blocked(&honest).is_empty(), "{:?}", blocked(&honest));
    let mut view = super::View::new(
        super::super::Place::Body,
        b"pg_catalog",
        b"pg_catalog",
        super::super::bytes::classes(b"pg_catalog"),
    );
    view.is_name = true;
    let mut hits = super::Hits::default();
    super::names(&view, &mut hits);
    assert!(hits.is_empty(), "the name of a setting");
}

#[test]
fn disguises_are_taken_off() {
    let attacks = [
        // Comments that a filter strips.
        "-1 un/**/ion sel/**/ect 1,2",
        "dr/**/op/*x y*/members",
        // Quotes of other scripts.
        "x\u{2032} or \u{2032}a\u{2032}=\u{2032}a",
        "x\u{2BC} or 1=1--",
        "x\u{2019} or 1=1--",
        "x$$ or 3=3 and $$a$$=$$a",
        // Quotes that the application escapes.
        "x\\' or 2=2--",
        "x\\') and 3=cast(\\'\\'a\\'\\'||(select 1)||\\'b\\' as numeric)--",
        "a\\''or'b",
        // A mark before each byte.
        "%-%1%'% %o%r% %1%=%1%-%-",
        "1 %u%n%i%o%n %s%e%l%e%c%t %p%w %f%r%o%m %t%m",
        // Blanks that are none elsewhere.
        "1\u{1}union\u{2}select\u{3}1,2",
        // Numbers that MySQL reads over.
        "x' 1.e) or sleep 1.e(5 1.e)#",
        "1 union select 1.e(pw) 1.e from t",
        // Names in backticks, closed.
        "1`=`1`and 4=(select count(*) from sysusers)and `1`=`1",
        "x`;",
        // Operators of JSON and of Access.
        "or '{\"a\":1}' ?| array['a','b']",
        "x' eqv strcomp(a, b) imp 'y",
        // Text search.
        "' or match a against ('+b' in boolean mode);-- -",
        // Halves that are joined.
        "a '=' b",
        "1,iif(2=2,1,1/0)",
        "'a', '1'='1'",
        "(2=2)*7",
        "7-- sp_password",
        "x' select union 1,2/*",
        "-1 union values row(1,2)",
        "1 where 3=3waitfor delay '0:0:5'",
    ];
    assert!(missed(&attacks).is_empty(), "{:?}", missed(&attacks));
    assert!(
        hits_of(b"42\xA0union\xA0all\xA0select\x0Dnull,null--")
            .contains(&(Class::Sqli, Strength::Decisive))
    );
    let honest = [
        "don\u{2019}t stop and don\u{2019}t go \u{2014} or else",
        "5\u{2032} 6\u{2033} or 5\u{2032} 7\u{2033}",
        "Hawai\u{2BB}i or O\u{2BC}ahu",
        "\u{2018}rock\u{2019} or \u{2018}pop\u{2019}?",
        "$$a or b$$",
        "$$ or $$",
        "from $$ to $$$$ and up",
        "it\\'s here or there",
        "{\\\"a\\\": \\\"x or y\\\"}",
        "50% off, 20% off, 10% off, and 5% more",
        "width:%d%% of %s and %s%%",
        "a/**/b",
        "src/**/test/**/*.js",
        "glob('**/*.js') /**/",
        "section 1.e(ii) and 2.e",
        "1.e. select a plan",
        "rm\u{A0}et al. and others",
        "x'~email--",
        "user'collate foo--",
        "we play against ('the team') and win",
    ];
    assert!(blocked(&honest).is_empty(), "{:?}", blocked(&honest));
}

#[test]
fn prose_names_and_code_are_let_through() {
    let honest = [
        "O'Brien",
        "D'Angelo & sons",
        "Rock 'n' roll",
        "is this your parents' or yours?",
        "the 'and' operator",
        "search for 'or' or 'and'",
        "Press '=' or '-' to zoom",
        "5' 6\" and 5' 7\"",
        "36\" x 48\" frame",
        "Select a size from the list",
        "Please select one from the union members and order by Friday",
        "Student union select committee",
        "Delete from cart",
        "Delete from my account, please",
        "Create user account",
        "Create view of the sea",
        "Thanks; create user accounts for all",
        "Create index page; update table of contents",
        "Insert into slot 3",
        "Replace table 5 with a larger one",
        "Update skill set",
        "Update character set to UTF-8",
        "Drop table tennis off at 5?",
        "Call 911!",
        "Call @john when done (today)",
        "case when it rains, then stay",
        "in case of when and then",
        "From Monday where possible, limit 5",
        "same as \"above\" from here",
        "x = y and y = z",
        "a and b > c",
        "rock and roll = fun",
        "Terms and conditions (2024)",
        "this and that is good",
        "1 and a half cups",
        "1 or 2 tickets",
        "2-for-1 -- only today",
        "the boys' -- all of them -- left",
        "if (a && b) { return c; }",
        "if x and len(y) > 3: print(x)",
        "for (i = 0; i < n; i++) { sum += round(abs(a[i])); }",
        "std::string name; Foo::bar();",
        "Value::Text and Kind::Int",
        "=IF(A1>3,\"yes\",\"no\")",
        "=SUM(A1:A9)/COUNT(A1:A9)",
        "max(1, min(2, 3))",
        "How does group_concat work?",
        "What is xp_cmdshell?",
        "E = mc^2; F = ma",
        "2 + 2 = 4",
        "1=1",
        "3 <= x <= 5",
        "a=1&b=2",
        "50% off -- now or never",
        "Dr. No -- the movie (1962)",
        "# Heading\n\nSelect your plan and order by phone.\n\n-- \nBob",
        "SGVsbG8gd29ybGQ=",
        "0 1 * * *",
        "`code` and `more code`",
        "'quoted'",
        "\"exact phrase\" OR \"other phrase\"",
        "status = open AND assignee = currentUser() ORDER BY created",
        "title:foo AND (body:bar OR body:baz)",
        "*",
        "user@example.com, or call",
        "I'd like it if you'd call",
        "it's 5 o'clock or 6 o'clock",
        "L'été et l'hiver",
        "C# and F# developers -- remote",
        "top 10 -- select few",
        "@@uZoaxE#Ac6Bt",
    ];
    assert!(blocked(&honest).is_empty(), "{:?}", blocked(&honest));
}

#[test]
fn quoted_words_headings_and_lists_are_no_queries() {
    let honest = [
        "[\"*\"]",
        "[\">_<\", \">_<\"]",
        "query=x&attributesToRetrieve=[\"*\"]",
        "<h2>Select</h2>",
        "<h2 class=\"x\">Select</h2>",
        "placeholder=\"Select\"",
        "[quote=\"select all\"]",
        "== Select ==",
        "> > select all\n>\n> no, do not",
        "the shell's \"select\" loop",
        "name != 'SELECT'",
        "the correct \"call\" lists",
        "parser.add(\n    '--custom-roots',",
        "let x = r#\"---\na: 1\nb: 2\n",
        "by @anna and\n @bert (#91)",
        "brand:\"Select\" OR NOT stock = 0",
    ];
    assert!(blocked(&honest).is_empty(), "{:?}", blocked(&honest));
    let attacks = [
        "x' and @b #",
        "1 and @b -- ",
        "x\" select 1",
        "1) == (select 2)",
        "x' exec 'a'",
        "x'---",
        "bob'--foo",
        "x:' or 1=1--",
        "x:'or'1'='1",
        "x[' or 1=1--",
    ];
    assert!(missed(&attacks).is_empty(), "{:?}", missed(&attacks));
}

#[test]
fn a_name_hides_no_value() {
    let judged = |name: &[u8]| {
        let mut view = super::View::new(
            super::super::Place::Query,
            name,
            name,
            super::super::bytes::classes(name),
        );
        view.is_name = true;
        let mut hits = super::Hits::default();
        super::scan(
            &view,
            &mut Vec::new(),
            &mut crate::budget::MAX_STEPS.clone(),
            &mut hits,
        );
        hits.is_decisive(Class::Sqli)
    };
    assert!(judged(b"page=and 7=("));
    assert!(judged(b"page=&&(a=\""));
    assert!(!judged(b"page=7&sort=a"));
    assert!(!judged(b"a==b"));
}

#[test]
fn the_cost_of_hostile_text_is_linear() {
    let shapes: [&[u8]; 8] = [
        b"#\n",
        b"1 or ",
        b"/*",
        b"case when ",
        b"select(",
        b"::",
        b"a' and ",
        b"/**//**/f",
    ];
    for shape in shapes {
        let mut spent = [0_u64; 2];
        for (size, spent) in [2_000, 8_000].into_iter().zip(&mut spent) {
            let value: Vec<u8> = shape.iter().copied().cycle().take(size).collect();
            let mut steps = crate::budget::MAX_STEPS;
            let view = super::View::new(
                super::super::Place::Query,
                b"q",
                &value,
                super::super::bytes::classes(&value),
            );
            super::scan(
                &view,
                &mut Vec::new(),
                &mut steps,
                &mut super::Hits::default(),
            );
            *spent = crate::budget::MAX_STEPS - steps;
        }
        assert!(spent[1] <= spent[0] * 4 + 64, "{shape:?}: {spent:?}");
    }
}

#[test]
fn signs_tags_and_markdown_are_no_sql() {
    let judge = |place, value: &[u8]| {
        let view = super::View::new(place, b"q", value, super::super::bytes::classes(value));
        let mut hits = super::Hits::default();
        super::scan(&view, &mut Vec::new(), &mut 1_000_000, &mut hits);
        hits.is_decisive(Class::Sqli)
    };
    use super::super::Place;
    for value in [&b"\"/\""[..], b"\"%\"", b" \"/\" "] {
        assert!(!judge(Place::Query, value) && !judge(Place::Cookie, value));
    }
    assert!(!judge(Place::Cookie, b"\"-\"") && !judge(Place::Header, b"\"-\""));
    for value in [&b"\"-\""[..], b"'-'", b"\"^\"", b"'^'", b"\"=\""] {
        assert!(judge(Place::Query, value), "{}", value.escape_ascii());
    }
    assert!(judge(Place::Cookie, b"'-'"));
    for value in [
        "face::text-mode, role::program",
        "face::text-mode, mail::user-agent, protocol::ssl, role::program,",
        "`--all` denies every package",
        "`.decode('utf-8')` needed for",
    ] {
        assert!(!judge(Place::Body, value.as_bytes()), "{value}");
    }
    for value in [
        "password::int",
        "id::text-(select 1)",
        "id::int-version()",
        "id::text-1",
        "'x'::text-mode, role",
        "` or 1=1-- ",
        "`-- ",
        "`--` or 1=1",
    ] {
        assert!(judge(Place::Body, value.as_bytes()), "{value}");
    }
}

/// In debug builds each scan of a local value compares what it finds with what all of its tokens tell.
#[test]
fn the_first_tokens_of_a_local_value_tell_what_all_do() {
    let mut drawing = String::new();
    for step in 0..400 {
        drawing.push_str(&format!(
            "<path d=\"M{step}.5,2c-3,{step}z\" class='x{step}' fill=\"#3f5a{step}\"/>; "
        ));
    }
    let of_sqli = |value: &[u8]| {
        let hits = hits_of_named(super::Place::Body, b"a", value);
        hits.iter().any(|(class, _)| *class == Class::Sqli)
    };
    for start in [
        "",
        "'--\n",
        "a';--\n",
        "a\"; -- x\n",
        "'; ",
        "' = 1, ",
        "'+x+'",
        "a',1,2,3,4,5,6,7,8,9,",
        "' #\n",
    ] {
        let value = format!("{start}{drawing}");
        let value = value.as_bytes();
        let view = super::View::new(
            super::Place::Body,
            b"a",
            value,
            super::bytes::classes(value),
        );
        assert!(super::is_local(&view), "{start}");
        assert!(of_sqli(value) || start != "'--\n", "{start}");
    }
    for operators in ["'||1", "\" or 1", "x::int", "@a", "?,?,?"] {
        let value = format!("{drawing}{operators}");
        let value = value.as_bytes();
        let view = super::View::new(
            super::Place::Body,
            b"a",
            value,
            super::bytes::classes(value),
        );
        assert!(!super::is_local(&view), "{operators}");
    }
}
