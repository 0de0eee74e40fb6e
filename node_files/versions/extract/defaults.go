package main

import (
	"go/ast"
	"strings"
	"time"
)

const defaulting = "k8s.io/kubernetes/pkg/kubelet/apis/config/v1beta1"
const eviction = "k8s.io/kubernetes/pkg/kubelet/eviction"

var units = map[string]time.Duration{
	"Nanosecond": time.Nanosecond, "Millisecond": time.Millisecond, "Second": time.Second,
	"Minute": time.Minute, "Hour": time.Hour,
}

// interpreter runs the kubelet's defaulting functions on a configuration in which nothing is set.
type interpreter struct {
	from     *source
	byGoPath map[string]string
	gates    map[string]*gate
	set      map[string]any // by JSON path
}

// scope is where an expression stands: its package and file, and what its parameters point to.
type scope struct {
	in     *pkg
	file   *ast.File
	bound  map[string]string // a parameter's name to a Go path
	zeroes map[string]bool   // variables that are declared without a value
}

func setDefaults(from *source, fields map[string]*field, byGoPath map[string]string, gates map[string]*gate) {
	run := interpreter{from, byGoPath, gates, map[string]any{}}
	p := from.load(defaulting)
	run.call(p, "SetDefaults_KubeletConfiguration", "")
	if run.set["evictionHard"] == nil { // since 1.26 it is set after drop-in files are merged
		in := from.load(eviction)
		value, ok := in.values["DefaultEvictionHard"]
		if !ok {
			fail("nothing sets evictionHard")
		}
		run.set["evictionHard"] = run.eval(value.expr, scope{in: in, file: value.file})
	}
	for path, found := range fields {
		value, isSet := run.set[path]
		if !isSet && !strings.Contains(path, "[]") {
			value = zero(found.Type)
		}
		if span, ok := value.(time.Duration); ok {
			value = span.String()
			if found.Type == "int64" {
				value = int64(span)
			}
		}
		found.Default = value
	}
}

func zero(kind string) any {
	switch kind {
	case "bool":
		return false
	case "string":
		return ""
	case "duration":
		return time.Duration(0)
	case "int32", "int64", "uint32", "float64":
		return 0
	}
	return nil
}

func (run *interpreter) call(in *pkg, function string, goPath string) {
	found, ok := in.funcs[function]
	if !ok {
		fail("%s has no function %s", in.path, function)
	}
	parameter := found.Type.Params.List[0].Names[0].Name
	run.block(found.Body, scope{in, in.files[found], map[string]string{parameter: goPath}, map[string]bool{}})
}

func (run *interpreter) block(block *ast.BlockStmt, at scope) {
	for _, statement := range block.List {
		run.statement(statement, at)
	}
}

func (run *interpreter) statement(statement ast.Stmt, at scope) {
	switch statement := statement.(type) {
	case *ast.BlockStmt:
		run.block(statement, at)
	case *ast.IfStmt:
		if statement.Init != nil { // if err := gate.SetFromMap(...); err != nil
			return
		}
		if run.eval(statement.Cond, at) == true {
			run.block(statement.Body, at)
		} else if statement.Else != nil {
			run.statement(statement.Else, at)
		}
	case *ast.AssignStmt:
		selector, ok := statement.Lhs[0].(*ast.SelectorExpr)
		if !ok { // a local variable, or _
			return
		}
		if path := run.path(selector, at); path != "" {
			run.set[path] = run.eval(statement.Rhs[0], at)
		}
	case *ast.DeclStmt:
		for _, spec := range statement.Decl.(*ast.GenDecl).Specs {
			at.zeroes[spec.(*ast.ValueSpec).Names[0].Name] = true
		}
	case *ast.ExprStmt:
		call := statement.X.(*ast.CallExpr)
		argument := call.Args[0].(*ast.UnaryExpr).X.(*ast.SelectorExpr)
		_, below := chain(argument)
		root, _ := chain(argument)
		run.call(run.packageOf(call.Fun, at), name(call.Fun), at.bound[root]+below+".")
	default:
		fail("%s: a statement that is not understood: %T", at.in.path, statement)
	}
}

func (run *interpreter) packageOf(called ast.Expr, at scope) *pkg {
	if selector, ok := called.(*ast.SelectorExpr); ok {
		return run.from.load(imported(at.file, selector.X.(*ast.Ident).Name))
	}
	return at.in
}

// path returns the JSON path of what hangs on a parameter; "" for a part that JSON does not have.
func (run *interpreter) path(selector *ast.SelectorExpr, at scope) string {
	root, below := chain(selector)
	prefix, ok := at.bound[root]
	if !ok {
		fail("%s: %s.%s is not understood", at.in.path, root, below)
	}
	goPath := prefix + below
	for strings.HasSuffix(goPath, ".Duration") {
		goPath = strings.TrimSuffix(goPath, ".Duration")
	}
	if path, ok := run.byGoPath[goPath]; ok {
		return path
	}
	if !strings.HasSuffix(goPath, ".SerializeAsString") {
		fail("%s: no field is at %s", at.in.path, goPath)
	}
	return ""
}
