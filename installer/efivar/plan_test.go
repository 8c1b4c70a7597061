package efivar_test

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/installer/efivar"
)

func TestAddEntry(t *testing.T) {
	hare := with(fox(2), func(e *efivar.Entry) { e.Description = "Hare" })
	for _, tt := range []struct {
		name    string
		prepare func(m *memory)
		entry   efivar.Entry
		number  uint16
		order   []uint16
		gone    []uint16 // entries that are deleted
		changes int
		again   int // changes the second time
		warning string
	}{
		{"nothing there", func(*memory) {}, fox(1), 0, []uint16{0}, nil, 2, 0, ""},
		{"after others", func(m *memory) { m.entry(t, 0, hare); m.entry(t, 2, hare); m.order("BootOrder", 2, 0) },
			fox(1), 1, []uint16{1, 2, 0}, nil, 2, 0, ""},
		{"there, and first", func(m *memory) { m.entry(t, 3, fox(1)); m.entry(t, 0, hare); m.order("BootOrder", 3, 0) },
			fox(1), 3, []uint16{3, 0}, nil, 0, 0, ""},
		{"there, and last", func(m *memory) { m.entry(t, 3, fox(1)); m.entry(t, 0, hare); m.order("BootOrder", 0, 3) },
			fox(1), 3, []uint16{3, 0}, nil, 1, 0, ""},
		{"there, and in no order", func(m *memory) { m.entry(t, 3, fox(1)) }, fox(1), 3, []uint16{3}, nil, 1, 0, ""},
		{"other letters of the path", func(m *memory) {
			m.entry(t, 3, with(fox(1), func(e *efivar.Entry) { e.Description, e.Path = "Linux", "/efi/SYSTEMD/systemd-bootx64.EFI" }))
			m.order("BootOrder", 3)
		}, fox(1), 3, []uint16{3}, nil, 1, 0, ""},
		{"same partition, other path", func(m *memory) {
			m.entry(t, 3, with(fox(1), func(e *efivar.Entry) { e.Path = "/EFI/BOOT/BOOTX64.EFI" }))
			m.order("BootOrder", 3)
		}, fox(1), 3, []uint16{3}, nil, 1, 0, ""},
		{"same partition and path, other description", func(m *memory) {
			m.entry(t, 3, with(fox(1), func(e *efivar.Entry) { e.Description = "Linux" }))
			m.order("BootOrder", 3)
		}, fox(1), 3, []uint16{3}, nil, 1, 0, ""},
		{"same partition, other path and description", func(m *memory) {
			m.entry(t, 3, with(fox(1), func(e *efivar.Entry) { e.Description, e.Path = "Linux", "/EFI/x" }))
			m.order("BootOrder", 3)
		}, fox(1), 0, []uint16{0, 3}, nil, 2, 0, ""},
		{"moved partition", func(m *memory) {
			m.entry(t, 3, with(fox(1), func(e *efivar.Entry) { e.Partition.Start++ }))
			m.order("BootOrder", 3)
		}, fox(1), 3, []uint16{3}, nil, 1, 0, ""},
		{"of an installation that is gone", func(m *memory) { m.entry(t, 3, fox(9)); m.entry(t, 0, hare); m.order("BootOrder", 0, 3) },
			fox(1), 3, []uint16{3, 0}, nil, 2, 0, ""},
		{"of three that are gone", func(m *memory) {
			m.entry(t, 1, fox(7))
			m.entry(t, 3, fox(8))
			m.entry(t, 4, fox(9))
			m.entry(t, 0, hare)
			m.order("BootOrder", 0, 3, 1)
		}, fox(1), 3, []uint16{3, 0}, []uint16{1, 4}, 4, 0, ""},
		{"of another system with the same words", func(m *memory) { m.entry(t, 3, fox(2)); m.order("BootOrder", 3) },
			fox(1), 0, []uint16{0, 3}, nil, 2, 0, ""},
		{"what is there is not known", func(m *memory) { m.entry(t, 3, fox(9)); m.order("BootOrder", 3) },
			with(fox(1), func(e *efivar.Entry) { e.Present = nil }), 0, []uint16{0, 3}, nil, 2, 0, ""},
		{"gone, but of another path", func(m *memory) {
			m.entry(t, 3, with(fox(9), func(e *efivar.Entry) { e.Path = "/EFI/x" }))
			m.order("BootOrder", 3)
		}, fox(1), 0, []uint16{0, 3}, nil, 2, 0, ""},
		{"gone, but of another description", func(m *memory) {
			m.entry(t, 3, with(fox(9), func(e *efivar.Entry) { e.Description = "Hare" }))
			m.order("BootOrder", 3)
		}, fox(1), 0, []uint16{0, 3}, nil, 2, 0, ""},
		{"there three times", func(m *memory) {
			m.entry(t, 0, fox(1))
			m.entry(t, 1, fox(1))
			m.entry(t, 2, fox(1))
			m.order("BootOrder", 1, 0, 2)
		}, fox(1), 1, []uint16{1}, []uint16{0, 2}, 3, 0, ""},
		{"there twice, once with another description", func(m *memory) {
			m.entry(t, 0, fox(1))
			m.entry(t, 1, with(fox(1), func(e *efivar.Entry) { e.Description = "UEFI OS" }))
			m.order("BootOrder", 0, 1)
		}, fox(1), 0, []uint16{0, 1}, nil, 0, 0, ""},
		{"an order with what is not there, and twice", func(m *memory) { m.entry(t, 5, hare); m.order("BootOrder", 5, 7, 5) },
			fox(1), 0, []uint16{0, 5}, nil, 2, 0, ""},
		{"an order with half a number", func(m *memory) { m.entry(t, 5, hare); m.set("BootOrder", []byte{5, 0, 9}) },
			fox(1), 0, []uint16{0, 5}, nil, 2, 0, "BootOrder: 3 bytes"},
		{"an entry that is no entry", func(m *memory) { m.set("Boot0000", []byte{1, 2, 3}); m.order("BootOrder", 0) },
			fox(1), 1, []uint16{1, 0}, nil, 2, 0, "Boot0000: left as it is: load option: 3 bytes"},
		{"an entry that cannot be read", func(m *memory) {
			m.entry(t, 0, fox(1))
			m.unread["Boot0000"+global] = unix.EIO
			m.order("BootOrder", 0)
		}, fox(1), 1, []uint16{1, 0}, nil, 2, 0, "Boot0000: left as it is"},
		{"an entry in small letters", func(m *memory) { m.set("Boot000a", []byte{1}); m.order("BootOrder", 10) },
			fox(1), 0, []uint16{0, 10}, nil, 2, 0, "Boot000a"},
		{"next, too", func(m *memory) { m.entry(t, 0, hare); m.order("BootOrder", 0); m.order("BootNext", 0) },
			with(fox(1), func(e *efivar.Entry) { e.Next = true }), 1, []uint16{1, 0}, nil, 3, 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMemory()
			tt.prepare(m)
			before := maps.Clone(m.files)
			v := efivar.New(m)
			planned, err := v.Plan(tt.entry)
			if err != nil || m.changes > 0 {
				t.Fatalf("%v, %d changes by planning", err, m.changes)
			}
			p, err := v.AddEntry(tt.entry)
			if err != nil {
				t.Fatal(err)
			}
			if p.Number != planned.Number || len(p.Changes) != len(planned.Changes) || m.changes != tt.changes {
				t.Errorf("plan %v, made %d; want %d", planned.Changes, m.changes, tt.changes)
			}
			if got := strings.Join(p.Warnings, "\n"); !strings.Contains(got, tt.warning) || (got == "") != (tt.warning == "") {
				t.Errorf("warnings %q; want %q", got, tt.warning)
			}
			if p.Number != tt.number {
				t.Errorf("number %d; want %d", p.Number, tt.number)
			}
			if diff := cmp.Diff(tt.order, m.numbers(t, "BootOrder")); diff != "" {
				t.Errorf("order:\n%s", diff)
			}
			o := m.option(t, tt.number)
			part, path, ok := o.File()
			if !ok || part != tt.entry.Partition || !strings.EqualFold(path, loader) || o.Description != "Fox" || o.Attributes != 1 {
				t.Errorf("entry %v", o)
			}
			if next := m.numbers(t, "BootNext"); tt.entry.Next && !slices.Equal(next, []uint16{tt.number}) {
				t.Errorf("next %v", next)
			}
			for name := range before {
				_, is := m.files[name]
				if n := strings.TrimSuffix(name, global); is == slices.ContainsFunc(tt.gone, func(g uint16) bool { return n == "Boot000"+string('0'+rune(g)) }) {
					t.Errorf("%s is there: %v", name, is)
				}
			}
			m.changes = 0
			if _, err := v.AddEntry(tt.entry); err != nil || m.changes != tt.again {
				t.Errorf("again: %v, %d changes", err, m.changes)
			}
		})
	}
}

