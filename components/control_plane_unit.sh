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

# Prints NAME=VALUE, a line each, of the files that a unit names: what systemd would read now.
environment_of() { # PROGRAM
    systemctl cat "$1.service" | values EnvironmentFile | cut -f 2- | awk '
        $0 == "" { count = 0; next } # which clears the former ones
        { file[++count] = $0 }
        END { for (i = 1; i <= count; i++) print file[i] }' | while read -r file; do
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
# systemd knows (${NAME}, %i), and \002 any words ($NAME) that no file in $work/environment has.
words() {
    awk -v single="'" -v environment="${work:-}/environment" '
        BEGIN {
            while ((getline line <environment) > 0) {
                name = line; sub(/=.*/, "", name); sub(/^[^=]*=/, "", line)
                # What has quotes of its own is split in other ways.
                delete value_of[name]
                if (!index(line, "\\") && !index(line, "\"") && !index(line, single)) value_of[name] = line
            }
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
                many = of_file(word) in value_of
                word = many ? value_of[of_file(word)] : "\002"
            } else if (!as_it_is) {
                if (match(word, /[$][{][A-Za-z0-9_]+[}]/) && (name = of_file(substr(word, RSTART, RLENGTH))) in value_of &&
                    substr(word, RSTART - 1, 1) != "$")
                    word = substr(word, 1, RSTART - 1) value_of[name] substr(word, RSTART + RLENGTH)
                gsub(/[$][$]/, "\003", word); gsub(/[$][{][^}]*[}]/, "\001", word)
                gsub(/\003/, "$", word)
            }
            if (many) { gsub(/[ \t]+/, "\n", word); sub(/^\n/, "", word); sub(/\n$/, "", word) }
            if (named) named = ""
            else if (!many || word != "") print word
            many = ""
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
words_of() { environment_of "$1" >"$work/environment" && command_of "$1" | words; } # PROGRAM

# Prints the words that our drop-in adds to those of the unit's own command.
added_words() { # PROGRAM
    [ -e "$(drop_in_of "$1")" ] || return 0
    words_of "$1" >"$work/own"
    commands <"$(drop_in_of "$1")" | tail -n 1 | cut -f 2- | words | without "$work/own"
}

added() { added_words "$1" | grep -q -e "^$2="; } # PROGRAM NAME: does the flag come from our drop-in?

# Are the words of the unit's own command those of the running one, but for what our drop-in has added
# or adds now? The last of a flag counts.
runs_with_own_words() { # PROGRAM PID
    sed -n '/^--controllers=/!s/^\(--[^=]*\)=.*/\/^\1\\(=.*\\)\\{0,1\\}$\/d/p' "$work/missing" >"$work/replaced"
    added_words "$1" >"$work/added"
    words_of "$1" | sed -f "$work/replaced" >"$work/own"
    running_words "$2" | without "$work/added" | sed -f "$work/replaced" >"$work/rest"
    awk '
        FNR == 1 { sub(/.*\//, "") } # of the program, which may be found by its name
        FNR < NR { rest = rest $0 "\n"; next }
        $0 == "\002" { own = own "(.*\n)?"; next }
        {
            for (i = 1; i <= length($0); i++) {
                c = substr($0, i, 1)
                own = own (c == "\001" ? "[^\n]*" : c ~ /[\\^]/ ? "\\" c : c ~ /[A-Za-z0-9]/ ? c : "[" c "]")
            }
            own = own "\n"
        }
        END { exit rest !~ ("^" own "$") }' "$work/own" "$work/rest"
}

# Prints the names of the flags that are not the same in both.
differing_flags() {
    if grep -q "$(printf '\002')" "$work/own"; then return 0; fi
    {
        without "$work/own" <"$work/rest"
        without "$work/rest" <"$work/own"
    } | sed -n 's/^\(--[^=]*\).*/\1/p' | sort -u | tr '\n' ' ' | sed 's/^/ (/; s/ $/)/'
}
