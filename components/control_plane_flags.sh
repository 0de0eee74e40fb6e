# Which flags a program of the control plane runs with, and which of its unit's own command.
# shellcheck disable=SC2154 # control_plane.sh, which follows, sets root and drop_in
# Anybody may give a process such a name; the control plane's are root's, or of a user of the system.
is_ours() { owner=$(stat -c %u "$1") && { [ "$owner" -lt 1000 ] || [ "$owner" -eq "$(id -u)" ]; }; }

pid_of() { # PROGRAM; prints nothing if it does not run
    for comm in "$root"/proc/[0-9]*/comm; do
        # The kernel keeps only the first 15 characters of a name.
        [ "$(cat "$comm" 2>/dev/null)" = "$(printf '%.15s' "$1")" ] || continue
        comm=${comm%/comm}
        is_ours "$comm" || continue
        # Calico's kube-controllers has the same 15.
        path=$(tr '\0' '\n' 2>/dev/null <"$comm/cmdline" | head -n 1) || path=''
        [ "${path##*/}" = "$1" ] || continue
        echo "${comm##*/}"
        return
    done
}

# Prints the flag unless it is set: that is the user's choice then, unless our drop-in has added it.
wanted_file() { [ "$2" = "=$value" ] || { [ -n "$2" ] && ! added "$1" "$name"; } || echo "$flag"; } # PROGRAM GIVEN

# Do the running program's signers have CAs of their own? It does not start with a common one beside
# any of these (cmd/kube-controller-manager/app/options/csrsigningcontroller.go).
signs_with_cas_of_its_own() { # PROGRAM cert-file|key-file
    own=$(printf '%s\n' "$running" | grep -E -e "^--?cluster-signing-[a-z-]+-$2=.") || return 1
    [ "$(printf '%s\n' "$own" | sed 's/=.*//' | sort -u | grep -cE -e '-signing-kubelet-(client|serving)-')" -eq 2 ] ||
        fail "$1 runs with a CA of its own for some signers; add --cluster-signing-kubelet-client-$2 and --cluster-signing-kubelet-serving-$2, or remove the other --cluster-signing-*-$2"
}

# Prints the wanted flags that a running program does not have, one per line.
missing_flags() { # PROGRAM PID, wanted flags on stdin
    running=$(tr '\0' '\n' <"$root/proc/$2/cmdline")
    while read -r flag; do
        name=${flag%%=*} value=${flag#*=}
        given=$(printf '%s\n' "$running" | sed -n "s/^-\{1,2\}${name#--}\(=\(.*\)\)\{0,1\}\$/=\2/p" | tail -n 1)
        case $flag in
        --controllers=*)
            given=$(printf '%s\n' "$running" | sed -n 's/^--controllers=//p' | tr '\n' ,)
            complete=yes
            # Without the *, which the shell would expand to the files here.
            for controller in $(printf '%s' "${value#"*,"}" | tr , ' '); do
                case ,$given, in
                *",-$controller,"*) fail "$1 runs with --controllers=$given; remove -$controller from it, because that controller deletes expired tokens or signs cluster-info" ;;
                *",$controller,"*) ;;
                *) complete='' ;;
                esac
            done
            [ -z "$complete" ] || continue
            # Repeated lists add up, so a * would turn on controllers that somebody left out.
            case ,$given, in
            ,, | *',*,'*) echo "$flag" ;;
            *) echo "--controllers=${value#"*,"}" ;;
            esac
            ;;
        *=true) [ "$given" = =true ] || [ "$given" = = ] || echo "$flag" ;;
        --cluster-signing-*) signs_with_cas_of_its_own "$1" "${name#--cluster-signing-}" || wanted_file "$1" "$given" ;;
        *) wanted_file "$1" "$given" ;;
        esac
    done
}

# Prints the unit's own command, without our drop-in, on one line. As in systemd.syntax(7), a line
# that ends with a backslash continues after any comments. Words may be quoted, so the space in them
# is kept.
command_of() { # PROGRAM
    systemctl cat "$1.service" | awk -v ours="$drop_in" '
        /^# \// { skip = index($0, ours) > 0; continued = 0 }
        skip { next }
        continued && /^[ \t]*[#;]/ { next }
        continued { sub(/^[ \t]+/, ""); line = line " " $0 }
        !continued && /^ExecStart=/ { line = $0 }
        { continued = (continued || /^ExecStart=/) && /\\$/ }
        continued { sub(/[ \t]*\\$/, "", line) }
        END { sub(/^ExecStart=[ \t]*/, "", line); print line }'
}

flags_of() { # PROGRAM: the words of its own command, without quotes, one per line
    command_of "$1" </dev/null | tr -s '[:blank:]' '\n' | tr -d "\"'"
}

added() { # PROGRAM NAME: does the flag come from our drop-in, not from the unit's own command?
    [ -e "$root/etc/systemd/system/$1.service.d/$drop_in" ] &&
        ! flags_of "$1" | grep -q -e "^$2="
}
