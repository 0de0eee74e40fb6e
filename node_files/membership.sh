# Whose machine this is, and what its kubelet has made: a kubeconfig and certificates. They follow the
# settings when their paths, the server or the CA change, so that nobody has to join again for that.
# files.sh comes before it and sets what it reads.
# shellcheck disable=SC2034,SC2154 # what one sets, the other reads

# Whose machine this is: our list says it, or else the arguments file that an older list names.
owner_of_machine() {
    [ -s "$manifest" ] || return 0
    named=$(sed -n 's/^node //p' "$manifest")
    [ "$named" ] || named=$(arguments_of_kubelet | sed -n 's/^--hostname-override=//p')
    printf '%s\n' "$named"
}

# Lists of earlier releases don't say it: then it is whosever the node is.
stack_of_machine() { [ ! -s "$manifest" ] || sed -n 's/^stack //p' "$manifest"; }

arguments_of_kubelet() { # as our arguments file on this machine has them, one a line
    sed -n 's/^file //p' "$manifest" | while read -r listed; do
        if [ -f "$listed" ]; then sed -n 's/^\(--[^ ]*\) \\$/\1/p' "$listed"; fi
    done
}

# Where the kubelet's own files are by the last bundle that was installed: a word and a path a line.
made_before() {
    if grep -q '^certificates ' "$manifest" 2>/dev/null; then
        grep -E '^(kubeconfig|bootstrap|certificates) ' "$manifest"
    elif [ -s "$manifest" ]; then
        arguments_of_kubelet | sed -n 's/^--kubeconfig=/kubeconfig /p
            s/^--bootstrap-kubeconfig=/bootstrap /p
            s/^--cert-dir=/certificates /p'
    fi
}

# A kubelet that has joined keeps its certificates when their directory changes.
carry_over_certificates() {
    carried=$certificates/kubelet-client-carried.pem # a name that a removal removes
    sed -n 's/^certificates //p' "$stage/before" | while read -r old; do
        if [ -e "$certificates/$current" ] || [ ! -e "$old/$current" ]; then continue; fi
        [ -d "$certificates" ] || mkdir -p "$certificates"
        # The link to the client's certificate comes last: it says that the others are there.
        for file in "$old"/kubelet-server-*.pem "$old"/kubelet-client-*.pem; do
            if [ -L "$file" ] || [ ! -e "$file" ]; then continue; fi
            rm -f "$carried" # a link, left by an interrupted run
            cp "$file" "$carried"
            replace "$carried" "$certificates/${file##*/}"
        done
        for link in kubelet-server-current.pem "$current"; do
            [ -L "$old/$link" ] || continue
            target=$(readlink "$old/$link")
            ln -sfn "$certificates/${target##*/}" "$carried"
            mv -f "$carried" "$certificates/$link"
        done
    done
}

# The lines of a kubeconfig that the settings decide. The kubelet takes them from the bootstrap
# kubeconfig once, when it joins.
lines_of_kubeconfig() {
    if [ "$embed_ca" ]; then
        printf 'certificate-authority-data: %s\n' "$(base64 -w 0 <"$ca")"
    else
        printf 'certificate-authority: %s\n' "$ca_path"
    fi
    printf 'server: %s\n' "$server"
    printf 'client-certificate: %s\n' "$certificates/$current"
}

# Also where there is none to speak of: the machine has not joined, or its kubeconfig was moved away.
kubeconfig_is_as_planned() {
    held='' client=''
    while read -r word path; do
        case $word in
        kubeconfig) [ ! -s "$path" ] || held=$path ;;
        certificates) [ ! -s "$path/$current" ] || client=$path/$current ;;
        esac
    done <"$stage/before"
    if [ -z "$held" ] || [ -z "$client" ]; then return 0; fi
    lines_of_kubeconfig >"$stage/lines"
    [ -s "$kubeconfig" ] || return 1
    [ "$(sed 's/^ *//' "$kubeconfig" | grep -cxF -f "$stage/lines")" -eq 3 ]
}

write_kubeconfig() { # as the kubelet itself writes it
    new=$kubeconfig.kubelet-tls-bootstrap
    {
        printf '%s\n' 'apiVersion: v1' 'clusters:' '- cluster:'
        sed -n '/^client/!s/^/    /p' "$stage/lines"
        printf '%s\n' '  name: default-cluster' 'contexts:' '- context:' \
            '    cluster: default-cluster' '    namespace: default' '    user: default-auth' \
            '  name: default-context' 'current-context: default-context' 'kind: Config' \
            'users:' '- name: default-auth' '  user:' \
            "    client-certificate: $certificates/$current" "    client-key: $certificates/$current"
    } >"$new"
    : >"$state/restart"
    replace "$new" "$kubeconfig"
    changed="$changed${changed:+,}\"$kubeconfig\""
}

share_kubeconfig() {
    if [ ! -e "$stage/made.acl" ] || [ ! -e "$kubeconfig" ]; then return 0; fi
    before=$(acl "$kubeconfig")
    setfacl -M "$stage/made.acl" "$kubeconfig"
    [ "$before" = "$(acl "$kubeconfig")" ] || changed="$changed${changed:+,}\"$kubeconfig\""
}

# The one whose files and certificates are here must leave by its own removal first.
check_node() {
    whose=$(owner_of_machine) theirs=$(stack_of_machine)
    if [ "$theirs" ] && [ "$theirs" != "$stack" ]; then
        refuse "this machine is the node $whose of the stack $theirs; to make it $node of $stack, remove $whose from the settings of $theirs and run pulumi up there, then run it here again (if $theirs no longer exists, remove the line \"stack $theirs\" from $manifest on this machine)"
        return
    fi
    [ -z "$whose" ] || [ "$whose" = "$node" ] ||
        refuse "this machine is the node $whose; to make it $node, remove $whose from the settings and run pulumi up, then add $node and run it again (if $whose is no longer in the settings, put it back first, or reinstall the machine)"
}

# A kubelet that somebody else has set up may be another node, or of another cluster. The join would
# end by that too, but only after the files have changed and the kubelet has restarted with them.
look_at_certificate_of_others() {
    theirs=$certificates/$current
    if [ ! -s "$kubeconfig" ] || [ ! -s "$theirs" ] || ! command -v openssl >/dev/null; then return 0; fi
    whose=$(node_of_certificate "$theirs")
    aside="move $kubeconfig, $theirs and ${theirs%/*}/kubelet-server-current.pem away"
    if [ -z "$whose" ]; then
        return 0
    elif [ "$whose" != "$node" ]; then
        refuse "this machine is the node $whose by $theirs; give it that name in the settings, or, to make it $node, drain and delete the Node $whose, and $aside"
    elif openssl x509 -in "$theirs" -noout -checkend 0 >/dev/null 2>&1; then
        is_signed_by "$ca" "$theirs" ||
            refuse "$theirs was not signed by the CA in the settings, so this machine is a node of another cluster; correct the CA or the address, or $aside"
    fi
}

# A kubeconfig is rewritten for another server, path or CA only while its certificate is of the same
# cluster: a machine must not slip from one cluster into another.
check_certificate() {
    [ -s "$manifest" ] || look_at_certificate_of_others
    if kubeconfig_is_as_planned || ! command -v openssl >/dev/null; then return 0; fi
    is_signed_by "$ca" "$client" ||
        refuse "$client was not signed by the CA in the settings; to move this machine to another cluster, remove $node from this stack first; to renew the CA, keep the old one in cluster.caPath beside the new one"
}
