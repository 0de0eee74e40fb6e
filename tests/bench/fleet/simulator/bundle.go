package main

import (
	"errors"
	"strings"
)

// marker ends the script; what follows are the words and files that the script would read.
const marker = "\n#data\n"

// bundle is what a node script gets on stdin: the value of each word, the last one if a word occurs
// more than once, and the content of each file by its path.
type bundle struct {
	words map[string]string
	files map[string]string
}

// readBundle reads what `node_files.bundle` or `node_files.join_bundle` has written.
func readBundle(stdin string) (bundle, error) {
	read := bundle{words: map[string]string{}, files: map[string]string{}}
	_, data, found := strings.Cut(stdin, marker)
	if !found {
		return read, errors.New("stdin has no data after a script")
	}
	path := ""
	for data != "" {
		var line string
		line, data, _ = strings.Cut(data, "\n")
		word, value, _ := strings.Cut(line, " ")
		switch word {
		case "|":
			read.files[path] += value + "\n"
		case "end":
			return read, nil
		case "file", "bootstrap":
			path = value[strings.LastIndex(value, " ")+1:]
			read.files[path] = ""
		}
		read.words[word] = value
	}
	return read, errors.New("the bundle is incomplete")
}

// token returns the bootstrap token of the bundle's bootstrap kubeconfig.
func (b bundle) token() (string, error) {
	for line := range strings.SplitSeq(b.files[b.words["bootstrap"]], "\n") {
		if value, found := strings.CutPrefix(strings.TrimSpace(line), "token: "); found {
			return strings.Trim(value, `"'`), nil
		}
	}
	return "", errors.New("the bootstrap kubeconfig has no token")
}
