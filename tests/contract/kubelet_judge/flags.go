package main

import (
	"flag"
	"strings"

	"github.com/spf13/pflag"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
)

// parse reads arguments as a kubelet does. Those of klog, which kubelets had until 1.25, are klog's own.
func parse(arguments []string) error {
	server, err := options.NewKubeletServer()
	if err != nil {
		return err
	}
	flags := pflag.NewFlagSet("kubelet", pflag.ContinueOnError)
	flags.SetNormalizeFunc(cliflag.WordSepNormalizeFunc)
	server.AddFlags(flags)
	options.AddGlobalFlags(flags)
	older := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(older)
	older.VisitAll(func(each *flag.Flag) {
		if flags.Lookup(strings.ReplaceAll(each.Name, "_", "-")) == nil {
			flags.AddGoFlag(each)
		}
	})
	return flags.Parse(arguments)
}
