package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

const (
	requestsPath  = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
	clientSigner  = "kubernetes.io/kube-apiserver-client-kubelet"
	servingSigner = "kubernetes.io/kubelet-serving"
)

type object map[string]any

// signingRequest has what a kubelet reads of its CertificateSigningRequest.
type signingRequest struct {
	Metadata struct {
		Name            string `json:"name"`
		ResourceVersion string `json:"resourceVersion"`
	} `json:"metadata"`
	Status struct {
		Certificate []byte `json:"certificate"`
		Conditions  []struct {
			Type    string `json:"type"`
			Message string `json:"message"`
		} `json:"conditions"`
	} `json:"status"`
}

// requestCertificate makes a key and a request, and waits until the certificate is issued.
func requestCertificate(
	within context.Context, api *apiClient, signer, usage string, wanted *x509.CertificateRequest,
) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, wanted, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	body := object{
		"apiVersion": "certificates.k8s.io/v1",
		"kind":       "CertificateSigningRequest",
		"metadata":   object{"generateName": "csr-"},
		"spec": object{
			"signerName": signer,
			"usages":     []string{"digital signature", usage},
			"request":    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}),
		},
	}
	var made signingRequest
	if err := api.insist(within, http.MethodPost, requestsPath, body, &made); err != nil {
		return tls.Certificate{}, err
	}
	certificate, err := issued(within, api, made)
	if err != nil {
		return tls.Certificate{}, err
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return tls.Certificate{}, err
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})
	return tls.X509KeyPair(certificate, keyPEM)
}

// issued watches one request until it has a certificate.
func issued(within context.Context, api *apiClient, made signingRequest) ([]byte, error) {
	query := url.Values{
		"watch":           {"true"},
		"fieldSelector":   {"metadata.name=" + made.Metadata.Name},
		"resourceVersion": {made.Metadata.ResourceVersion},
	}
	for {
		certificate, err := watch(within, api, requestsPath+"?"+query.Encode())
		if err != nil || certificate != nil {
			return certificate, err
		}
		select {
		case <-within.Done():
			return nil, fmt.Errorf("%s got no certificate in time", made.Metadata.Name)
		case <-time.After(retryPause):
		}
	}
}

// watch returns the certificate, or nothing if the watch ends before there is one.
func watch(within context.Context, api *apiClient, path string) ([]byte, error) {
	stream, err := api.open(within, http.MethodGet, path, nil)
	if err != nil {
		return nil, nil // asked again
	}
	defer stream.Close()
	events := json.NewDecoder(stream)
	for {
		var event struct{ Object signingRequest }
		if events.Decode(&event) != nil {
			return nil, nil
		}
		for _, condition := range event.Object.Status.Conditions {
			if condition.Type != "Approved" {
				return nil, errors.New(condition.Type + ": " + condition.Message)
			}
		}
		if len(event.Object.Status.Certificate) > 0 {
			return event.Object.Status.Certificate, nil
		}
	}
}
