package main

import (
	"go/ast"
	"regexp"
	"strings"
)

// Those of the second package are in options since 1.35.
var options = []string{"k8s.io/kubernetes/cmd/kubelet/app/options", "k8s.io/kubernetes/pkg/kubelet/config"}

// flag is one of the kubelet's own command-line flags; those of its logging library are not here.
type flag struct {
	Field      string `json:"field,omitempty"` // the field that it sets
	Deprecated bool   `json:"deprecated,omitempty"`
}

var capital = regexp.MustCompile(`([a-z])([A-Z])`)

func readFlags(from *source, byGoPath map[string]string) map[string]*flag {
	flags := map[string]*flag{}
	deprecated := map[string]bool{}
	var declarations []ast.Decl
	for _, importPath := range options {
		declarations = append(declarations, from.load(importPath).declarations...)
	}
	for _, declaration := range declarations {
		function, ok := declaration.(*ast.FuncDecl)
		if !ok || strings.HasPrefix(function.Name.Name, "register") {
			continue
		}
		ast.Inspect(function, func(node ast.Node) bool {
			call, ok := node.(*ast.CallExpr)
			if !ok {
				return true
			}
			switch called := name(call.Fun); {
			case called == "MarkDeprecated":
				if literal, ok := call.Args[0].(*ast.BasicLit); ok {
					deprecated[text(literal)] = true
				}
			case called == "register" || called == "registerDeprecated" || called == "pflagRegister":
				flags[dashed(call.Args[2])] = &flag{Deprecated: called == "registerDeprecated"}
			case strings.HasSuffix(called, "VarP"):
				fail("the flag of %s is not read", called)
			case strings.HasSuffix(called, "Var") && len(call.Args) >= 3:
				literal, ok := call.Args[1].(*ast.BasicLit)
				if !ok {
					fail("a flag's name is not understood: %T", call.Args[1])
				}
				flags[text(literal)] = &flag{Field: target(call.Args[0], byGoPath)}
			}
			return true
		})
	}
	for name := range deprecated {
		if found, ok := flags[name]; ok {
			found.Deprecated = true
		}
	}
	return flags
}

func name(called ast.Expr) string {
	switch called := called.(type) {
	case *ast.Ident:
		return called.Name
	case *ast.SelectorExpr:
		return called.Sel.Name
	}
	return ""
}

// dashed returns the flag's name from a literal, or from a constant that is named after it.
func dashed(expr ast.Expr) string {
	if literal, ok := expr.(*ast.BasicLit); ok {
		return strings.ReplaceAll(text(literal), "_", "-")
	}
	return strings.ToLower(capital.ReplaceAllString(name(expr), "$1-$2"))
}

// target returns the path of the field whose address is in a flag's first argument, or "".
func target(expr ast.Expr, byGoPath map[string]string) string {
	found := ""
	ast.Inspect(expr, func(node ast.Node) bool {
		if selector, ok := node.(*ast.SelectorExpr); ok && found == "" {
			if root, path := chain(selector); root == "c" {
				found = byGoPath[strings.TrimSuffix(path, ".Duration")]
			}
		}
		return true
	})
	return found
}

// chain returns the identifier at the root of a.B.C, and "B.C".
func chain(selector *ast.SelectorExpr) (root, path string) {
	path = selector.Sel.Name
	for {
		switch below := selector.X.(type) {
		case *ast.Ident:
			return below.Name, path
		case *ast.SelectorExpr:
			selector, path = below, below.Sel.Name+"."+path
		default:
			return "", path
		}
	}
}
