# Writes a node's files, or removes them: `install` and `remove`, with a bundle on stdin.
# It checks everything before it changes anything, and is safe to run again after it was killed at
# any point. common.sh and kubelet.sh come before it; delivery.sh, looks.sh, membership.sh, change.sh,
# removal.sh and preflight.sh are appended to it; the last line of the last one runs the action.
# shellcheck disable=SC2034,SC2154 # each of them reads variables that another one sets
proc=/proc sys=/sys run=/run machine_id=/etc/machine-id

lock() { # ACTION; locks our state's directory, which the bundle's first line names
    read -r word state || fail 'stdin has no bundle'
    [ "$word" = state ] || fail 'stdin is not a bundle: its first line is not "state DIRECTORY"'
    manifest=$state/manifest stage=$state/stage new='' missing='' brought=${brought:-}
    [ "$1" = install ] || [ -e "$state" ] || return 0
    for program in awk cp cut find flock grep sed sha256sum sort stat sync systemctl tail xargs; do
        command -v "$program" >/dev/null || missing="$missing${missing:+, }$program"
    done
    [ -z "$missing" ] || fail "this machine lacks $missing; install them (flock is in util-linux, xargs in findutils), then run again"
    take_lock 60
}

# Stages the whole bundle first, so that a full disk or a lost connection changes nothing. `plan`
# has a line for each directory and file: the name of its staged copy and its line of the bundle.
stage_bundle() {
    rm -rf "$stage"
    mkdir "$stage" || full
    : >"$stage/plan"
    : >"$stage/problems"
    count=0 item=made word='' skip='' without='' ca='' kubeconfig='' bootstrap='' embed_ca='' stack=''
    while IFS= read -r line; do
        value=${line#* }
        case $line in
        '| '*) printf '%s\n' "$value" >&3 || full ;;
        '|') echo >&3 || full ;;
        'file '* | 'dir '*)
            count=$((count + 1)) item=$count
            case $line in
            dir*) mkdir "$stage/$count" && line="${line% *} none ${line##* }" ;;
            *) exec 3>"$stage/$count" ;;
            esac
            printf '%s %s\n' "$count" "$line" >>"$stage/plan" || full
            [ "${line##* }" != "$ca_path" ] || ca=$stage/$count
            ;;
        'acl '*) printf '%s\n' "$value" >>"$stage/$item.acl" || full ;;
        'selinux '*) printf '%s\n' "$value" >"$stage/$item.type" || full ;;
        'made '*)
            if [ "$kubeconfig" ]; then bootstrap=$value; else kubeconfig=$value; fi
            ;;
        'kubelet '*) kubelet=${value% *} version=${value#* } ;;
        'runtime '*) endpoint=${value#unix://} ;;
        'server '*) server=${value% *} ca_path=${value#* } ;;
        'addresses '*) addresses=$value ;;
        'resolver '*) resolver=$value ;;
        'data '*) root=$value ;;
        'node '*) node=$value ;;
        'stack '*) stack=$value ;;
        'certificates '*) certificates=$value ;;
        embed-ca) embed_ca=yes ;;
        'skip '*) skip="$skip $value" ;;
        'without '*) without="$without $value" ;;
        'health '*) health=$value ;;
        'generation '* | 'repair '*) ;;
        end) word=end ;;
        *) fail "the bundle has an unknown line: $line" ;;
        esac
    done
    [ "$word" = end ] || fail 'the bundle is incomplete, nothing was changed; run again'
}

full() { fail "can't write in $state, nothing was changed; free some space"; }

ours() { [ -e "$manifest" ] && grep -qxF "$1 $2" "$manifest"; }

replace() { # SOURCE TARGET, in one file system; the target is the old or the new file, never half
    sync "$1"
    mv -f "$1" "$2"
    sync "${2%/*}"
}

