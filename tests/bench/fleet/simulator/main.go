// The simulator plays every machine of a fleet, each at an address of its own: an SSH server, and a
// kubelet that really bootstraps, heartbeats and serves TLS, but runs no pods.
//
// It listens on all addresses, and tells the machines apart by the one that was dialled. It says
// "ready" once it listens, answers each line on stdin with one line of JSON (what it was asked for
// so far), and ends with stdin.
package main

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"
)

const (
	sshPort     = 22
	kubeletPort = 10250
)

func main() {
	hostKey := flag.String("host-key", "", "the file with the SSH host key of all machines")
	flag.Parse()
	machines := newFleet()
	configuration, err := serverConfig(*hostKey)
	if err != nil {
		log.Fatal(err)
	}
	go acceptSSH(listen(sshPort), configuration, machines)
	go serveKubelets(listen(kubeletPort), machines)
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if err := json.NewEncoder(os.Stdout).Encode(machines.counts()); err != nil {
			log.Fatal(err)
		}
	}
}

func listen(port int) net.Listener {
	listener, err := net.Listen("tcp4", fmt.Sprintf(":%d", port))
	if err != nil {
		log.Fatal(err)
	}
	return listener
}

// serveKubelets answers as a healthy kubelet does, with the certificate of the dialled machine.
func serveKubelets(listener net.Listener, machines *fleet) {
	configuration := &tls.Config{
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return machines.at(dialled(hello.Conn)).servingCertificate()
		},
	}
	server := &http.Server{
		Handler:           http.HandlerFunc(answerOK),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0), // the gate looks before there is a certificate
	}
	log.Fatal(server.Serve(tls.NewListener(listener, configuration)))
}

func answerOK(answer http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(answer, "ok")
}

// dialled returns the address that the other side has connected to.
func dialled(connection net.Conn) string {
	host, _, _ := net.SplitHostPort(connection.LocalAddr().String())
	return host
}
