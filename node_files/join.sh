# Starts a node's kubelet with a bootstrap token and waits until it has its two certificates.
# stdin: words that say where things are, then the bootstrap kubeconfig. Safe to run again.
set -eu
umask 077
LC_ALL=C PATH=$PATH:/usr/sbin:/sbin
export LC_ALL PATH
limit_s=180       # for both certificates, unless stdin says otherwise
patience_s=15     # for an error that may pass: an API server that restarts, a clock that settles

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

read_settings() {
    name='' kubeconfig='' bootstrap='' certificates='' ca='' server='' acl='' word=''
    while read -r word value; do
        case $word in
        name) name=$value ;;
        limit) limit_s=$value ;;
        kubeconfig) kubeconfig=$value ;;
        certificates) certificates=$value ;;
        ca) ca=$value ;;
        server) server=$value ;;
        acl) acl=$acl${acl:+,}$value ;;
        bootstrap) bootstrap=$value && break ;;
        *) fail "stdin has a line that this script does not know; it begins with: $word" ;;
        esac
    done
    client=$certificates/kubelet-client-current.pem
    serving=$certificates/kubelet-server-current.pem
}

# Holds this machine a live certificate of this node, from this cluster?
has_joined() {
    [ -s "$kubeconfig" ] && [ -s "$client" ] || return 1
    sed 's/^ *//' "$kubeconfig" | grep -qxF "server: $server" ||
        fail "$kubeconfig names another API server; this machine belongs to another cluster, or the server has changed: move $kubeconfig away and run again"
    command -v openssl >/dev/null || return 0
    openssl x509 -in "$client" -noout -subject -nameopt RFC2253 | grep -qF "CN=system:node:$name," ||
        fail "$client is the certificate of another node; move $kubeconfig and $client away and run again"
    openssl x509 -in "$client" -noout -checkend 0 >/dev/null || return 1
    openssl verify -CAfile "$ca" "$client" >/dev/null 2>&1 ||
        fail "$client was signed by another cluster's CA than $ca; move $kubeconfig and $client away and run again"
}

write_bootstrap_kubeconfig() {
    new=$bootstrap.kubelet-tls-bootstrap
    rm -f "$new"
    complete=''
    while IFS= read -r line; do
        case $line in
        '| '*) printf '%s\n' "${line#??}" >&3 ;;
        end) complete=yes ;;
        esac
    done 3>"$new"
    [ "$complete" ] || fail 'stdin ended early; run again'
    sync "$new"
    mv -f "$new" "$bootstrap"
}

journal() { journalctl --unit kubelet.service --since "@$1" --output cat --no-pager 2>&1; }

# Not what it says of itself: its configuration is full of words such as Unauthorized.
errors() { journal "$1" | grep -E '^([EWF][0-9]{4} |[Ee]rror|panic:|kubelet\.service)' || true; }

redacted() {
    sed -E 's/[a-z0-9]{6}\.[a-z0-9]{16}/<token>/g; s/(Bearer )[^ "]+/\1<token>/g' | cut -c1-300
}

# Of lines that differ only in their time and their pod the last one, and how many there were: what
# is said of each pod again and again would hide the cause.
squeezed() {
    awk '{
        line[NR] = $0
        sub(/^[EWF][0-9]+ [0-9:.]+ +[0-9]+ /, "")
        gsub(/ pod(UID|Name)?="[^"]*"/, "")
        last[$0] = NR
        count[NR] = ++seen[$0]
        key[NR] = $0
    }
    END {
        for (i = 1; i <= NR; i++)
            if (last[key[i]] == i) print line[i] (count[i] > 1 ? " (" count[i] " times)" : "")
    }'
}

