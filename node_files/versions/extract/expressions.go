package main

import (
	"go/ast"
	"go/token"
	"reflect"
	"strconv"
	"time"
)

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
