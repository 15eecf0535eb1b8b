//! Paths that climb or name what the machine keeps, and honest paths.

use alloc::vec::Vec;

use super::super::super::bytes::classes;
use super::super::super::{Class, Hits, Place, Strength};
use super::super::{View, hits_of, hits_of_named, scan};

fn strength(value: &str) -> Option<Strength> {
    hits_of(value.as_bytes())
        .into_iter()
        .find_map(|(class, strength)| (class == Class::Traversal).then_some(strength))
}

fn blocks_path(path: &str) -> bool {
    let view = View::new(Place::Path, b"", path.as_bytes(), classes(path.as_bytes()));
    let mut hits = Hits::default();
    scan(
        &view,
        &mut Vec::new(),
        &mut crate::budget::MAX_STEPS.clone(),
        &mut hits,
    );
    hits.is_decisive(Class::Traversal)
}

#[test]
fn plain_words_in_a_wrapper_and_names_of_files_are_told_apart() {
    assert_eq!(
        strength("data://text/plain;base64,SnVzdCBhIG5vdGU="),
        Some(Strength::Suspicious)
    );
    for (name, found) in [
        (".boto", true),
        ("wp-config.php.bak", true),
        ("a.png", false),
    ] {
        let value = name.as_bytes();
        let view = View::new(Place::Header, b"x-filename", value, classes(value));
        let mut hits = Hits::default();
        scan(
            &view,
            &mut Vec::new(),
            &mut crate::budget::MAX_STEPS.clone(),
            &mut hits,
        );
        assert_eq!(hits.is_decisive(Class::Traversal), found, "{name}");
    }
}

#[test]
fn what_climbs_or_names_a_file_of_the_machine_is_decisive() {
    for value in [
        "../../../etc/passwd",
        "..\\..\\windows\\win.ini",
        "....//....//etc/passwd",
        "..;/..;/manager/html",
        "/etc/shadow",
        "/var/www/html/index.php",
        "/var/run/utmp",
        "../config.php",
        "/usr/local/apache/bin/apachectl",
        "/sys/class/net",
        "./.htaccess",
        "/var/run/docker.sock",
        "data://text/plain;base64,PD9waHAgc3lzdGVtKCd3Jyk7Pz4=",
        "../.env",
        "../database.yml",
        "/inc/config.php",
        "app/.env",
        "/home/x/.ssh/id_ed25519",
        "C:/Windows/System32/drivers/etc/hosts",
        "C:\\xampp\\apache\\conf\\httpd.conf",
        "C:/program files (x86)/filezilla server/filezilla server.xml",
        "\\Program Files\\Apache Group\\Apache\\logs\\access.log",
        "c:/sysprep.xml",
        "\\..%c0%qfboot.ini",
        "php://filter/convert.base64-encode/resource=index",
        "WEB-INF/web.xml",
        "wp-config.php.bak/x/../wp-config.php.bak",
    ] {
        assert_eq!(strength(value), Some(Strength::Decisive), "{value}");
    }
}

#[test]
fn documents_lists_of_files_and_prose_pass() {
    for value in [
        "C:\\Users\\alice\\Documents\\report.docx",
        "C:\\fakepath\\photo.jpg",
        "C:/Program Files/Foo/foo.exe",
        "config/database.yml",
        ".env.example",
        "src/.vscode/settings.json",
        "docker/docker-compose.yml",
        "see ../docs for more",
        "either/or",
        "24/7 .. or so",
        "a ... b / c",
        "~/projects/x",
        "usr/share",
        "and/or...",
        "5:/7",
        "history/2024",
        "users/settings",
    ] {
        assert!(
            strength(value).is_none_or(|found| found < Strength::Decisive),
            "{value}"
        );
    }
}

#[test]
fn a_process_is_no_page() {
    let own = |path: &str| {
        let hits = hits_of_named(Place::Path, b"", path.as_bytes());
        hits.contains(&(Class::Traversal, Strength::Decisive))
    };
    assert!(own("/proc/self/environ"));
    assert!(!own("/proc/42/self"));
    assert!(!own("/api/proc/self/status"));
}

#[test]
fn a_page_is_no_file_of_a_tool() {
    for path in [
        "/.env",
        "/.git/config",
        "/.claude/settings.json",
        "/app/.vscode/sftp.json",
        "/wp-content/debug.log",
        "/@fs/.env",
        "/.aws/credentials",
    ] {
        assert!(blocks_path(path), "{path}");
    }
    for path in [
        "/",
        "/settings",
        "/users/7/history",
        "/api/continue/session",
        "/env",
        "/assets/config.json",
        "/node_modules/@osd/x.css",
        "/o/r/blob/main/.vscode/settings.json",
        "/.well-known/security.txt",
        "/a/..b/c",
        "/v1.0/users",
    ] {
        assert!(!blocks_path(path), "{path}");
    }
}

#[test]
fn a_blank_in_a_name_does_not_hide_a_log() {
    for path in [
        "/usr/local/apache2/logs/error. log",
        "/var/log/nginx/access_ log",
        "/usr/local/apache/logs/access. log\0",
    ] {
        assert_eq!(strength(path), Some(Strength::Decisive), "{path:?}");
    }
    for text in [
        "/var/log/my app/file name.txt",
        "/srv/media/access log summary.pdf",
        "/home/a/error. Log in again",
        "the file /var/log/access. log is full",
    ] {
        assert_eq!(strength(text), None, "{text}");
    }
}

#[test]
fn a_name_that_is_cut_or_climbs_oddly_is_caught() {
    for value in [
        &b"view.php\0"[..],
        b"a.html\0.pdf",
        b"report\0.jpg",
        b"default.aspx::$DATA",
        b"..0x2fnotes",
        b"0x2e0x2e0x5cboot.ini",
        "..\u{efc8}boot.ini".as_bytes(),
    ] {
        let hits = hits_of(value);
        assert!(
            hits.contains(&(Class::Traversal, Strength::Decisive)),
            "{value:?}"
        );
    }
    for value in [
        &b"0x2e is a full stop"[..],
        b"v1.0..v2.0",
        b"1.5\0",
        b"name\0",
        b"\0.jpg",
        b"a\0.1",
        b"std::vector",
        b"wait..0x10",
    ] {
        assert!(hits_of(value).is_empty(), "{value:?}");
    }
}

#[test]
fn colons_before_a_wrapper_hide_nothing() {
    for decoys in [":", "a:", "jar:a,"] {
        let value = format!("{}=expect://id", decoys.repeat(100));
        assert_eq!(strength(&value), Some(Strength::Decisive), "{value}");
    }
}

#[test]
fn a_file_of_secrets_is_one_where_a_field_takes_files() {
    let seen = |name: &str, value: &str| {
        hits_of_named(Place::Query, name.as_bytes(), value.as_bytes())
            .into_iter()
            .find_map(|(class, strength)| (class == Class::Traversal).then_some(strength))
    };
    for value in [
        ".env",
        "wp-config.php",
        "web.config",
        ".htpasswd",
        "win.ini",
    ] {
        assert_eq!(seen("file", value), Some(Strength::Decisive), "{value}");
        assert_eq!(
            seen("opts[Page]", value),
            Some(Strength::Decisive),
            "{value}"
        );
        assert_ne!(seen("q", value), Some(Strength::Decisive), "{value}");
    }
    assert_eq!(seen("q", ".env"), Some(Strength::Suspicious));
    assert_eq!(seen("q", "web.config"), None);
    for value in [
        "index.php",
        "env",
        "about.html",
        "environment",
        "docker-compose.yml",
    ] {
        assert_eq!(seen("file", value), None, "{value}");
    }
}
