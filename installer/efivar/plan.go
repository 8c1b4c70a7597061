package efivar

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/ids"
)

// Plan is what has to be written for an entry, and nothing that is so already.
type Plan struct {
	Number  uint16 // of the entry
	Changes []Change
	// Warnings are what was found and left alone, such as an entry that cannot be
	// read.
	Warnings []string
}

// Change is a variable that is written or deleted.
type Change struct {
	Name  string // as efivarfs has it
	Value []byte // nil deletes it
	What  string // it is, in words
	step  step
}

// String returns the change on one line.
func (c Change) String() string {
	verb := "write"
	if c.Value == nil {
		verb = "delete"
	}
	return fmt.Sprintf("%s %s: %s", verb, shortName(c.Name), c.What)
}

// step orders changes, and says what rests on what.
type step int

const (
	stepEntry step = iota
	stepOrder
	stepDelete
	stepNext
)

// found is an entry that the firmware has.
type found struct {
	number uint16
	name   string
	option *LoadOption // nil when it cannot be read
}

// menu is the boot menu of the firmware.
type menu struct {
	entries  []found // in the order in which they are tried, then by number
	order    []uint16
	ordered  bool // there is an order
	warnings []string
}

// readMenu reads the boot menu. An entry that cannot be read stays what it is;
// without the order nothing can be done.
func (v *Vars) readMenu() (*menu, error) {
	m := &menu{}
	_, value, err := v.Read(BootOrder)
	switch {
	case err == nil:
		m.ordered = true
		if m.order, err = DecodeOrder(value); err != nil {
			m.warnings = append(m.warnings, "BootOrder: "+err.Error()+"; what precedes it is kept")
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	names, err := v.dir.List()
	if err != nil {
		return nil, warn("list", "", err)
	}
	slices.Sort(names)
	for _, name := range names {
		number, ok := entryNumber(name)
		if !ok {
			continue
		}
		e := found{number: number, name: name}
		_, value, err := v.Read(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			e.option, err = DecodeLoadOption(value)
		}
		if err != nil {
			m.warnings = append(m.warnings, fmt.Sprintf("%s: left as it is: %v", shortName(name), err))
		}
		m.entries = append(m.entries, e)
	}
	slices.SortStableFunc(m.entries, func(a, b found) int { return m.rank(a.number) - m.rank(b.number) })
	return m, nil
}

// rank is the place of an entry in the order; those that are not in it follow
// by number.
func (m *menu) rank(number uint16) int {
	if i := slices.Index(m.order, number); i >= 0 {
		return i
	}
	return len(m.order) + int(number)
}

// DecodeOrder reads a list of entries. With an error it returns those that
// could be read.
func DecodeOrder(value []byte) ([]uint16, error) {
	var order []uint16
	for at := 0; at+2 <= len(value); at += 2 {
		order = append(order, binary.LittleEndian.Uint16(value[at:]))
	}
	if len(value)%2 != 0 {
		return order, fmt.Errorf("%d bytes, expected numbers of 2 bytes", len(value))
	}
	return order, nil
}

func encodeOrder(order []uint16) []byte {
	var value []byte
	for _, n := range order {
		value = binary.LittleEndian.AppendUint16(value, n)
	}
	return value
}

// entryNumber returns the number in the name of an entry. UEFI writes it with
// four capital digits (UEFI 2.10, 3.1.1); some firmware does not.
func entryNumber(name string) (uint16, bool) {
	digits, ok := strings.CutPrefix(strings.TrimSuffix(name, "-"+vendorGlobal), "Boot")
	if !ok || len(digits) != 4 || len(name) != len("Boot0000-")+len(vendorGlobal) {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 16, 16)
	return uint16(n), err == nil
}

// newName is the name of an entry that is made.
func newName(number uint16) string { return fmt.Sprintf("Boot%04X-%s", number, vendorGlobal) }

// entryName returns the name of the entry of a number, whether it is there or
// not.
func (v *Vars) entryName(number uint16) (string, error) {
	names, err := v.dir.List()
	if err != nil {
		return "", warn("list", "", err)
	}
	for _, name := range names {
		if n, ok := entryNumber(name); ok && n == number {
			return name, nil
		}
	}
	return newName(number), nil
}

// Plan decides what has to be written so that an entry is there once and at the
// head of the order. It writes nothing. Errors are a *Warning, or of class
// fault.Config when the entry cannot be one.
func (v *Vars) Plan(e Entry) (*Plan, error) {
	option, err := e.option()
	if err != nil {
		return nil, err
	}
	value, err := option.Encode()
	if err != nil {
		return nil, err
	}
	m, err := v.readMenu()
	if err != nil {
		return nil, err
	}
	own, others := m.sort(e)
	p := &Plan{Warnings: m.warnings}
	if own == nil {
		if own, err = m.free(); err != nil {
			return nil, err
		}
	}
	p.Number = own.number
	p.add(v, stepEntry, own.name, value, option.String())
	order := m.newOrder(own.number, others)
	p.add(v, stepOrder, BootOrder, encodeOrder(order), m.orderText(order))
	for _, o := range others {
		p.Changes = append(p.Changes, Change{o.name, nil, o.option.String() + ", which is gone or there twice", stepDelete})
	}
	if e.Next {
		p.add(v, stepNext, BootNext, encodeOrder([]uint16{own.number}), fmt.Sprintf("%04X", own.number))
	}
	return p, nil
}

// add adds a variable that has to be written, unless it is so already.
func (p *Plan) add(v *Vars, s step, name string, value []byte, what string) {
	if !v.has(name, Persistent, value) {
		p.Changes = append(p.Changes, Change{name, value, what, s})
	}
}

// sort finds the entry that is to be ours, nil when none can be, and those of
// ours that are of no use any more. An entry with our description for another
// partition that is there is another system's.
func (m *menu) sort(e Entry) (own *found, others []found) {
	gone := func(id ids.UUID) bool { return len(e.Present) > 0 && !slices.Contains(e.Present, id) }
	var same, named, stale []found
	for _, f := range m.entries {
		if f.option == nil {
			continue
		}
		at, path, ok := f.option.File()
		here, describes := at.GUID == e.Partition.GUID, f.option.Description == e.Description
		switch {
		case !ok:
		case here && samePath(path, e.Path):
			same = append(same, f)
		case here && describes:
			named = append(named, f)
		case describes && samePath(path, e.Path) && gone(at.GUID):
			stale = append(stale, f)
		}
	}
	all := slices.Concat(same, named, stale)
	if len(all) == 0 {
		return nil, nil
	}
	own = &all[0]
	for _, f := range slices.Concat(same, stale) {
		// One that is described otherwise is not ours to delete.
		if f.number != own.number && f.option.Description == e.Description {
			others = append(others, f)
		}
	}
	return own, others
}

// free returns the first number that no entry has.
func (m *menu) free() (*found, error) {
	taken := map[uint16]bool{}
	for _, f := range m.entries {
		taken[f.number] = true
	}
	for n := range 1 << 16 {
		if number := uint16(n); !taken[number] {
			return &found{number: number, name: newName(number)}, nil
		}
	}
	return nil, &Warning{Text: "the boot menu has an entry of every number", Hint: "delete those that nobody needs: efibootmgr -b NNNN -B"}
}

// newOrder is the order with our entry first, without those that are deleted
// and those that are not there.
func (m *menu) newOrder(own uint16, without []found) []uint16 {
	order := []uint16{own}
	for _, n := range m.order {
		is := func(f found) bool { return f.number == n }
		if slices.Contains(order, n) || slices.ContainsFunc(without, is) || !slices.ContainsFunc(m.entries, is) {
			continue
		}
		order = append(order, n)
	}
	return order
}

// orderText says what an order becomes and what it was.
func (m *menu) orderText(order []uint16) string {
	text := func(order []uint16) string {
		var words []string
		for _, n := range order {
			words = append(words, fmt.Sprintf("%04X", n))
		}
		return strings.Join(words, ",")
	}
	if !m.ordered {
		return text(order) + " (there was none)"
	}
	return text(order) + " (it was " + text(m.order) + ")"
}

// Apply makes the changes of a plan, as far as they can be made. What rests on
// a change that failed is not tried: no order names an entry that could not be
// written, and nothing is deleted that the order still names. The error joins
// a *Warning for each change that failed.
func (v *Vars) Apply(p *Plan) error {
	var errs []error
	keep := false
	for _, c := range p.Changes {
		if c.step == stepDelete && keep {
			continue
		}
		err := v.change(c)
		if err == nil {
			continue
		}
		errs = append(errs, err)
		if c.step == stepEntry {
			break
		}
		keep = keep || c.step == stepOrder
	}
	return errors.Join(errs...)
}

func (v *Vars) change(c Change) error {
	if c.Value == nil {
		return v.Delete(c.Name)
	}
	return v.Write(c.Name, Persistent, c.Value)
}

// AddEntry makes an entry the first of the boot menu: it plans and applies. The
// plan is nil when there is none.
func (v *Vars) AddEntry(e Entry) (*Plan, error) {
	p, err := v.Plan(e)
	if err != nil {
		return nil, err
	}
	return p, v.Apply(p)
}
