//! Commands by name, and how much a name says.
//!
//! **In:** nothing. **Out:** blank-separated names, which the table of triggers takes in.
//! **Invariant:** a name that is also a word of some language is [`MAYBE`]; [`SURE`] names are nobody's prose.
//! **Source:** POSIX utilities, GTFOBins and LOLBAS as lists of names, cmd.exe `help`, PowerShell verbs.
//! **Cost:** a probe a word, in the pass over words that is made anyway.

/// No word of any language: decisive in command position with an argument.
pub(super) const SURE: u8 = 1;
/// Also a word, or short: its argument decides.
pub(in super::super) const MAYBE: u8 = 2;
/// Runs what follows it.
pub(super) const RUNNER: u8 = 3;
/// As [`SURE`], and worth running without an argument.
pub(super) const ALONE: u8 = 4;

/// All names with their kinds.
pub(in super::super) const NAMES: [(&[u8], u8); 4] = [
    (SURE_NAMES, SURE),
    (MAYBE_NAMES, MAYBE),
    (RUNNER_NAMES, RUNNER),
    (ALONE_NAMES, ALONE),
];

/// [`SURE`]
const SURE_NAMES: &[u8] = b"\
    start-sleep start-job start-service stop-process stop-service stop-computer restart-computer restart-service test-connection \
    test-netconnection test-path resolve-dnsname get-service get-wmiobject get-ciminstance invoke-cimmethod get-item get-itemproperty \
    set-itemproperty new-itemproperty get-localuser new-localuser get-aduser get-eventlog get-winevent get-clipboard get-command \
    get-variable set-content add-content clear-content remove-item copy-item move-item rename-item new-item new-service new-psdrive \
    register-scheduledtask write-host write-output read-host out-string compress-archive expand-archive import-module saps \
    ftpget ftpput \
    invoke-webrequest invoke-expression invoke-restmethod invoke-command invoke-item invoke-wmimethod start-process start-bitstransfer \
    new-object get-childitem get-content get-process set-executionpolicy add-type out-file iex iwr irm wget curl nslookup traceroute \
    traceroute6 tracert tracepath chmod chown chgrp chattr lsattr powershell powershell.exe pwsh cmd.exe bash rbash zsh ksh mksh pdksh \
    csh tcsh taskkill netsh getent lsof fuser useradd userdel usermod adduser deluser groupadd crontab iptables ip6tables nft mkfifo \
    mknod ncat netcat socat telnet tcpdump tshark nmap masscan certutil bitsadmin mshta rundll32 regsvr32 wscript cscript wmic \
    schtasks installutil msbuild msiexec odbcconf regasm regsvcs cmstp forfiles pcalua bash.exe wsl.exe ieexec msdeploy mavinject \
    presentationhost xwizard esentutl extrac32 findstr makecab vssadmin wbadmin bcdedit bcdboot diskshadow ntdsutil dsquery nltest \
    gpresult icacls cacls takeown wevtutil fsutil xargs gzip gunzip zcat bzcat xzcat zstdcat lzcat bunzip2 bzip2 unxz unzstd zstd lzma \
    unlzma xzless zless bzless zgrep bzgrep xzgrep zegrep zfgrep 7z 7za 7zr bsdtar bsdcat cpio mkdir rmdir passwd base64 base32 basenc \
    uuencode uudecode xxd hexdump awk gawk mawk nawk sed rsync scp sftp tftp unzip zipinfo printf setenforce setcap getcap pkill pgrep \
    killall usleep ping6 nc.exe nc.traditional nc.openbsd vipw vigr sudoedit sshpass ssh-keyscan ssh-agent ssh-copy-id openssl gpg \
    ansible ansible-playbook ansible-config ansible-doc ansible-galaxy ansible-inventory ansible-pull ansible-vault ansible-test \
    chef-client chef-run chef-solo chef-vault cscli dockerd runc ctr crictl nerdctl aptitude easy_install aa-exec aa-disable \
    aa-enforce aa-complain agetty addgroup rmt-tar rmt-dump c89 c99 clang tcc gdb lldb objdump readelf lua luajit irb jjs jrunscript \
    jshell nodejs ghci guile tclsh wish python3 python2 ipython pypy pypy3 csplit dosbox dstat dvips easyrsa efax elvish eqn espeak \
    facter ffmpeg ffprobe fping git-shell gtester hping3 iconv iftop ispell ldconfig loginctl logsave lualatex lwp-request \
    lwp-download msfconsole msfvenom msgattrib msgcat msgconv mtr multitime mysqldump nsenter ntpdate openvpn opkg pdflatex pdftex \
    pidstat pkexec plymouth psql puppet rlogin rlwrap rsyslogd rtorrent rview run-parts scrot setarch setfacl setlock shuf slsh \
    snmpget softlimit sqlite3 sqlmap sshfs sshd ssh-add start-stop-daemon systemd-run systemd-resolve sysctl tasksh tcpreplay tftpd \
    tmux torify torsocks unlink unpigz unrar unsquashfs update-alternatives updatedb uux vimdiff virsh wpctl xdotool xelatex xetex \
    xmodmap xterm yash zathura zsoelim rmmod mkfs fdisk parted losetup swapon swapoff blkid mkswap lvcreate cryptsetup umount poweroff \
    logoff qwinsta quser tskill net.exe net1 net1.exe sc.exe reg.exe at.exe arp.exe nbtstat hostid lastcomm lastb faillog utmpdump \
    whereis manpath mandb addr2line aria2c httpie wget2 curlftpfs waitfor";

