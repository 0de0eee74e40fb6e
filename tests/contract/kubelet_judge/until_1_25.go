//go:build !k1.26

package main

// Until 1.25 the decoder sets it.
var defaultEvictionHard map[string]string
