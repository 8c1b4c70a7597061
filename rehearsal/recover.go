package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/6FaNcY9/mkimage/builder/plan"
	qemutests "github.com/6FaNcY9/mkimage/qemu-tests"
)

// How long a machine may take without KVM on a busy host.
const (
	bootLimit    = 15 * time.Minute
	recoverLimit = 90 * time.Minute
	keyLimit     = 10 * time.Second // until the boot menu has drawn an entry
)

// startMachine starts the machine with some disks. It runs until the context ends, which is
// that of the whole rehearsal. What its firmware remembers stays.
func (r *run) startMachine(ctx context.Context, name string, agent bool, disks ...qemutests.Disk) error {
	if err := os.MkdirAll(r.file("machine"), 0o700); err != nil {
		return err
	}
	c := r.Machine
	c.Name, c.Agent, c.Display, c.Dir, c.Keep, c.Disks = name, agent, qemutests.VGA, r.file("machine"), r.file("logs"), disks
	if err := os.MkdirAll(c.Keep, 0o700); err != nil {
		return err
	}
	var err error
	r.vm, err = qemutests.Start(ctx, c)
	return err
}

// target is the machine's own disk.
func (r *run) target() qemutests.Disk {
	return qemutests.Disk{File: r.file(targetFile), Bus: qemutests.NVMe, Serial: targetSerial, Write: true}
}

func (r *run) startRescue(whole context.Context) (string, error) {
	title, err := rescueTitle(r.stickPlan)
	if err != nil {
		return "", err
	}
	// All of them can be written to, so that a write would be seen.
	err = r.startMachine(whole, "recovery", false,
		qemutests.Disk{File: r.file(stickFile), Bus: qemutests.USB, Serial: "STICK", Write: true}, r.target(),
		qemutests.Disk{File: r.file(keyFile), Bus: qemutests.USB, Serial: "KEYS", Write: true},
		qemutests.Disk{File: r.file(backupFile), Bus: qemutests.USB, Serial: "BACKUP", Write: true})
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(whole, bootLimit)
	defer cancel()
	r.versions(ctx)
	if err := r.chooseEntry(ctx, title); err != nil {
		return "", err
	}
	if _, err := r.vm.Expect(ctx, menuPrompt); err != nil {
		return "", err
	}
	return fmt.Sprintf("by the entry %q", title), r.screen(ctx, "The menu of the rescue environment")
}

// rescueTitle returns the entry of the boot menu that starts the rescue environment.
func rescueTitle(p *plan.Plan) (string, error) {
	for _, e := range p.Entries {
		if slices.Contains(e.Cmdline, plan.RescueWord) {
			return e.Title, nil
		}
	}
	return "", errors.New("the stick's boot menu has no entry for its rescue environment")
}

// maxEntries is how often the key is pressed that leads to the next entry.
const maxEntries = 10

// chooseEntry chooses an entry of the boot menu as a person does. Each key draws the entry
// that it leaves and then the one that it comes to.
func (r *run) chooseEntry(ctx context.Context, title string) error {
	if _, err := r.vm.Expect(ctx, `Boot in \d+ s`); err != nil {
		return err
	}
	if err := r.screen(ctx, "The boot menu of the stick"); err != nil {
		return err
	}
	drawn := regexp.QuoteMeta(title) + ` *\r?\n`
	for range maxEntries {
		if err := r.vm.Keys(ctx, "down"); err != nil {
			return err
		}
		soon, cancel := context.WithTimeout(ctx, keyLimit)
		_, err := r.vm.Expect(soon, drawn)
		cancel()
		if err == nil {
			return r.vm.Keys(ctx, "ret")
		}
		if ctx.Err() != nil || soon.Err() == nil {
			return err
		}
	}
	return fmt.Errorf("the boot menu did not come to the entry %q", title)
}

// recover types the command and answers what it asks.
func (r *run) recover(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, recoverLimit)
	defer cancel()
	if err := r.vm.Console.Send("recover\n"); err != nil {
		return "", err
	}
	end, err := converse(ctx, watched{r.vm}, recoverAnswers(targetSerial, r.passphrase), recovered+"|"+unknown)
	r.report.Console = ends(r.vm.Console.Tail(consoleLines))
	if err != nil {
		return "", err
	}
	if err := r.screen(ctx, "The screen when the recovery has ended"); err != nil {
		return "", err
	}
	return "", endError(end)
}

// consoleLines is how much of the console a report has.
const consoleLines = 80

// lineEnd is how much of a line a report has, in characters.
const lineEnd = 120

// ends returns the ends of lines: one on which progress was shown again and again has the
// last of it there.
func ends(lines []string) []string {
	list := make([]string, len(lines))
	for i, line := range lines {
		if r := []rune(line); len(r) > lineEnd {
			line = "..." + string(r[len(r)-lineEnd:])
		}
		list[i] = line
	}
	return list
}

// endError returns why a command of the menu failed, by what the menu says of its end.
func endError(text string) error {
	text = strings.TrimSuffix(strings.TrimSpace(text), ". Enter shows the menu.")
	if _, why, failed := strings.Cut(text, "has ended: "); failed {
		return errors.New(why)
	}
	if !strings.HasPrefix(text, "recover has ended") {
		return errors.New("the menu of the stick has no command recover")
	}
	return nil
}

// watched is a machine's console whose errors have what helps to find out why, but not the
// patterns of all questions.
type watched struct{ vm *qemutests.VM }

func (w watched) Expect(ctx context.Context, pattern *regexp.Regexp) ([]string, error) {
	groups, err := w.vm.Expect(ctx, pattern.String())
	if f := (*qemutests.Failure)(nil); errors.As(err, &f) {
		for cause := f.Err; cause != nil; cause = errors.Unwrap(cause) {
			f.Err = cause
		}
		f.Err = fmt.Errorf("waiting for its next question, or its end: %w", f.Err)
	}
	return groups, err
}

func (w watched) Send(text string) error { return w.vm.Console.Send(text) }

func (r *run) turnOff(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	if err := r.vm.Console.Send("poweroff\n"); err != nil {
		return "", err
	}
	return "", r.end(r.vm.Wait(ctx))
}

// end lets go of a machine that is off.
func (r *run) end(err error) error {
	vm := r.vm
	r.vm = nil
	return errors.Join(err, vm.Close())
}

// screen takes a picture.
func (r *run) screen(ctx context.Context, title string) error {
	file := r.file(fmt.Sprintf("logs/screen-%d.png", len(r.report.Screens)+1))
	if err := r.vm.Screenshot(ctx, file); err != nil {
		return err
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	r.report.Screens = append(r.report.Screens, Screen{title, data})
	return nil
}

// versions notes what executes the machine. Who cannot be asked has no version.
func (r *run) versions(ctx context.Context) {
	var v struct {
		QEMU struct{ Major, Minor, Micro int }
	}
	if err := r.vm.Execute(ctx, "query-version", nil, &v); err == nil {
		r.report.Versions.QEMU = fmt.Sprintf("%d.%d.%d", v.QEMU.Major, v.QEMU.Minor, v.QEMU.Micro)
	}
	if accel, err := qemutests.Probe(); err == nil {
		r.report.Versions.Accelerator = string(accel)
	}
}
