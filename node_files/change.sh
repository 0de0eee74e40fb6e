# A change is proven: after its restart the kubelet must be healthy, or the former files are put back.
# They are in $state/former from before the first change until the proof, so whoever finds that
# directory has a change to prove or to undo. files.sh comes before it and sets what it reads.
# shellcheck disable=SC2034,SC2154 # what one sets, the other reads
steady_s=1   # for which a kubelet that has begun its work must go on
unsure_s=10  # the same for one that does not show whether it has begun
socket=/var/lib/kubelet/device-plugins/kubelet.sock # wherever its data are

has_certificate() { # FILE, with lines that say where the kubelet keeps its certificates
    sed -n 's/^certificates //p' "$1" | while read -r directory; do
        [ ! -s "$directory/$current" ] || echo yes
    done | grep -q yes
}

# Sets how the kubelet is, and whether it has a node to serve. The one that a package brings crashes
# until it joins, and then nothing needs a proof.
look_at_kubelet() {
    if has_certificate "$stage/before"; then has_joined=yes; else has_joined=''; fi
    case $(systemctl is-active kubelet.service) in
    active | reloading) state_of_kubelet=running ;;
    activating | failed) state_of_kubelet=${has_joined:+failing} ;;
    *) state_of_kubelet=stopped has_joined='' ;;
    esac
    : "${state_of_kubelet:=stopped}"
}

answers() ( # HEALTHZ MAIN, the URLs of its two servers
    server=$1
    if ! command -v curl >/dev/null; then
        command -v openssl >/dev/null || exit 0 # then systemd alone tells how it is
        server=$2 # openssl does not speak plain HTTP
    fi
    case $server:$(ask /healthz '' 3 | head -n 1) in
    http://*:'HTTP/'*' 200'* | https://*:'HTTP/'*) ;; # the main one may want to know who asks
    *) exit 1 ;;
    esac
)

# Sets `limit_s`, `healthz` and `main` by a manifest's words; older ones have none.
read_health() { # MANIFEST
    limit_s='' healthz='' main=''
    read -r limit_s healthz main <<HEALTH
$(sed -n 's/^health //p' "$1" | head -n 1)
HEALTH
    : "${limit_s:=60}" "${healthz:=http://127.0.0.1:10248}" "${main:=https://127.0.0.1:10250}"
}

# The kubelet makes this socket again when its container manager has started, which most of what a
# configuration can get wrong would have kept it from.
# shellcheck disable=SC3013 # every shell knows -nt, and POSIX does since 2024
has_begun() { [ "$socket" -nt "$state/restarted" ]; }

# Waits until the kubelet is healthy: it runs and keeps running, answers, and has its certificate. If
# it is not, `why` says what is wrong.
is_healthy() { # MANIFEST
    read_health "$1"
    why='' pid='' began=$(date +%s) since=0
    while :; do
        now=$(date +%s)
        crashes=$(restarts)
        [ "${crashes:-0}" -lt 2 ] || {
            why='it keeps stopping'
            return 1
        }
        before=$pid
        pid=$(systemctl show --property MainPID --value kubelet.service)
        if ! systemctl is-active --quiet kubelet.service; then
            why='it does not run' since=0
        elif ! has_certificate "$1"; then
            why="it has no client certificate" since=0
        elif ! answers "$healthz" "$main"; then
            why="it does not answer at $healthz/healthz" since=0
        else
            if [ "$since" -eq 0 ] || [ "$pid" != "$before" ]; then since=$now; fi
            steady=$((now - since))
            if [ "$steady" -gt "$unsure_s" ] || { [ "$steady" -gt "$steady_s" ] && has_begun; }; then
                why=''
                return 0
            fi
            why="it has not kept running for $unsure_s s"
        fi
        [ $((now - began)) -lt "$limit_s" ] || return 1
        sleep 0.3
    done
}

