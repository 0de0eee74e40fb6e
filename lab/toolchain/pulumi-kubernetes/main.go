// Command pulumi-resource-kubernetes is the official Kubernetes provider.
//
// Its own main package embeds two files that a release makes first, so that it
// cannot be built from a module. This one embeds what they are made from.
package main

import (
	_ "embed"

	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"
	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/version"
)

// The build puts the module's own files in these places with `go build -overlay`.

//go:embed schema.json
var schema []byte

//go:embed terraform-mapping.json
var terraformMapping []byte

func main() {
	provider.Serve("kubernetes", version.Version, schema, terraformMapping)
}
