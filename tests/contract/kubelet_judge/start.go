package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/featuregate"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/klog/v2"
	_ "k8s.io/kubernetes/cmd/kubelet/app" // what is linked below
	kubeletconfig "k8s.io/kubernetes/pkg/kubelet/apis/config"
	"k8s.io/kubernetes/pkg/kubelet/cm"
	"k8s.io/kubernetes/pkg/kubelet/cm/cpumanager"
	"k8s.io/kubernetes/pkg/kubelet/cm/memorymanager"
	"k8s.io/kubernetes/pkg/kubelet/cm/topologymanager"
	"k8s.io/kubernetes/pkg/kubelet/eviction"
	"k8s.io/kubernetes/pkg/kubelet/logs"
	"k8s.io/kubernetes/pkg/kubelet/sysctl"
	"k8s.io/utils/cpuset"
)

const (
	nodes        = 2
	coresPerNode = 32
	memory       = 64 << 30
)

// start does what can end a kubelet after its validation, in the order of cmd/kubelet/app/server.go,
// NewContainerManager and NewMainKubelet, on a machine with 64 CPUs and two NUMA nodes.
func start(kc *kubeletconfig.KubeletConfiguration) error {
	restore := setGates(kc.FeatureGates)
	defer restore()
	if err := applyLogging(&kc.Logging); err != nil {
		return err
	}
	if _, err := cliflag.TLSCipherSuites(kc.TLSCipherSuites); err != nil {
		return err
	}
	if _, err := cliflag.TLSVersion(kc.TLSMinVersion); err != nil {
		return err
	}
	if len(kc.EvictionHard) == 0 {
		kc.EvictionHard = eviction.DefaultEvictionHard
	} else if kc.MergeDefaultEvictionSettings {
		merged := maps.Clone(eviction.DefaultEvictionHard)
		maps.Copy(merged, kc.EvictionHard)
		kc.EvictionHard = merged
	}
	reservation, err := reserved(kc)
	if err != nil {
		return err
	}
	if _, err := cm.ParseQOSReserved(kc.QOSReserved); err != nil {
		return err
	}
	if kc.CgroupDriver != "cgroupfs" && kc.CgroupDriver != "systemd" {
		return fmt.Errorf("invalid cgroup driver %q", kc.CgroupDriver) // NewCgroupManager panics later
	}
	if err := managers(kc, reservation); err != nil {
		return err
	}
	if kc.SyncFrequency.Duration <= 0 {
		return fmt.Errorf("invalid sync frequency %d", kc.SyncFrequency.Duration)
	}
	if _, err := eviction.ParseThresholdConfig(kc.EnforceNodeAllocatable, kc.EvictionHard, kc.EvictionSoft, kc.EvictionSoftGracePeriod, kc.EvictionMinimumReclaim); err != nil {
		return err
	}
	switch kc.ConfigMapAndSecretChangeDetectionStrategy {
	case kubeletconfig.WatchChangeDetectionStrategy, kubeletconfig.TTLCacheChangeDetectionStrategy, kubeletconfig.GetChangeDetectionStrategy:
	default:
		return fmt.Errorf("unknown configmap and secret manager mode: %v", kc.ConfigMapAndSecretChangeDetectionStrategy)
	}
	if _, err := logs.NewContainerLogManager(nil, nil, kc.ContainerLogMaxSize, int(kc.ContainerLogMaxFiles), int(kc.ContainerLogMaxWorkers), kc.ContainerLogMonitorInterval); err != nil {
		return err
	}
	_, err = sysctl.NewAllowlist(kc.AllowedUnsafeSysctls)
	return err
}

// setGates sets the kubelet's gates, and returns what sets them back.
func setGates(gates map[string]bool) func() {
	before := map[string]bool{}
	for name := range utilfeature.DefaultMutableFeatureGate.GetAll() {
		before[string(name)] = utilfeature.DefaultFeatureGate.Enabled(featuregate.Feature(name))
	}
	if err := utilfeature.DefaultMutableFeatureGate.SetFromMap(gates); err != nil {
		panic(err)
	}
	return func() {
		if err := utilfeature.DefaultMutableFeatureGate.SetFromMap(before); err != nil {
			panic(err)
		}
	}
}

