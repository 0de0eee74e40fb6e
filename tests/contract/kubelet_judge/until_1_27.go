//go:build !k1.28

package main

import (
	"errors"

	kubeletconfig "k8s.io/kubernetes/pkg/kubelet/apis/config"
	"k8s.io/kubernetes/pkg/kubelet/cm/cpuset"
)

var parseCPUs = cpuset.Parse

// Until 1.27 logging can be applied again and again.
func resetLogging() error { return nil }

// checkIPTablesBits is the beginning of NewMainKubelet.
func checkIPTablesBits(kc *kubeletconfig.KubeletConfiguration) error {
	masquerade, drop := kc.IPTablesMasqueradeBit, kc.IPTablesDropBit
	if kc.MakeIPTablesUtilChains && (masquerade < 0 || masquerade > 31 || drop < 0 || drop > 31 || masquerade == drop) {
		return errors.New("the bits must be two different ones from 0 to 31")
	}
	return nil
}