/// [`MAYBE`]
const MAYBE_NAMES: &[u8] = b"\
    cat ls id dir ping echo sleep type who more less head tail find net nc set sh ash dash python perl ruby php node ps env pwd rm cp \
    mv touch kill reboot halt grep egrep fgrep tar dd dig host hostname ver copy xcopy robocopy move del erase ren start cmd eval \
    source arp route reg alias which phpinfo ftp cd w uptime df du mount ip ss unset sort uniq tr rev tac nl wc fmt pr diff cmp od tee \
    ln vi vim ex ed nano pico emacsclient apropos ssh su rcp rsh rexec fg bg trap ulimit umask disown fc expr bc seq knife lxc mesg \
    mailx sendmail shutdown sc vol attrib assoc ftype pushd popd rd md subst cls wsl runas arch byacc yacc ab cpan dmsetup \
    iptables-save ksshell mysql redis-cli mongo psexec rar zip rmt perf chef docker kubectl aws gcc";

/// [`MAYBE`], and such common words that alone they are not worth a look at the value.
pub(in super::super) const COMMON: &[u8] = b"\
    at last free look top man yes expand fold bridge wall shift history finger export strings stat jobs dialog batch paste comm column \
    declare cut";

/// [`RUNNER`]
const RUNNER_NAMES: &[u8] = b"\
    nohup strace ltrace busybox toybox timeout time sudo doas nice ionice stdbuf setsid flock cpulimit exec command builtin coproc unbuffer \
    chroot taskset unshare watch chrt numactl proot fakeroot gosu su-exec setpriv capsh parallel";

/// [`ALONE`]
const ALONE_NAMES: &[u8] = b"\
    whoami ifconfig ipconfig netstat uname systeminfo tasklist printenv hostnamectl lscpu lsblk lspci lsusb dmesg lastlog htop visudo \
    regedit getenforce ansible-console chef-shell";

/// First parts of names that have several, and words of patterns that have no command.
pub(in super::super) const PARTS: &[u8] = b"\
    aa bin errorlevel childitem diagnostics invokescript scriptblock comspec databases downloadfile downloadstring frombase64string invoke lwp redis sbin systemd \
    systemroot webclient webrequest windir git pip npm apt svn systemctl";
