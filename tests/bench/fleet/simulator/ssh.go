package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"
)

// What each command has: $0 of those that read a script from stdin, or the action of one that is there.
const (
	bringName = " node_files "
	joinName  = " node_files join"
)

var actions = map[string]string{"install_brought": "install", "remove_installed": "remove"}

// serverConfig lets everybody in who has a key: the machines are within a namespace.
func serverConfig(hostKeyPath string) (*ssh.ServerConfig, error) {
	text, err := os.ReadFile(hostKeyPath)
	if err != nil {
		return nil, err
	}
	key, err := ssh.ParsePrivateKey(text)
	if err != nil {
		return nil, err
	}
	configuration := &ssh.ServerConfig{
		PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
			return nil, nil
		},
	}
	configuration.AddHostKey(key)
	return configuration, nil
}

func acceptSSH(listener net.Listener, configuration *ssh.ServerConfig, machines *fleet) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go serveSSH(connection, configuration, machines)
	}
}

func serveSSH(connection net.Conn, configuration *ssh.ServerConfig, machines *fleet) {
	defer connection.Close()
	login, channels, requests, err := ssh.NewServerConn(connection, configuration)
	if err != nil {
		return // somebody only looked whether the port answers
	}
	defer login.Close()
	machines.countConnection()
	go ssh.DiscardRequests(requests)
	for offered := range channels {
		if offered.ChannelType() != "session" {
			_ = offered.Reject(ssh.UnknownChannelType, "only sessions")
			continue
		}
		channel, asked, err := offered.Accept()
		if err != nil {
			return
		}
		go serveSession(channel, asked, machines, dialled(connection))
	}
}

// serveSession runs one command: the only request that it grants.
func serveSession(
	channel ssh.Channel, asked <-chan *ssh.Request, machines *fleet, address string,
) {
	started := false
	for request := range asked {
		var payload struct{ Command string }
		granted := request.Type == "exec" && !started &&
			ssh.Unmarshal(request.Payload, &payload) == nil
		if request.WantReply {
			_ = request.Reply(granted, nil)
		}
		if granted {
			started = true
			go execute(channel, payload.Command, machines, address)
		}
	}
}

func execute(channel ssh.Channel, command string, machines *fleet, address string) {
	defer channel.Close()
	status := uint32(0)
	if err := runCommand(channel, command, machines, address); err != nil {
		log.Printf("%s: %v", address, err)
		fmt.Fprintf(channel.Stderr(), "error: %v\n", err)
		status = 1
	}
	_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
}

func runCommand(channel ssh.Channel, command string, machines *fleet, address string) error {
	stdin, err := io.ReadAll(channel)
	if err != nil {
		return err
	}
	said, err := perform(command, string(stdin), machines, address)
	if err != nil {
		return err
	}
	_, err = channel.Write(marshalLine(said))
	return err
}

func perform(command, stdin string, machines *fleet, address string) (any, error) {
	if strings.HasSuffix(command, joinName) {
		machines.countCommand("join")
		return map[string]bool{"joined": true}, machines.at(address).join(stdin)
	}
	if strings.Contains(command, bringName) {
		machines.countCommand("bring")
		return map[string]bool{"brought": true}, machines.at(address).bring(stdin)
	}
	for word, action := range actions {
		if strings.Contains(command, word) {
			machines.countCommand(action)
			return machines.at(address).run(action)
		}
	}
	return nil, fmt.Errorf("not a node script: %.80q", command)
}
