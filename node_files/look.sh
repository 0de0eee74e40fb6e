# Prints what is on a machine and changes nothing: `look`, with words and paths on stdin.
# It reads only the files that stdin names. They hold no secret.
set -eu
LC_ALL=C PATH=$PATH:/usr/sbin:/sbin
export LC_ALL PATH
limit=1048576 # bytes; our files are far smaller

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

tell() { # WORD PATH
    printf '%s %s %s\n' "$1" "$(stat -c '0%a %U %G' "$2")" "$2"
    getfacl -cp "$2" 2>/dev/null | sed -n 's/^\(\(user\|group\):[^:][^:]*:[rwx-]*\).*/acl \1/p'
    if [ -e /sys/fs/selinux/enforce ]; then
        stat -c %C "$2" | sed -n 's/^[^:]*:[^:]*:\([^:]*\).*/selinux \1/p'
    fi
}

look() {
    echo begin # a login shell may have printed something
    complete=''
    while read -r word path; do
        case $word in
        state) [ ! -e "$path/manifest" ] || sed -n 's/^file /ours /p' "$path/manifest" ;;
        dir | file)
            if [ -L "$path" ]; then
                echo "link $path"
            elif [ ! -e "$path" ]; then
                echo "none $path"
            elif [ "$word" = dir ]; then
                if [ -d "$path" ]; then tell dir "$path"; else echo "other $path"; fi
            elif [ ! -f "$path" ]; then
                echo "other $path"
            elif [ "$(stat -c %s "$path")" -gt "$limit" ]; then
                echo "long $path"
            else
                tell file "$path"
                printf '= %s\n' "$(base64 -w 0 "$path")"
            fi
            ;;
        end) complete=yes && break ;;
        *) fail "stdin has an unknown line: $word" ;;
        esac
    done
    [ "$complete" ] || fail 'stdin is incomplete; run again'
    echo end
}

"$1"