// busy is a firmware with all that a plan knows to change: others' entries, one
// to take over, two to delete.
func busy(t *testing.T) *memory {
	m := newMemory()
	m.entry(t, 0, with(fox(2), func(e *efivar.Entry) { e.Description = "Hare" }))
	m.entry(t, 1, fox(7))
	m.entry(t, 2, fox(8))
	m.entry(t, 4, fox(9))
	m.order("BootOrder", 0, 2, 1, 4)
	return m
}

// sound checks what must hold at any time: the order names what is there, and
// among that the entry of the other system.
func sound(t *testing.T, m *memory) {
	t.Helper()
	order := m.numbers(t, "BootOrder")
	for _, n := range append(m.numbers(t, "BootNext"), order...) {
		if m.option(t, n) == nil {
			t.Errorf("%04X is named and not there", n)
		}
	}
	if !slices.Contains(order, 0) {
		t.Errorf("order %v: the other system is not in it", order)
	}
}

// TestCutsAndFailures ends the work after every change, by an end of it or by
// every error of the firmware.
func TestCutsAndFailures(t *testing.T) {
	next := with(fox(1), func(e *efivar.Entry) { e.Next = true })
	for _, start := range []struct {
		name string
		make func() *memory
	}{
		{"full", func() *memory { return busy(t) }},
		{"ours is new", func() *memory {
			m := busy(t)
			maps.DeleteFunc(m.files, func(name string, _ []byte) bool { return name != "Boot0000"+global })
			m.order("BootOrder", 0)
			return m
		}},
	} {
		whole := start.make()
		whole.after = func() { sound(t, whole) } // a cut after each
		if _, err := efivar.New(whole).AddEntry(next); err != nil {
			t.Fatal(err)
		}
		for _, cause := range []error{unix.ENOSPC, unix.EROFS, unix.EIO, unix.EINVAL} {
			for at := range whole.changes {
				m := start.make()
				old := m.numbers(t, "BootOrder")
				m.fail[at] = cause
				m.after = func() { sound(t, m) }
				p, err := efivar.New(m).AddEntry(next)
				var w *efivar.Warning
				if !errors.As(err, &w) || !errors.Is(err, cause) || w.Text == "" {
					t.Errorf("%s: change %d: %v; want a warning with %v", start.name, at, err, cause)
				}
				sound(t, m)
				if step := p.Changes[at].Name; step == efivar.BootOrder || at == 0 {
					if got := m.numbers(t, "BootOrder"); !slices.Equal(got, old) {
						t.Errorf("%s: change %d: order %v; want %v", start.name, at, got, old)
					}
				}
				m.fail = nil // the next run ends what this one began
				if _, err := efivar.New(m).AddEntry(next); err != nil {
					t.Errorf("%s: after change %d: %v", start.name, at, err)
				}
				if diff := cmp.Diff(whole.files, m.files); diff != "" {
					t.Errorf("%s: after change %d:\n%s", start.name, at, diff)
				}
			}
		}
	}
}

