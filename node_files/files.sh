# Brings a node's files, or takes them away: `install` and `remove`, with a bundle on stdin.
# Check everything first, change second; safe to run again at any point.
set -eu
umask 077
LC_ALL=C PATH=$PATH:/usr/sbin:/sbin
export LC_ALL PATH

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

lock() { # DIRECTORY of our own state, which the bundle's first line names
    read -r word state || fail 'no bundle on stdin'
    [ "$word" = state ] || fail 'stdin is no bundle: its first line is not "state DIRECTORY"'
    manifest=$state/manifest stage=$state/stage
    mkdir -p "$state"
    exec 9>"$state/lock"
    flock -w 60 9 || fail "another run has held $state/lock for a minute; wait until it ends"
}

# A bundle is staged whole, so that a full disk or a cut connection changes nothing.
stage_bundle() {
    rm -rf "$stage"
    mkdir "$stage"
    : >"$stage/plan"
    count=0 word='' kubelet='' version='' endpoint=''
    while IFS= read -r line; do
        case $line in
        '| '*) printf '%s\n' "${line#??}" >&3 ;;
        '|') echo >&3 ;;
        'file '*)
            count=$((count + 1))
            exec 3>"$stage/$count"
            printf '%s %s\n' "$count" "$line" >>"$stage/plan"
            ;;
        'dir '*) printf '0 %s\n' "$line" >>"$stage/plan" ;;
        'node '* | 'generation '* | 'repair '* | 'made '* | 'certificates '* | 'data '*) ;;
        'kubelet '*) kubelet=${line#kubelet } version=${line##* } kubelet=${kubelet% *} ;;
        'runtime '*) endpoint=${line#runtime unix://} ;;
        end) word=end ;;
        *) fail "the bundle has a line that this script does not know: $line" ;;
        esac
    done
    [ "$word" = end ] || fail 'the bundle ended early; nothing was changed, run again'
}

# What would make the join fail is said before anything is changed.
check_machine() {
    [ -d /run/systemd/system ] || fail 'systemd does not run this machine; it must be its init'
    [ -x "$kubelet" ] || fail "$kubelet is not there; install the kubelet"
    found=$(timeout 20 "$kubelet" --version) || fail "$kubelet --version fails; install it anew"
    case $found in
    "Kubernetes v$version" | "Kubernetes v$version."*) ;;
    *) fail "$kubelet is \"$found\", the settings say $version; change kubernetesVersion or the kubelet" ;;
    esac
    [ -S "$endpoint" ] ||
        fail "no socket $endpoint; start the container runtime, or change runtimeEndpoint"
}

ours() { [ -e "$manifest" ] && grep -qxF "$1 $2" "$manifest"; }

check_paths() {
    while read -r number kind mode owner group effect path; do
        [ "$kind" = file ] || path=$effect
        [ ! -L "$path" ] || fail "$path is a symbolic link; remove it, or set another path"
        [ -e "$path" ] || continue
        if [ "$kind" = dir ]; then
            [ -d "$path" ] || fail "$path is no directory; move it away"
        else
            [ -f "$path" ] || fail "$path is no regular file; move it away"
            ours file "$path" || cmp -s "$stage/$number" "$path" ||
                fail "$path was not written by this program; move it away, or set another path"
        fi
    done <"$stage/plan"
}

replace() { # SOURCE TARGET, in one file system: the old file or the new one, never half of it
    sync "$1"
    mv -f "$1" "$2"
    sync "${2%/*}"
}

# Which of the planned things are ours: what we made, and what is not there yet.
list_wanted() {
    while read -r number kind mode owner group effect path; do
        [ "$kind" = file ] || path=$effect
        if [ ! -e "$path" ] || ours "$kind" "$path"; then printf '%s %s\n' "$kind" "$path"; fi
    done <"$stage/plan" | sort -u >"$stage/wanted"
}

write_manifest() { # LINES, sorted
    if ! cmp -s "$1" "$manifest"; then replace "$1" "$manifest"; fi
}

has_meta() { [ "$(stat -c '0%a %U %G' "$1")" = "$2" ]; }

