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
# What these say themselves goes to the file `told`, if that is set.
ask() { # PATH CA SECONDS [PEM OF A CERTIFICATE AND ITS KEY]; with an empty CA anybody's answer
    if command -v curl >/dev/null; then
        if [ "$2" ]; then insecure=''; else insecure=--insecure; fi
        curl -sS -i --noproxy '*' --max-time "$3" ${insecure:+"$insecure"} ${2:+--cacert "$2"} \
            ${4:+--cert "$4" --key "$4"} "${server%/}$1" 2>"${told:-/dev/null}"
    elif command -v openssl >/dev/null; then
        host=${server#https://} host=${host%%/*} below=${server#"https://$host"}
        case $host in *]:* | [!\[]*:*) ;; *) host=$host:443 ;; esac
        name=${host%:*} name=${name#\[} name=${name%]} kind=-verify_hostname
        case $name in *:*) kind=-verify_ip ;; *[!0-9.]*) ;; *) kind=-verify_ip ;; esac
        printf 'GET %s HTTP/1.0\r\n\r\n' "${below%/}$1" | timeout "$3" openssl s_client -quiet \
            -connect "$host" ${2:+-CAfile "$2" -partial_chain -verify_return_error "$kind" "$name"} \
            ${4:+-cert "$4" -key "$4"} 2>"${told:-/dev/null}"
    fi
}

lacks_name() { echo "does not hold the name or address in that URL; add it to the API server's certificate, or correct the server in the settings"; }
is_not_valid_now() { echo "is not valid at this machine's time, $(date -u '+%Y-%m-%d %H:%M')Z; set its clock, or renew the API server's certificate"; }

# Prints what is wrong with a certificate that curl or openssl does not take: by what they have said.
distrust() { # FILE
    case $(cat "$1" 2>/dev/null) in
    *'does not match'* | *'no alternative certificate subject name'* | *'name mismatch'* | *'address mismatch'*)
        lacks_name ;;
    *'has expired'* | *'not yet valid'* | *expiration* | *activation* | *activated*)
        is_not_valid_now ;;
    *) echo 'the CA did not sign; correct the CA or the server in the settings' ;;
    esac
}

# Prints whose a kubelet's client certificate is; nothing if it can't be read.
node_of_certificate() { # FILE
    openssl x509 -in "$1" -noout -subject -nameopt RFC2253 2>/dev/null |
        sed 's/^subject= *//' | tr , '\n' | sed -n 's/^CN=system:node://p'
}

# Has the CA signed a certificate? Only that another one has makes it no: by the numbers of the errors
# in openssl-verify(1). That it is not valid now is another matter, such as the clock, and so is an
# openssl that fails. That of 1.0.2 has no -no_check_time, and says "OK" after an error that it forgives.
is_signed_by() { # CA FILE
    verdict=$(openssl verify -no_check_time -partial_chain -CAfile "$1" "$2" 2>&1) || case $verdict in
    *'depth lookup'*) ;;
    *) verdict=$(openssl verify -partial_chain -CAfile "$1" "$2" 2>&1) || : ;;
    esac
    ! printf '%s\n' "$verdict" | grep -Eq 'error (2|7|18|19|20|21) at [0-9]+ depth lookup'
}
