package main

import (
	"go/ast"
	"go/token"
	"strconv"
	"strings"
)

// gate is a feature gate as a version has it when nobody sets it.
type gate struct {
	Default bool     `json:"default"`
	Locked  bool     `json:"locked,omitempty"`
	Stage   string   `json:"stage,omitempty"` // alpha or beta, which AllAlpha and AllBeta set
	Needs   []string `json:"needs,omitempty"` // the gates that must be on where it is
	goName  string
}

// gatePackages are those whose gates a kubelet has; of the first each version has the package.
var gatePackages = []string{
	"k8s.io/kubernetes/pkg/features",
	"k8s.io/apiserver/pkg/features",
	"k8s.io/apiextensions-apiserver/pkg/features",
	"k8s.io/client-go/features",
	"k8s.io/component-base/logs",
	"k8s.io/component-base/logs/api/v1",
	"k8s.io/component-base/metrics/features",
	"k8s.io/component-base/zpages/features",
}

func readGates(from *source, version string) map[string]*gate {
	gates, relisted, needs := map[string]*gate{}, map[string]*gate{}, map[string][]ast.Expr{}
	names := map[string]string{} // the constant's name to the gate's
	for index, importPath := range gatePackages {
		if index > 0 && !from.has(importPath) {
			continue
		}
		features := from.load(importPath)
		for name, value := range features.values {
			if found := gateName(value.expr); found != "" {
				names[name] = found
			}
		}
		for _, declaration := range features.declarations {
			ast.Inspect(declaration, func(node ast.Node) bool {
				if literal, ok := node.(*ast.CompositeLit); ok {
					readMap(literal, features, version, names, gates, relisted, needs)
				}
				return true
			})
		}
	}
	for constant, found := range relisted {
		known := names[constant] // not those of packages that are not read: rules.OTHER_GATES
		if known != "" && found != nil && gates[known] == nil {
			gates[known] = found
		}
	}
	for constant, expressions := range needs {
		found := gates[names[constant]]
		for _, expr := range expressions {
			if other := dependency(expr, names); found != nil && gates[other] != nil {
				found.Needs = append(found.Needs, other)
			}
		}
	}
	return gates
}

func gateName(expr ast.Expr) string {
	if call, ok := expr.(*ast.CallExpr); ok && len(call.Args) == 1 { // featuregate.Feature("Name")
		expr = call.Args[0]
	}
	if literal, ok := expr.(*ast.BasicLit); ok && literal.Kind == token.STRING {
		return text(literal)
	}
	return ""
}

// readMap reads a map of gates, or of the gates that each one needs; it ignores any other literal.
func readMap(literal *ast.CompositeLit, in *pkg, version string, names map[string]string, gates, relisted map[string]*gate, needs map[string][]ast.Expr) {
	kind, isMap := literal.Type.(*ast.MapType)
	if !isMap || name(kind.Key) != "Feature" {
		return
	}
	list, isList := kind.Value.(*ast.ArrayType)
	for _, element := range literal.Elts {
		pair := element.(*ast.KeyValueExpr)
		key, isOwn := pair.Key.(*ast.Ident)
		value, isLiteral := pair.Value.(*ast.CompositeLit)
		if !isLiteral || len(value.Elts) == 0 {
			continue
		}
		if isList && name(list.Elt) == "Feature" {
			needs[name(pair.Key)] = append(needs[name(pair.Key)], value.Elts...)
			continue
		}
		if !isOwn { // the gates of another package stand there too, some only there
			relisted[name(pair.Key)] = current(value, in, version)
			continue
		}
		if names[key.Name] == "" {
			fail("the gate %s has no name", key.Name)
		}
		if found := current(value, in, version); found != nil {
			found.goName = key.Name
			gates[names[key.Name]] = found
		}
	}
}

// dependency returns a gate's name from its constant, of this package or another, or a conversion.
func dependency(expr ast.Expr, names map[string]string) string {
	if call, ok := expr.(*ast.CallExpr); ok && len(call.Args) == 1 {
		expr = call.Args[0]
	}
	found := names[name(expr)]
	if found == "" {
		fail("a gate that another needs is not understood: %T %s", expr, name(expr))
	}
	return found
}

// current returns the gate of a spec, or of the last of a list of specs that the version has reached.
func current(spec *ast.CompositeLit, in *pkg, version string) *gate {
	if _, single := spec.Elts[0].(*ast.KeyValueExpr); single {
		return parsed(spec, in)
	}
	var found *gate
	for _, element := range spec.Elts {
		if below := element.(*ast.CompositeLit); reached(below, version) {
			found = parsed(below, in)
		}
	}
	return found
}

// reached tells whether a spec applies: it may be for clusters that are no longer compatible with the
// version before, which a kubelet by itself is.
func reached(spec *ast.CompositeLit, version string) bool {
	applies := false
	for _, element := range spec.Elts {
		pair := element.(*ast.KeyValueExpr)
		switch pair.Key.(*ast.Ident).Name {
		case "Version":
			applies = minor(since(pair.Value)) <= minor(version)
		case "MinCompatibilityVersion":
			if minor(since(pair.Value)) > minor(version)-1 {
				return false
			}
		}
	}
	return applies
}

func since(expr ast.Expr) string {
	return text(expr.(*ast.CallExpr).Args[0].(*ast.BasicLit))
}

func parsed(spec *ast.CompositeLit, in *pkg) *gate {
	found := &gate{}
	for _, pair := range spec.Elts {
		pair := pair.(*ast.KeyValueExpr)
		switch pair.Key.(*ast.Ident).Name {
		case "Default":
			found.Default = isTrue(pair.Value, in)
		case "LockToDefault":
			found.Locked = isTrue(pair.Value, in)
		case "PreRelease":
			if stage := strings.ToLower(name(pair.Value)); stage == "alpha" || stage == "beta" {
				found.Stage = stage
			}
		}
	}
	return found
}

// isTrue returns what a boolean is: true, false, or a constant of the package.
func isTrue(expr ast.Expr, in *pkg) bool {
	switch called := name(expr); called {
	case "true", "false":
		return called == "true"
	default:
		if in.values[called].expr == nil {
			fail("%s: %q is neither true nor false", in.path, called)
		}
		return isTrue(in.values[called].expr, in)
	}
}

func minor(version string) int {
	_, after, _ := strings.Cut(version, ".")
	number, err := strconv.Atoi(after)
	if err != nil {
		fail("%q is not a version such as 1.37", version)
	}
	return number
}
