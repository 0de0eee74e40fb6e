// reader tells what a Kubernetes API server reads in the bytes of a certificate request: the same
// calls of Go's standard library as k8s.io/kubernetes/pkg/apis/certificates.ParseCSR, the check of
// the signature in its validation, and the fields of which kube-controller-manager makes the
// certificate (pkg/controller/certificates/authority).
//
// It reads inputs from stdin, each after its length in four bytes, and writes a line of JSON each.
package main

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"os"
)

type reading struct {
	Error         string   `json:"error"`
	Rest          int      `json:"rest"`
	CommonName    string   `json:"commonName"`
	Organizations []string `json:"organizations"`
	Subject       []string `json:"subject"` // each attribute's type
	DNSNames      []string `json:"dnsNames"`
	Addresses     []string `json:"addresses"` // bytes in hexadecimal
	Others        int      `json:"others"`    // e-mail addresses and URIs
	Extensions    []string `json:"extensions"`
	Key           string   `json:"key"`
	KeyBits       int      `json:"keyBits"`
	Fingerprint   string   `json:"fingerprint"` // of the key as it stands in the request
	Certified     string   `json:"certified"`   // of the key as it will stand in the certificate
}

func read(data []byte) (r reading) {
	block, rest := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		r.Error = "PEM block type must be CERTIFICATE REQUEST"
		return
	}
	r.Rest = len(bytes.TrimSpace(rest))
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err == nil {
		err = request.CheckSignature()
	}
	if err != nil {
		r.Error = err.Error()
		return
	}
	r.CommonName = request.Subject.CommonName
	r.Organizations = request.Subject.Organization
	for _, name := range request.Subject.Names {
		r.Subject = append(r.Subject, name.Type.String())
	}
	r.DNSNames = request.DNSNames
	for _, address := range request.IPAddresses {
		r.Addresses = append(r.Addresses, hex.EncodeToString(address))
	}
	r.Others = len(request.EmailAddresses) + len(request.URIs)
	for _, extension := range request.Extensions {
		r.Extensions = append(r.Extensions, extension.Id.String())
	}
	switch key := request.PublicKey.(type) {
	case *ecdsa.PublicKey:
		r.Key, r.KeyBits = "EC", key.Curve.Params().BitSize
	case *rsa.PublicKey:
		r.Key, r.KeyBits = "RSA", key.N.BitLen()
	}
	r.Fingerprint = fingerprint(request.RawSubjectPublicKeyInfo)
	if certified, err := x509.MarshalPKIXPublicKey(request.PublicKey); err == nil {
		r.Certified = fingerprint(certified)
	}
	return
}

func fingerprint(key []byte) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:])
}

func main() {
	in, out := bufio.NewReader(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var size uint32
		if err := binary.Read(in, binary.BigEndian, &size); err == io.EOF {
			return
		} else if err != nil {
			log.Fatal(err)
		}
		data := make([]byte, size)
		if _, err := io.ReadFull(in, data); err != nil {
			log.Fatal(err)
		}
		if err := out.Encode(read(data)); err != nil {
			log.Fatal(err)
		}
	}
}
