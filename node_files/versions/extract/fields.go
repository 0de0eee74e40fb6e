package main

import (
	"go/ast"
	"reflect"
	"sort"
	"strings"
)

const configuration = "k8s.io/kubelet/config/v1beta1"

// field is what a KubeletConfiguration holds at one path. The names of types are Go's, with a star
// where "not set" differs from the zero value, and duration, quantity, time and
// "duration or nanoseconds".
type field struct {
	Type     string   `json:"type"`
	Values   []string `json:"values,omitempty"` // the constants of its type
	NoEffect bool     `json:"no_effect,omitempty"`
	Default  any      `json:"default,omitempty"`
}

// leaves are types that write and read themselves as one JSON value.
var leaves = map[string]string{
	"k8s.io/apimachinery/pkg/apis/meta/v1.Duration":        "duration",
	"k8s.io/apimachinery/pkg/apis/meta/v1.Time":            "time",
	"k8s.io/apimachinery/pkg/api/resource.Quantity":        "quantity",
	"k8s.io/apimachinery/pkg/api/resource.QuantityValue":   "quantity",
	"k8s.io/component-base/logs/api/v1.TimeOrMetaDuration": "duration or nanoseconds",
	"time.Duration": "int64",
}

var basic = map[string]bool{
	"bool": true, "string": true, "int": true, "int32": true, "int64": true, "uint32": true, "float64": true,
}

type walker struct {
	from     *source
	fields   map[string]*field
	byGoPath map[string]string // Authentication.Webhook.CacheTTL to its JSON path
}

func readFields(from *source) (map[string]*field, map[string]string) {
	w := walker{from, map[string]*field{}, map[string]string{}}
	root := from.load(configuration).types["KubeletConfiguration"]
	w.fields["apiVersion"] = &field{Type: "string"}
	w.fields["kind"] = &field{Type: "string"}
	w.members(root, "", "")
	return w.fields, w.byGoPath
}

func (w *walker) members(structure declared, jsonPrefix, goPrefix string) {
	for _, member := range structure.expr.(*ast.StructType).Fields.List {
		name, inline := jsonName(member)
		if inline {
			w.embedded(structure, member, jsonPrefix, goPrefix)
			continue
		}
		if name == "-" {
			continue
		}
		path, goPath := jsonPrefix+name, goPrefix+member.Names[0].Name
		kind, values, below := w.typeOf(member.Type, structure)
		if strings.HasPrefix(kind, "[]struct") {
			w.members(*below, path+"[].", goPath+"[].")
		} else if below != nil {
			w.members(*below, path+".", goPath+".")
		}
		w.fields[path] = &field{Type: kind, Values: values, NoEffect: hasNoEffect(member.Doc)}
		w.byGoPath[goPath] = path
	}
}

func (w *walker) embedded(structure declared, member *ast.Field, jsonPrefix, goPrefix string) {
	name, ok := member.Type.(*ast.Ident)
	if !ok { // metav1.TypeMeta
		return
	}
	below := structure.in.types[name.Name]
	w.members(below, jsonPrefix, goPrefix)
	w.members(below, jsonPrefix, goPrefix+name.Name+".") // Go code may name it either way
}

func jsonName(member *ast.Field) (name string, inline bool) {
	if member.Tag == nil {
		fail("field %v has no tag", member.Names)
	}
	name, options, _ := strings.Cut(reflect.StructTag(text(member.Tag)).Get("json"), ",")
	return name, len(member.Names) == 0 && (name == "" || strings.Contains(options, "inline"))
}

func hasNoEffect(doc *ast.CommentGroup) bool {
	return doc != nil && strings.Contains(doc.Text(), "no longer has any effect")
}

// typeOf returns a type's name, the values of an enumeration, and the structure below it, if any.
func (w *walker) typeOf(expr ast.Expr, at declared) (string, []string, *declared) {
	switch expr := expr.(type) {
	case *ast.Ident:
		if basic[expr.Name] {
			return expr.Name, nil, nil
		}
		return w.named(at.in, expr.Name)
	case *ast.SelectorExpr:
		importPath := imported(at.file, expr.X.(*ast.Ident).Name)
		if leaf, ok := leaves[importPath+"."+expr.Sel.Name]; ok {
			return leaf, nil, nil
		}
		return w.named(w.from.load(importPath), expr.Sel.Name)
	case *ast.StarExpr:
		kind, values, below := w.typeOf(expr.X, at)
		return "*" + kind, values, below
	case *ast.ArrayType:
		kind, values, below := w.typeOf(expr.Elt, at)
		return "[]" + kind, values, below
	case *ast.MapType:
		kind, values, below := w.typeOf(expr.Value, at)
		if below != nil {
			fail("a map of structures, which nothing here describes")
		}
		return "map[string]" + kind, values, nil
	}
	fail("a type that is not understood: %T", expr)
	return "", nil, nil
}

func (w *walker) named(in *pkg, name string) (string, []string, *declared) {
	if leaf, ok := leaves[in.path+"."+name]; ok {
		return leaf, nil, nil
	}
	found, ok := in.types[name]
	if !ok {
		fail("%s has no type %s", in.path, name)
	}
	if _, ok := found.expr.(*ast.StructType); ok {
		return "struct", nil, &found
	}
	kind, values, below := w.typeOf(found.expr, found)
	if kind == "string" {
		values = constants(in, name)
	}
	return kind, values, below
}

func constants(in *pkg, typeName string) []string {
	var values []string
	for _, value := range in.values {
		kind, ok := value.typ.(*ast.Ident)
		if literal, isLiteral := value.expr.(*ast.BasicLit); ok && isLiteral && kind.Name == typeName {
			values = append(values, text(literal))
		}
	}
	sort.Strings(values)
	return values
}
