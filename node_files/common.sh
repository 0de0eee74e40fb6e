# What the scripts of a node have in common; it comes before them.
# shellcheck disable=SC2154 # they set `server` and `state`
set -eu
umask 077
LC_ALL=C PATH=$PATH:/usr/sbin:/sbin
export LC_ALL PATH

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# A script that is in a file has its input behind it, after a marker.
read_rest_of() { # FILE
    exec <"$1"
    while IFS= read -r line && [ "$line" != '#data' ]; do :; done
}

# Holds the machine until this script ends, so nothing that outlives it may have file 9.
take_lock() { # SECONDS to wait for another run
    mkdir -p "$state"
    exec 9>"$state/lock"
    tries=0
    until flock -n 9; do # not every flock knows how to wait for a limited time
        tries=$((tries + 1))
        [ "$tries" -lt "$1" ] || fail "another run has held $state/lock for $1 s; wait for it to end and run again"
        sleep 1
    done
}

# Prints what the API server answers, the headers too; nothing if curl and openssl are both missing.
ask() { # PATH CA SECONDS [PEM OF A CERTIFICATE AND ITS KEY]; with an empty CA anybody's answer
    if command -v curl >/dev/null; then
        if [ "$2" ]; then insecure=''; else insecure=--insecure; fi
        curl -s -i --noproxy '*' --max-time "$3" ${insecure:+"$insecure"} ${2:+--cacert "$2"} \
            ${4:+--cert "$4" --key "$4"} "$server$1"
    elif command -v openssl >/dev/null; then
        host=${server#https://} host=${host%%/*}
        case $host in *]:* | [!\[]*:*) ;; *) host=$host:443 ;; esac
        printf 'GET %s HTTP/1.0\r\n\r\n' "$1" | timeout "$3" openssl s_client -quiet \
            -connect "$host" ${2:+-CAfile "$2" -partial_chain -verify_return_error} \
            ${4:+-cert "$4" -key "$4"} 2>/dev/null
    fi
}
