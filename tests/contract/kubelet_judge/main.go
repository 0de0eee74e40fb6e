// Kubelet_judge decodes and validates configurations as a kubelet does at its start, and prints what
// it says of each by name, the provider ID that it reads, and what it sets where nothing is set. It is built with the lab's
// go.mod for Kubernetes.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	utilfeature "k8s.io/apiserver/pkg/util/feature"
	logsapi "k8s.io/component-base/logs/api/v1"
	_ "k8s.io/component-base/logs/json/register"
	kubeletv1beta1 "k8s.io/kubelet/config/v1beta1"
	_ "k8s.io/kubernetes/pkg/features"
	"k8s.io/kubernetes/pkg/kubelet/apis/config/scheme"
	configv1beta1 "k8s.io/kubernetes/pkg/kubelet/apis/config/v1beta1"
	"k8s.io/kubernetes/pkg/kubelet/apis/config/validation"
	"k8s.io/kubernetes/pkg/kubelet/kubeletconfig/util/codec"
)

func main() {
	_ = logsapi.AddFeatureGates(utilfeature.DefaultMutableFeatureGate)
	var documents map[string]string
	if err := json.NewDecoder(os.Stdin).Decode(&documents); err != nil {
		panic(err)
	}
	_, codecs, err := scheme.NewSchemeAndCodecs()
	if err != nil {
		panic(err)
	}
	said, providers := map[string]string{}, map[string]string{}
	for name, document := range documents {
		func() {
			defer func() {
				if r := recover(); r != nil {
					said[name] = fmt.Sprint("panic: ", r)
				}
			}()
			configuration, err := codec.DecodeKubeletConfiguration(context.Background(), codecs, []byte(document))
			if err == nil {
				err = validation.ValidateKubeletConfiguration(configuration, utilfeature.DefaultFeatureGate)
			}
			if err != nil {
				said[name] = err.Error()
				return
			}
			said[name], providers[name] = "", configuration.ProviderID
		}()
	}
	defaults := &kubeletv1beta1.KubeletConfiguration{}
	configv1beta1.SetDefaults_KubeletConfiguration(defaults)
	_ = json.NewEncoder(os.Stdout).Encode(map[string]any{"said": said, "defaults": defaults, "providers": providers})
}