// TestOrderOfChanges says which change comes before which, and that one does
// not stop those that do not rest on it.
func TestOrderOfChanges(t *testing.T) {
	next := with(fox(1), func(e *efivar.Entry) { e.Next = true })
	want := []string{"Boot0002", "BootOrder", "Boot0001", "Boot0004", "BootNext"}
	p, err := efivar.New(busy(t)).Plan(next)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range p.Changes {
		got = append(got, strings.TrimSuffix(c.Name, global))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	lines := []string{
		`write Boot0002: "Fox", \EFI\systemd\systemd-bootx64.efi of partition 1, 00112233-4455-6677-8899-aabbccddee01`,
		`write BootOrder: 0002,0000 (it was 0000,0002,0001,0004)`,
		`delete Boot0001: "Fox", \EFI\systemd\systemd-bootx64.efi of partition 1, 00112233-4455-6677-8899-aabbccddee07, which is gone or there twice`,
	}
	for i, line := range lines {
		if got := p.Changes[i].String(); got != line {
			t.Errorf("%s; want %s", got, line)
		}
	}
	for at, tried := range []int{1, 3, 5, 5, 5} { // changes, when one fails
		m := busy(t)
		m.fail[at] = unix.ENOSPC
		if _, err := efivar.New(m).AddEntry(next); err == nil || m.changes != tried {
			t.Errorf("change %d fails: %v, %d tried; want %d", at, err, m.changes, tried)
		}
	}
}

// TestForgetful is of firmware that accepts what it does not keep.
func TestForgetful(t *testing.T) {
	m := busy(t)
	m.forget["Boot0002"+global] = true
	_, err := efivar.New(m).AddEntry(fox(1))
	if err == nil || !strings.Contains(err.Error(), "Boot0002: the firmware accepted it, but does not keep it") || m.changes != 1 {
		t.Errorf("%v, %d changes", err, m.changes)
	}
}

func TestPlanRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*efivar.Entry)
	}{
		{"no description", func(e *efivar.Entry) { e.Description = "" }},
		{"no path", func(e *efivar.Entry) { e.Path = "/" }},
		{"no partition", func(e *efivar.Entry) { e.Partition.GUID = ids.UUID{} }},
		{"no number", func(e *efivar.Entry) { e.Partition.Number = 0 }},
		{"no size", func(e *efivar.Entry) { e.Partition.Size = 0 }},
		{"a zero in the description", func(e *efivar.Entry) { e.Description = "a\x00b" }},
		{"not of UCS-2", func(e *efivar.Entry) { e.Description = "🦊" }},
		{"not UTF-8", func(e *efivar.Entry) { e.Path = "/EFI/\xff" }},
	} {
		m := newMemory()
		if _, err := efivar.New(m).AddEntry(with(fox(1), tt.change)); fault.ClassOf(err) != fault.Config || m.changes > 0 {
			t.Errorf("%s: %v, %d changes", tt.name, err, m.changes)
		}
	}
	// Without the old order there is no new one.
	m := busy(t)
	m.unread[efivar.BootOrder] = unix.EIO
	var w *efivar.Warning
	if _, err := efivar.New(m).AddEntry(fox(1)); !errors.As(err, &w) || m.changes > 0 {
		t.Errorf("%v, %d changes", err, m.changes)
	}
	m = busy(t)
	m.unread[""] = unix.EIO
	if _, err := efivar.New(m).AddEntry(fox(1)); !errors.As(err, &w) || m.changes > 0 {
		t.Errorf("%v, %d changes", err, m.changes)
	}
}

