# Compares the flags of a control-plane host's programs with what TLS bootstrapping needs, and with
# `manage` adds what is missing in a systemd drop-in. Actions: install, remove; settings on stdin.
set -eu
umask 022
LC_ALL=C PATH=$PATH:/usr/sbin:/sbin
export LC_ALL PATH
drop_in=50-kubelet-tls-bootstrap.conf
restarts_s=300 # for all restarts: less than LIMIT_S, so that what does not come up is put back in time
steady_s=5     # for which a program without a port must stay
programs='kube-apiserver kube-controller-manager'
root=${CONTROL_PLANE_ROOT:-} # of tests

fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Prints the host that a drop-in was written for; nothing if no host is named.
owner_of() { [ ! -e "$1" ] || sed -n 's/^# Host: //p' "$1"; } # DROP-IN

# A host under a new name takes over the drop-in that was written under its previous name.
claim() { # PROGRAM
    target=$(drop_in_of "$1")
    if [ ! -e "$target" ] || [ "$(owner_of "$target")" = "$host" ]; then return 0; fi
    awk -v line="# Host: $host" '!/^# Host: / { print } NR == 1 { print line }' "$target" >"$work/claimed"
    put "$work/claimed" "$target"
    systemctl daemon-reload
}

# Does our drop-in have a rate that the settings no longer have?
has_stale_rate() { # PROGRAM
    for name in --kube-api-qps --kube-api-burst; do
        ! added "$name" || printf '%s\n' "$wanted" | grep -q -e "^$1 $name=" || return 0
    done
    return 1
}

# Finds what a program's command lacks, and writes the drop-in that it needs beside those of others.
# Flags in our drop-in stay wanted. This changes nothing on the machine.
plan() { # PROGRAM
    pid=$(pid_of "$1")
    [ -n "$pid" ] || fail "$1 is not running on this machine; start it, or correct controlPlane.hosts"
    running_flags "$pid" >"$work/running"
    added_words "$1" >"$work/added"
    printf '%s\n' "$wanted" | sed -n "s/^$1 //p" >"$work/wanted"
    missing_flags "$1" <"$work/wanted" >"$work/missing"
    [ -s "$work/missing" ] || { [ "$manage" = true ] && has_stale_rate "$1"; } || return 0
    if [ "$manage" != true ]; then
        tr '\n' ' ' <"$work/missing" | sed "s/^/error: $1 runs without /; s/ \$//" >&2
        echo >&2
        incomplete=yes
        return 0
    fi
    sed -n 's/^--cluster-signing-[a-z]*-file=//p' "$work/missing" >"$work/files"
    while read -r file; do
        [ -r "$root$file" ] || fail "can't read $file, which must hold the cluster's CA or its key; correct controlPlane.signingCertificate or signingKey"
    done <"$work/files"
    require_own_command "$1" "$pid"
    # What our drop-in already adds, and what is missing now.
    sed 's/^--controllers=\*,/--controllers=/' "$work/wanted" | cat - "$work/wanted" |
        within "$work/added" >>"$work/missing"
    changed="$changed $1"
    : >"$work/$1.new" # empty: no drop-in
    [ -s "$work/missing" ] || return 0
    {
        echo '# Written by kubelet-tls-bootstrap: what TLS bootstrapping needs of this program.'
        echo "# Host: $host"
        sort -u "$work/missing" | sed 's/^/# Adds: /'
        echo '[Service]'
        echo 'ExecStart='
        printf 'ExecStart=%s' "$(command_of "$1")"
        sort -u "$work/missing" | while read -r flag; do printf ' %s' "$flag"; done
        echo
    } >"$work/$1.new"
}

# Ends unless what the program runs with is its unit's own command, and ours what was added to it: it
# restarts with what is written, so that must be what it is known to run with.
require_own_command() { # PROGRAM PID
    by_hand='set controlPlane.manage to false'
    [ ! -s "$work/missing" ] || by_hand="add $(tr '\n' ' ' <"$work/missing")by hand and $by_hand"
    later=$(later_drop_in "$1")
    [ -z "$later" ] || fail "$later sets the command of $1 after our $drop_in, so flags in that would have no effect; give it a name that comes before ours, such as 40-${later##*/}, or $by_hand"
    [ -n "$(command_of "$1")" ] || fail "$1 runs, but not from a $1.service with an ExecStart; $by_hand"
    runs_with_own_words "$1" "$2" && drop_in_has_own_words "$1" && return
    again="systemctl restart $1.service"
    [ ! -e "$(drop_in_of "$1")" ] || again="rm $(drop_in_of "$1"), systemctl daemon-reload, $again"
    fail "$1 does not run with the command of $1.service$(differing_flags), so it would restart with other flags, too; restart it with that yourself ($again) and run again, or $by_hand"
}

put() { # SOURCE TARGET
    mkdir -p "${2%/*}"
    cp "$1" "$2.new"
    sync "$2.new"
    mv -f "$2.new" "$2"
}

