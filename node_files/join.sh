# Starts a node's kubelet with a bootstrap token and waits for its two certificates.
# stdin: settings, then the bootstrap kubeconfig. Safe to run again. common.sh and kubelet.sh come
# before it.
# shellcheck disable=SC2034,SC2154 # kubelet.sh sets `current`, common.sh reads `state`
limit_s=180       # for both certificates, unless stdin gives another limit
longer_s=70       # than that another run may take: delivery.py gives each join so much more
patience_s=15     # for errors that may pass: the API server restarts, the clock is being set

read_settings() {
    name='' state='' kubeconfig='' bootstrap='' certificates='' ca='' server='' acl='' word=''
    while read -r word value; do
        case $word in
        name) name=$value ;;
        state) state=$value ;;
        limit) limit_s=$value ;;
        kubeconfig) kubeconfig=$value ;;
        certificates) certificates=$value ;;
        ca) ca=$value ;;
        server) server=$value ;;
        acl) acl=$acl${acl:+,}$value ;;
        bootstrap) bootstrap=$value && break ;;
        *) fail "stdin has an unknown line; it begins with: $word" ;;
        esac
    done
    client=$certificates/$current
    serving=$certificates/kubelet-server-current.pem
}

# A URL in the one form for all that mean the same, one a line.
same_urls() { tr '[:upper:]' '[:lower:]' | sed 's,/*$,,; s,^\(https://[^/]*[^:/]\):443$,\1,'; }

# Does the kubeconfig name our API server? It may be YAML in any form, JSON too.
names_our_server() {
    sed 's/^[[:space:]]*#.*//' "$kubeconfig" | tr '\r\n' '  ' |
        grep -oE "[\"']?server[\"']?[[:space:]]*:[[:space:]]*([>|][+-]?[[:space:]]+)?[\"']?https?://(\[[^]]*\])?[^]\"',}[:space:]]*" |
        sed "s/^.*[[:space:]\"':]\(https\{0,1\}:\/\/\)/\1/" | same_urls |
        grep -qxF -e "$(printf '%s\n' "$server" | same_urls)"
}

# Does this machine have a valid certificate of this node, from this cluster?
has_joined() {
    [ -s "$kubeconfig" ] && [ -s "$client" ] || return 1
    names_our_server ||
        fail "$kubeconfig names another API server than $server; this machine belongs to another cluster, or the server has changed: move $kubeconfig away and run again"
    command -v openssl >/dev/null || return 0
    [ "$(node_of_certificate "$client")" = "$name" ] ||
        fail "$client belongs to another node; move $kubeconfig, $client and $serving away and run again"
    openssl x509 -in "$client" -noout -checkend 0 >/dev/null || return 1
    is_signed_by "$ca" "$client" ||
        fail "$client was not signed by the CA in $ca but by another cluster's; move $kubeconfig, $client and $serving away and run again"
}

# A cluster may sign serving certificates with another CA, so one with this node's name may be good.
has_foreign_serving_certificate() {
    [ -s "$serving" ] && command -v openssl >/dev/null || return 1
    whose=$(node_of_certificate "$serving")
    [ "$whose" ] && [ "$whose" != "$name" ] && ! is_signed_by "$ca" "$serving"
}

put_serving_certificate_away() { # what a link leads to stays
    [ ! -L "$serving" ] || rm -f "$serving"
    [ ! -e "$serving" ] || mv -f "$serving" "$certificates/kubelet-server-before-join.pem"
}

start_kubelet() { # start OR restart
    timeout 60 systemctl "$1" kubelet.service || give_up 'systemd cannot start the kubelet'
}

# A kubelet registers only when it starts, so one whose Node was deleted meanwhile starts again.
how_to_start() {
    case $(ask "/api/v1/nodes/$name" "$ca" 10 "$client" | head -n 1) in
    'HTTP/'*' 200'*) echo start ;;
    *) echo restart ;;
    esac
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
    [ "$complete" ] || fail 'stdin is incomplete; run again'
    sync "$new"
    mv -f "$new" "$bootstrap"
}

# Leaves out what is not about the API server: the runtime, images, probes and other URLs.
of_server() {
    grep -vE -e 'dial unix|[Ii]mage|[Pp]robe' | awk -v server="${server%/}" '
        !/https?:\/\// || index($0, server "/") || index($0, server "\"")'
}

says() { printf '%s\n' "$lines" | grep -qE -e "$1"; } # PATTERN

