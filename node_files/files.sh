# Writes a node's files, or removes them: `install` and `remove`, with a bundle on stdin.
# It checks everything before it changes anything, and is safe to run again after it was killed at
# any point. preflight.sh is appended to it and holds the checks.
# shellcheck disable=SC2034,SC2154 # each of the two reads variables that the other sets
set -eu
umask 077
LC_ALL=C PATH=$PATH:/usr/sbin:/sbin
export LC_ALL PATH
proc=/proc sys=/sys run=/run machine_id=/etc/machine-id

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

lock() { # ACTION; locks our state's directory, which the bundle's first line names
    read -r word state || fail 'stdin has no bundle'
    [ "$word" = state ] || fail 'stdin is not a bundle: its first line is not "state DIRECTORY"'
    manifest=$state/manifest stage=$state/stage new=''
    [ "$1" = install ] || [ -e "$state" ] || return 0
    mkdir -p "$state"
    exec 9>"$state/lock"
    flock -w 60 9 || fail "another run has held $state/lock for a minute; wait for it to end and run again"
}

# Stages the whole bundle first, so that a full disk or a lost connection changes nothing. `plan`
# has a line for each directory and file: the name of its staged copy and its line of the bundle.
stage_bundle() {
    rm -rf "$stage"
    mkdir "$stage"
    : >"$stage/plan"
    : >"$stage/problems"
    count=0 item=made word='' skip='' without='' ca='' kubeconfig=''
    while IFS= read -r line; do
        value=${line#* }
        case $line in
        '| '*) printf '%s\n' "$value" >&3 || fail "can't write in $state, nothing was changed; free some space" ;;
        '|') echo >&3 ;;
        'file '* | 'dir '*)
            count=$((count + 1)) item=$count
            case $line in
            dir*) mkdir "$stage/$count" && line="${line% *} none ${line##* }" ;;
            *) exec 3>"$stage/$count" ;;
            esac
            printf '%s %s\n' "$count" "$line" >>"$stage/plan"
            [ "${line##* }" != "$ca_path" ] || ca=$stage/$count
            ;;
        'acl '*) printf '%s\n' "$value" >>"$stage/$item.acl" ;;
        'selinux '*) printf '%s\n' "$value" >"$stage/$item.type" ;;
        'made '*) kubeconfig=${kubeconfig:-$value} ;;
        'kubelet '*) kubelet=${value% *} version=${value#* } ;;
        'runtime '*) endpoint=${value#unix://} ;;
        'server '*) server=${value% *} ca_path=${value#* } ;;
        'addresses '*) addresses=$value ;;
        'resolver '*) resolver=$value ;;
        'data '*) root=$value ;;
        'skip '*) skip="$skip $value" ;;
        'without '*) without="$without $value" ;;
        'node '* | 'generation '* | 'repair '* | 'certificates '*) ;;
        end) word=end ;;
        *) fail "the bundle has an unknown line: $line" ;;
        esac
    done
    [ "$word" = end ] || fail 'the bundle is incomplete, nothing was changed; run again'
}

ours() { [ -e "$manifest" ] && grep -qxF "$1 $2" "$manifest"; }

replace() { # SOURCE TARGET, in one file system; the target is the old or the new file, never half
    sync "$1"
    mv -f "$1" "$2"
    sync "${2%/*}"
}

acl() { getfacl -cs "$1" 2>/dev/null || :; } # empty if there is only the mode
selinux() { [ -e "$sys/fs/selinux/enforce" ]; }
labelled() { [ -e "$stage/$number.type" ] && selinux; }

dress() { # PATH: sets the planned owner, mode, ACL and SELinux type
    chown "$owner:$group" "$1"
    chmod "$mode" "$1"
    if [ -e "$stage/$number.acl" ]; then setfacl -M "$stage/$number.acl" "$1"; fi
    if labelled; then chcon -t "$(cat "$stage/$number.type")" "$1"; fi
}

undress() { if [ "$(acl "$1")" ]; then setfacl -b "$1"; fi; } # removes an inherited or added ACL

