# Runs an action from the file that this script is in, with the rest of that file as the bundle.
# stdin holds what the stack knows of it: its hash, and the node's own lines. files.sh comes before
# it.
# shellcheck disable=SC2034,SC2154 # files.sh reads and sets them

install_brought() {
    brought=$0 # which goes if this fails, and the token with it
    trap 'rm -f "$brought" "$brought-join"' EXIT
    read -r _ hash || hash=''
    [ "$(sha256sum <"$0")" = "$hash  -" ] || fail "$0 is not what the stack has; run pulumi up again"
    read_rest_of_file
    install
    # For the removal: another node's, which this machine has refused, must not take its place.
    mv -f "$0" "$state/bundle"
    brought=''
    exit
}

remove_installed() {
    if ! grep -qxF "$(grep '^node ')" "$0"; then
        echo '{"removed":[],"kept":[],"notes":["this machine is another node now; nothing was removed"]}'
        exit
    fi
    read_rest_of_file
    remove
    exit
}
