//go:build k1.25

package main

import (
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/klog/v2"
	kubeletconfig "k8s.io/kubernetes/pkg/kubelet/apis/config"
)

func applyLogging(kc *kubeletconfig.KubeletConfiguration) error {
	if err := resetLogging(); err != nil {
		return err
	}
	err := logsapi.ValidateAndApply(&kc.Logging, utilfeature.DefaultFeatureGate)
	klog.StopFlushDaemon()
	return err
}
