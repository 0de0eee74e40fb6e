# Runs an action from the file that this script is in, with the rest of that file as the bundle.
# stdin holds what the stack knows of it: its hash, and the node's own lines. files.sh comes before
# it.
# shellcheck disable=SC2034,SC2154 # files.sh reads and sets them

install_brought() {
    # With a token, of releases that brought it in a file of its own.
    rm -f "${0%/*}/brought-join" "${0%/*}/brought.join" "${0%/*}/brought.all"
    # Another run may bring and install another one meanwhile.
    brought=$0.$$ # which goes if this fails
    trap 'rm -f "$brought"' EXIT
    mv -f "$0" "$brought" || fail "another run has taken $0, nothing was changed; run pulumi up again"
    read -r _ hash || hash=''
    command -v sha256sum >/dev/null || fail 'sha256sum is missing, nothing was changed; install coreutils'
    [ "$(sha256sum <"$brought")" = "$hash  -" ] ||
        fail "$0 is not what the stack has, nothing was changed; run pulumi up again"
    read_rest_of "$brought"
    install
    # For the removal: another node's, which this machine has refused, must not take its place.
    mv -f "$brought" "$state/bundle"
    brought=''
    # Those of runs that were killed before they had changed anything.
    for other in "$state"/brought.*; do
        [ -e "/proc/${other##*.}" ] || rm -f "$other"
    done
    exit
}

remove_installed() {
    known=$(grep -E '^(node|stack) ') || :
    asked=$(printf '%s\n' "$known" | sed -n 's/^stack //p')
    if ! grep -qxF "$(printf '%s\n' "$known" | grep '^node ')" "$0"; then
        echo '{"removed":[],"kept":[],"notes":["this machine is another node now; nothing was removed"]}'
        exit
    fi
    read_rest_of "$0"
    remove
    exit
}
