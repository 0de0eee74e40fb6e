//go:build k1.30

package main

import (
	"reflect"
	"unsafe"

	"k8s.io/kubernetes/pkg/kubelet"
	kubeletconfig "k8s.io/kubernetes/pkg/kubelet/apis/config"
	"k8s.io/kubernetes/pkg/kubelet/userns"
)

// userNamespaces makes the manager as NewMainKubelet does, for a Kubelet of which it reads only maxPods.
func userNamespaces(kc *kubeletconfig.KubeletConfiguration) error {
	maker := &kubelet.Kubelet{}
	maxPods := reflect.ValueOf(maker).Elem().FieldByName("maxPods")
	reflect.NewAt(maxPods.Type(), unsafe.Pointer(maxPods.UnsafeAddr())).Elem().SetInt(int64(kc.MaxPods))
	var idsPerPod any = (*int64)(nil)
	if given := reflect.ValueOf(field(kc, "UserNamespaces")); given.IsValid() && !given.IsNil() {
		idsPerPod = given.Elem().FieldByName("IDsPerPod").Interface()
	}
	_, err := call(userns.MakeUserNsManager, maker, idsPerPod) // until 1.34 it is not given idsPerPod
	return err
}
