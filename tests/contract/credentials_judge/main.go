// Credentials_judge does with kubeconfigs, private keys and CAs what kubectl, Pulumi's Kubernetes provider,
// pulumi-command and kubelets do, and prints what came of it, by name. It is built with the lab's go.mod for Kubernetes.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/net/http/httpproxy"
	_ "k8s.io/client-go/plugin/pkg/client/auth"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/cert"

	"net/url"
)

type question struct {
	Paths    map[string]string            `json:"paths"`    // of kubeconfigs, for kubectl
	Contents map[string]string            `json:"contents"` // of kubeconfigs, for the provider
	Keys     map[string]string            `json:"keys"`
	CAs      map[string][]byte            `json:"cas"`
	Proxies  map[string]map[string]string `json:"proxies"` // the environment, and the URL to reach
}

func main() {
	var asked question
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		panic(err)
	}
	kubectl, provider := map[string]string{}, map[string]string{}
	for name, path := range asked.Paths {
		rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: path}
		config := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{})
		kubectl[name] = request("kubectl", name, config)
	}
	for name, content := range asked.Contents {
		config, err := clientcmd.Load([]byte(content))
		if err != nil {
			provider[name] = err.Error()
			continue
		}
		provider[name] = request("provider", name, clientcmd.NewDefaultClientConfig(*config, &clientcmd.ConfigOverrides{}))
	}
	keys := map[string]map[string]string{}
	for name, key := range asked.Keys {
		keys[name] = map[string]string{}
		signer, err := ssh.ParsePrivateKey([]byte(key))
		if err != nil {
			_, missing := err.(*ssh.PassphraseMissingError)
			keys[name] = map[string]string{"error": err.Error(), "passphrase": fmt.Sprint(missing)}
			continue
		}
		keys[name]["fingerprint"] = ssh.FingerprintSHA256(signer.PublicKey())
	}
	proxies := map[string]string{}
	for name, given := range asked.Proxies {
		settings := httpproxy.Config{HTTPProxy: given["http"], HTTPSProxy: given["https"], NoProxy: given["no"]}
		target, err := url.Parse(given["url"])
		if err != nil {
			panic(err)
		}
		found, err := settings.ProxyFunc()(target)
		if err != nil {
			proxies[name] = "error"
		} else if found != nil {
			proxies[name] = found.String()
		} else {
			proxies[name] = ""
		}
	}
	cas := map[string][][]byte{} // the certificates that a kubelet finds in its clientCAFile, in DER
	for name, text := range asked.CAs {
		found, err := cert.ParseCertsPEM(text)
		cas[name] = [][]byte{}
		if err != nil {
			continue
		}
		for _, each := range found {
			cas[name] = append(cas[name], each.Raw)
		}
	}
	_ = json.NewEncoder(os.Stdout).Encode(map[string]any{
		"cas": cas, "kubectl": kubectl, "provider": provider, "keys": keys, "proxies": proxies,
	})
}

// request makes one for the path /READER, and returns why it could not.
func request(reader, name string, config clientcmd.ClientConfig) string {
	found, err := config.ClientConfig()
	if err != nil {
		return err.Error()
	}
	found.Timeout = 5 * time.Second
	client, err := rest.HTTPClientFor(found)
	if err != nil {
		return err.Error()
	}
	base, _, err := rest.DefaultServerUrlFor(found)
	if err != nil {
		return err.Error()
	}
	asked, err := http.NewRequest("GET", base.JoinPath("version").String(), nil)
	if err != nil {
		return err.Error()
	}
	asked.Header.Set("Accept", reader+" "+name)
	answer, err := client.Do(asked)
	if err != nil {
		return "asked: " + err.Error()
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, answer.Body)
	if answer.StatusCode != 200 {
		return answer.Status
	}
	return ""
}
