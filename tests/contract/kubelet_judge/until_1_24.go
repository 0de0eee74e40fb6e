//go:build !k1.25

package main

import (
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/component-base/logs"
	"k8s.io/klog/v2"
	kubeletconfig "k8s.io/kubernetes/pkg/kubelet/apis/config"
)

func applyLogging(kc *kubeletconfig.KubeletConfiguration) error {
	err := (&logs.Options{Config: kc.Logging}).ValidateAndApply(utilfeature.DefaultFeatureGate)
	klog.StopFlushDaemon()
	return err
}
