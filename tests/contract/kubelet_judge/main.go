// Kubelet_judge does with configurations and flags what a kubelet does at its start, and prints what it
// says of each by name, the provider ID that it reads, its feature gates, and what it sets where nothing is
// set. It is built for a minor version of Kubernetes; the build tag k1.28 stands for 1.28 and all
// later ones.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	utilfeature "k8s.io/apiserver/pkg/util/feature"
	_ "k8s.io/component-base/logs/json/register"
	kubeletv1beta1 "k8s.io/kubelet/config/v1beta1"
	_ "k8s.io/kubernetes/pkg/features"
	kubeletconfig "k8s.io/kubernetes/pkg/kubelet/apis/config"
	"k8s.io/kubernetes/pkg/kubelet/apis/config/scheme"
	configv1beta1 "k8s.io/kubernetes/pkg/kubelet/apis/config/v1beta1"
	"k8s.io/kubernetes/pkg/kubelet/apis/config/validation"
	"k8s.io/kubernetes/pkg/kubelet/kubeletconfig/util/codec"
)

type question struct {
	Documents map[string]string   `json:"documents"`
	Flags     map[string][]string `json:"flags"`
}

func main() {
	answer := os.Stdout
	os.Stdout = os.Stderr // what kubelets log, maybe to their standard output
	var asked question
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		panic(err)
	}
	_, codecs, err := scheme.NewSchemeAndCodecs()
	if err != nil {
		panic(err)
	}
	said, started := map[string]string{}, map[string]string{}
	flags, providers := map[string]string{}, map[string]string{}
	for name, document := range asked.Documents {
		var configuration *kubeletconfig.KubeletConfiguration
		said[name] = judge(func() error {
			decoded, err := call(codec.DecodeKubeletConfiguration, codecs, []byte(document))
			if err != nil {
				return err
			}
			configuration = decoded.(*kubeletconfig.KubeletConfiguration)
			return validate(configuration)
		})
		if said[name] == "" {
			providers[name] = configuration.ProviderID
			started[name] = judge(func() error { return start(configuration) })
		}
	}
	for name, arguments := range asked.Flags {
		flags[name] = judge(func() error { return parse(arguments) })
	}
	gates := map[string]map[string]bool{}
	for name, spec := range utilfeature.DefaultMutableFeatureGate.GetAll() {
		gates[string(name)] = map[string]bool{"default": spec.Default, "locked": spec.LockToDefault}
	}
	defaults := &kubeletv1beta1.KubeletConfiguration{}
	configv1beta1.SetDefaults_KubeletConfiguration(defaults)
	_ = json.NewEncoder(answer).Encode(map[string]any{
		"said": said, "started": started, "flags": flags, "gates": gates, "defaults": defaults,
		"providers": providers,
	})
}

func validate(kc *kubeletconfig.KubeletConfiguration) error {
	restore, err := setGates(kc.FeatureGates)
	defer restore()
	if err != nil {
		return err
	}
	_, err = call(validation.ValidateKubeletConfiguration, kc, utilfeature.DefaultFeatureGate)
	return err
}

// judge returns what the kubelet says; a panic ends it as well.
func judge(ask func() error) (said string) {
	defer func() {
		if r := recover(); r != nil {
			said = fmt.Sprint("panic: ", r)
		}
	}()
	if err := ask(); err != nil {
		return err.Error()
	}
	return ""
}