# Prints what is wrong according to the journal, nothing if nothing is known to be wrong.
fault() { # SINCE
    lines=$(errors "$1" | tail -n 100)
    case $lines in
    *'unknown flag'* | *'failed to parse kubelet flag'*) echo 'the kubelet refuses a flag; see the lines below' ;;
    *'failed to load kubelet config file'* | *'failed to load Kubelet config file'*) echo 'the kubelet refuses its configuration; see the lines below' ;;
    *'certificate signed by unknown authority'* | *'failed to verify certificate'*) echo "$server shows a certificate that $ca did not sign; correct the CA or the server in the settings" ;;
    *Unauthorized*) echo 'the API server does not accept the token (401): it has expired, was revoked, or --enable-bootstrap-token-auth is missing; run pulumi up --refresh for a new one' ;;
    *'is forbidden'*certificatesigningrequests* | *certificatesigningrequests*'is forbidden'*) echo 'the token may not ask for a certificate (403): the ClusterRoleBinding kubelet-bootstrap is missing' ;;
    *'no such host'*) echo "the name in $server is unknown on this machine; correct its DNS or the server in the settings" ;;
    *'connection refused'* | *'i/o timeout'* | *'no route to host'*) echo "$server does not answer this machine; look at the network between them" ;;
    esac
}

restarts() { systemctl show --property NRestarts --value kubelet.service; }

give_up() { # REASON
    {
        printf 'error: %s has not joined: %s\n' "$name" "$1"
        echo 'the last errors of its kubelet:'
        errors "$started" | redacted | squeezed | tail -n 12 | sed 's/^/  /'
    } >&2
    # Without a client certificate the kubelet would ask with a dead token for ever.
    [ -s "$client" ] || systemctl disable --now kubelet.service 2>/dev/null || true
    exit 1
}

wait_for() { # FILE, WHAT IT MEANS THAT IT IS NOT THERE
    suspect='' since=0 ticks=0
    until [ -s "$1" ]; do
        sleep 0.1
        ticks=$((ticks + 1))
        [ $((ticks % 10)) -eq 0 ] || continue
        now=$(date +%s)
        [ "$now" -lt $((started + limit_s)) ] || {
            found=$(fault $((now - limit_s / 3)))
            give_up "${found:-$2}"
        }
        [ "$(restarts)" -lt 3 ] || give_up "the kubelet stops again and again. $(fault "$started")"
        [ $((ticks % 30)) -eq 0 ] || continue
        found=$(fault "$started")
        if [ -z "$found" ] || [ "$found" != "$suspect" ]; then
            suspect=$found since=$now
        elif [ $((now - since)) -ge "$patience_s" ]; then
            # One that is not told any more has passed: what is waited for is an approval then.
            [ "$(fault $((since + patience_s / 2)))" != "$found" ] || give_up "$found"
        fi
    done
}

join() {
    read_settings
    trap 'rm -f "$bootstrap" "$bootstrap.kubelet-tls-bootstrap"' EXIT
    trap 'exit 143' HUP INT TERM
    started=$(date +%s)
    if has_joined; then
        timeout 60 systemctl enable --now kubelet.service 2>/dev/null ||
            give_up 'systemd can not start the kubelet'
    else
        # One that has expired would pass for the one that is waited for.
        [ ! -s "$kubeconfig" ] || rm -f "$client"
        write_bootstrap_kubeconfig
        systemctl daemon-reload
        systemctl enable kubelet.service 2>/dev/null || fail 'systemd can not enable the kubelet'
        systemctl reset-failed kubelet.service 2>/dev/null || true
        # Restart, not start: one that runs with an older token would never read this one.
        timeout 60 systemctl restart kubelet.service || give_up 'systemd can not start the kubelet'
        missing='its client certificate did not come: see kubectl get csr, whether its request is there, approved and issued'
        # Made of the bootstrap kubeconfig, which is not needed any more then.
        wait_for "$kubeconfig" "$missing"
        wait_for "$client" "$missing"
    fi
    wait_for "$serving" 'its serving certificate did not come: the gate refused its request, or does not run; see kubectl get csr'
    [ ! "$acl" ] || setfacl -m "$acl" "$kubeconfig"
    echo '{"joined":true}'
}

"$@"