func applyLogging(c *logsapi.LoggingConfiguration) error {
	if err := logsapi.ResetForTest(nil); err != nil {
		return err
	}
	err := logsapi.ValidateAndApply(c, utilfeature.DefaultFeatureGate)
	klog.StopFlushDaemon()
	return err
}

func reserved(kc *kubeletconfig.KubeletConfiguration) (v1.ResourceList, error) {
	cpus, err := cpuset.Parse(kc.ReservedSystemCPUs)
	if err != nil {
		return nil, err
	}
	if cpus.Size() > 0 {
		delete(kc.KubeReserved, "cpu")
		kc.SystemReserved = maps.Clone(kc.SystemReserved)
		if kc.SystemReserved == nil {
			kc.SystemReserved = map[string]string{}
		}
		kc.SystemReserved["cpu"] = fmt.Sprint(cpus.Size())
	}
	thresholds, err := eviction.ParseThresholdConfig(nil, kc.EvictionHard, nil, nil, nil)
	if err != nil {
		return nil, err
	}
	capacity := v1.ResourceList{
		v1.ResourceMemory:           *resource.NewQuantity(memory, resource.BinarySI),
		v1.ResourceEphemeralStorage: *resource.NewQuantity(1<<40, resource.BinarySI),
	}
	sum := hardEvictionReservation(thresholds, capacity)
	for _, each := range []map[string]string{kc.KubeReserved, kc.SystemReserved} {
		list, err := parseResourceList(each)
		if err != nil {
			return nil, err
		}
		if sum == nil {
			sum = v1.ResourceList{}
		}
		for name, quantity := range list {
			total := sum[name]
			total.Add(quantity)
			sum[name] = total
		}
	}
	return sum, nil
}

func managers(kc *kubeletconfig.KubeletConfiguration, reservation v1.ResourceList) error {
	directory, err := os.MkdirTemp("", "kubelet_judge")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(directory) }()
	topology := []map[string]any{}
	for id := range nodes {
		cores := []map[string]any{}
		for core := range coresPerNode {
			cpu := id*coresPerNode + core
			cores = append(cores, map[string]any{"core_id": cpu, "thread_ids": []int{cpu}, "socket_id": id})
		}
		distances := []int{20, 20}
		distances[id] = 10
		topology = append(topology, map[string]any{"node_id": id, "memory": memory / nodes, "cores": cores, "distances": distances})
	}
	machine := asJSON(map[string]any{"num_cores": nodes * coresPerNode, "memory_capacity": memory, "topology": topology})
	affinity, err := withLogger(topologymanager.NewManager, asJSON(topology), kc.TopologyManagerPolicy, kc.TopologyManagerScope, kc.TopologyManagerPolicyOptions)
	if err != nil {
		return err
	}
	cpus, _ := cpuset.Parse(kc.ReservedSystemCPUs)
	if _, err := withLogger(cpumanager.NewManager, kc.CPUManagerPolicy, kc.CPUManagerPolicyOptions, time.Minute, machine, cpus, reservation, directory, affinity); err != nil {
		return err
	}
	_, err = withLogger(memorymanager.NewManager, kc.MemoryManagerPolicy, machine, reservation, kc.ReservedMemory, directory, affinity)
	return err
}

// asJSON returns what cAdvisor would say of a machine: its package has another name in each version.
func asJSON(said any) json.RawMessage {
	text, err := json.Marshal(said)
	if err != nil {
		panic(err)
	}
	return text
}

// withLogger calls a constructor, whose first argument is a logger in some versions.
func withLogger(constructor any, arguments ...any) (any, error) {
	function := reflect.ValueOf(constructor)
	kind := function.Type()
	var given []reflect.Value
	if kind.NumIn() == len(arguments)+1 {
		given = append(given, reflect.ValueOf(klog.Background()))
	}
	for _, argument := range arguments {
		wanted := kind.In(len(given))
		text, isJSON := argument.(json.RawMessage)
		if !isJSON {
			given = append(given, reflect.ValueOf(argument).Convert(wanted))
			continue
		}
		value := reflect.New(wanted)
		if err := json.Unmarshal(text, value.Interface()); err != nil {
			return nil, err
		}
		given = append(given, value.Elem())
	}
	results := function.Call(given)
	if err, _ := results[1].Interface().(error); err != nil {
		return nil, err
	}
	if results[0].IsNil() {
		return nil, errors.New("no manager")
	}
	return results[0].Interface(), nil
}