# Replaces drop-ins by files that are named after their programs; an empty one or none removes it.
put_drop_ins() { # SUFFIX PROGRAMS
    suffix=$1
    shift
    for program in "$@"; do
        target=$(drop_in_of "$program")
        if [ -s "$work/$program.$suffix" ]; then
            put "$work/$program.$suffix" "$target"
        else
            rm -f "$target"
            rmdir "${target%/*}" 2>/dev/null || :
        fi
    done
    systemctl daemon-reload
}

read_settings() {
    manage=false wanted='' host=''
    while read -r word value; do
        case $word in
        manage) manage=$value ;;
        host) host=$value ;;
        flag) wanted="$wanted$value
" ;;
        end) return 0 ;;
        *) fail "stdin has an unknown line; it begins with: $word" ;;
        esac
    done
    fail 'stdin is incomplete, nothing was changed; run again'
}

# Each of the restarts and a last one, which puts back, has the same share of the time.
share_time() { share_s=$((restarts_s / ($1 + 1))); } # COUNT

comes_up() { # PROGRAM, SECONDS of the clock
    until timeout 10 systemctl is-active --quiet "$1.service" && listens "$1"; do
        [ "$(date +%s)" -lt "$2" ] || return 1
        sleep 0.25
    done
}

restart() { # PROGRAM
    until_s=$(($(date +%s) + share_s))
    timeout "$share_s" systemctl restart "$1.service" && comes_up "$1" "$until_s"
}

# Restores the drop-ins that these programs had before this run. The first does not come up with its
# new one and must not stay down; the others still run with their former flags.
put_back() { # PROGRAMS
    put_drop_ins before "$@"
    if restart "$1"; then
        fail "$1 did not come up $what, so it runs with its previous ones again; see journalctl --unit $1"
    fi
    fail "$1 did not come up $what, nor with its previous ones, which are restored; see journalctl --unit $1"
}

restart_all() { # PROGRAMS, as one word
    # shellcheck disable=SC2086
    set -- $1
    share_time $#
    while [ $# -gt 0 ]; do
        restart "$1" || put_back "$@"
        shift
    done
}

listens() { # PROGRAM; only whether the port is open, because curl may not be installed
    pid=$(pid_of "$1")
    [ -n "$pid" ] || return 1
    port=$(running_flags "$pid" | sed -n 's/^--secure-port=//p' | tail -n 1)
    case $1:$port in
    kube-apiserver:) port=6443 ;;
    *:) port=10257 ;;
    *:0) # it listens nowhere, so all that shows is that it stays
        sleep "$steady_s"
        [ "$(pid_of "$1")" = "$pid" ]
        return
        ;;
    esac
    grep -qi ":$(printf '%04X' "$port") [0-9A-F]*:0000 0A" "$root/proc/net/tcp" "$root/proc/net/tcp6" 2>/dev/null
}

install() {
    read_settings
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    changed='' incomplete='' what='with its new flags'
    for program in $programs; do plan "$program"; done
    [ -z "$incomplete" ] || fail 'add these flags on this machine, or set controlPlane.manage to true'
    for program in $programs; do
        if [ "$manage" = true ]; then claim "$program"; fi
        [ ! -e "$(drop_in_of "$program")" ] || cp "$(drop_in_of "$program")" "$work/$program.before"
    done
    # shellcheck disable=SC2086 # names of programs
    if [ -n "$changed" ]; then
        put_drop_ins new $changed
        restart_all "$changed"
    fi
    printf '{"restarted":[%s]}\n' "$(printf '%s' "${changed# }" | sed 's/[^ ][^ ]*/"&"/g; s/ /,/g')"
}

remove() {
    # The same settings are on stdin. Only the name of the host that leaves matters here.
    host=$(sed -n 's/^host //p')
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    : >"$work/missing"
    removed='' running='' what='without the flags that were removed'
    for program in $programs; do
        target=$(drop_in_of "$program")
        [ -e "$target" ] || continue
        owner=$(owner_of "$target")
        if [ "$owner" ] && [ "$host" ] && [ "$owner" != "$host" ]; then
            echo "this machine is the control-plane host $owner now; $target stays"
            continue
        fi
        cp "$target" "$work/$program.before"
        removed="$removed $program"
        # What does not run, or not from this unit any more, needs no restart.
        pid=$(pid_of "$program")
        if [ -z "$pid" ] || [ -z "$(command_of "$program")" ]; then continue; fi
        added_words "$program" >"$work/added"
        runs_with_own_words "$program" "$pid" ||
            fail "$program does not run with the command of $program.service$(differing_flags), so it would restart with other flags; do that yourself (rm $target, systemctl daemon-reload, systemctl restart $program.service) and run again"
        running="$running $program"
    done
    [ -n "$removed" ] || exit 0
    # shellcheck disable=SC2086 # names of programs
    put_drop_ins none $removed
    restart_all "$running"
}

"$@"
