package main

import (
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// source finds packages in the directories of downloaded modules.
type source struct {
	roots    map[string]string // a module's path to its directory
	packages map[string]*pkg
}

// pkg holds a package's declarations by name, as they are compiled on Linux.
type pkg struct {
	path   string
	types  map[string]declared
	values map[string]declared // constants and variables
	funcs  map[string]*ast.FuncDecl
	files  map[*ast.FuncDecl]*ast.File

	declarations []ast.Decl
}

// declared is a type's or a value's expression and the file whose imports it is read with.
type declared struct {
	in   *pkg
	file *ast.File
	typ  ast.Expr // of a value: its type, if it says one
	expr ast.Expr
}

func (s *source) load(importPath string) *pkg {
	if found, ok := s.packages[importPath]; ok {
		return found
	}
	p := &pkg{
		path: importPath, types: map[string]declared{}, values: map[string]declared{},
		funcs: map[string]*ast.FuncDecl{}, files: map[*ast.FuncDecl]*ast.File{},
	}
	s.packages[importPath] = p
	dir := s.directory(importPath)
	entries, err := os.ReadDir(dir)
	if err != nil {
		fail("%s: %v", importPath, err)
	}
	linux := build.Default
	linux.GOOS, linux.GOARCH = "linux", "amd64"
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		if match, err := linux.MatchFile(dir, name); err != nil || !match {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, parser.ParseComments)
		if err != nil {
			fail("%v", err)
		}
		p.add(file)
	}
	return p
}

// has tells whether a version has a package.
func (s *source) has(importPath string) bool {
	_, err := os.Stat(s.directory(importPath))
	return err == nil
}

func (s *source) directory(importPath string) string {
	for module, root := range s.roots {
		if importPath == module || strings.HasPrefix(importPath, module+"/") {
			return filepath.Join(root, strings.TrimPrefix(importPath, module))
		}
	}
	fail("%s: none of the modules holds it", importPath)
	return ""
}

func (p *pkg) add(file *ast.File) {
	p.declarations = append(p.declarations, file.Decls...)
	for _, declaration := range file.Decls {
		if function, ok := declaration.(*ast.FuncDecl); ok {
			if function.Recv == nil {
				p.funcs[function.Name.Name] = function
				p.files[function] = file
			}
			continue
		}
		for _, spec := range declaration.(*ast.GenDecl).Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				p.types[spec.Name.Name] = declared{p, file, nil, spec.Type}
			case *ast.ValueSpec:
				for index, name := range spec.Names {
					if index < len(spec.Values) {
						p.values[name.Name] = declared{p, file, spec.Type, spec.Values[index]}
					}
				}
			}
		}
	}
}

// imported returns the path that a name stands for in a file, or "".
func imported(file *ast.File, name string) string {
	for _, spec := range file.Imports {
		importPath := text(spec.Path)
		if spec.Name != nil && spec.Name.Name == name || spec.Name == nil && path.Base(importPath) == name {
			return importPath
		}
	}
	return ""
}

func text(literal *ast.BasicLit) string {
	value, err := strconv.Unquote(literal.Value)
	if err != nil {
		fail("%s: %v", literal.Value, err)
	}
	return value
}