looks() { # PATH
    stat -c '0%a %U %G' "$1"
    acl "$1"
}

label() { stat -c %C "$1" | cut -d: -f3; }

digest() { # PATH LOOKS: sets `hash` to the hash of its looks and content
    hash=$({ printf '%s\n' "$2" && { [ -d "$1" ] || cat "$1"; }; } | sha256sum)
    hash=${hash%% *}
}


same_content() { [ "$kind" = dir ] || cmp -s "$stage/$number" "$path"; }

as_planned() {
    same_content && [ "$(looks "$path")" = "$planned" ] &&
        { ! labelled || [ "$(label "$path")" = "$(label "$stage/$number")" ]; }
}

drifted() { # somebody changed the path after we wrote it; an interrupted run does not count
    if ! ours "$kind" "$path" || ours run unfinished; then return 1; fi
    [ -e "$path" ] || return 0
    digest "$path" "$(looks "$path")"
    grep -q "^wrote [0-9a-f]* $path\$" "$manifest" && ! ours "wrote $hash" "$path"
}

# Writes two lists. `wanted`, for the manifest, has the planned paths that are ours: those that we
# wrote, that do not exist yet, or that we may replace. `todo` has those that are not as planned.
compare() {
    : >"$stage/wanted"
    : >"$stage/todo"
    while read -r number kind mode owner group effect path; do
        dress "$stage/$number"
        planned=$(looks "$stage/$number")
        if [ ! -e "$path" ] || ours "$kind" "$path" || ! same_content; then
            digest "$stage/$number" "$planned"
            printf '%s\n' "$kind $path" "wrote $hash $path" >>"$stage/wanted"
        fi
        above=${path%/*} why=changed
        until [ -e "$above/" ]; do
            printf 'dir %s\n' "$above" >>"$stage/wanted"
            above=${above%/*}
        done
        if [ -e "$path" ]; then
            if as_planned; then continue; fi
            if same_content; then effect=none; fi
        elif [ "$kind" = dir ]; then
            why=made
        fi
        if drifted; then why=repaired; fi
        printf '%s\n' "$why $number $kind $mode $owner $group $effect $path" >>"$stage/todo"
    done <"$stage/plan"
}

write_todo() {
    while read -r why number kind mode owner group effect path; do
        if [ "$kind" = dir ]; then
            [ -d "$path" ] || (umask 022 && mkdir -p "$path")
            undress "$path"
            dress "$path"
        else
            # The restart is noted in a file, so that a run killed after the rename does not lose it.
            [ "$effect" = none ] || : >"$state/restart"
            new=$path.kubelet-tls-bootstrap
            cp "$stage/$number" "$new"
            undress "$new"
            dress "$new"
            replace "$new" "$path"
        fi
        case $why in
        changed) changed="$changed${changed:+,}\"$path\"" ;;
        repaired) repaired="$repaired${repaired:+,}\"$path\"" ;;
        esac
    done <"$stage/todo"
}

remove_unwanted() {
    while read -r kind path; do
        if [ "$kind" != file ] || [ ! -e "$path" ] || grep -qxF "file $path" "$stage/wanted"; then
            continue
        fi
        : >"$state/restart"
        rm -f "$path"
        removed="$removed${removed:+,}\"$path\""
    done <"$manifest"
}

write_all() {
    # Directories stay in the manifest, so that removing the node finds them.
    sed -n '/^dir /p' "$manifest" | sort -u - "$stage/wanted" >"$stage/kept"
    if [ ! -s "$stage/todo" ] && cmp -s "$stage/kept" "$manifest"; then return; fi
    # The manifest is complete before the first change, and pruned after the last one.
    echo run unfinished | sort -u - "$stage/wanted" "$manifest" >"$stage/all"
    replace "$stage/all" "$manifest"
    # New copies that a killed run has left behind.
    sed -n 's/^file \(.*\)/\1.kubelet-tls-bootstrap/p' "$manifest" | xargs rm -f
    write_todo
    remove_unwanted
    replace "$stage/kept" "$manifest"
}

# Restores the policy's types where none is planned. In every run, since one may be killed right
# after a rename.
relabel() {
    if ! selinux || ! command -v restorecon >/dev/null; then return 0; fi
    while read -r number kind mode owner group effect path; do
        labelled || restorecon "$path"
    done <"$stage/plan"
}

share_kubeconfig() {
    if [ ! -e "$stage/made.acl" ] || [ ! -e "$kubeconfig" ]; then return 0; fi
    before=$(acl "$kubeconfig")
    setfacl -M "$stage/made.acl" "$kubeconfig"
    [ "$before" = "$(acl "$kubeconfig")" ] || changed="$changed${changed:+,}\"$kubeconfig\""
}

install() {
    lock install
    trap 'rm -rf "$stage" ${new:+"$new"}' EXIT
    stage_bundle
    preflight
    [ -e "$manifest" ] || : >"$manifest"
    compare
    changed='' repaired='' removed='' state_of_kubelet=stopped
    write_all
    relabel
    share_kubeconfig
    if systemctl is-active --quiet kubelet.service; then state_of_kubelet=running; fi
    if [ -e "$state/restart" ]; then
        systemctl daemon-reload
        if [ "$state_of_kubelet" = running ]; then
            systemctl restart kubelet.service
            state_of_kubelet=restarted
        fi
        rm -f "$state/restart"
    fi
    printf '{"changed":[%s],"repaired":[%s],"removed":[%s],"kubelet":"%s","skipped":[%s],"notes":[%s]}\n' \
        "$changed" "$repaired" "$removed" "$state_of_kubelet" "$skipped" "$notes"
}

remove_data() { # DIRECTORY, unless somebody else created it or something is mounted below it
    ours dir "$1" || return 0
    if awk -v below="$1/" 'index($5, below) == 1 { found = 1 } END { exit !found }' \
        "$proc/self/mountinfo"; then
        kept="$kept${kept:+,}\"$1\""
    elif [ -d "$1" ] && [ ! -L "$1" ]; then
        find "$1" -xdev ! -type d -exec rm -f {} +
        find "$1" -xdev -mindepth 1 -depth -type d -exec rmdir {} +
    fi
}

# Removes what the kubelet wrote: kubeconfig, certificates, and its data if the directory is ours.
remove_made() {
    while read -r word path; do
        case $word in
        made) rm -f "$path" "$path.kubelet-tls-bootstrap" ;;
        certificates) rm -f "$path"/kubelet-client-*.pem "$path"/kubelet-server-*.pem ;;
        data) remove_data "$path" ;;
        esac
    done
}

remove_written() {
    # A kubelet that does not run from our unit or drop-in is not ours to stop.
    if grep -q '^file .*\.service\(\.d/.*\)\{0,1\}$' "$manifest"; then
        timeout 120 systemctl disable --now kubelet.service || true
    fi
    sed -n 's/^file //p' "$manifest" >"$state/files"
    while read -r path; do
        rm -f "$path" "$path.kubelet-tls-bootstrap"
        removed="$removed${removed:+,}\"$path\""
    done <"$state/files"
}

remove() {
    lock remove
    removed='' kept=''
    made=$(grep -E '^((made|certificates|data) .*|end)$') || :
    [ "$(printf '%s\n' "$made" | tail -n 1)" = end ] || fail 'the bundle is incomplete, nothing was removed; run again'
    if [ -e "$manifest" ]; then
        remove_written
        printf '%s\n' "$made" >"$state/made"
        remove_made <"$state/made"
        systemctl daemon-reload
        systemctl reset-failed kubelet.service 2>/dev/null || true
        # Removes only empty directories: other people's files stay, and no mount is emptied.
        sed -n 's/^dir //p' "$manifest" | sort -r | while read -r path; do
            rmdir "$path" 2>/dev/null || true
        done
    fi
    # The lock goes last, so that the run after a killed one finds the rest.
    rm -rf "$stage" "$state/files" "$state/made" "$state/restart" "$manifest" "$state/lock"
    rmdir "$state" 2>/dev/null || true
    printf '{"removed":[%s],"kept":[%s]}\n' "$removed" "$kept"
}
