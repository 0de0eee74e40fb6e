# Compares the flags of a control-plane host's programs with what TLS bootstrapping needs, and with
# `manage` adds what is missing in a systemd drop-in. Actions: install, remove; settings on stdin.
set -eu
umask 022
LC_ALL=C PATH=$PATH:/usr/sbin:/sbin
export LC_ALL PATH
drop_in=50-kubelet-tls-bootstrap.conf
most_tries=240 # of a quarter of a second
root=${CONTROL_PLANE_ROOT:-} # of tests

fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Prints the host that a drop-in was written for; nothing if no host is named.
owner_of() { [ ! -e "$1" ] || sed -n 's/^# Host: //p' "$1"; } # DROP-IN

write_drop_in() { # PROGRAM, missing flags on stdin
    target=$root/etc/systemd/system/$1.service.d/$drop_in
    own=$(command_of "$1")
    [ -n "$own" ] || fail "$1 runs, but not from a $1.service with an ExecStart; add the flags by hand and set controlPlane.manage to false"
    mkdir -p "${target%/*}"
    {
        echo '# Written by kubelet-tls-bootstrap: what TLS bootstrapping needs of this program.'
        echo "# Host: $host"
        echo '[Service]'
        echo 'ExecStart='
        printf 'ExecStart=%s' "$own"
        while read -r flag; do printf ' %s' "$flag"; done
        echo
    } >"$target.new"
    sync "$target.new"
    mv -f "$target.new" "$target"
}

# A host under a new name takes over the drop-in that was written under its previous name.
claim() { # PROGRAM
    target=$root/etc/systemd/system/$1.service.d/$drop_in
    if [ ! -e "$target" ] || [ "$(owner_of "$target")" = "$host" ]; then return 0; fi
    awk -v line="# Host: $host" '!/^# Host: / { print } NR == 1 { print line }' "$target" >"$target.new"
    sync "$target.new"
    mv -f "$target.new" "$target"
    systemctl daemon-reload
}

# Does our drop-in have a rate that the settings no longer have?
has_stale_rate() { # PROGRAM
    for name in --kube-api-qps --kube-api-burst; do
        ! added "$1" "$name" ||
            ! grep -q -e " $name=" "$root/etc/systemd/system/$1.service.d/$drop_in" ||
            printf '%s\n' "$wanted" | grep -q -e "^$1 $name=" || return 0
    done
    return 1
}

# Adds each wanted flag that a program's own command does not have; flags in our drop-in stay wanted.
install_program() { # PROGRAM
    pid=$(pid_of "$1")
    [ -n "$pid" ] || fail "$1 is not running on this machine; start it, or correct controlPlane.hosts"
    printf '%s\n' "$wanted" | sed -n "s/^$1 //p" | missing_flags "$1" "$pid" >"$work/missing"
    if [ "$manage" = true ]; then claim "$1"; fi
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
    # What our drop-in already adds, and what is missing now.
    ours=$root/etc/systemd/system/$1.service.d/$drop_in
    if [ -e "$ours" ]; then
        cp -p "$ours" "$work/$1.before"
        flags_of "$1" >"$work/own"
        sed -n 's/^ExecStart=\(..*\)$/\1/p' "$ours" | tr ' ' '\n' | grep -vxF -f "$work/own" >"$work/added" || true
        printf '%s\n' "$wanted" | sed -n "s/^$1 //p; s/^--controllers=\*,/--controllers=/p" | grep -xF -f "$work/added" >>"$work/missing" || true
    fi
    if [ -s "$work/missing" ]; then
        sort -u "$work/missing" | write_drop_in "$1"
    else
        rm -f "$ours"
    fi
    changed="$changed $1"
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

comes_up() { # PROGRAM
    tries=0
    until systemctl is-active --quiet "$1.service" && listens "$1"; do
        tries=$((tries + 1))
        [ "$tries" -lt "$most_tries" ] || return 1
        sleep 0.25
    done
}

restart() { timeout 120 systemctl restart "$1.service" && comes_up "$1"; } # PROGRAM

# Restores the flags that the program had before this run, so that it does not stay down.
put_back() { # PROGRAM
    target=$root/etc/systemd/system/$1.service.d/$drop_in
    if [ -e "$work/$1.before" ]; then
        cp -p "$work/$1.before" "$target.new"
        mv -f "$target.new" "$target"
    else
        rm -f "$target"
    fi
    systemctl daemon-reload
    if restart "$1"; then
        fail "$1 did not come up with its new flags, so it runs with its previous ones again; see journalctl --unit $1"
    fi
    fail "$1 did not come up with its new flags, nor with its previous ones, which are restored; see journalctl --unit $1"
}

listens() { # PROGRAM; only whether the port is open, because curl may not be installed
    case $1 in
    kube-apiserver) port=$(tr '\0' '\n' <"$root/proc/$(pid_of "$1")/cmdline" | sed -n 's/^--secure-port=//p') && port=${port:-6443} ;;
    *) port=10257 ;;
    esac
    grep -qi ":$(printf '%04X' "$port") [0-9A-F]*:0000 0A" "$root/proc/net/tcp" "$root/proc/net/tcp6" 2>/dev/null
}

install() {
    read_settings
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    changed='' incomplete=''
    for program in kube-apiserver kube-controller-manager; do install_program "$program"; done
    [ -z "$incomplete" ] || fail 'add these flags on this machine, or set controlPlane.manage to true'
    if [ -n "$changed" ]; then
        systemctl daemon-reload
        for program in $changed; do
            restart "$program" || put_back "$program"
        done
    fi
    printf '{"restarted":[%s]}\n' "$(printf '%s' "${changed# }" | sed 's/[^ ][^ ]*/"&"/g; s/ /,/g')"
}

remove() {
    # The same settings are on stdin. Only the name of the host that leaves matters here.
    host=$(sed -n 's/^host //p')
    removed=''
    for program in kube-apiserver kube-controller-manager; do
        target=$root/etc/systemd/system/$program.service.d/$drop_in
        [ -e "$target" ] || continue
        owner=$(owner_of "$target")
        if [ "$owner" ] && [ "$host" ] && [ "$owner" != "$host" ]; then
            echo "this machine is the control-plane host $owner now; $target stays"
            continue
        fi
        rm -f "$target"
        rmdir "${target%/*}" 2>/dev/null || true
        removed="$removed $program"
    done
    [ -n "$removed" ] || exit 0
    systemctl daemon-reload
    for program in $removed; do
        restart "$program" || fail "$program did not come up without the flags that were removed; see journalctl --unit $program"
    done
}

"$@"
