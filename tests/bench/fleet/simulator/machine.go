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
	restarting  int
	mostAtOnce  int
}

// counts is how much was asked of all machines together.
type counts struct {
	Connections int            `json:"connections"`
	Commands    map[string]int `json:"commands"`
	MostAtOnce  int            `json:"most_at_once"` // machines whose kubelets restarted
}

func newFleet() *fleet {
	return &fleet{machines: map[string]*machine{}, commands: map[string]int{}}
}

func (f *fleet) at(address string) *machine {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.machines[address] == nil {
		f.machines[address] = &machine{address: address, fleet: f}
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
	return counts{Connections: f.connections, Commands: commands, MostAtOnce: f.mostAtOnce}
}

// restart counts a machine as one whose kubelet restarts while the work takes.
func (f *fleet) restart(work func() error) error {
	f.mutex.Lock()
	f.restarting++
	f.mostAtOnce = max(f.mostAtOnce, f.restarting)
	f.mutex.Unlock()
	defer func() {
		f.mutex.Lock()
		defer f.mutex.Unlock()
		f.restarting--
	}()
	time.Sleep(restartTakes)
	return work()
}

// machine is one host: what was brought to it, the bundle that was installed on it, and its kubelet
// while that runs.
type machine struct {
	address   string
	fleet     *fleet
	mutex     sync.Mutex
	brought   bundle
	installed bundle
	running   *kubelet
	restarted string // when its kubelet was, last
}

// How long a restart takes, and a line of the configuration that no simulated kubelet can do.
const (
	restartTakes = 200 * time.Millisecond
	tooMany      = "maxPods: 9999"
)

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
func (m *machine) run(action string) (any, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if action == "install" {
		return m.install(m.brought)
	}
	return m.remove(), nil
}

func (m *machine) install(given bundle) (any, error) {
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
			if err := m.fleet.restart(func() error { return m.restart(given) }); err != nil {
				return nil, err
			}
		}
	}
	m.installed = given
	nothing := []string{}
	report := map[string]any{
		"changed": changed, "repaired": nothing, "removed": nothing,
		"kubelet": state, "skipped": nothing, "notes": nothing,
	}
	if m.restarted != "" {
		report["restarted"] = m.restarted
	}
	return report, nil
}

// restart lets the cluster hear of the kubelet; one that can't do what it is given stays as it was.
func (m *machine) restart(given bundle) error {
	for _, content := range given.files {
		if strings.Contains(content, tooMany) {
			return errors.New("the kubelet is not healthy with its new files: it keeps stopping")
		}
	}
	m.restarted = time.Now().UTC().Format(time.RFC3339)
	return m.running.report()
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
