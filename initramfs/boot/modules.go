package boot

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Module is one line of the list of modules; see config.Modules.
type Module struct {
	Name  string // of the file, without .ko and with "_" for "-"
	Path  string
	After []string // names of modules that are loaded before
}

// ParseModules reads the list of modules. A dependency must be on an earlier
// line, so that there are no cycles.
func ParseModules(text string) ([]Module, error) {
	var modules []Module
	seen := map[string]bool{}
	number := 0
	for line := range strings.Lines(text) {
		number++
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		m := Module{moduleName(fields[0]), fields[0], fields[1:]}
		switch {
		case !path.IsAbs(m.Path) || !strings.HasSuffix(m.Path, ".ko"):
			return nil, fmt.Errorf("modules, line %d: %q is not the absolute path of a .ko file", number, m.Path)
		case seen[m.Name]:
			return nil, fmt.Errorf("modules, line %d: %s is listed twice", number, m.Name)
		}
		for _, dep := range m.After {
			if !seen[dep] {
				return nil, fmt.Errorf("modules, line %d: %s depends on %s, which is on no earlier line", number, m.Name, dep)
			}
		}
		seen[m.Name] = true
		modules = append(modules, m)
	}
	return modules, nil
}

func moduleName(file string) string {
	return strings.ReplaceAll(strings.TrimSuffix(path.Base(file), ".ko"), "-", "_")
}

// closure returns the named modules and all that they depend on.
func closure(modules []Module, names []string) map[string]bool {
	need := map[string]bool{}
	for _, name := range names {
		need[name] = true
	}
	for _, m := range slices.Backward(modules) {
		for _, dep := range m.After {
			need[dep] = need[dep] || need[m.Name]
		}
	}
	return need
}

// slowest is the module that btrfs waits for longest: it measures every
// algorithm for a fixed time, 0.3 s in all, and has no parameter against it.
const slowest = "raid6_pq"

// urgent moves the named modules and all that they depend on to the front, the
// slowest first, keeping the order otherwise.
func urgent(modules []Module, names []string) []Module {
	need := closure(modules, names)
	rank := func(m Module) int {
		switch {
		case !need[m.Name]:
			return 2
		case m.Name == slowest && len(m.After) == 0:
			return 0
		}
		return 1
	}
	sorted := slices.Clone(modules)
	slices.SortStableFunc(sorted, func(a, b Module) int { return rank(a) - rank(b) })
	return sorted
}

// loader loads modules, several at a time. Its fields are guarded by mu.
type loader struct {
	load    func(path string) error
	modules []Module // all of them

	mu      sync.Mutex
	changed *sync.Cond
	queue   []Module         // not started, in order
	done    map[string]error // by name; nil means loaded
	running map[string]bool
}

// startLoader loads modules with so many workers. load must be safe for
// concurrent use.
func startLoader(modules []Module, workers int, load func(path string) error) *loader {
	l := &loader{load: load, modules: modules, queue: slices.Clone(modules), done: map[string]error{}, running: map[string]bool{}}
	l.changed = sync.NewCond(&l.mu)
	for range workers {
		go l.work()
	}
	return l
}

func (l *loader) work() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		m, ok := l.take()
		if !ok {
			return
		}
		l.running[m.Name] = true
		l.mu.Unlock()
		err := l.load(m.Path)
		l.mu.Lock()
		delete(l.running, m.Name)
		l.done[m.Name] = err
		l.changed.Broadcast()
	}
}

// take waits for a module whose dependencies are loaded. ok is false when
// there is nothing left to do.
func (l *loader) take() (m Module, ok bool) {
	for {
		if len(l.queue) == 0 {
			return m, false
		}
		i := slices.IndexFunc(l.queue, l.ready)
		if i >= 0 {
			m = l.queue[i]
			l.queue = slices.Delete(l.queue, i, i+1)
			if dep := l.failedDependency(m); dep != "" {
				l.done[m.Name] = fmt.Errorf("needs %s, which failed", dep)
				l.changed.Broadcast()
				continue
			}
			return m, true
		}
		l.changed.Wait()
	}
}

func (l *loader) ready(m Module) bool {
	return !slices.ContainsFunc(m.After, func(dep string) bool { _, done := l.done[dep]; return !done })
}

func (l *loader) failedDependency(m Module) string {
	for _, dep := range m.After {
		if l.done[dep] != nil {
			return dep
		}
	}
	return ""
}

// wait returns when the named module is loaded or cannot be. One that is not
// on the list, or was left out, is taken to be built in.
func (l *loader) wait(name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if err, done := l.done[name]; done {
			return err
		}
		if !slices.ContainsFunc(l.queue, func(m Module) bool { return m.Name == name }) && !l.running[name] {
			return nil
		}
		l.changed.Wait()
	}
}

// keep leaves out what has not been started and is not needed for the named
// modules: the system's udev loads what its devices need.
func (l *loader) keep(names []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	need := closure(l.modules, names)
	l.queue = slices.DeleteFunc(l.queue, func(m Module) bool { return !need[m.Name] })
	l.changed.Broadcast()
}

// demand loads the named module and what it depends on, though it may have been
// left out, and waits for it as wait does.
func (l *loader) demand(name string) error {
	l.mu.Lock()
	need := closure(l.modules, []string{name})
	for _, m := range l.modules {
		_, done := l.done[m.Name]
		if need[m.Name] && !done && !l.running[m.Name] && !slices.ContainsFunc(l.queue, func(q Module) bool { return q.Name == m.Name }) {
			l.queue = append(l.queue, m)
		}
	}
	l.changed.Broadcast()
	l.mu.Unlock()
	go l.work() // those that were started at first may have ended
	return l.wait(name)
}

// finish waits until everything that is not left out is loaded, but not for a
// driver that takes longer than limit.
func (l *loader) finish(limit time.Duration) {
	late := false
	timer := time.AfterFunc(limit, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		late = true
		l.changed.Broadcast()
	})
	defer timer.Stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	for !late && (len(l.running) > 0 || len(l.queue) > 0) {
		l.changed.Wait()
	}
}

// counts returns how many modules were loaded and how many were left out.
func (l *loader) counts() (loaded, left int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, err := range l.done {
		if err == nil {
			loaded++
		}
	}
	return loaded, len(l.modules) - len(l.done) - len(l.running)
}

// failures returns a line for each module that failed or is not done, sorted.
func (l *loader) failures() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var lines []string
	for name, err := range l.done {
		if err != nil {
			lines = append(lines, name+": "+err.Error())
		}
	}
	for name := range l.running {
		lines = append(lines, name+": is still being loaded")
	}
	slices.Sort(lines)
	return lines
}

// loadModule hands a module's file to the kernel. One that is loaded already
// is fine.
func loadModule(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	return nil
}