# Prints the problem that the journal shows, or nothing if it shows no known one.
problem() { # SINCE
    lines=$(errors "$1" | tail -n 100)
    if says 'unknown flag|failed to parse kubelet flag'; then
        echo 'the kubelet rejects a flag; see the lines below'
        return
    elif says 'failed to load [Kk]ubelet config file'; then
        echo 'the kubelet rejects its configuration; see the lines below'
        return
    elif says 'unknown service runtime\.v1'; then
        echo 'the container runtime does not serve CRI v1; take cri out of disabled_plugins in its configuration, or upgrade it'
        return
    elif says 'validate service connection'; then
        echo 'the container runtime does not answer the kubelet; see the lines below, and the state of its service'
        return
    fi
    lines=$(printf '%s\n' "$lines" | of_server)
    presents="$server presents a certificate that"
    if says 'certificate is (valid for .*, not |not valid for any names)|contain any IP SANs|legacy Common Name'; then
        echo "$presents $(lacks_name)"
    elif says 'x509: certificate has expired or is not yet valid'; then
        echo "$presents $(is_not_valid_now)"
    elif says 'certificate signed by unknown authority'; then
        echo "$presents the CA in $ca did not sign; correct the CA or the server in the settings"
    elif says 'failed to verify certificate'; then
        echo "$presents the kubelet does not take; see the lines below"
    elif says 'HTTP response to HTTPS client'; then
        echo "$server does not speak HTTPS; correct the server in the settings"
    elif says 'remote error: tls: .*certificate|Unauthorized|provide credentials'; then
        if [ -s "$client" ]; then
            echo "the API server does not accept the certificate in $client (401): --client-ca-file of kube-apiserver lacks the CA that kube-controller-manager signs with, or a clock is wrong"
        else
            echo 'the API server does not accept the token (401): it has expired or was revoked, or --enable-bootstrap-token-auth is not set; the next pulumi up makes a new one'
        fi
    elif says 'certificatesigningrequests.*system:anonymous|system:anonymous.*certificatesigningrequests'; then
        echo "the token did not reach the API server: what answers at $server ends TLS or removes the header Authorization; let it pass TLS on"
    elif says 'is forbidden.*system:node:.*certificatesigningrequests'; then
        echo "the node may not request its serving certificate (403): kube-apiserver needs Node in --authorization-mode"
    elif says 'is forbidden.*certificatesigningrequests|certificatesigningrequests.*is forbidden'; then
        echo 'the token may not request a certificate (403): the ClusterRoleBinding kubelet-bootstrap is missing; run pulumi up --refresh to create it'
    elif says 'no such host|dial tcp: lookup '; then
        echo "this machine can't resolve the name in $server; correct its DNS or the server in the settings"
    elif says 'proxyconnect tcp'; then
        echo "the proxy in the kubelet's environment does not let it reach $server; remove it from there, or add the server to NO_PROXY"
    elif says 'connection refused|i/o timeout|no route to host|network is unreachable|TLS handshake timeout|connection reset by peer|Client.Timeout exceeded'; then
        echo "$server does not answer this machine; check the network between them"
    fi
}

give_up() { # REASON
    {
        printf 'error: %s has not joined: %s\n' "$name" "$1"
        last_errors "$started"
    } >&2
    # Without a client certificate the kubelet would keep asking with a dead token for ever.
    [ -s "$client" ] || systemctl disable --now kubelet.service 2>/dev/null || true
    exit 1
}

wait_for() { # FILE MESSAGE, which says what it means if the file does not appear
    suspect='' since=0 ticks=0
    until [ -s "$1" ]; do
        sleep 0.1
        ticks=$((ticks + 1))
        [ $((ticks % 10)) -eq 0 ] || continue
        now=$(date +%s)
        [ "$now" -lt $((started + limit_s)) ] || {
            found=$(problem $((now - limit_s / 3)))
            give_up "${found:-$2}"
        }
        [ "$(restarts)" -lt 3 ] || give_up "the kubelet keeps stopping. $(problem "$started")"
        [ $((ticks % 30)) -eq 0 ] || continue
        found=$(problem "$started")
        if [ -z "$found" ] || [ "$found" != "$suspect" ]; then
            suspect=$found since=$now
        elif [ $((now - since)) -ge "$patience_s" ]; then
            # A problem that the kubelet no longer reports has passed; it now waits for approval.
            [ "$(problem $((since + patience_s / 2)))" != "$found" ] || give_up "$found"
        fi
    done
}

# A kubelet whose Node is there already, with an earlier machine's address, asks for a certificate with
# that address, and for none with its own before a quarter of an hour has passed
# (client-go/util/certificate: its first request is not interrupted). Once its Node has its address,
# a restart makes it ask again.
ask_again_if_registered_before() {
    ticks=0
    until [ -s "$serving" ] || [ "$ticks" -ge 150 ]; do
        sleep 0.1
        ticks=$((ticks + 1))
        [ $((ticks % 10)) -eq 0 ] || continue
        case $(journal "$started") in
        *'Node was previously registered'*) # which it says before it says what it says of each Node
            sleep 2
            start_kubelet restart
            return
            ;;
        *'Successfully registered node'*) return ;;
        esac
    done
}

join() {
    read_settings
    # sshd ends nothing when the program is interrupted: its join may still go on, and its end would
    # remove the token of this one.
    command -v flock >/dev/null || fail 'this machine lacks flock; install util-linux, then run again'
    take_lock $((limit_s + longer_s))
    trap 'rm -f "$bootstrap" "$bootstrap.kubelet-tls-bootstrap"' EXIT
    trap 'exit 143' HUP INT TERM
    started=$(date +%s)
    if has_joined; then
        systemctl enable kubelet.service 2>/dev/null || fail 'systemd cannot enable the kubelet'
        how=$(how_to_start)
        if has_foreign_serving_certificate; then
            put_serving_certificate_away
            how=restart
        fi
        start_kubelet "$how"
    else
        # An expired certificate would pass for the new one. It is a link; what it leads to stays.
        [ ! -s "$kubeconfig" ] || rm -f "$client"
        put_serving_certificate_away
        write_bootstrap_kubeconfig
        systemctl daemon-reload
        systemctl enable kubelet.service 2>/dev/null || fail 'systemd cannot enable the kubelet'
        systemctl reset-failed kubelet.service 2>/dev/null || true
        # Restart, not start: a kubelet that runs with an older token would never read this one.
        start_kubelet restart
        missing='it got no client certificate: check with kubectl get csr whether its request exists, is approved and is issued'
        # The kubelet writes it from the bootstrap kubeconfig, which it does not need after that.
        wait_for "$kubeconfig" "$missing"
        wait_for "$client" "$missing"
        ask_again_if_registered_before
    fi
    wait_for "$serving" 'it got no serving certificate: the gate refused its request or is not running; see kubectl get csr'
    [ ! "$acl" ] || setfacl -m "$acl" "$kubeconfig"
    echo '{"joined":true}'
}

"$@"
