package boot

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/initramfs/terminal"
	"github.com/6FaNcY9/mkimage/installer/agekey"
	"github.com/6FaNcY9/mkimage/installer/durable"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// importHint is what a person can do about a missing key later.
const importHint = firstboot.Program + " import"

// maxKeyFile bounds what is read as a key, in bytes: agekey takes less.
const maxKeyFile = 128 << 10

// keySearch is the step "age key" and all that it touches. The key must be in
// place before the system's init runs: NixOS decrypts its secrets earlier than
// any service starts.
type keySearch struct {
	config   config.AgeKey
	root     Device
	host     host
	proc     string     // /proc
	files    durable.FS // of the new root
	finder   *finder
	nodes    []string    // of the consoles
	drivers  func() bool // starts drivers that were left to the system; false when there are none
	now      func() time.Time
	since    func() time.Duration                 // since the kernel's start
	after    func(time.Duration) <-chan time.Time // a timer
	log      func(level int, format string, args ...any)
	ctx      context.Context // of what is being read of devices
	started  bool            // drivers were, if there were any left
	more     bool            // there were
	tried    map[string]bool // key media, by the device's name
	terminal *terminal.Lines // nil until somebody is asked
	alone    bool            // nobody is at a console, or nobody can be asked
	missing  []string        // where there was no key
	problem  error           // the last key that was refused

	key   *agekey.Key // nil until it is found
	where string      // it was found
}

// ageKey is the step. The system starts without a key, too.
func (m *machine) ageKey() error {
	if m.config.AgeKey == nil || m.cmd.Factory {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	before := m.loader.failures()
	s := &keySearch{
		config: *m.config.AgeKey, root: m.root, host: host{"/sys", "/dev"}, proc: "/proc", files: durable.OS(newRoot),
		finder: m.finder, nodes: terminal.Consoles(), drivers: m.loader.rest,
		now: time.Now, since: sinceStart, after: time.After, log: m.log.printf, ctx: ctx,
	}
	s.run()
	if s.started {
		m.loader.keep(m.config.Needs())
		m.loader.finish(max(m.cmd.Timeout, DefaultTimeout))
		for _, f := range m.loader.failures() {
			if !slices.Contains(before, f) {
				m.log.printf(levelWarning, "module %s", f)
			}
		}
	}
	return nil
}

// run makes sure that the key is in place, or tells why it is not.
func (s *keySearch) run() {
	s.tried = map[string]bool{}
	message, done, err := "", false, error(nil)
	func() {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("this is a fault of mkimage-init, please report it: panic: %v\n%s", p, debug.Stack())
			}
		}()
		defer s.closeTerminals()
		if done = s.present(); done {
			return
		}
		if err = s.search(); err == nil {
			message, err = s.install()
		}
	}()
	if !done {
		s.finish(message, err)
	}
}

// present reports whether the key is in its place, as it is at all boots but
// the first.
func (s *keySearch) present() bool {
	key, err := agekey.Read(s.files, s.config.Path)
	if err == nil {
		err = agekey.Check(key, s.config.Recipients)
	}
	switch {
	case firstboot.CodeOf(err) == firstboot.CodeNoKey:
		return false
	case err != nil:
		s.log(levelWarning, "age key: %s: %v; looking for another", s.config.Path, err)
		return false
	}
	s.log(levelInfo, "age key %s is in place", s.config.Path)
	state, err := firstboot.ReadState(s.files)
	if err != nil {
		s.log(levelWarning, "age key: %v", err)
		return true
	}
	if last, ok := state.Last(firstboot.StepKey); ok && last.Result == firstboot.Done && last.Image == s.config.Image {
		return true
	}
	// Somebody has put it there, or the power failed before it was noted.
	if _, err := agekey.Install(s.files, s.config.Path, key, s.now()); err != nil {
		s.log(levelWarning, "age key: %v", err)
		return true
	}
	s.record(firstboot.Step{Result: firstboot.Done, Message: "age key: it was in place as " + s.config.Path})
	return true
}

// search looks for the key in all sources. The error is a *firstboot.Problem.
func (s *keySearch) search() error {
	sources := map[string]func() bool{
		config.KeyMedium: s.fromMedium, config.KeyESP: s.fromESP, config.KeyCredential: s.fromCredentials, config.KeyConsole: s.fromConsole,
	}
	for _, name := range s.config.Sources {
		look := sources[name]
		if look == nil {
			s.log(levelWarning, "age key: source %q is unknown", name)
			continue
		}
		if look() {
			return nil
		}
	}
	if s.problem != nil {
		return s.problem
	}
	return firstboot.NewProblem(firstboot.CodeNoKey, "plug in the key medium and boot again", "none was found: %s", strings.Join(s.missing, ", "))
}

