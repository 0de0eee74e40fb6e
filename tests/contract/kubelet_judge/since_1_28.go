//go:build k1.28

package main

import (
	logsapi "k8s.io/component-base/logs/api/v1"
	kubeletconfig "k8s.io/kubernetes/pkg/kubelet/apis/config"
	"k8s.io/utils/cpuset"
)

var parseCPUs = cpuset.Parse

func resetLogging() error { return logsapi.ResetForTest(nil) }

// No kubelet since 1.28 reads them.
func checkIPTablesBits(*kubeletconfig.KubeletConfiguration) error { return nil }
