package fstree

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"maps"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// paxRecords is what the PAX extended headers of one member say. Source:
// POSIX.1-2017, pax, "pax Extended Header"; the vendors' keys are described in
// GNU tar's manual, star(5) and libarchive's tar(5).
type paxRecords struct {
	path, link     string // empty if not given
	size, uid, gid *int64
	mtime          *paxTime
	xattrs         map[string][]byte
	sparse         paxSparse
}

// paxSparse holds the records of GNU's sparse formats 0.0, 0.1 and 1.0.
type paxSparse struct {
	name         string
	size         *int64  // of the file with its holes
	major, minor string  // of 1.0 only, whose map is in the member's data
	numbers      []int64 // offset and length of each region in turn, of 0.0 and 0.1
	hasMap       bool
}

type paxTime struct {
	sec  int64
	nsec uint32
}

// parse adds the records in data: each is its own length in decimal, a space,
// key, "=", value and a newline.
func (p *paxRecords) parse(data []byte) error {
	for len(data) > 0 {
		digits, _, found := bytes.Cut(data[:min(len(data), 20)], []byte(" "))
		n, err := strconv.ParseUint(string(digits), 10, 31)
		if err != nil || !found || int(n) > len(data) || int(n) < len(digits)+len(" k=\n") || data[n-1] != '\n' {
			return fmt.Errorf("PAX record: bad length %.20q", digits)
		}
		key, value, found := strings.Cut(string(data[len(digits)+1:n-1]), "=")
		if !found || key == "" {
			return fmt.Errorf("PAX record %.40q: no key", key)
		}
		if err := p.set(key, value); err != nil {
			return fmt.Errorf("PAX record %.100q: %w", key, err)
		}
		data = data[n:]
	}
	return nil
}

// set takes one record. Keys that tell nothing about what is in a Tree, such
// as comment and atime, are passed over.
func (p *paxRecords) set(key, value string) (err error) {
	if name, ok := strings.CutPrefix(key, "SCHILY.xattr."); ok {
		return p.setXattr(unescapeGNU.Replace(name), []byte(value))
	}
	if name, ok := strings.CutPrefix(key, "LIBARCHIVE.xattr."); ok {
		return p.setEncodedXattr(name, value)
	}
	switch key {
	case "path":
		p.path = value
	case "linkpath":
		p.link = value
	case "size":
		p.size, err = paxNumber(value, math.MaxInt64)
	case "uid":
		p.uid, err = paxNumber(value, math.MaxUint32)
	case "gid":
		p.gid, err = paxNumber(value, math.MaxUint32)
	case "mtime":
		p.mtime, err = parsePAXTime(value)
	case "SCHILY.acl.access", "SCHILY.acl.default", "SCHILY.acl.ace":
		// Text with names of the other host: to drop it would open files up.
		if value != "" {
			err = fault.New(fault.Input, "make the archive without --acls", "access control lists in text form are not supported")
		}
	default:
		err = p.sparse.set(key, value)
	}
	return err
}

func (s *paxSparse) set(key, value string) (err error) {
	switch key {
	case "GNU.sparse.name":
		s.name = value
	case "GNU.sparse.size", "GNU.sparse.realsize":
		s.size, err = paxNumber(value, math.MaxInt64)
	case "GNU.sparse.major":
		s.major = value
	case "GNU.sparse.minor":
		s.minor = value
	case "GNU.sparse.numblocks": // of 0.0 and 0.1, a header without regions too
		s.hasMap = true
	case "GNU.sparse.map":
		s.hasMap = true
		if value == "" {
			return nil
		}
		for number := range strings.SplitSeq(value, ",") {
			if err := s.add(number); err != nil {
				return err
			}
		}
	case "GNU.sparse.offset", "GNU.sparse.numbytes":
		s.hasMap = true
		if isLength := key == "GNU.sparse.numbytes"; isLength != (len(s.numbers)%2 == 1) {
			return fmt.Errorf("expected offset and numbytes in turn")
		}
		err = s.add(value)
	}
	return err
}

func (s *paxSparse) add(number string) error {
	n, err := paxNumber(number, math.MaxInt64)
	if err != nil || n == nil {
		return fmt.Errorf("got %.40q, expected a number", number)
	}
	s.numbers = append(s.numbers, *n)
	return nil
}

// paxNumber reads a decimal number; an empty value withdraws the record.
func paxNumber(value string, limit uint64) (*int64, error) {
	if value == "" {
		return nil, nil
	}
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil || n > limit {
		return nil, fmt.Errorf("got %.40q, expected a number up to %d", value, limit)
	}
	signed := int64(n)
	return &signed, nil
}

// parsePAXTime reads decimal seconds with a fraction of any length. Times
// between two nanoseconds are rounded down, as a kernel does.
func parsePAXTime(value string) (*paxTime, error) {
	if value == "" {
		return nil, nil
	}
	whole, fraction, _ := strings.Cut(value, ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || strings.Trim(fraction, "0123456789") != "" || whole[0] == '+' {
		return nil, fmt.Errorf("got %.40q, expected decimal seconds", value)
	}
	nsec, _ := strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
	if whole[0] == '-' {
		if len(fraction) > 9 && strings.Trim(fraction[9:], "0") != "" {
			nsec++
		}
		nsec = -nsec
	}
	if nsec < 0 {
		if sec == math.MinInt64 {
			return nil, fmt.Errorf("got %.40q, which is before all time", value)
		}
		sec, nsec = sec-1, nsec+1e9
	}
	return &paxTime{sec, uint32(nsec)}, nil
}

// unescapeGNU undoes how GNU tar writes names that would end the key.
var unescapeGNU = strings.NewReplacer("%3D", "=", "%25", "%")

// setEncodedXattr takes libarchive's form: a name with URL escapes and a value
// in base64. It writes SCHILY's form as well, with the same content.
func (p *paxRecords) setEncodedXattr(name, value string) error {
	name, err := url.PathUnescape(name)
	if err != nil {
		return err
	}
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(value, "="))
	if err != nil {
		return err
	}
	return p.setXattr(name, raw)
}

// setXattr takes one attribute within the limits of Linux (<linux/limits.h>).
func (p *paxRecords) setXattr(name string, value []byte) error {
	const maxName = 255
	if name == "" || len(name) > maxName || strings.Contains(name, "\x00") {
		return fmt.Errorf("name of %d bytes, expected 1 to %d without NUL", len(name), maxName)
	}
	if len(value) > maxXattr {
		return fmt.Errorf("value of %d bytes, expected at most %d", len(value), maxXattr)
	}
	if p.xattrs == nil {
		p.xattrs = map[string][]byte{}
	}
	p.xattrs[name] = value
	return nil
}

func (p *paxRecords) sortedXattrs() []Xattr {
	var xattrs []Xattr
	for _, name := range slices.Sorted(maps.Keys(p.xattrs)) {
		xattrs = append(xattrs, Xattr{strings.Clone(name), p.xattrs[name]})
	}
	return xattrs
}