// offer is a text that may be the key.
type offer struct {
	where string // for people
	text  []byte
}

// accept reports whether the key is found: in what is offered, or on a medium
// that was plugged in while its passphrase was asked for. The text is wiped.
func (s *keySearch) accept(o offer) bool {
	defer clear(o.text)
	text := o.text
	if agekey.IsEncrypted(text) {
		if text = s.decrypt(o); text == nil {
			return s.key != nil
		}
		defer clear(text)
	}
	key, err := agekey.Parse(text)
	if err == nil {
		err = agekey.Check(key, s.config.Recipients)
	}
	if err != nil {
		s.refuse(o.where, err)
		return false
	}
	s.key, s.where = key, o.where
	return true
}

// refuse tells why a key is not used. While somebody is asked it is for that
// person, whatever the kernel shows of its log.
func (s *keySearch) refuse(where string, err error) {
	if firstboot.CodeOf(err) == 0 { // what cannot be read is not there
		err = firstboot.NewProblem(firstboot.CodeNoKey, firstboot.HintOf(err), "%w", err)
	}
	if firstboot.CodeOf(err) == firstboot.CodeNoKey {
		s.without("%s: %v", where, err)
	} else {
		s.problem = firstboot.Located(where, err)
	}
	text := fmt.Sprintf("age key: %s: %v", where, err)
	if hint := firstboot.HintOf(err); hint != "" {
		text += "; " + hint
	}
	s.tell(levelWarning, text)
}

// tell writes a line to the consoles if somebody is asked there, and else to
// the log.
func (s *keySearch) tell(level int, text string) {
	if s.terminal != nil && !s.alone {
		s.terminal.Show("mkimage-init: " + text + "\n")
		level = levelDebug
	}
	s.log(level, "%s", text)
}

// without notes a source that has no key.
func (s *keySearch) without(format string, args ...any) {
	s.missing = append(s.missing, fmt.Sprintf(format, args...))
}

// install puts the key into its place.
func (s *keySearch) install() (message string, err error) {
	outcome, err := agekey.Install(s.files, s.config.Path, s.key, s.now())
	if err != nil {
		return "", fmt.Errorf("the key from %s: %w", s.where, err)
	}
	return fmt.Sprintf("age key from %s: %s as %s", s.where, outcome, s.config.Path), nil
}

// finish tells how the search ended, and notes it for the running system.
func (s *keySearch) finish(message string, err error) {
	if err == nil {
		s.log(levelInfo, "%s", message)
		s.record(firstboot.Step{Result: firstboot.Done, Message: message})
		return
	}
	hint := importHint
	if h := firstboot.HintOf(err); h != "" && !strings.Contains(h, importHint) {
		hint = h + ", or in the running system: " + importHint
	}
	hint = firstboot.Typed(hint, s.program())
	s.log(levelWarning, "age key: %v; the system starts without its secrets; %s", err, hint)
	s.record(firstboot.Step{Result: firstboot.ResultOf(err), Message: "age key: " + err.Error(), Hint: hint, Code: int(firstboot.CodeOf(err))})
}

// program is how mkimage-firstboot is typed in the running system; "" is its
// name.
func (s *keySearch) program() string {
	const where = firstboot.ProgramsDir + "/" + firstboot.Program
	if _, err := s.files.Lstat(where); err != nil {
		return ""
	}
	return where
}

// record notes a step in the journal of the first boot.
func (s *keySearch) record(step firstboot.Step) {
	step.Name, step.At, step.Image = firstboot.StepKey, s.now(), s.config.Image
	state, err := firstboot.ReadState(s.files)
	if err == nil && state.Damaged() != nil {
		s.log(levelWarning, "age key: %v", state.Damaged())
	}
	if err == nil {
		err = state.Record(s.files, step)
	}
	if err != nil {
		s.log(levelWarning, "age key: cannot be noted: %v", err)
	}
}

// startDrivers starts those of sticks and keyboards, which are left to the
// system at other boots.
func (s *keySearch) startDrivers() {
	if !s.started {
		s.started, s.more = true, s.drivers()
	}
}

// wants reports whether the key is looked for in a source.
func (s *keySearch) wants(source string) bool { return slices.Contains(s.config.Sources, source) }

// node returns the path of a device.
func (s *keySearch) node(name string) string { return filepath.Join(s.host.dev, name) }