func TestNoFreeNumber(t *testing.T) {
	m := newMemory()
	for n := range 1 << 16 {
		m.files["Boot"+strings.ToUpper(hex4(n))+global] = []byte{7, 0, 0, 0, 1}
	}
	_, err := efivar.New(m).Plan(fox(1))
	if err == nil || !strings.Contains(err.Error(), "an entry of every number") {
		t.Error(err)
	}
	delete(m.files, "BootFFFF"+global)
	if p, err := efivar.New(m).Plan(fox(1)); err != nil || p.Number != 0xffff {
		t.Errorf("%v, %v", p, err)
	}
}

func hex4(n int) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[n>>12], digits[n>>8&15], digits[n>>4&15], digits[n&15]})
}

func TestSetBootNext(t *testing.T) {
	m := busy(t)
	v := efivar.New(m)
	if err := v.SetBootNext(4); err != nil || !slices.Equal(m.numbers(t, "BootNext"), []uint16{4}) {
		t.Errorf("%v, %v", err, m.numbers(t, "BootNext"))
	}
	if err := v.SetBootNext(9); !errors.Is(err, fs.ErrNotExist) || !slices.Equal(m.numbers(t, "BootNext"), []uint16{4}) {
		t.Errorf("%v, %v", err, m.numbers(t, "BootNext"))
	}
}
