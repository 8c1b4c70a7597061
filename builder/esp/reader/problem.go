package reader

import "fmt"

// Kind is the nature of a problem, in a word that can be tested for.
type Kind string

// The kinds of problems.
const (
	KindBackup     Kind = "backup"     // the copy of the boot sector is missing or differs
	KindDirty      Kind = "dirty"      // not unmounted cleanly, or I/O errors were seen
	KindTable      Kind = "table"      // the FATs differ, or their first entries are wrong
	KindChain      Kind = "chain"      // a chain leads outside, to a free or to a bad cluster
	KindLoop       Kind = "loop"       // a chain leads back into itself
	KindCrossed    Kind = "crossed"    // a cluster belongs to two chains
	KindLost       Kind = "lost"       // clusters are in use by nothing
	KindSize       Kind = "size"       // the size of a file does not fit its chain
	KindInfo       Kind = "info"       // FSInfo is wrong
	KindDuplicate  Kind = "duplicate"  // a name is there twice in a directory
	KindName       Kind = "name"       // a short name is not allowed
	KindLongName   Kind = "long-name"  // a long name is damaged
	KindDots       Kind = "dots"       // "." or ".." is missing or wrong
	KindLabel      Kind = "label"      // the labels differ, or there are several
	KindUnreadable Kind = "unreadable" // the image could not be read there
	KindIncomplete Kind = "incomplete" // the check ended early
)

// Problem is one thing that Check found.
type Problem struct {
	Kind Kind
	Path string // of the file or directory; "" for the file system as a whole
	Text string // what was found and what was expected
}

// String returns the problem in one line.
func (p Problem) String() string {
	if p.Path == "" {
		return p.Text
	}
	return fmt.Sprintf("%s: %s", p.Path, p.Text)
}
