# The command of a control-plane program's unit: as it is written there, and as systemd reads it.
# shellcheck disable=SC2154 # control_plane.sh, which follows, sets root, drop_in and work

drop_in_of() { printf '%s\n' "$root/etc/systemd/system/$1.service.d/$drop_in"; } # PROGRAM

# Prints each value of a setting in what `systemctl cat` prints: its file, a tab, and the value on one
# line. As in systemd.syntax(7), a line that ends with a backslash continues after any comments.
# Words may be quoted, so the space in them is kept.
values() { # SETTING
    awk -v setting="$1" '
        function tell() {
            if (sub("^" setting "[ \t]*=[ \t]*", "", line)) { sub(/[ \t]+$/, "", line); print file "\t" line }
            line = ""
        }
        { sub(/\r$/, "") }
        # What systemctl puts before each file.
        /^# \/.*\/([^\/ ]+\.service|[^\/ ]+\.d\/[^\/ ]+\.conf)$/ { tell(); file = substr($0, 3); next }
        /^[ \t]*[#;]/ { next }
        { sub(/^[ \t]+/, ""); line = line $0; match(line, /\\*$/) }
        RLENGTH % 2 { sub(/[ \t]*\\$/, " ", line); next }
        { tell() }
        END { tell() }'
}

commands() { values ExecStart; }

# Prints the values of a setting that is a list, but for those that an empty one clears.
list_of() { # PROGRAM SETTING
    systemctl cat "$1.service" | values "$2" | cut -f 2- | awk '
        $0 == "" { count = 0; next }
        { value[++count] = $0 }
        END { for (i = 1; i <= count; i++) print value[i] }'
}

# Prints NAME=VALUE, a line each, of a unit and of the files that it names, which count more: what
# systemd would read now.
environment_of() { # PROGRAM
    # After a colon no $ is special.
    { printf ': ' && list_of "$1" Environment; } | words
    list_of "$1" EnvironmentFile | while read -r file; do
        file=$root${file#-}
        [ ! -f "$file" ] || { cat "$file" && echo; }
    done | awk -v single="'" '
        { sub(/\r$/, "") }
        line == "" && /^[ \t]*([#;]|$)/ { next }
        { line = line $0 }
        sub(/\\$/, "", line) { next }
        {
            name = value = line
            sub(/[ \t]*=.*/, "", name); sub(/^[ \t]*/, "", name)
            sub(/^[^=]*=[ \t]*/, "", value); sub(/[ \t]+$/, "", value)
            c = substr(value, 1, 1)
            if (c != "" && index("\"" single, c)) {
                value = substr(value, 2)
                if (!sub(c "$", "", value)) { line = line " "; next } # it goes on
            }
            print name "=" value; line = ""
        }'
}

# Prints the command that counts, without our drop-in.
command_of() { # PROGRAM
    systemctl cat "$1.service" | commands | grep -vF -e "/$drop_in	" | tail -n 1 | cut -f 2-
}

# Prints the drop-in that sets another command after ours, which would then have no effect.
later_drop_in() { # PROGRAM
    systemctl cat "$1.service" | commands | cut -f 1 | awk -v ours="$drop_in" '
        { name = $0; sub(/.*\//, "", name) }
        /\.conf$/ && name > ours { later = $0 }
        END { print later }'
}

# Prints the words of a command line on stdin, one a line, without their quotes. \001 is what only
# systemd knows (${NAME}, %i). As for systemd, a $NAME that $work/environment does not have is no word;
# one whose value has backslashes is left as it is. $work/unknown gets the names of both.
words() {
    awk -v single="'" -v environment="$work/environment" -v unknown="$work/unknown" '
        BEGIN {
            while ((getline line <environment) > 0) {
                name = line; sub(/=.*/, "", name); sub(/^[^=]*=/, "", line)
                delete value_of[name]; delete unclear[name]
                if (index(line, "\\")) unclear[name]; else value_of[name] = line
            }
        }
        function split_up(text,  i, c, quote, part, begun) {
            for (i = 1; i <= length(text); i++) {
                c = substr(text, i, 1)
                if (quote == "" && c ~ /[ \t]/) {
                    if (begun) print part
                    part = ""; begun = 0
                    continue
                }
                begun = 1
                if (c == quote) quote = ""
                else if (quote == "" && index("\"" single, c)) quote = c
                else part = part c
            }
            if (begun) print part
        }
        function of_file(name) { sub(/^[$][{]?/, "", name); sub(/[}]$/, "", name); return name }
        function tell() {
            if (!begun) return
            if (!told++ && match(word, /^[-@:+!|]+/)) {
                as_it_is = index(substr(word, 1, RLENGTH), ":")
                named = index(substr(word, 1, RLENGTH), "@") # by the next word
                word = substr(word, RLENGTH + 1)
            }
            gsub(/%%/, "\003", word); gsub(/%[A-Za-z]/, "\001", word); gsub(/\003/, "%", word)
            if (!as_it_is && word ~ /^[$][A-Za-z_][A-Za-z0-9_]*$/) {
                name = of_file(word)
                if (name in value_of) split_up(value_of[name])
                else {
                    print name >>unknown
                    if (name in unclear) print word
                }
                word = ""; begun = 0
                return
            } else if (!as_it_is) {
                if (match(word, /[$][{][A-Za-z0-9_]+[}]/) && (name = of_file(substr(word, RSTART, RLENGTH))) in value_of &&
                    substr(word, RSTART - 1, 1) != "$")
                    word = substr(word, 1, RSTART - 1) value_of[name] substr(word, RSTART + RLENGTH)
                gsub(/[$][$]/, "\003", word); gsub(/[$][{][^}]*[}]/, "\001", word)
                gsub(/\003/, "$", word)
            }
            if (named) named = ""
            else print word
            word = ""; begun = 0
        }
        {
            for (i = 1; i <= length($0); i++) {
                c = substr($0, i, 1)
                if (c == "\\") {
                    c = substr($0, ++i, 1); begun = 1
                    if (c == "s") word = word " "
                    else if (index("\\\"" single, c)) word = word c
                    else if (match(substr($0, i), /^(x..|[0-7][0-7][0-7]|u....|U........|[abfnrtv])/)) {
                        word = word "\001"; i += RLENGTH - 1
                    } else word = word "\\" c
                } else if (quote == "" && c ~ /[ \t]/) tell()
                else if (c == quote) quote = ""
                else if (quote == "" && index("\"" single, c)) { quote = c; begun = 1 }
                else { word = word c; begun = 1 }
            }
            tell()
        }'
}

# Print the lines on stdin that a file has, or has not. Not every grep takes an empty one.
within() { awk -v file="$1" 'BEGIN { while ((getline line <file) > 0) has[line] } $0 in has'; }     # FILE
without() { awk -v file="$1" 'BEGIN { while ((getline line <file) > 0) has[line] } !($0 in has)'; } # FILE

# What a unit names in files is read as it would start now, so that a change there shows.
words_of() { # PROGRAM
    : >"$work/unknown"
    environment_of "$1" >"$work/environment"
    command_of "$1" | words
}

# Prints the words of our drop-in; words_of has read their environment.
drop_in_words() { commands <"$(drop_in_of "$1")" | tail -n 1 | cut -f 2- | words; } # PROGRAM

# Prints the words that our drop-in adds. Besides them it has a copy of the unit's own command as that
# was once. A drop-in of an earlier program does not note what it adds, so there it is what has a name
# that is ours. What the unit sets now is the user's.
added_words() { # PROGRAM
    [ -e "$(drop_in_of "$1")" ] || return 0
    words_of "$1" >"$work/own"
    flags_among <"$work/own" >"$work/own-flags"
    sed -n 's/^# Adds: //p' "$(drop_in_of "$1")" >"$work/noted"
    drop_in_words "$1" | without "$work/own" | awk -v flags="$work/own-flags" -v noted="$work/noted" '
        BEGIN {
            while ((getline line <flags) > 0) { sub(/=.*/, "", line); own[line] }
            while ((getline line <noted) > 0) { added[line]; has_note = 1 }
        }
        has_note && !($0 in added) { next }
        # These two take nothing away from a flag of the unit that has the same name.
        $0 == "--enable-bootstrap-token-auth=true" { print; next }
        /^--controllers=([*],)?bootstrapsigner,tokencleaner$/ { print; next }
        /^--(cluster-signing-(cert|key)-file|kube-api-(qps|burst))=/ {
            name = $0; sub(/=.*/, "", name)
            if (!(name in own)) print
        }'
}

added() { grep -q -e "^$1=" "$work/added"; } # NAME: is the flag one of our drop-in's, by its added_words?

# Are the words on stdin those of the unit's own command, but for what our drop-in has added or adds
# now? The last of a flag counts.
are_own_words() {
    without "$work/added" | sed -f "$work/replaced" >"$work/rest"
    awk '
        FNR == 1 { sub(/.*\//, "") } # of the program, which may be found by its name
        FNR < NR { rest = rest $0 "\n"; next }
        {
            for (i = 1; i <= length($0); i++) {
                c = substr($0, i, 1)
                own = own (c == "\001" ? "[^\n]*" : c ~ /[\\^]/ ? "\\" c : c ~ /[A-Za-z0-9]/ ? c : "[" c "]")
            }
            own = own "\n"
        }
        END { exit rest !~ ("^" own "$") }' "$work/own" "$work/rest"
}

runs_with_own_words() { # PROGRAM PID; $work/added has its added_words
    sed -n '/^--controllers=/!s/^\(--[^=]*\)=.*/\/^\1\\(=.*\\)\\{0,1\\}$\/d/p' "$work/missing" >"$work/replaced"
    words_of "$1" | sed -f "$work/replaced" >"$work/own"
    running_words "$2" | are_own_words
}

# The same of what our drop-in has, which may differ from what runs; runs_with_own_words comes before.
drop_in_has_own_words() { [ ! -e "$(drop_in_of "$1")" ] || drop_in_words "$1" | are_own_words; } # PROGRAM

# Prints the names of the flags that are not the same in both, and of variables that may be why.
differing_flags() {
    {
        without "$work/own" <"$work/rest"
        without "$work/rest" <"$work/own"
    } | sed -n 's/^\(--[^=]*\).*/\1/p' | sort -u | tr '\n' ' ' | sed 's/^/ (/; s/ $/)/'
    [ ! -s "$work/unknown" ] || sort -u "$work/unknown" | sed 's/^/$/' | tr '\n' ' ' |
        sed 's/^/, whose words in /; s/ $/ are unknown (set it in an Environment or EnvironmentFile of the unit, without a backslash)/'
}
