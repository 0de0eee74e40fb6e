# How a path looks beside its content: owner, mode, ACL entries and SELinux type. files.sh comes before
# it and sets what it reads.
# shellcheck disable=SC2034,SC2154 # set in files.sh; some words of a line are read but not used

acl() { getfacl -cs "$1" 2>/dev/null || :; } # empty if there is only the mode
selinux() { [ -e "$sys/fs/selinux/enforce" ]; }
labelled() { [ -e "$stage/$number.type" ] && selinux; }

dress() { # PATH: sets the planned owner, mode, ACL and SELinux type
    chown "$owner:$group" "$1"
    chmod "$mode" "$1"
    if [ -e "$stage/$number.acl" ]; then setfacl -M "$stage/$number.acl" "$1"; fi
    if labelled; then chcon -t "$(cat "$stage/$number.type")" "$1"; fi
}

undress() { if [ "$(acl "$1")" ]; then setfacl -b "$1"; fi; } # removes an inherited or added ACL

looks() { # PATH
    stat -c '0%a %U %G' "$1"
    acl "$1"
}

label() { stat -c %C "$1" | cut -d: -f3; }

# Restores the policy's types where none is planned. In every run, since one may be killed right
# after a rename.
relabel() {
    if ! selinux || ! command -v restorecon >/dev/null; then return 0; fi
    while read -r number kind mode owner group effect path; do
        labelled || restorecon "$path"
    done <"$stage/plan"
}

check_acl() {
    for entries in "$stage"/*.acl; do
        [ -e "$entries" ] || continue
        if ! command -v setfacl >/dev/null; then
            refuse 'setfacl is missing; install the package acl'
        elif ! setfacl -M "$entries" "$stage/problems" 2>/dev/null; then
            refuse "setfacl rejects $(tr '\n' ' ' <"$entries")because there is no such user, or the file system has no ACLs; create the user, or change paths.kubeconfigAcl"
        fi
    done
}

check_selinux() {
    for type in "$stage"/*.type; do
        [ -e "$type" ] || continue
        if ! selinux; then
            note 'SELinux is off, so no types are set'
            return
        fi
        chcon -t "$(cat "$type")" "$stage/problems" 2>/dev/null ||
            refuse "this machine's policy has no type $(cat "$type"); install a policy that defines it"
    done
}
