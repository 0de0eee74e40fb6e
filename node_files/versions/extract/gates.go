package main

import (
	"go/ast"
	"go/token"
	"strconv"
	"strings"
)

// gate is a feature gate as a version has it when nobody sets it.
type gate struct {
	Default bool `json:"default"`
	Locked  bool `json:"locked,omitempty"`
	goName  string
}

func readGates(from *source, version string) map[string]*gate {
	features := from.load("k8s.io/kubernetes/pkg/features")
	names := map[string]string{} // the constant's name to the gate's
	for name, value := range features.values {
		expr := value.expr
		if call, ok := expr.(*ast.CallExpr); ok && len(call.Args) == 1 { // featuregate.Feature("Name")
			expr = call.Args[0]
		}
		if literal, ok := expr.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			names[name] = text(literal)
		}
	}
	gates := map[string]*gate{}
	for _, value := range features.values {
		ast.Inspect(value.expr, func(node ast.Node) bool {
			pair, ok := node.(*ast.KeyValueExpr)
			if !ok {
				return true
			}
			key, isName := pair.Key.(*ast.Ident)
			spec, isSpec := pair.Value.(*ast.CompositeLit)
			if !isName || !isSpec || len(spec.Elts) == 0 {
				return true
			}
			if found := current(spec, version); found != nil {
				if names[key.Name] == "" {
					fail("the gate %s has no name", key.Name)
				}
				found.goName = key.Name
				gates[names[key.Name]] = found
			}
			return false
		})
	}
	return gates
}

// current returns the gate of a spec, or of the last of a list of specs that the version has reached.
func current(spec *ast.CompositeLit, version string) *gate {
	if _, single := spec.Elts[0].(*ast.KeyValueExpr); single {
		return parsed(spec)
	}
	var found *gate
	for _, element := range spec.Elts {
		below, ok := element.(*ast.CompositeLit)
		if !ok { // a list of the gates that it depends on
			return nil
		}
		for _, pair := range below.Elts {
			pair := pair.(*ast.KeyValueExpr)
			if pair.Key.(*ast.Ident).Name != "Version" {
				continue
			}
			since := text(pair.Value.(*ast.CallExpr).Args[0].(*ast.BasicLit))
			if minor(since) <= minor(version) {
				found = parsed(below)
			}
		}
	}
	return found
}

func parsed(spec *ast.CompositeLit) *gate {
	found := &gate{}
	for _, pair := range spec.Elts {
		pair := pair.(*ast.KeyValueExpr)
		value, isName := pair.Value.(*ast.Ident)
		set := isName && value.Name == "true"
		switch pair.Key.(*ast.Ident).Name {
		case "Default":
			found.Default = set
		case "LockToDefault":
			found.Locked = set
		}
	}
	return found
}

func minor(version string) int {
	_, after, _ := strings.Cut(version, ".")
	number, err := strconv.Atoi(after)
	if err != nil {
		fail("%q is not a version such as 1.37", version)
	}
	return number
}
