# What must be true on a machine before anything is written: one function for each check, by its
# name. All failures are reported together, each with what was found and what to do. A check that
# can't be made leaves a note. The checks `node` and `certificate` are in membership.sh, `acl` and
# `selinux` in looks.sh. files.sh comes first and sets the variables; the last line runs the action.
# shellcheck disable=SC2034,SC2154 # set in files.sh; some words of a line are read but not used
checks='node certificate systemd kubelet version runtime server skew clock cgroup swap resolver port
disk root address machine owner acl selinux unit paths files'
enough_kib=16384         # for files
enough_data_kib=1048576  # for the kubelet's data
most_off_s=30
package_units='/usr/local/lib/systemd/system /usr/lib/systemd/system /lib/systemd/system'

refuse() { # WHAT WAS FOUND, AND WHAT TO DO
    printf '%s: %s\n' "$check" "$*" >>"$stage/problems"
}

note() { notes="$notes${notes:+,}\"$check: $*\""; }

preflight() {
    notes='' skipped=''
    found=$(timeout 20 "$kubelet" --version 2>/dev/null) || found=''
    for check in $checks; do
        case " $skip $without " in
        *" $check "*) ;;
        *) "check_$check" ;;
        esac
    done
    for check in $skip; do skipped="$skipped${skipped:+,}\"$check\""; done
    [ -s "$stage/problems" ] || return 0
    fail "this machine is not ready, nothing was changed
$(cat "$stage/problems")
(to skip a check, list its name in skipChecks)"
}

check_systemd() {
    [ -d "$run/systemd/system" ] || refuse 'this machine does not run systemd; use one with systemd as its init'
}

check_kubelet() {
    if [ ! -x "$kubelet" ]; then
        refuse "$kubelet does not exist or is not executable; install the kubelet, or correct paths.kubelet"
    elif [ ! "$found" ]; then
        refuse "$kubelet --version fails; reinstall the kubelet"
    fi
}

check_version() {
    case $found in
    '' | "Kubernetes v$version" | "Kubernetes v$version."*) ;;
    *) refuse "$kubelet is \"$found\", but the settings say $version; correct kubernetesVersion, or install another kubelet" ;;
    esac
}

check_runtime() {
    if [ ! -S "$endpoint" ]; then
        refuse "there is no socket $endpoint; start the container runtime, or correct runtimeEndpoint"
    elif ! awk -v path="${endpoint#/var}" '
        { sub("^/var/", "/", $8) } $4 == "00010000" && $8 == path { found = 1 }
        END { exit !found }' "$proc/net/unix"; then
        refuse "nothing listens on $endpoint; restart the container runtime"
    fi
}

check_server() {
    # The exit status says nothing: openssl ends with 1 when a server just hangs up.
    answer=$(told=$stage/told && ask /version "$ca" 3) || :
    [ -z "$answer" ] || return 0
    answer=$(ask /version '' 3) || :
    if [ "$answer" ]; then
        refuse "$server presents a certificate that $(distrust "$stage/told")"
    else
        note "no answer from $server"
    fi
}

# How old a kubelet may be: https://kubernetes.io/releases/version-skew-policy/
check_skew() {
    minor=$(printf '%s\n' "${answer:-}" | sed -n 's/.*"minor": *"\([0-9]*\).*/\1/p')
    [ "$minor" ] || {
        note 'no version from the API server'
        return
    }
    oldest=$((minor - 3))
    [ "${version#*.}" -ge 25 ] || oldest=$((minor - 2))
    if [ "${version#*.}" -gt "$minor" ] || [ "${version#*.}" -lt "$oldest" ]; then
        refuse "the API server is 1.$minor and supports kubelets 1.$oldest to 1.$minor, but this one is $version; upgrade one of them"
    fi
}

check_clock() {
    date=$(printf '%s\n' "${answer:-}" | tr -d '\r' | sed -n 's/^[Dd]ate: //p')
    # GNU date first, then busybox's.
    { [ "$date" ] && there=$(date -d "$date" +%s 2>/dev/null ||
        date -u -D '%a, %d %b %Y %T' -d "$date" +%s 2>/dev/null); } || {
        note 'no time from the API server'
        return
    }
    off=$(($(date +%s) - there))
    [ "${off#-}" -le "$most_off_s" ] ||
        refuse "this machine's clock is $off s ahead of the API server's (negative: behind); set up time synchronization"
}

check_cgroup() {
    [ -e "$sys/fs/cgroup/cgroup.controllers" ] ||
        refuse 'this machine uses cgroup v1, with which the kubelet does not start; boot with cgroup v2, or set kubelet.failCgroupV1: false'
}

check_swap() {
    [ ! -e "$proc/swaps" ] || [ -z "$(sed 1d "$proc/swaps")" ] ||
        refuse 'swap is on, with which the kubelet does not start; run swapoff --all and remove swap from /etc/fstab, or set kubelet.failSwapOn: false'
}

check_resolver() {
    if [ ! -r "$resolver" ]; then
        refuse "$resolver, which pods get, can't be read; set kubelet.resolvConf to the file that lists this machine's DNS servers"
    elif grep -Eq '^[[:blank:]]*nameserver[[:blank:]]+(127\.|::1)' "$resolver"; then
        refuse "$resolver lists this machine itself, which pods can't reach and CoreDNS would query in a loop; set kubelet.resolvConf, for example to /run/systemd/resolve/resolv.conf"
    fi
}

check_port() { # 280A is 10250, state 0A is LISTEN
    systemctl is-active --quiet kubelet.service ||
        ! grep -Eqs '^ *[0-9]+: [0-9A-F]+:280A [0-9A-F:]+ 0A' "$proc/net/tcp" "$proc/net/tcp6" ||
        refuse 'port 10250 is in use, and not by kubelet.service; find the process with ss -ltnp and stop it'
}

