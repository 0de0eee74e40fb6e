package main

import (
	"context"
	"encoding/json"
	"reflect"
	"time"

	"k8s.io/klog/v2"
)

// asJSON returns what cAdvisor would say of a machine: its package has another name in each version.
func asJSON(said any) json.RawMessage {
	text, err := json.Marshal(said)
	if err != nil {
		panic(err)
	}
	return text
}

// field returns a field of a structure, or nil where the version does not have it.
func field(structure any, name string) any {
	found := reflect.ValueOf(structure).Elem().FieldByName(name)
	if !found.IsValid() {
		return nil
	}
	return found.Interface()
}

// duration returns what may stand in one structure or another.
func duration(given any) time.Duration {
	value := reflect.ValueOf(given)
	for value.Kind() == reflect.Struct {
		value = value.FieldByName("Duration")
	}
	return time.Duration(value.Int())
}

// call calls what returns an error, maybe after a value. In some versions its first argument is a context
// or a logger, in older ones the last arguments are missing.
func call(function any, arguments ...any) (any, error) {
	kind := reflect.TypeOf(function)
	var given []reflect.Value
	for _, first := range []any{context.Background(), klog.Background()} {
		if reflect.TypeOf(first).AssignableTo(kind.In(0)) {
			given = append(given, reflect.ValueOf(first))
		}
	}
	for _, argument := range arguments[:min(len(arguments), kind.NumIn()-len(given))] {
		value, err := converted(argument, kind.In(len(given)))
		if err != nil {
			return nil, err
		}
		given = append(given, value)
	}
	results := reflect.ValueOf(function).Call(given)
	if err, _ := results[len(results)-1].Interface().(error); err != nil || len(results) == 1 {
		return nil, err
	}
	return results[0].Interface(), nil
}

func converted(argument any, wanted reflect.Type) (reflect.Value, error) {
	if text, isJSON := argument.(json.RawMessage); isJSON {
		value := reflect.New(wanted)
		err := json.Unmarshal(text, value.Interface())
		return value.Elem(), err
	}
	if argument == nil {
		return reflect.Zero(wanted), nil
	}
	return reflect.ValueOf(argument).Convert(wanted), nil
}
