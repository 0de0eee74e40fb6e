package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	nodesPath       = "/api/v1/nodes"
	leasesPath      = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
	leaseSeconds    = 40 // as the kubelet's nodeLeaseDurationSeconds is by default
	renewalInterval = leaseSeconds / 4 * time.Second
	reportLimit     = 30 * time.Second
	microTime       = "2006-01-02T15:04:05.000000Z"
)

// kubelet does what a kubelet does towards the API server, and nothing on the machine.
type kubelet struct {
	name      string
	addresses []string
	version   string
	machineID string
	server    string
	authority []byte

	serving tls.Certificate
	api     *apiClient
	ended   context.CancelFunc
	beating sync.WaitGroup
}

// bootstrap gets the client certificate with a token, and then all else with that certificate.
func (k *kubelet) bootstrap(within context.Context, token string) error {
	holder := newClient(k.server, k.authority, token, nil)
	defer holder.close()
	subject := pkix.Name{
		Organization: []string{"system:nodes"}, CommonName: "system:node:" + k.name,
	}
	client, err := requestCertificate(
		within, holder, clientSigner, "client auth", &x509.CertificateRequest{Subject: subject},
	)
	if err != nil {
		return err
	}
	k.api = newClient(k.server, k.authority, "", &client)
	uid, err := k.register(within)
	if err != nil {
		return err
	}
	wanted := &x509.CertificateRequest{Subject: subject, DNSNames: []string{k.name}}
	for _, address := range k.addresses {
		wanted.IPAddresses = append(wanted.IPAddresses, net.ParseIP(address))
	}
	k.serving, err = requestCertificate(within, k.api, servingSigner, "server auth", wanted)
	if err != nil {
		return err
	}
	background, ended := context.WithCancel(context.Background())
	k.ended = ended
	k.beating.Add(1)
	go k.heartbeat(background, uid)
	return nil
}

// register makes the Node, says that it is Ready, and returns the Node's UID.
func (k *kubelet) register(within context.Context) (string, error) {
	node := object{"apiVersion": "v1", "kind": "Node", "metadata": object{
		"name": k.name, "labels": object{"kubernetes.io/hostname": k.name},
	}}
	err := k.api.insist(within, http.MethodPost, nodesPath, node, nil)
	if err != nil && !hasStatus(err, http.StatusConflict) {
		return "", err
	}
	var found struct {
		Metadata struct {
			UID string `json:"uid"`
		} `json:"metadata"`
	}
	err = k.api.insist(within, http.MethodPatch, k.statusPath(), k.status(), &found)
	return found.Metadata.UID, err
}

// report tells the cluster that the kubelet is alive, as each does when it has started.
func (k *kubelet) report() error {
	within, cancel := context.WithTimeout(context.Background(), reportLimit)
	defer cancel()
	return k.api.insist(within, http.MethodPatch, k.statusPath(), k.status(), nil)
}

func (k *kubelet) statusPath() string { return nodesPath + "/" + k.name + "/status" }

func (k *kubelet) status() object {
	addresses := []object{{"type": "Hostname", "address": k.name}}
	for _, address := range k.addresses {
		addresses = append(addresses, object{"type": "InternalIP", "address": address})
	}
	ready := object{
		"type": "Ready", "status": "True", "reason": "Simulated", "message": "",
		"lastHeartbeatTime": time.Now().UTC().Format(time.RFC3339),
	}
	return object{"status": object{
		"addresses":       addresses,
		"conditions":      []object{ready},
		"daemonEndpoints": object{"kubeletEndpoint": object{"Port": kubeletPort}},
		"nodeInfo": object{
			"kubeletVersion": k.version, "machineID": k.machineID, "systemUUID": k.machineID,
		},
	}}
}

// heartbeat makes the Lease, and renews it until the kubelet stops.
func (k *kubelet) heartbeat(until context.Context, uid string) {
	defer k.beating.Done()
	owner := object{"apiVersion": "v1", "kind": "Node", "name": k.name, "uid": uid}
	lease := object{
		"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
		"metadata": object{"name": k.name, "ownerReferences": []object{owner}},
		"spec": object{
			"holderIdentity": k.name, "leaseDurationSeconds": leaseSeconds, "renewTime": now(),
		},
	}
	err := k.api.insist(until, http.MethodPost, leasesPath, lease, nil)
	for {
		// A node that leaves has its Lease deleted while its kubelet still runs.
		if err != nil && until.Err() == nil && !hasStatus(err, http.StatusNotFound) {
			log.Printf("%s could not renew its Lease: %v", k.name, err)
		}
		select {
		case <-until.Done():
			return
		case <-time.After(renewalInterval):
		}
		renewed := object{"spec": object{"renewTime": now()}}
		err = k.api.call(until, http.MethodPatch, leasesPath+"/"+k.name, renewed, nil)
	}
}

func (k *kubelet) stop() {
	if k.ended != nil {
		k.ended()
		k.beating.Wait()
	}
	if k.api != nil {
		k.api.close()
	}
}

func now() string { return time.Now().UTC().Format(microTime) }
