#!/bin/sh
# Starts the kubelet of a machine that joins by itself, and waits for its certificate.
# cloud-init runs it once, after it has written the files. Safe to run again.
set -eu
umask 077
LC_ALL=C PATH=$PATH:/usr/sbin:/sbin
export LC_ALL PATH
server=$1 arguments=$2 token=$3 client=$4 limit_s=$5 kubeconfig=$6
acl=${7:-} # entries, separated by commas, for the kubeconfig that the kubelet writes

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# The name that the kubelet itself would use: k8s.io/component-helpers, GetHostname.
node_name() {
    found=$(uname -n | tr '[:upper:]' '[:lower:]')
    case $found in
    '' | localhost | localhost.* | [!a-z0-9]* | *[!a-z0-9.-]* | *[!a-z0-9])
        fail "the host name \"$found\" is not a valid name of a Node; have cloud-init set another" ;;
    esac
    # It becomes the label kubernetes.io/hostname, too.
    [ "${#found}" -le 63 ] || fail "the host name $found has more than 63 characters, which no Node takes; have cloud-init set another"
    printf '%s\n' "$found"
}

# The address from which this machine reaches the API server.
node_address() {
    there=$(getent ahosts "$server" | awk 'NR == 1 { print $1 }')
    [ "$there" ] || fail "this machine can't resolve $server; correct its DNS"
    found=$(ip -o route get "$there" | sed -n 's/.* src \([^ ]*\).*/\1/p')
    [ "$found" ] || fail "there is no route to $server"
    printf '%s\n' "$found"
}

write_arguments() {
    name=$(node_name)
    address=$(node_address)
    cp --preserve=all "$arguments.in" "$arguments.new" # its mode, owner and ACL
    sed -e "s/@NODE_NAME@/$name/" -e "s/@NODE_IP@/$address/" "$arguments.in" >"$arguments.new"
    sync "$arguments.new"
    mv -f "$arguments.new" "$arguments"
}

wait_for() { # FILE MESSAGE, which says what it means if the file does not appear
    end=$(($(date +%s) + limit_s))
    until [ -s "$1" ]; do
        [ "$(date +%s)" -lt "$end" ] || fail "$2"
        sleep 1
    done
}

write_arguments
systemctl daemon-reload
if [ ! -s "$client" ]; then
    wait_for "$token" "no bootstrap token appeared in $token within $limit_s s; put one there and run this again: sh $0 $*"
fi
systemctl enable kubelet.service
systemctl restart kubelet.service
wait_for "$client" "the kubelet got no certificate within $limit_s s; see journalctl -u kubelet and kubectl get csr"
if [ "$acl" ]; then setfacl -m "$acl" "$kubeconfig"; fi
rm -f "$token"
echo "joined as $(node_name)"
