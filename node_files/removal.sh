# Removes what install wrote and what the kubelet made, from a machine that is still this node's.
# files.sh comes before it and sets what it reads.
# shellcheck disable=SC2034,SC2154 # what one sets, the other reads

# By its real path, as the kernel tells of mounts: a directory above may be a link.
mounted_below() { # DIRECTORY
    awk -v below="$1/" 'index($5, below) == 1 { found = 1 } END { exit !found }' \
        "$proc/self/mountinfo"
}

# A container has files of its pod's directory mounted, /etc/hosts if nothing else.
pods_in_use() { # DIRECTORY: prints the UID of each pod of which a process still runs
    for pod in "$1"/pods/*/; do
        pod=${pod%/} pod=${pod##*/}
        if cat "$proc"/[0-9]*/mountinfo 2>/dev/null | awk -v within="/pods/$pod/" '
            index($4, within) { found = 1 } END { exit !found }'; then echo "$pod"; fi
    done
}

remove_data() { # DIRECTORY, unless somebody else created it, or something there is still in use
    if ! ours dir "$1" || ! real=$(cd -P "$1" 2>/dev/null && pwd -P); then return 0; fi
    pods=$(pods_in_use "$real" | wc -l)
    if [ "$pods" -gt 0 ]; then
        kept="$kept${kept:+,}\"$1\""
        notes="$notes${notes:+,}\"containers of $pods pods still run and use $1: stop them (crictl rmp --all --force), then remove it\""
    elif mounted_below "$real"; then
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
        made | kubeconfig | bootstrap) rm -f "$path" "$path.kubelet-tls-bootstrap" ;;
        certificates) rm -f "$path"/kubelet-client-*.pem "$path"/kubelet-server-*.pem ;;
        data) remove_data "$path" ;;
        esac
    done
}

# A pod that was deleted without a grace period ends after its object has gone, and only while the
# kubelet runs. What runs on every node stays, so this does not wait for long.
let_pods_end() {
    data=$(sed -n 's/^data //p' "$state/made")
    if ! data=$(cd -P "$data" 2>/dev/null && pwd -P); then return 0; fi
    tries=0
    while [ "$tries" -lt 20 ] && systemctl is-active --quiet kubelet.service &&
        [ "$(pods_in_use "$data")" ]; do
        sleep 0.5
        tries=$((tries + 1))
    done
}

remove_written() {
    # A kubelet that does not run from our unit or drop-in is not ours to stop.
    if grep -q '^file .*\.service\(\.d/.*\)\{0,1\}$' "$manifest"; then
        let_pods_end
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
    removed='' kept='' notes=''
    made=$(grep -E '^((node|stack|made|certificates|data) .*|end)$') || :
    [ "$(printf '%s\n' "$made" | tail -n 1)" = end ] || fail 'the bundle is incomplete, nothing was removed; run again'
    node=$(printf '%s\n' "$made" | sed -n 's/^node //p')
    : "${asked=$(printf '%s\n' "$made" | sed -n 's/^stack //p')}" # delivery.sh knows it by the state
    whose=$(owner_of_machine) theirs=$(stack_of_machine)
    if [ "$theirs" ] && [ "$theirs" != "$asked" ]; then
        printf '{"removed":[],"kept":[],"notes":["this machine is the node %s of the stack %s now; nothing was removed"]}\n' "$whose" "$theirs"
        return
    fi
    if [ "$whose" ] && [ "$whose" != "$node" ]; then
        printf '{"removed":[],"kept":[],"notes":["this machine is the node %s now; nothing was removed"]}\n' "$whose"
        return
    fi
    if [ -e "$manifest" ]; then
        {
            made_before
            printf '%s\n' "$made"
        } >"$state/made"
        remove_written
        remove_made <"$state/made"
        systemctl daemon-reload
        systemctl reset-failed kubelet.service 2>/dev/null || true
        # Removes only empty directories: other people's files stay, and no mount is emptied.
        sed -n 's/^dir //p' "$manifest" | sort -r | while read -r path; do
            rmdir "$path" 2>/dev/null || true
        done
    fi
    # The lock goes last, so that the run after a killed one finds the rest.
    rm -rf "$stage" "$state/former"* "$state/files" "$state/made" "$state/restart"* \
        "$state/brought"* "$manifest" "$state/bundle" "$state/lock"
    rmdir "$state" 2>/dev/null || true
    printf '{"removed":[%s],"kept":[%s],"notes":[%s]}\n' "$removed" "$kept" "$notes"
}
