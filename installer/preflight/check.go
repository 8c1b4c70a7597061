package preflight

import (
	"fmt"
	"strings"
	"time"

	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/installer/disks"
	"github.com/6FaNcY9/mkimage/layouts"
)

const (
	leastMemory  = 512 << 20 // bytes: the payload is never in memory as a whole
	leastBattery = 30        // percent
)

// Check judges facts by p, the plan of an installer medium. Every finding is
// there, the good ones too.
func Check(p *plan.Plan, f Facts) []Finding {
	list := []Finding{f.memory()}
	if !f.Elsewhere {
		list = append(list, f.firmware(), f.power())
	}
	list = append(list, f.sectors())
	if f.TargetSize != 0 {
		list = append(list, f.disk(p))
	}
	if !f.Elsewhere {
		list = append(list, f.clock(p.Epoch))
	}
	return list
}

func (f *Facts) memory() Finding {
	return Finding{
		Name: "memory", OK: f.Memory >= leastMemory, Hint: "install it on a machine with more memory",
		Text: fmt.Sprintf("%s, needed are %s", disks.ShortSize(f.Memory), disks.ShortSize(leastMemory)),
	}
}

func (f *Facts) firmware() Finding {
	out := Finding{Name: "firmware", OK: f.UEFI == 64, Text: "UEFI of 64 bits", Hint: "turn off legacy boot (CSM) in the firmware's setup"}
	switch f.UEFI {
	case 0:
		out.Text = "the machine was started without UEFI, which the system needs"
	case 32:
		out.Text, out.Hint = "UEFI of 32 bits, the system needs one of 64", ""
	}
	return out
}

// power is about a battery that would not last: of several, that with the most.
func (f *Facts) power() Finding {
	out := Finding{Name: "power", OK: true, Text: "from outside", Hint: "plug in the charger"}
	if len(f.Batteries) == 0 {
		if !f.Mains {
			out.Text = "no battery"
		}
		return out
	}
	percent, discharging := -1, false
	for _, b := range f.Batteries {
		percent = max(percent, b.Percent)
		discharging = discharging || b.Discharging
	}
	charge := "a battery that does not say how full it is"
	if percent >= 0 {
		charge = fmt.Sprintf("a battery with %d %%", percent)
	}
	if f.Mains || !discharging {
		out.Text = "from outside, and " + charge
		return out
	}
	out.Text = "from " + charge
	switch {
	case percent < 0:
		out.OK, out.Warning = false, true
	case percent < leastBattery:
		out.OK = false
		out.Text += fmt.Sprintf(", expected %d %%", leastBattery)
	}
	return out
}

func (f *Facts) sectors() Finding {
	out := Finding{Name: "sectors", OK: true, Text: fmt.Sprintf("%d bytes", f.SectorSize), Hint: "format the disk with sectors of 512 or 4096 bytes, or use another"}
	for _, s := range []struct {
		where string
		size  int64
	}{{"the target has", f.SectorSize}, {"the medium has", f.MediumSectorSize}} {
		if s.size != 512 && s.size != 4096 && (s.where == "the target has" || s.size != 0) {
			out.OK, out.Text = false, fmt.Sprintf("%s sectors of %d bytes, expected 512 or 4096", s.where, s.size)
		}
	}
	return out
}

// clock is about certificates and snapshots only: that of a machine without a
// battery begins anywhere.
func (f *Facts) clock(epoch time.Time) Finding {
	out := Finding{Name: "clock", OK: !f.Clock.Before(epoch), Text: f.Clock.UTC().Format(time.RFC3339)}
	if !out.OK {
		out.Warning, out.Hint = true, "set it in the firmware's setup"
		out.Text += ", which is before the system was made: " + epoch.UTC().Format(time.RFC3339)
	}
	return out
}

func (f *Facts) disk(p *plan.Plan) Finding {
	out := Finding{Name: "disk", Hint: "use a larger disk, or a layout with a smaller swapfile"}
	n, err := NeedOf(p, *f)
	if err != nil {
		out.Text, out.Hint = err.Error(), ""
		return out
	}
	out.OK = f.TargetSize >= n.Total
	out.Text = fmt.Sprintf("%s, needed are %s: %s", disks.ShortSize(f.TargetSize), disks.ShortSize(n.Total), n)
	if !out.OK {
		out.Text = fmt.Sprintf("%d bytes, needed are %d: %s", f.TargetSize, n.Total, n)
	}
	return out
}

// Need is what a disk must have room for, in bytes.
type Need struct {
	ESP   int64
	Used  int64 // of the system
	Swap  int64 // of the swapfile, as the first boot makes it
	Free  int64 // that must stay
	Root  int64 // the partition of the last three, or more where the payload's has more
	Total int64 // with both tables
}

// String returns the parts of a need for people.
func (n Need) String() string {
	parts := []string{disks.ShortSize(n.ESP) + " ESP", disks.ShortSize(n.Used) + " system"}
	if n.Swap > 0 {
		parts = append(parts, disks.ShortSize(n.Swap)+" swapfile")
	}
	return strings.Join(append(parts, disks.ShortSize(n.Free)+" free"), ", ")
}

// NeedOf returns what the system of a medium needs on a disk of the machine that
// facts are of. Partitions are placed as plan.Make does.
func NeedOf(p *plan.Plan, f Facts) (n Need, err error) {
	if p.Medium == nil {
		return n, fmt.Errorf("plan of %s: expected one of an installer medium", p.Profile.Name)
	}
	l := &p.Medium.Layout
	n.ESP, n.Used, n.Free = int64(l.ESP.Size), f.PayloadUsed, int64(l.Root.Free)
	if p.Swapfile != nil {
		if n.Swap, err = swapSize(l.Swapfile.Size, f.RAM); err != nil {
			return n, err
		}
	}
	if n.Swap > 0 {
		// With a root of R bytes the first boot leaves R/SwapKeepsFree of them free.
		n.Free = max(n.Free, (n.Used+n.Swap+config.SwapKeepsFree-2)/(config.SwapKeepsFree-1))
	}
	n.Root = alignUp(max(f.PayloadSize, n.Used+n.Swap+n.Free))
	n.Total = plan.Alignment + alignUp(n.ESP) + n.Root + plan.Alignment
	return n, nil
}

func alignUp(n int64) int64 { return (n + plan.Alignment - 1) / plan.Alignment * plan.Alignment }

// swapSize returns the bytes of a swapfile by a layout's words: "none", a size,
// "ram" or "ram+SIZE". One whose size is not known takes nothing.
func swapSize(text string, ram int64) (int64, error) {
	if text == "none" || text == "" {
		return 0, nil
	}
	digits, withRAM := strings.CutPrefix(text, "ram")
	if !withRAM {
		ram = 0
	}
	if digits = strings.TrimPrefix(digits, "+"); digits == "" {
		return ram, nil
	}
	var more layouts.Size
	if err := more.UnmarshalText([]byte(digits)); err != nil {
		return 0, fmt.Errorf("swapfile of size %q: %w", text, err)
	}
	return ram + int64(more), nil
}