write_planned() {
    while read -r number kind mode owner group effect path; do
        if [ "$kind" = dir ]; then
            [ -d "$effect" ] || mkdir -p "$effect"
            has_meta "$effect" "$mode $owner $group" || {
                chown "$owner:$group" "$effect"
                chmod "$mode" "$effect"
            }
            continue
        fi
        same=''
        if [ -e "$path" ] && cmp -s "$stage/$number" "$path"; then same=yes; fi
        if [ "$same" ] && has_meta "$path" "$mode $owner $group"; then continue; fi
        # A run that is cut after the rename must still restart: the need outlives it in a file.
        if [ ! "$same" ] && [ "$effect" != none ]; then : >"$state/restart"; fi
        new=$path.kubelet-tls-bootstrap
        rm -f "$new"
        cp "$stage/$number" "$new"
        chown "$owner:$group" "$new"
        chmod "$mode" "$new"
        replace "$new" "$path"
        if command -v restorecon >/dev/null; then restorecon "$path"; fi
        changed="$changed${changed:+,}\"$path\""
    done <"$stage/plan"
}

remove_unwanted() {
    while read -r kind path; do
        if [ "$kind" != file ] || grep -qxF "file $path" "$stage/wanted"; then continue; fi
        : >"$state/restart"
        rm -f "$path"
        removed="$removed${removed:+,}\"$path\""
    done <"$manifest"
}

install() {
    lock
    stage_bundle
    check_machine
    check_paths
    list_wanted
    [ -e "$manifest" ] || : >"$manifest"
    # The list of what is ours is complete before the first change, and pruned after the last one.
    # Directories stay listed, so that the removal of the node finds them.
    sort -u "$stage/wanted" "$manifest" >"$stage/all"
    write_manifest "$stage/all"
    changed='' removed='' state_of_kubelet=stopped
    write_planned
    remove_unwanted
    { cat "$stage/wanted"; sed -n '/^dir /p' "$manifest"; } | sort -u >"$stage/kept"
    write_manifest "$stage/kept"
    rm -rf "$stage"
    if systemctl is-active --quiet kubelet.service; then state_of_kubelet=running; fi
    if [ -e "$state/restart" ]; then
        systemctl daemon-reload
        if [ "$state_of_kubelet" = running ]; then
            systemctl restart kubelet.service
            state_of_kubelet=restarted
        fi
        rm -f "$state/restart"
    fi
    printf '{"changed":[%s],"removed":[%s],"kubelet":"%s"}\n' \
        "$changed" "$removed" "$state_of_kubelet"
}

remove_data() { # DIRECTORY, unless somebody else made it or something is mounted below it
    ours dir "$1" || return 0
    if awk -v below="$1/" 'index($5, below) == 1 { found = 1 } END { exit !found }' \
        /proc/self/mountinfo; then
        echo "warning: $1 is kept, something is mounted below it; remove it after a restart" >&2
    elif [ -d "$1" ] && [ ! -L "$1" ]; then
        find "$1" -xdev -mindepth 1 -delete
    fi
}

remove() {
    read -r word state || fail 'no bundle on stdin'
    [ -e "$state/manifest" ] || {
        echo '{"removed":[]}'
        exit 0
    }
    manifest=$state/manifest
    exec 9>"$state/lock"
    flock -w 60 9 || fail "another run has held $state/lock for a minute; wait until it ends"
    if ours file "$(sed -n 's/^file \(.*\.service\)$/\1/p' "$manifest")"; then
        timeout 120 systemctl disable --now kubelet.service || true
    fi
    removed=''
    sed -n 's/^file //p' "$manifest" >"$state/files"
    while read -r path; do
        rm -f "$path" "$path.kubelet-tls-bootstrap"
        removed="$removed${removed:+,}\"$path\""
    done <"$state/files"
    # What the kubelet made: its kubeconfig, its certificates, its data if the directory is ours.
    while read -r word path; do
        case $word in
        made) rm -f "$path" ;;
        certificates) [ ! -d "$path" ] || find "$path" -maxdepth 1 -name 'kubelet-*.pem' -delete ;;
        data) remove_data "$path" ;;
        end) break ;;
        esac
    done
    systemctl daemon-reload
    systemctl reset-failed kubelet.service 2>/dev/null || true
    # Only what is empty goes: what somebody else put there stays, and a mount is never emptied.
    sed -n 's/^dir //p' "$manifest" | sort -r | while read -r path; do
        rmdir "$path" 2>/dev/null || true
    done
    rm -rf "$state/stage" "$state/files" "$state/restart" "$manifest" "$state/lock"
    rmdir "$state"
    printf '{"removed":[%s]}\n' "$removed"
}

"$1"
