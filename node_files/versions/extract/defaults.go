package main

import (
	"go/ast"
	"go/token"
	"reflect"
	"strconv"
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

func (run *interpreter) eval(expr ast.Expr, at scope) any {
	switch expr := expr.(type) {
	case *ast.BasicLit:
		return literal(expr)
	case *ast.ParenExpr:
		return run.eval(expr.X, at)
	case *ast.StarExpr:
		return run.eval(expr.X, at)
	case *ast.UnaryExpr:
		value := run.eval(expr.X, at)
		if number, ok := value.(int64); ok && expr.Op == token.SUB {
			return -number
		}
		if expr.Op == token.AND {
			return value
		}
	case *ast.Ident:
		return run.identifier(expr, at)
	case *ast.SelectorExpr:
		return run.selected(expr, at)
	case *ast.BinaryExpr:
		return run.binary(expr, at)
	case *ast.CallExpr:
		return run.called(expr, at)
	case *ast.CompositeLit:
		return run.composite(expr, at)
	}
	fail("%s: an expression that is not understood: %T", at.in.path, expr)
	return nil
}

func literal(expr *ast.BasicLit) any {
	switch expr.Kind {
	case token.STRING:
		return text(expr)
	case token.FLOAT:
		number, _ := strconv.ParseFloat(expr.Value, 64)
		return number
	}
	number, err := strconv.ParseInt(expr.Value, 0, 64)
	if err != nil {
		fail("%v", err)
	}
	return number
}

func (run *interpreter) identifier(expr *ast.Ident, at scope) any {
	switch {
	case expr.Name == "nil" || at.zeroes[expr.Name]:
		return nil
	case expr.Name == "true" || expr.Name == "false":
		return expr.Name == "true"
	}
	value, ok := at.in.values[expr.Name]
	if !ok {
		fail("%s: %s is not understood", at.in.path, expr.Name)
	}
	return run.eval(value.expr, scope{in: value.in, file: value.file})
}

func (run *interpreter) selected(expr *ast.SelectorExpr, at scope) any {
	root, ok := expr.X.(*ast.Ident)
	if ok && at.bound[root.Name] == "" && imported(at.file, root.Name) != "" {
		importPath := imported(at.file, root.Name)
		if importPath == "time" {
			return units[expr.Sel.Name]
		}
		in := run.from.load(importPath)
		return run.identifier(expr.Sel, scope{in: in})
	}
	return run.set[run.path(expr, at)]
}

func (run *interpreter) binary(expr *ast.BinaryExpr, at scope) any {
	left := run.eval(expr.X, at)
	switch {
	case expr.Op == token.LOR && left == true:
		return true
	case expr.Op == token.LAND && left != true:
		return false
	}
	right := run.eval(expr.Y, at)
	switch expr.Op {
	case token.LOR, token.LAND:
		return right == true
	case token.EQL:
		return empty(left) && empty(right) || reflect.DeepEqual(left, right)
	case token.LSS:
		return left.(int64) < right.(int64)
	case token.MUL:
		return product(left, right)
	}
	fail("%s: the operator %s is not understood", at.in.path, expr.Op)
	return nil
}

func product(left, right any) any {
	count, ok := left.(int64)
	span, isSpan := right.(time.Duration)
	if !ok || !isSpan {
		fail("the product of %v and %v is not understood", left, right)
	}
	return time.Duration(count) * span
}

func empty(value any) bool {
	return value == nil || reflect.ValueOf(value).IsZero()
}

// wraps are functions and conversions that leave the value as it is.
var wraps = map[string]bool{
	"To": true, "BoolPtr": true, "Int32Ptr": true, "Int64Ptr": true, "StringPtr": true, "Float64Ptr": true,
	"Bool": true, "Int32": true, "Int64": true, "String": true, "Float64": true,
	"int32": true, "int64": true,
}

func (run *interpreter) called(expr *ast.CallExpr, at scope) any {
	function := expr.Fun
	if generic, ok := function.(*ast.IndexExpr); ok {
		function = generic.X
	}
	switch called := name(function); {
	case wraps[called]:
		return run.eval(expr.Args[0], at)
	case called == "NewQuantity":
		return strconv.FormatInt(run.eval(expr.Args[0], at).(int64), 10)
	case called == "Enabled":
		for _, found := range run.gates {
			if found.goName == name(expr.Args[0]) {
				return found.Default
			}
		}
		fail("%s: no gate %s", at.in.path, name(expr.Args[0]))
	}
	fail("%s: a call of %s is not understood", at.in.path, name(function))
	return nil
}

func (run *interpreter) composite(expr *ast.CompositeLit, at scope) any {
	switch expr.Type.(type) {
	case *ast.ArrayType:
		list := []any{}
		for _, element := range expr.Elts {
			list = append(list, run.eval(element, at))
		}
		return list
	case *ast.MapType:
		pairs := map[string]any{}
		for _, element := range expr.Elts {
			pair := element.(*ast.KeyValueExpr)
			pairs[run.eval(pair.Key, at).(string)] = run.eval(pair.Value, at)
		}
		return pairs
	}
	if len(expr.Elts) == 0 {
		return nil
	}
	return run.eval(expr.Elts[0].(*ast.KeyValueExpr).Value, at) // Duration{Duration: x}, and the like
}
