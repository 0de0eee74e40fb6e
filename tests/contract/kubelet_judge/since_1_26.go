//go:build k1.26

package main

import "k8s.io/kubernetes/pkg/kubelet/eviction"

var defaultEvictionHard = eviction.DefaultEvictionHard