digest() { # PATH LOOKS: sets `hash` to the hash of its looks and content
    hash=$({ printf '%s\n' "$2" && { [ -d "$1" ] || cat "$1"; }; } | sha256sum)
    hash=${hash%% *}
}

same_file() { # A B, by their hashes: not every machine has cmp
    [ -f "$1" ] && [ -f "$2" ] && [ "$(sha256sum <"$1")" = "$(sha256sum <"$2")" ]
}

# Without what a kubelet gives its Node only when it registers: registration.py has the same lines.
same_when_running() {
    registered='/^[^ -]/ { skip = /^registerWithTaints:/ } !skip && !/^--node-labels=/'
    [ -f "$path" ] && [ "$(awk "$registered" "$stage/$number")" = "$(awk "$registered" "$path")" ]
}

same_content() { [ "$kind" = dir ] || same_file "$stage/$number" "$path"; }

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
    printf '%s\n' "node $node" ${stack:+"stack $stack"} "kubeconfig $kubeconfig" "bootstrap $bootstrap" \
        "certificates $certificates" "health $health" >"$stage/wanted"
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
            if same_content || same_when_running; then effect=none; fi
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
    if [ ! -s "$stage/todo" ] && kubeconfig_is_as_planned; then
        if same_file "$stage/kept" "$manifest"; then return; fi
        # A list of an earlier release only lacks the stack: no kubelet has anything to prove.
        grep -v '^stack ' "$stage/kept" >"$stage/unowned"
        if same_file "$stage/unowned" "$manifest"; then
            replace "$stage/kept" "$manifest"
            return
        fi
    fi
    begin_change
    # The manifest is complete before the first change, and pruned after the last one.
    {
        echo run unfinished
        cat "$stage/before"
        grep -v '^health ' "$manifest" || : # where the kubelet will answer
    } | sort -u - "$stage/wanted" >"$stage/all"
    replace "$stage/all" "$manifest"
    unfinished=yes
    # New copies that a killed run has left behind.
    sed -n 's/^file \(.*\)/\1.kubelet-tls-bootstrap/p' "$manifest" | xargs rm -f
    carry_over_certificates
    write_todo
    remove_unwanted
    kubeconfig_is_as_planned || write_kubeconfig
}

# After the restart: the kubelet reads its files where they are now.
prune_all() {
    [ "$unfinished" ] || return 0
    grep -vxF -f "$stage/wanted" "$stage/before" | remove_made
    replace "$stage/kept" "$manifest"
}

install() {
    lock install
    trap 'rm -rf "$stage" ${new:+"$new"} ${brought:+"$brought"}' EXIT
    stage_bundle
    made_before >"$stage/before"
    preflight
    [ -e "$manifest" ] || : >"$manifest"
    compare
    changed='' repaired='' removed='' unfinished='' unproven=''
    if [ -e "$state/former" ]; then unproven=yes; fi # of a run that was killed
    rm -rf "$state/former.new" # of one that was killed before it changed anything
    look_at_kubelet
    write_all
    relabel
    share_kubeconfig
    if [ -e "$state/restart" ]; then
        if [ "$state_of_kubelet" = stopped ]; then
            systemctl daemon-reload
        else
            restart_kubelet || [ -e "$state/former" ]
            state_of_kubelet=restarted unproven=yes
        fi
        rm -f "$state/restart"
    fi
    if [ -z "$unproven" ] || [ -z "$has_joined" ]; then rm -rf "$state/former"; fi
    prove
    [ -z "$outcome" ] || fail "$node: $outcome"
    prune_all
    restarted=$(cat "$state/restarted" 2>/dev/null) || restarted=''
    printf '{"changed":[%s],"repaired":[%s],"removed":[%s],"kubelet":"%s"%s,"skipped":[%s],"notes":[%s]}\n' \
        "$changed" "$repaired" "$removed" "$state_of_kubelet" \
        "${restarted:+,\"restarted\":\"$restarted\"}" "$skipped" "$notes"
}
