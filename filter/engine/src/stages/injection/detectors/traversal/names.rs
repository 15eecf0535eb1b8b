//! Names of folders and files that traversal leads to.
//!
//! **In:** nothing. **Out:** a table of segments with a kind each.
//! **Invariant:** kinds say in which company a name is decisive; the names are those of real installations.
//! **Source:** FHS 3.0, the manuals of the servers and tools that own the files.
//! **Cost:** a probe a segment.

use super::super::words::Words;

/// First of two adjacent segments.
pub(super) const ETC: u8 = 1;
pub(super) const PROC: u8 = 2;
pub(super) const DOT_DIR: u8 = 4;
pub(super) const WINDOWS: u8 = 5;
/// Names that are decisive alone.
pub(super) const FILE: u8 = 6;
/// Second after ETC.
pub(super) const ACCOUNTS: u8 = 7;
/// System folders at the start of an absolute path.
pub(super) const SYSTEM: u8 = 8;
/// Second after WINDOWS.
pub(super) const SYSTEM32: u8 = 9;
/// Second after PROC.
pub(super) const PROCESS: u8 = 10;
/// Folders of tools that keep secrets: nobody serves them.
pub(super) const TOOL: u8 = 11;
/// Files of a project: honest in a list of files, not as a page, not behind `..`.
pub(super) const SERVED: u8 = 13;
/// Files of settings whose names programs share with pages.
pub(super) const SETTINGS: u8 = 12;

