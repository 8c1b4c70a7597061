package imaging

import (
	"bytes"
	"cmp"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/disks"
)

// Origin says which disk a map is of, as far as the disk tells. The zero value says
// nothing, as the maps of ddrescue do.
type Origin struct {
	Size   int64  // bytes, of the disk or partition
	Serial string // of the disk; "" where it tells none, and so are the others
	WWID   string // of the disk, or the identifier of what is made of disks
	Start  int64  // of a partition on its disk, in bytes; 0 of a whole disk
	File   string // name of an image, without its directory
	name   string // of the disk, as the kernel has it now; a map does not keep it
}

// originOf asks sysfs for the origin of what is open.
func originOf(scan disks.Scanner, path string, size int64, device uint64) (Origin, error) {
	if device == 0 {
		return Origin{Size: size, File: filepath.Base(path)}, nil
	}
	d, start, err := scan.Whole(device)
	if err != nil {
		return Origin{}, err
	}
	return Origin{Size: size, Serial: d.Serial, WWID: d.WWID, Start: start, name: d.Name}, nil
}

// Word returns what names the disk in the consent to go on with the map of another
// one: its serial number, else its WWID, its name, or that of the file.
func (o Origin) Word() string { return cmp.Or(o.Serial, o.WWID, o.name, o.File) }

// originMark begins the comment that has the origin. It is none of those that
// ddrescue writes: its name of the program, command line and times.
const originMark = "# Source: "

// encode returns the comment, "" for an origin that says nothing.
func (o Origin) encode() string {
	if o.Size == 0 {
		return ""
	}
	text := fmt.Sprintf("%sbytes=%d", originMark, o.Size)
	if o.Start > 0 {
		text += fmt.Sprintf(" start=%d", o.Start)
	}
	for _, f := range []struct{ key, value string }{{"serial", o.Serial}, {"wwid", o.WWID}, {"file", o.File}} {
		if f.value != "" {
			text += " " + f.key + "=" + strconv.QuoteToASCII(f.value)
		}
	}
	return text + "\n"
}

// decodeOrigin reads a line of a map; ok is false for all others.
func decodeOrigin(line []byte) (o Origin, ok bool, err error) {
	text, ok := bytes.CutPrefix(bytes.TrimRight(line, "\r\n"), []byte(originMark))
	if !ok {
		return o, false, nil
	}
	for rest := strings.TrimLeft(string(text), " "); rest != ""; rest = strings.TrimLeft(rest, " ") {
		key, value, found := strings.Cut(rest, "=")
		if !found {
			return o, true, fmt.Errorf("the source has %.30q, expected name=value", rest)
		}
		if rest, err = o.set(key, value); err != nil {
			return o, true, err
		}
	}
	if o.Size == 0 {
		return o, true, fmt.Errorf("the source says no size, expected bytes=N")
	}
	return o, true, nil
}

// set takes the value of a name from the start of text, and returns what is behind
// it. Names that a later version may add are left out.
func (o *Origin) set(key, text string) (rest string, err error) {
	value, rest, _ := strings.Cut(text, " ")
	if quoted, err := strconv.QuotedPrefix(text); err == nil {
		rest = text[len(quoted):]
		value, _ = strconv.Unquote(quoted)
	}
	number := func(n *int64) {
		if *n, err = strconv.ParseInt(value, 10, 64); err != nil || *n <= 0 {
			err = fmt.Errorf("%s=%.30q of the source is no number above 0", key, value)
		}
	}
	switch key {
	case "bytes":
		number(&o.Size)
	case "start":
		number(&o.Start)
	case "serial":
		o.Serial = value
	case "wwid":
		o.WWID = value
	case "file":
		o.File = value
	}
	return rest, err
}

// unlike says what speaks against a map of this origin being of the disk found,
// "" if nothing does. Where the serial number is the same or the WWID, the other may
// differ: an adapter changes it.
func (o Origin) unlike(found Origin) string {
	same := func(a, b string) bool { return a != "" && a == b }
	said := func(text string) string { return cmp.Or(text, "none") }
	switch {
	case o.Size == 0:
		return ""
	case o.File != found.File:
		return fmt.Sprintf("the file %s, found %s", said(o.File), said(found.File))
	case same(o.Serial, found.Serial), same(o.WWID, found.WWID):
	case o.Serial != "":
		return fmt.Sprintf("the disk with the serial number %s, found %s", o.Serial, said(found.Serial))
	case o.WWID != "":
		return fmt.Sprintf("the disk with the WWID %s, found %s", o.WWID, said(found.WWID))
	}
	if o.Start != found.Start {
		return fmt.Sprintf("what begins at byte %d of the disk, found %d", o.Start, found.Start)
	}
	return ""
}

// judge is an error where a map of this origin is not of the disk found. Where same
// names that, it may have any name; what it is a part of the disk stays. DecodeMap has
// compared the size.
func (o Origin) judge(found Origin, same string) error {
	if same != "" && same != found.Word() {
		return fault.New(fault.Usage, "--same-disk "+found.Word(), "save: --same-disk says %q, the disk that is read is %q", same, found.Word())
	}
	hint := anotherMap
	if same == "" {
		hint += "; or, if it is the same disk behind another adapter or under another name, --same-disk " + found.Word()
	} else if o.File == "" && found.File == "" {
		o.Serial, o.WWID = found.Serial, found.WWID
	} else {
		return nil
	}
	if what := o.unlike(found); what != "" {
		return fault.New(fault.Input, hint, "map: is of %s", what)
	}
	return nil
}