# Copies what this run may change, with its owner, mode, ACL and label.
keep_former() {
    new_certificates >"$stage/certificates"
    if [ -e "$state/former" ]; then
        # Of a change that was not proven: those files worked.
        cat "$stage/certificates" >>"$state/former/made"
        return
    fi
    rm -rf "$state/former.new"
    mkdir "$state/former.new" || full
    cp "$manifest" "$state/former.new/manifest" || full
    cp "$stage/certificates" "$state/former.new/made"
    {
        sed -n 's/^file //p' "$manifest" "$stage/wanted"
        sed -n 's/^kubeconfig //p' "$stage/before" "$stage/wanted"
    } | sort -u >"$state/former.new/paths"
    number=0
    while read -r path; do
        number=$((number + 1))
        if [ -e "$path" ]; then cp -a "$path" "$state/former.new/$number" || full; fi
    done <"$state/former.new/paths"
    [ "$was" = healthy ] || : >"$state/former.new/unhealthy"
    sync
    mv "$state/former.new" "$state/former"
}

# Where the kubelet's certificates will be carried to.
new_certificates() {
    if [ -e "$certificates/$current" ] || grep -qxF "certificates $certificates" "$stage/before"; then return 0; fi
    echo "certificates $certificates"
}

# Whoever is killed in the middle leaves the proof to a unit of its own, which waits for the lock.
watch_over() {
    [ "$brought" ] || return 0 # a script that is in no file
    systemd-run --quiet --unit "kubelet-tls-bootstrap-$$" sh "$brought" settle "$state" 9>&- >&2 ||
        {
            [ "$unproven" ] || rm -rf "$state/former"
            fail 'systemd-run could not start a unit, nothing was changed; see why in journalctl, and run pulumi up again'
        }
}

begin_change() { # before anything is written
    [ "$has_joined" ] || return 0
    was=healthy
    read_health "$manifest"
    if [ "$state_of_kubelet" = failing ] || ! answers "$healthz" "$main"; then was=unhealthy; fi
    keep_former
    watch_over
}

put_back() {
    number=0
    while read -r path; do
        number=$((number + 1))
        new=$path.kubelet-tls-bootstrap
        rm -f "$new"
        if [ -e "$state/former/$number" ]; then
            cp -a "$state/former/$number" "$new"
            replace "$new" "$path"
        else
            rm -f "$path"
        fi
    done <"$state/former/paths"
    new=''
    remove_made <"$state/former/made"
    cp "$state/former/manifest" "$state/manifest.new"
    replace "$state/manifest.new" "$state/manifest"
}

restart_kubelet() {
    systemctl daemon-reload
    systemctl reset-failed kubelet.service 2>/dev/null || :
    sleep 0.1 # so that what the kubelet makes is newer
    date -u +%Y-%m-%dT%H:%M:%SZ >"$state/restarted" # the cluster must hear of the kubelet since then
    timeout 60 systemctl restart kubelet.service
}

# Puts the former files back unless the kubelet is healthy; `outcome` says how it was, empty if it is.
prove() {
    outcome=''
    [ -e "$state/former" ] || return 0
    since_change=$(stat -c %Y "$state/former")
    if ! is_healthy "$state/manifest"; then
        outcome=$(
            echo "the kubelet is not healthy with its new files: $why"
            last_errors "$since_change"
        )
        put_back
        restart_kubelet || :
        rm -f "$state/restart"
        if [ -e "$state/former/unhealthy" ]; then
            end='it was not healthy before this change either'
        elif is_healthy "$state/manifest"; then
            end='the kubelet is healthy with them'
        else
            end="but the kubelet is not healthy with them either: $why"
        fi
        outcome=$(printf '%s\nthe former files are back; %s' "$outcome" "$end")
    fi
    rm -rf "$state/former"
}

settle() { # STATE; proves or undoes what a run has begun and did not finish
    state=$1 new=''
    exec 9>"$state/lock"
    flock 9
    if [ -e "$state/former" ]; then
        if [ -e "$state/restart" ]; then restart_kubelet || :; fi # it was killed before that
        rm -f "$state/restart"
        prove
        printf '%s\n' "${outcome:-the change is proven}"
    fi
    rm -rf "$state/stage" "$0" # which says that this has ended
    exit
}
