package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// fleet is all machines by address; a machine exists once somebody has asked for it.
type fleet struct {
	mutex       sync.Mutex
	machines    map[string]*machine
	connections int
	commands    map[string]int
}

// counts is how much was asked of all machines together.
type counts struct {
	Connections int            `json:"connections"`
	Commands    map[string]int `json:"commands"`
}

func newFleet() *fleet {
	return &fleet{machines: map[string]*machine{}, commands: map[string]int{}}
}

func (f *fleet) at(address string) *machine {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.machines[address] == nil {
		f.machines[address] = &machine{address: address}
	}
	return f.machines[address]
}

func (f *fleet) countConnection() {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.connections++
}

func (f *fleet) countCommand(action string) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.commands[action]++
}

func (f *fleet) counts() counts {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	commands := map[string]int{}
	for action, number := range f.commands {
		commands[action] = number
	}
	return counts{Connections: f.connections, Commands: commands}
}

// machine is one host: what was brought to it, the bundle that was installed on it, and its kubelet
// while that runs.
type machine struct {
	address   string
	mutex     sync.Mutex
	brought   bundle
	installed bundle
	running   *kubelet
}

// bring keeps a bundle.
func (m *machine) bring(stdin string) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	given, err := readBundle(stdin)
	if err == nil {
		m.brought = given
	}
	return err
}

// run does what a node script would do, and returns what it would print.
func (m *machine) run(action string) any {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if action == "install" {
		return m.install(m.brought)
	}
	return m.remove()
}

func (m *machine) install(given bundle) any {
	changed := []string{}
	for path, content := range given.files {
		if old, found := m.installed.files[path]; !found || old != content {
			changed = append(changed, path)
		}
	}
	slices.Sort(changed)
	state := "stopped"
	if m.running != nil {
		state = "running"
		if len(changed) > 0 {
			state = "restarted"
		}
	}
	m.installed = given
	nothing := []string{}
	return map[string]any{
		"changed": changed, "repaired": nothing, "removed": nothing,
		"kubelet": state, "skipped": nothing, "notes": nothing,
	}
}

func (m *machine) remove() any {
	if m.running != nil {
		m.running.stop()
		m.running = nil
	}
	removed := []string{}
	for path := range m.installed.files {
		removed = append(removed, path)
	}
	slices.Sort(removed)
	m.installed = bundle{}
	nothing := []string{}
	return map[string]any{"removed": removed, "kept": nothing, "notes": nothing}
}

// join returns once the kubelet has both of its certificates, as join.sh does.
func (m *machine) join(stdin string) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.running != nil {
		return nil
	}
	given, err := readBundle(stdin)
	if err != nil {
		return err
	}
	token, err := given.token()
	if err != nil {
		return err
	}
	limit, err := strconv.Atoi(given.words["limit"])
	if err != nil {
		return fmt.Errorf("the limit is not a number of seconds: %w", err)
	}
	started := &kubelet{
		name:      given.words["name"],
		addresses: strings.Fields(m.installed.words["addresses"]),
		version:   "v" + lastWord(m.installed.words["kubelet"]) + ".0",
		machineID: m.address,
		server:    given.words["server"],
		authority: []byte(m.installed.files[given.words["ca"]]),
	}
	within, cancel := context.WithTimeout(context.Background(), time.Duration(limit)*time.Second)
	defer cancel()
	if err := started.bootstrap(within, token); err != nil {
		started.stop()
		return fmt.Errorf("%s has not joined: %w", started.name, err)
	}
	m.running = started
	return nil
}

func (m *machine) servingCertificate() (*tls.Certificate, error) {
	// The certificate is live only after the join, so nobody waits here for a join that runs.
	if !m.mutex.TryLock() {
		return nil, errors.New("the kubelet is starting")
	}
	defer m.mutex.Unlock()
	if m.running == nil {
		return nil, errors.New("no kubelet runs here")
	}
	return &m.running.serving, nil
}

func lastWord(text string) string {
	return text[strings.LastIndex(text, " ")+1:]
}

func marshalLine(content any) []byte {
	line, err := json.Marshal(content)
	if err != nil {
		panic(err) // only maps of strings
	}
	return append(line, '\n')
}
