# Which flags a program of the control plane runs with, and which of those it needs are missing.
# shellcheck disable=SC2154 # control_plane.sh, which follows, sets root and work

# Anybody may give a process such a name. The control plane's are root's, or of a user of the system,
# or of the program's own service, which may run as any other user.
is_of_system() { # DIRECTORY OF A PROCESS
    owner=$(stat -c %u "$1") && { [ "$owner" -lt 1000 ] || [ "$owner" -eq "$(id -u)" ]; }
}
is_of_service() { # DIRECTORY OF A PROCESS, PROGRAM; a service of some user is below another service
    grep -qE -e "^[0-9]+:(name=systemd)?:(/[^/]+[.]slice)*/$2[.]service\$" "$1/cgroup" 2>/dev/null
}

network_of() { readlink "$root/proc/$1/ns/net" || :; } # PID

# Prints nothing if the program does not run. Those of clusters in containers (kind, vcluster) have
# networks of their own, so the machine's own one is another. This starts no process for those of
# other names.
pid_of() { # PROGRAM
    found='' most=0
    # The kernel keeps only the first 15 characters of a name.
    short=$(printf '%.15s' "$1")
    for comm in "$root"/proc/[0-9]*/comm; do
        named=''
        { read -r named <"$comm" || :; } 2>/dev/null
        [ "$named" = "$short" ] || continue
        comm=${comm%/comm}
        # Calico's kube-controllers has the same 15.
        path=$(tr '\0' '\n' 2>/dev/null <"$comm/cmdline" | head -n 1) || path=''
        [ "${path##*/}" = "$1" ] || continue
        if is_of_system "$comm"; then
            rank=2
        elif is_of_service "$comm" "$1"; then
            rank=1
        else
            continue
        fi
        [ "$(network_of "${comm##*/}")" != "$(network_of 1)" ] || rank=$((rank + 2))
        [ "$rank" -gt "$most" ] || continue
        most=$rank found=${comm##*/}
    done
    echo "$found"
}

# Prints what a program was started with, a word a line.
running_words() { tr '\0' '\n' <"$root/proc/$1/cmdline"; } # PID

# Prints its flags as --name or --name=value. Names may be written with _ for -, and a value may be a
# word of its own (k8s.io/component-base/cli/flag, and pflag).
running_flags() { running_words "$1" | flags_among; } # PID
flags_among() {
    awk '
        function tell() { if (name != "") print name; name = "" }
        NR == 1 { next }
        name ~ /^--(controllers|cluster-signing-.*|kube-api-(qps|burst)|secure-port)$/ ||
            (name != "" && !/^-/) { print name "=" $0; name = ""; next }
        { tell(); name = value = $0; sub(/=.*/, "", name); gsub(/_/, "-", name)
          sub(/^-+/, "--", name) }
        value ~ /=/ { sub(/^[^=]*/, "", value); print name value; name = "" }
        END { tell() }'
}

# Prints the flag unless it is set: that is the user's choice then, unless our drop-in has added it.
wanted_file() { [ "$1" = "=$value" ] || { [ -n "${1#=}" ] && ! added "$name"; } || echo "$flag"; } # GIVEN

# Do the running program's signers have CAs of their own? It does not start with a common one beside
# any of these (cmd/kube-controller-manager/app/options/csrsigningcontroller.go).
signs_with_cas_of_its_own() { # PROGRAM cert-file|key-file
    own=$(grep -E -e "^--cluster-signing-[a-z-]+-$2=." "$work/running") || return 1
    [ "$(printf '%s\n' "$own" | sed 's/=.*//' | sort -u | grep -cE -e '-signing-kubelet-(client|serving)-')" -eq 2 ] ||
        fail "$1 runs with a CA of its own for some signers; add --cluster-signing-kubelet-client-$2 and --cluster-signing-kubelet-serving-$2, or remove the other --cluster-signing-*-$2"
}

# Prints the names that a controller has, as a pattern (cmd/kube-controller-manager/names).
names_of() {
    case $1 in
    bootstrapsigner) echo '(bootstrapsigner|bootstrap-signer-controller)' ;;
    tokencleaner) echo '(tokencleaner|token-cleaner-controller)' ;;
    esac
}

missing_controllers() { # PROGRAM LIST
    # Repeated lists add up. Each is a line of CSV, so its words may be quoted.
    sed -n 's/^--controllers=//p' "$work/running" | tr -d '"' | tr , '\n' >"$work/controllers"
    complete=yes
    # Without the *, which the shell would expand to the files here.
    for controller in $(printf '%s' "${2#"*,"}" | tr , ' '); do
        off=$(grep -xE -e "-$(names_of "$controller")" "$work/controllers" | head -n 1)
        [ -z "$off" ] || fail "$1 runs with --controllers=$(paste -sd , "$work/controllers"); remove $off from it, because that controller deletes expired tokens or signs cluster-info"
        grep -qxE -e "$(names_of "$controller")" "$work/controllers" || complete=''
    done
    # A * would turn on controllers that somebody left out.
    if [ "$complete" ]; then
        :
    elif [ ! -s "$work/controllers" ] || grep -qxF '*' "$work/controllers"; then
        echo "--controllers=$2"
    else
        echo "--controllers=${2#"*,"}"
    fi
}

# Prints the wanted flags that the program does not run with, one per line.
missing_flags() { # PROGRAM, wanted flags on stdin
    while read -r flag; do
        name=${flag%%=*} value=${flag#*=}
        given=$(sed -n "s/^$name\(=\(.*\)\)\{0,1\}\$/=\2/p" "$work/running" | tail -n 1)
        case $flag in
        --controllers=*) missing_controllers "$1" "$value" ;;
        *=true)
            case $given in
            = | =1 | =t | =T | =true | =TRUE | =True) ;; # strconv.ParseBool
            *) echo "$flag" ;;
            esac
            ;;
        --cluster-signing-*) signs_with_cas_of_its_own "$1" "${name#--cluster-signing-}" || wanted_file "$given" ;;
        *) wanted_file "$given" ;;
        esac
    done
}
