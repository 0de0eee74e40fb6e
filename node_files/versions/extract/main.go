// Extract reads the source of published Go modules of Kubernetes and prints, for each version, what
// a kubelet takes: the fields of KubeletConfiguration (v1beta1) with their types and defaults, its
// command-line flags, and its feature gates. It compiles nothing of Kubernetes, and stops at
// whatever it does not understand, so that nothing is ever left out in silence.
//
// Input, on stdin: {"1.37": {"k8s.io/kubelet": "directory of the module", ...}, ...}
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

type version struct {
	Fields map[string]*field `json:"fields"`
	Flags  map[string]*flag  `json:"flags"`
	Gates  map[string]*gate  `json:"gates"`
}

func main() {
	var modules map[string]map[string]string
	if err := json.NewDecoder(os.Stdin).Decode(&modules); err != nil {
		fail("stdin: %v", err)
	}
	read := map[string]version{}
	for name, roots := range modules {
		read[name] = readVersion(name, &source{roots: roots, packages: map[string]*pkg{}})
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(read); err != nil {
		fail("%v", err)
	}
}

func readVersion(name string, from *source) version {
	fields, byGoPath := readFields(from)
	gates := readGates(from, name)
	setDefaults(from, fields, byGoPath, gates)
	return version{fields, readFlags(from, byGoPath), gates}
}

func fail(format string, values ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", values...)
	os.Exit(1)
}
