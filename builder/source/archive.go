package source

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"
)

// packageIndex is where a hook leaves what the archive's index says about the
// installed packages; it is taken out on the way.
const packageIndex = "mkimage-packages"

// maxRewritten bounds the files that are held in memory to be rewritten.
const maxRewritten = 64 << 20

// leftovers are files that the host, the clock or the way of installing leave
// in a fresh system: names of path.Match. Nothing misses them; what a system
// needs of them it makes when it boots.
var leftovers = []string{
	"etc/resolv.conf", "etc/hostname", // the host's
	"etc/.pwd.lock", "etc/passwd-", "etc/group-", "etc/shadow-", "etc/gshadow-", "etc/subuid-", "etc/subgid-",
	"etc/ssh/ssh_host_*", // secrets; sshd-keygen.service makes them
	"etc/apt/apt.conf.d/99mmdebstrap", "etc/dpkg/dpkg.cfg.d/99mmdebstrap", "etc/apt/preferences.d/mkimage",
	"var/cache/apt/*.bin", "var/cache/apt/archives/lock", "var/cache/debconf/*-old", "var/cache/ldconfig/aux-cache",
	"var/lib/apt/lists/lock", "var/lib/dbus/machine-id", "var/lib/systemd/random-seed",
	"var/lib/dpkg/*-old", "var/lib/dpkg/lock", "var/lib/dpkg/lock-frontend", "var/lib/dpkg/triggers/Lock",
}

// emptied are directories that keep nothing but directories (logs) or nothing
// at all.
var (
	withoutFiles = []string{"var/log/"}
	emptied      = []string{"tmp/", "var/tmp/", "var/lib/apt/lists/"}
)

// keptXattrs are the extended attributes that belong to a system. What else is
// there comes from the host, such as its SELinux labels.
var keptXattrs = []string{"security.capability", "system.posix_acl_access", "system.posix_acl_default"}

// paxXattr begins the names of extended attributes in PAX records.
const paxXattr = "SCHILY.xattr."

// rewriter turns the archive that mmdebstrap writes into one that depends on
// nothing but the packages in it: no leftovers of the host, one form of headers
// whatever wrote them, the databases of dpkg and apt in one order.
type rewriter struct {
	epoch   time.Time // later times become this one
	sources string    // content of /etc/apt/sources.list

	out     *tar.Writer
	dropped map[string]bool // names that hard links must not name
	index   []byte          // of the file packageIndex
	status  []byte          // of dpkg's database
	seen    map[string]bool // of what must be there
}

// required must be in a system that was installed well.
var required = []string{"etc/apt/sources.list", DpkgStatus, packageIndex}

// rewrite copies the archive r to w and returns what the hook left in
// packageIndex.
func (rw *rewriter) rewrite(r io.Reader, w io.Writer) (index []byte, err error) {
	rw.out = tar.NewWriter(w)
	rw.dropped, rw.seen = map[string]bool{}, map[string]bool{}
	in := tar.NewReader(r)
	for {
		h, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("archive: %w", err)
		}
		if err := rw.member(h, in); err != nil {
			return nil, fmt.Errorf("archive: %s: %w", h.Name, err)
		}
	}
	for _, name := range required {
		if !rw.seen[name] {
			return nil, fmt.Errorf("archive: has no %s", name)
		}
	}
	return rw.index, rw.out.Close()
}

func (rw *rewriter) member(h *tar.Header, content io.Reader) error {
	name := path.Clean("/" + h.Name)[1:]
	rw.seen[name] = true
	if name == packageIndex {
		var err error
		rw.index, err = readBounded(content)
		return err
	}
	if isLeftover(name, h.Typeflag == tar.TypeDir) {
		rw.dropped[name] = true
		return nil
	}
	clean, err := rw.header(name, h)
	if err != nil {
		return err
	}
	switch name {
	case "etc/apt/sources.list":
		content = strings.NewReader(rw.sources)
		clean.Size = int64(len(rw.sources))
	case DpkgStatus, "var/lib/apt/extended_states":
		data, err := readBounded(content)
		if err != nil {
			return err
		}
		data = sortStanzas(data)
		if name == DpkgStatus {
			rw.status = data
		}
		content = bytes.NewReader(data)
		clean.Size = int64(len(data))
	}
	if err := rw.out.WriteHeader(clean); err != nil {
		return err
	}
	_, err = io.Copy(rw.out, content)
	return err
}

// header returns the one form of a member's header.
func (rw *rewriter) header(name string, h *tar.Header) (*tar.Header, error) {
	clean := &tar.Header{
		Typeflag: h.Typeflag, Name: name, Linkname: h.Linkname, Size: h.Size, Mode: h.Mode & 0o7777,
		Uid: h.Uid, Gid: h.Gid, ModTime: h.ModTime.Truncate(time.Second), Devmajor: h.Devmajor, Devminor: h.Devminor,
	}
	if clean.ModTime.After(rw.epoch) {
		clean.ModTime = rw.epoch
	}
	switch h.Typeflag {
	case tar.TypeDir:
		clean.Name += "/"
		if name == "" {
			clean.Name = "./"
		}
	case tar.TypeLink:
		clean.Linkname = path.Clean("/" + h.Linkname)[1:]
		if rw.dropped[clean.Linkname] {
			return nil, fmt.Errorf("hard link to %s, which is left out", clean.Linkname)
		}
	}
	for record, value := range h.PAXRecords {
		if attr, ok := strings.CutPrefix(record, paxXattr); ok && slices.Contains(keptXattrs, attr) {
			if clean.PAXRecords == nil {
				clean.PAXRecords = map[string]string{}
			}
			clean.PAXRecords[record] = value
		}
	}
	return clean, nil
}

func isLeftover(name string, dir bool) bool {
	for _, d := range emptied {
		if strings.HasPrefix(name, d) {
			return !dir || d != "var/lib/apt/lists/"
		}
	}
	for _, d := range withoutFiles {
		if !dir && strings.HasPrefix(name, d) {
			return true
		}
	}
	return !dir && slices.ContainsFunc(leftovers, func(pattern string) bool {
		ok, _ := path.Match(pattern, name)
		return ok
	})
}

func readBounded(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxRewritten+1))
	if err == nil && len(data) > maxRewritten {
		err = fmt.Errorf("has more than %d bytes", maxRewritten)
	}
	return data, err
}

// sortStanzas sorts the paragraphs of a file of Debian's control format by their
// bytes, and so by the field that each begins with, Package.
func sortStanzas(data []byte) []byte {
	paragraphs := bytes.SplitAfter(data, []byte("\n\n"))
	for i, p := range paragraphs {
		paragraphs[i] = bytes.TrimRight(p, "\n")
	}
	paragraphs = slices.DeleteFunc(paragraphs, func(p []byte) bool { return len(p) == 0 })
	slices.SortStableFunc(paragraphs, bytes.Compare)
	out := bytes.Join(paragraphs, []byte("\n\n"))
	if len(out) > 0 {
		out = append(out, "\n\n"...)
	}
	return out
}
