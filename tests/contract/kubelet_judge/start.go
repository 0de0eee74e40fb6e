package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/featuregate"
	_ "k8s.io/kubernetes/cmd/kubelet/app" // what is linked below
	kubeletconfig "k8s.io/kubernetes/pkg/kubelet/apis/config"
	"k8s.io/kubernetes/pkg/kubelet/cm"
	"k8s.io/kubernetes/pkg/kubelet/cm/cpumanager"
	"k8s.io/kubernetes/pkg/kubelet/cm/memorymanager"
	"k8s.io/kubernetes/pkg/kubelet/cm/topologymanager"
	"k8s.io/kubernetes/pkg/kubelet/eviction"
	"k8s.io/kubernetes/pkg/kubelet/logs"
	"k8s.io/kubernetes/pkg/kubelet/sysctl"
)

const (
	nodes        = 2
	coresPerNode = 32
	memory       = 64 << 30
)

// start does what can end a kubelet after its validation, in the order of cmd/kubelet/app/server.go,
// NewContainerManager and NewMainKubelet, on a machine with 64 CPUs and two NUMA nodes.
func start(kc *kubeletconfig.KubeletConfiguration) error {
	restore, err := setGates(kc.FeatureGates)
	defer restore()
	if err != nil {
		return err
	}
	if enabled("DynamicKubeletConfig", false) {
		return errors.New("cannot set feature gate DynamicKubeletConfig to true")
	}
	if duration(kc.Logging.FlushFrequency) <= 0 {
		return errors.New("non-positive interval for NewTicker") // with this klog panics, and can't stop then
	}
	if err := applyLogging(kc); err != nil {
		return err
	}
	if _, err := cliflag.TLSCipherSuites(kc.TLSCipherSuites); err != nil {
		return err
	}
	if _, err := cliflag.TLSVersion(kc.TLSMinVersion); err != nil {
		return err
	}
	if kc.EvictionHard == nil {
		kc.EvictionHard = defaultEvictionHard
	} else if merge, _ := field(kc, "MergeDefaultEvictionSettings").(bool); merge {
		merged := maps.Clone(defaultEvictionHard)
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
	if kc.SeccompDefault && !enabled("SeccompDefault", true) {
		return errors.New("the feature gate SeccompDefault must be enabled")
	}
	if kc.SyncFrequency.Duration <= 0 {
		return fmt.Errorf("invalid sync frequency %d", kc.SyncFrequency.Duration)
	}
	if err := checkIPTablesBits(kc); err != nil {
		return err
	}
	if _, err := eviction.ParseThresholdConfig(kc.EnforceNodeAllocatable, kc.EvictionHard, kc.EvictionSoft, kc.EvictionSoftGracePeriod, kc.EvictionMinimumReclaim); err != nil {
		return err
	}
	switch kc.ConfigMapAndSecretChangeDetectionStrategy {
	case kubeletconfig.WatchChangeDetectionStrategy, kubeletconfig.TTLCacheChangeDetectionStrategy, kubeletconfig.GetChangeDetectionStrategy:
	default:
		return fmt.Errorf("unknown configmap and secret manager mode: %v", kc.ConfigMapAndSecretChangeDetectionStrategy)
	}
	if _, err := call(logs.NewContainerLogManager, nil, nil, kc.ContainerLogMaxSize, kc.ContainerLogMaxFiles, field(kc, "ContainerLogMaxWorkers"), field(kc, "ContainerLogMonitorInterval")); err != nil {
		return err
	}
	if err := userNamespaces(kc); err != nil {
		return err
	}
	_, err = sysctl.NewAllowlist(kc.AllowedUnsafeSysctls)
	return err
}

// setGates sets gates of a copy that the kubelet's packages read from then on, until it is put back.
func setGates(gates map[string]bool) (restore func(), err error) {
	before := utilfeature.DefaultMutableFeatureGate
	utilfeature.DefaultMutableFeatureGate = before.DeepCopy()
	utilfeature.DefaultFeatureGate = utilfeature.DefaultMutableFeatureGate
	restore = func() {
		utilfeature.DefaultMutableFeatureGate, utilfeature.DefaultFeatureGate = before, before
	}
	return restore, utilfeature.DefaultMutableFeatureGate.SetFromMap(gates)
}

// enabled returns whether a gate is on; what to take for one that the version does not have is given.
func enabled(name string, otherwise bool) bool {
	gate := featuregate.Feature(name)
	if _, known := utilfeature.DefaultMutableFeatureGate.GetAll()[gate]; !known {
		return otherwise
	}
	return utilfeature.DefaultFeatureGate.Enabled(gate)
}

func reserved(kc *kubeletconfig.KubeletConfiguration) (v1.ResourceList, error) {
	cpus, err := parseCPUs(kc.ReservedSystemCPUs)
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
	policy, scope, options := kc.TopologyManagerPolicy, kc.TopologyManagerScope, field(kc, "TopologyManagerPolicyOptions")
	if !enabled("TopologyManager", true) {
		policy, scope, options = "none", "container", map[string]string(nil) // as good as a fake manager
	} else if given, _ := options.(map[string]string); given != nil && !enabled("TopologyManagerPolicyOptions", true) {
		return fmt.Errorf("topology manager policy options %v require a feature gate", given)
	}
	affinity, err := call(topologymanager.NewManager, asJSON(topology), policy, scope, options)
	if err != nil {
		return err
	}
	cpus, _ := parseCPUs(kc.ReservedSystemCPUs)
	if enabled("CPUManager", true) {
		if kc.CPUManagerPolicyOptions != nil && !enabled("CPUManagerPolicyOptions", true) {
			return fmt.Errorf("CPU manager policy options %v require a feature gate", kc.CPUManagerPolicyOptions)
		}
		if _, err := call(cpumanager.NewManager, kc.CPUManagerPolicy, kc.CPUManagerPolicyOptions, time.Minute, machine, cpus, reservation, directory, affinity); err != nil {
			return err
		}
	}
	if enabled("MemoryManager", true) {
		_, err = call(memorymanager.NewManager, kc.MemoryManagerPolicy, machine, reservation, kc.ReservedMemory, directory, affinity)
	}
	return err
}