const LIST: &[(&[u8], u8)] = &[
    (b"etc", ETC),
    (b"proc", PROC),
    (b".ssh", DOT_DIR),
    (b".aws", DOT_DIR),
    (b".git", DOT_DIR),
    (b".svn", DOT_DIR),
    (b".docker", DOT_DIR),
    (b".kube", DOT_DIR),
    (b".gnupg", DOT_DIR),
    (b"windows", WINDOWS),
    (b"winnt", WINDOWS),
    (b"passwd", ACCOUNTS),
    (b"shadow", ACCOUNTS),
    (b"group", ACCOUNTS),
    (b"issue", ACCOUNTS),
    (b"hosts", ACCOUNTS),
    (b"master.passwd", ACCOUNTS),
    (b"gshadow", ACCOUNTS),
    (b"sudoers", ACCOUNTS),
    (b"crontab", ACCOUNTS),
    (b"fstab", ACCOUNTS),
    (b"motd", ACCOUNTS),
    (b"resolv.conf", ACCOUNTS),
    (b"hostname", ACCOUNTS),
    (b"profile", ACCOUNTS),
    (b"httpd", ACCOUNTS),
    (b"nginx", ACCOUNTS),
    (b"ssh", ACCOUNTS),
    (b"security", ACCOUNTS),
    (b"init.d", ACCOUNTS),
    (b"my.cnf", ACCOUNTS),
    (b"subuid-", ACCOUNTS),
    (b"release", ACCOUNTS),
    (b"access.log", FILE),
    (b"error.log", FILE),
    (b"access_log", FILE),
    (b"error_log", FILE),
    (b"mysql.log", FILE),
    (b"mysql-bin.log", FILE),
    (b"mysql.err", FILE),
    (b"hostname.err", FILE),
    (b"my.ini", FILE),
    (b"config.inc.php", FILE),
    (b"unattend.txt", FILE),
    (b"win.ini", FILE),
    (b"boot.ini", FILE),
    (b"system.ini", FILE),
    (b"web.config", FILE),
    (b"web.xml", FILE),
    (b".htpasswd", FILE),
    (b".htaccess", FILE),
    (b"id_rsa", FILE),
    (b"id_dsa", FILE),
    (b"authorized_keys", FILE),
    (b"known_hosts", FILE),
    (b".bash_history", FILE),
    (b".mysql_history", FILE),
    (b"wp-config.php", FILE),
    (b"php.ini", FILE),
    (b"ntuser.dat", FILE),
    (b"global.asa", FILE),
    (b"httpd.conf", FILE),
    (b"apache2.conf", FILE),
    (b"nginx.conf", FILE),
    (b"sysprep.inf", FILE),
    (b"unattend.xml", FILE),
    (b".bashrc", FILE),
    (b"var", SYSTEM),
    (b"usr", SYSTEM),
    (b"root", SYSTEM),
    (b"boot", SYSTEM),
    (b"dev", SYSTEM),
    (b"sys", SYSTEM),
    (b"opt", SYSTEM),
    (b"lib", SYSTEM),
    (b"inetpub", SYSTEM),
    (b"xampp", SYSTEM),
    (b"wamp", SYSTEM),
    (b"apache", SYSTEM),
    (b"apache2", SYSTEM),
    (b"mysql", SYSTEM),
    (b"php", SYSTEM),
    (b"system32", SYSTEM32),
    (b"repair", SYSTEM32),
    (b"system", SYSTEM32),
    (b"debug", SYSTEM32),
    (b"self", PROCESS),
    (b"version", PROCESS),
    (b"cmdline", PROCESS),
    (b"net", PROCESS),
    (b"mounts", PROCESS),
    (b".env", FILE),
    (b".env.local", FILE),
    (b".env.production", FILE),
    (b".env.development", SERVED),
    (b".env.staging", SERVED),
    (b".env.test", SERVED),
    (b".env.bak", FILE),
    (b".env.old", FILE),
    (b".env.save", FILE),
    (b".env.backup", FILE),
    (b".boto", FILE),
    (b".aiignore", SERVED),
    (b".cursorignore", SERVED),
    (b".history", FILE),
    (b".netrc", FILE),
    (b".npmrc", SERVED),
    (b".pypirc", FILE),
    (b".pgpass", FILE),
    (b".my.cnf", FILE),
    (b".git-credentials", FILE),
    (b".gitconfig", SERVED),
    (b".gitmodules", SERVED),
    (b".dockercfg", FILE),
    (b".s3cfg", FILE),
    (b".zsh_history", FILE),
    (b".psql_history", FILE),
    (b".python_history", FILE),
    (b".sh_history", FILE),
    (b".viminfo", SERVED),
    (b".user.ini", SERVED),
    (b".rhosts", FILE),
    (b".bash_profile", SERVED),
    (b".bash_logout", SERVED),
    (b".profile", SERVED),
    (b".zshrc", SERVED),
    (b".ds_store", SERVED),
    (b"id_ecdsa", FILE),
    (b"id_ed25519", FILE),
    (b"tomcat-users.xml", FILE),
    (b"metabase.xml", FILE),
    (b"applicationhost.config", FILE),
    (b"ntuser.ini", FILE),
    (b"sysprep.xml", FILE),
    (b"unattended.txt", FILE),
    (b"unattended.xml", FILE),
    (b"setupinfo", FILE),
    (b"setupinfo.bak", FILE),
    (b"debug.log", SERVED),
    (b"errors.log", SERVED),
    (b"wp-config.bak", FILE),
    (b"wp-config.php.bak", FILE),
    (b"wp-config.php.old", FILE),
    (b"wp-config.php~", FILE),
    (b"wp-config.php.save", FILE),
    (b"wp-config.php.swp", FILE),
    (b".wp-config.php.swp", FILE),
    (b"wp-config.txt", FILE),
    (b"wp-config.php.txt", FILE),
    (b"wp-config-php.bak", FILE),
    (b"wp-config_php.txt", FILE),
    (b"database.yml", SERVED),
    (b"secrets.yml", SERVED),
    (b"credentials.json", SERVED),
    (b"appsettings.json", SERVED),
    (b"application.properties", SERVED),
    (b"application.yml", SERVED),
    (b"local_settings.py", SERVED),
    (b"master.key", FILE),
    (b"terraform.tfstate", SERVED),
    (b"kubeconfig", SERVED),
    (b"shadow.bak", FILE),
    (b"passwd.bak", FILE),
    (b"docker-compose.yml", SERVED),
    (b".htdigest", FILE),
    (b"server.key", FILE),
    (b"privkey.pem", FILE),
    (b"catalina.out", SERVED),
    (b".claude", TOOL),
    (b".cursor", TOOL),
    (b".continue", TOOL),
    (b".aider", TOOL),
    (b".roo", TOOL),
    (b".zed", TOOL),
    (b".cline", TOOL),
    (b".kiro", TOOL),
    (b".windsurf", TOOL),
    (b".rovodev", TOOL),
    (b".codex", TOOL),
    (b".opencode", TOOL),
    (b".a0proj", TOOL),
    (b".plandex", TOOL),
    (b".fabric", TOOL),
    (b".n8n", TOOL),
    (b".junie", TOOL),
    (b".gemini", TOOL),
    (b".idea", TOOL),
    (b".vscode", TOOL),
    (b".terraform", TOOL),
    (b".azure", TOOL),
    (b".hg", TOOL),
    (b".bzr", TOOL),
    (b".subversion", TOOL),
    (b".circleci", TOOL),
    (b".ansible", TOOL),
    (b".chef", TOOL),
    (b".vagrant", TOOL),
    (b"config.php", SETTINGS),
    (b"settings.php", SETTINGS),
    (b"configuration.php", SETTINGS),
    (b"localsettings.php", SETTINGS),
    (b"config.inc", SETTINGS),
    (b"_config.php", SETTINGS),
    (b"conf.php", SETTINGS),
    (b"db.php", SETTINGS),
    (b"database.php", SETTINGS),
    (b"parameters.yml", SETTINGS),
    (b"settings.py", SETTINGS),
    (b"config.yml", SETTINGS),
    (b"private", SYSTEM),
    (b"volumes", SYSTEM),
    (b"environ", PROCESS),
    (b"fd", PROCESS),
    (b"sched_debug", PROCESS),
    (b"interrupts", PROCESS),
    (b"ld.so.conf", ACCOUNTS),
    (b"environment", ACCOUNTS),
    (b"kubernetes", ACCOUNTS),
    (b"cpuinfo", PROCESS),
    (b"docker.sock", FILE),
];

pub(super) static SEGMENTS: Words<512> = Words::new(LIST);

/// The first two letters of the names: a bit for each second one, by the first.
#[expect(
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "runs while compiling: a fault is a build error"
)]
static STARTS: [u32; 32] = {
    let mut table = [0; 32];
    let mut index = 0;
    while index < LIST.len() {
        let name = LIST[index].0;
        table[(name[0] & 31) as usize] |= 1 << (name[1] & 31);
        index += 1;
    }
    table
};

/// Whether `text` begins with the first two letters of a name, whatever their case.
pub(super) fn may_be_named(text: &[u8]) -> bool {
    let [first, second, ..] = text else {
        return false;
    };
    let seconds = STARTS.get(usize::from(first & 31)).copied().unwrap_or(0);
    seconds.wrapping_shr(u32::from(second & 31)) & 1 != 0
}
