# What systemd and the journal tell of the kubelet. common.sh comes before it.
# shellcheck disable=SC2034 # the scripts after it read what it sets
current="kubelet-client-current.pem" # the link that a kubelet keeps to its client's certificate

restarts() { systemctl show --property NRestarts --value kubelet.service; } # by systemd itself

journal() { journalctl --unit kubelet.service --since "@$1" --output cat --no-pager 2>&1; }

# Only errors: the kubelet also logs its configuration, which has words such as Unauthorized.
errors() { journal "$1" | grep -E '^([EWF][0-9]{4} |[Ee]rror|panic:|kubelet\.service)' || true; }

redacted() {
    sed -E 's/[a-z0-9]{6}\.[a-z0-9]{16}/<token>/g; s/(Bearer )[^ "]+/\1<token>/g' | cut -c1-300
}

# Prints the last of the lines that differ only in time and pod, and how many there were: errors
# that repeat for each pod would hide the cause.
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

last_errors() { # SINCE
    echo "its kubelet's last errors:"
    errors "$1" | redacted | squeezed | tail -n 12 | sed 's/^/  /'
}