room() { # PATH KIB
    at=$1
    until [ -e "$at/" ]; do at=${at%/*}; done
    free=$(df -Pk "$at/" 2>/dev/null | awk 'NR == 2 { print $4 }')
    case $free in
    '' | *[!0-9]*)
        note "df does not report the free space of $at"
        return
        ;;
    esac
    [ "$free" -ge "$2" ] || refuse "$at has $free KiB free, but $1 needs $2 KiB; free some space"
}

# Pods need space where a node is new; a change must reach one that has run out of it.
check_disk() {
    if [ -s "$manifest" ]; then room "$root" "$enough_kib"; else room "$root" "$enough_data_kib"; fi
    room "${ca_path%/*}" "$enough_kib"
}

check_root() {
    [ ! -L "$root" ] || refuse "$root is a symbolic link, so volumes would not unmount; mount a file system there instead, or change paths.root"
}

check_address() {
    # The machine's own, before its mask or, between two machines, before the peer's.
    list=$(ip -o address 2>/dev/null | awk '$3 ~ /^inet/ { sub(/[\/%].*/, "", $4); print $4 }') || list=''
    [ "$list" ] || {
        note 'no ip command'
        return
    }
    for address in $addresses; do
        printf '%s\n' "$list" | grep -qxF -e "$address" ||
            refuse "$address is on no interface of this machine; correct the node's address or addresses"
    done
}

check_machine() {
    id=$(cat "$machine_id" 2>/dev/null) || id=''
    [ "${#id}" -eq 32 ] ||
        refuse "$machine_id has no machine ID; run systemd-machine-id-setup, and reboot the machine"
}

check_owner() {
    cut -d' ' -f4,5 "$stage/plan" | sort -u | while read -r owner group; do
        chown "$owner:$group" "$stage/problems" 2>/dev/null ||
            refuse "there is no user $owner or no group $group; create it, for example with useradd --system $owner"
    done
}

sets_command() { grep -Eqs '^[[:blank:]]*ExecStart[[:blank:]]*=' "$1"; } # UNIT OR DROP-IN

comes_after() { # FILE FILE, by their names
    [ "${1##*/}" != "${2##*/}" ] && [ "$(printf '%s\n' "${1##*/}" "${2##*/}" | sort | tail -n 1)" = "${1##*/}" ]
}

# Does a later drop-in only run another program with our arguments? Then it clears the command before
# it sets one, and keeps our EnvironmentFile.
keeps_arguments() { # DROP-IN
    sed '/^[[:blank:]]*[#;]/d' "$1" | sed -e ':a' -e '/\\$/{' -e '$!N' -e 's/\\\n/ /' -e 'ta' -e '}' >"$stage/later"
    ! grep -Eq '^[[:blank:]]*EnvironmentFile[[:blank:]]*=[[:blank:]]*$' "$stage/later" &&
        grep -E '^[[:blank:]]*ExecStart[[:blank:]]*=' "$stage/later" | tail -n 2 | tr '\n' ' ' |
        grep -Eq '^[[:blank:]]*ExecStart[[:blank:]]*=[[:blank:]]*ExecStart[[:blank:]]*=.*[$][{]?KUBELET_ARGS([^[:alnum:]_]|$)'
}

# Our unit in /etc hides a package's, and a drop-in of the package would change what ours runs.
check_unit() {
    unit=$(sed -n 's/.* unit //p' "$stage/plan")
    there=$(systemctl show --property FragmentPath --value kubelet.service) || there=''
    drop_ins=$(systemctl show --property DropInPaths --value kubelet.service) || drop_ins=''
    case $unit in
    *.service) ;;
    *)
        # If only a drop-in is wanted, our unit is removed, and the one that it hides counts.
        if [ "$there" ] && ours file "$there"; then
            there=''
            for units in $package_units; do [ ! -e "$units/kubelet.service" ] || there=$units; done
        fi
        [ "$there" ] || refuse "there is no kubelet.service for $unit; install the kubelet's package, or set unit to own"
        for there in $drop_ins; do
            ours file "$there" || ! sets_command "$there" || ! comes_after "$there" "$unit" ||
                keeps_arguments "$there" ||
                refuse "$there sets the kubelet's command after $unit, which would have no effect; remove it, give it a name that comes before, such as 50-${there##*/}, or have its command use \$KUBELET_ARGS and leave out EnvironmentFile="
        done
        return
        ;;
    esac
    [ -z "$there" ] || [ "$there" = "$unit" ] || ours file "$there" ||
        refuse "$there exists, and $unit would hide it; set unit to drop-in, or remove $there"
    for there in $drop_ins; do
        ours file "$there" || ! sets_command "$there" ||
            refuse "$there changes what $unit runs; set unit to drop-in, or remove $there"
    done
}

check_paths() {
    while read -r number kind mode owner group effect path; do
        if [ -L "$path" ] && [ "$path" != "$root" ]; then
            refuse "$path is a symbolic link; remove it, or set another path"
        elif [ "$kind" = dir ]; then
            [ ! -e "$path" ] || [ -d "$path" ] || refuse "$path is not a directory; move it away"
        else
            [ ! -e "$path" ] || [ -f "$path" ] || refuse "$path is not a regular file; move it away"
        fi
    done <"$stage/plan"
}

check_files() {
    while read -r number kind mode owner group effect path; do
        [ ! -f "$path" ] || ours file "$path" || same_file "$stage/$number" "$path" ||
            refuse "$path was not written by this program; move it away, set another path, or skip this check to replace it"
    done <"$stage/plan"
}

"$@"
