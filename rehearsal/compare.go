package rehearsal

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Comparison is a home as it was lost and as it came back.
type Comparison struct {
	Path      string       `json:"path"`
	Entries   int          `json:"entries"` // of the home that was lost: files, folders and all else
	Bytes     int64        `json:"bytes"`   // sizes of its files, holes counted
	Kinds     Kinds        `json:"kinds"`
	Lost      string       `json:"sha256_lost"`      // of its list, see package listtree
	Recovered string       `json:"sha256_recovered"` // of the lines of the recovered home that it had before
	Missing   int          `json:"missing"`
	Differing int          `json:"differing"`
	First     []Difference `json:"first,omitempty"` // of those that are missing or differ
	New       []string     `json:"new,omitempty"`   // what the running system has made, the first of it
	NewCount  int          `json:"new_count"`
	Snapshots int          `json:"in_snapshots"` // entries of the snapshots that a recovery has taken of it
}

// Kinds is how many of a kind a home has.
type Kinds struct {
	Files      int `json:"files"`
	Folders    int `json:"folders"`
	Symlinks   int `json:"symlinks"`
	Others     int `json:"others"`       // FIFOs, sockets, devices
	HardLinks  int `json:"hard_links"`   // further names of a file
	Attributes int `json:"attributes"`   // entries with extended attributes
	Owners     int `json:"owners"`       // that differ from each other
	Special    int `json:"special_mode"` // set-user-ID, set-group-ID, sticky
}

// Difference is what is wrong with an entry.
type Difference struct {
	Path string `json:"path"` // in quotes, ASCII alone
	What string `json:"what"`
}

// maxShown is how many differences and new files a Comparison names.
const maxShown = 20

// Held reports whether all that was lost came back as it was.
func (c *Comparison) Held() bool { return c.Entries > 0 && c.Missing == 0 && c.Differing == 0 }

// fieldNames are those of a line of package listtree, in order.
var fieldNames = [...]string{"path", "kind", "mode", "owner", "time", "size", "content", "target", "name of", "attributes"}

// Indexes into a listed entry.
const (
	fieldPath = iota
	fieldKind
	fieldMode
	fieldOwner
	fieldTime
	fieldSize
	fieldSum
	fieldTarget
	fieldLink
	fieldAttributes
	fields
)

// listed is a line of a list.
type listed [fields]string

// parseList reads a list that package listtree has written. It comes out of a machine:
// what is no such line is an error.
func parseList(text string) ([]listed, error) {
	var list []listed
	for line := range strings.Lines(text) {
		e, err := parseLine(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, fmt.Errorf("list of files: line %d: %w", len(list)+1, err)
		}
		list = append(list, e)
	}
	return list, nil
}

func parseLine(line string) (e listed, err error) {
	rest := line
	for i := range fields {
		word := rest
		if strings.HasPrefix(rest, `"`) {
			if word, err = strconv.QuotedPrefix(rest); err != nil {
				return e, fmt.Errorf("%s: quotes that do not end", fieldNames[i])
			}
		} else {
			word, _, _ = strings.Cut(rest, " ")
		}
		if word == "" {
			return e, fmt.Errorf("%d fields, expected %d", i, int(fields))
		}
		e[i], rest = word, rest[len(word):]
		if i < fields-1 {
			var ok bool
			if rest, ok = strings.CutPrefix(rest, " "); !ok {
				return e, fmt.Errorf("%d fields, expected %d", i+1, int(fields))
			}
		}
	}
	if rest != "" {
		return e, fmt.Errorf("more than %d fields", int(fields))
	}
	if _, err := strconv.Unquote(e[fieldPath]); err != nil || len(e[fieldMode]) != 4 {
		return e, fmt.Errorf("path %s, mode %s: expected a path in quotes and four digits", e[fieldPath], e[fieldMode])
	}
	return e, nil
}

// name returns the path of an entry.
func (e *listed) name() string {
	name, err := strconv.Unquote(e[fieldPath])
	if err != nil {
		panic("rehearsal: a path that was parsed is not quoted: " + e[fieldPath])
	}
	return name
}

// compareHomes compares two lists of a folder. What the running system has made besides is
// no difference, nor is the time of a folder in which it did.
func compareHomes(at, lost, recovered string) (*Comparison, error) {
	want, err := parseList(lost)
	if err != nil {
		return nil, err
	}
	got, err := parseList(recovered)
	if err != nil {
		return nil, err
	}
	c := &Comparison{Path: at, Entries: len(want), Lost: sumText(lost), First: []Difference{}}
	c.count(want)
	found, known := map[string]*listed{}, map[string]bool{}
	for i := range got {
		found[got[i][fieldPath]] = &got[i]
	}
	for i := range want {
		known[want[i][fieldPath]] = true
	}
	grown := c.more(got, known)
	var same strings.Builder
	for i := range want {
		w := &want[i]
		g := found[w[fieldPath]]
		if g == nil {
			c.Missing++
			c.show(w, "is missing")
			continue
		}
		what := w.differs(g, grown[w.name()])
		if len(what) > 0 {
			c.Differing++
			c.show(w, strings.Join(what, "; "))
			w = g
		}
		fmt.Fprintln(&same, strings.Join(w[:], " "))
	}
	c.Recovered = sumText(same.String())
	return c, nil
}

// snapshotsDir is the folder with snapshots of what a recovery has restored, below it.
const snapshotsDir = ".snapshots"

// more notes what is there that was not, and returns the folders that have it.
func (c *Comparison) more(got []listed, known map[string]bool) map[string]bool {
	grown := map[string]bool{}
	for i := range got {
		if known[got[i][fieldPath]] {
			continue
		}
		name := got[i].name()
		grown[path.Dir(name)] = true
		if first, _, _ := strings.Cut(name, "/"); first == snapshotsDir {
			c.Snapshots++
			continue
		}
		c.NewCount++
		if len(c.New) < maxShown {
			c.New = append(c.New, got[i][fieldPath])
		}
	}
	return grown
}

// differs returns how an entry came back otherwise. A folder that has grown has another
// time for that.
func (e *listed) differs(g *listed, grown bool) (what []string) {
	for i := range fields {
		if e[i] == g[i] || i == fieldTime && grown {
			continue
		}
		what = append(what, fmt.Sprintf("%s %s, expected %s", fieldNames[i], short(g[i]), short(e[i])))
	}
	return what
}

// short cuts a field that is too long for a line.
func short(text string) string {
	const most = 40
	if len(text) > most {
		return text[:most] + "..."
	}
	return text
}

func (c *Comparison) show(e *listed, what string) {
	if len(c.First) < maxShown {
		c.First = append(c.First, Difference{e[fieldPath], what})
	}
}

// count says what a home has.
func (c *Comparison) count(list []listed) {
	var owners []string
	for i := range list {
		e := &list[i]
		switch e[fieldKind] {
		case "f":
			c.Kinds.Files++
		case "d":
			c.Kinds.Folders++
		case "l":
			c.Kinds.Symlinks++
		default:
			c.Kinds.Others++
		}
		if e[fieldLink] != "-" {
			c.Kinds.HardLinks++
		} else if n, err := strconv.ParseInt(e[fieldSize], 10, 64); err == nil {
			c.Bytes += n
		}
		if e[fieldAttributes] != "-" {
			c.Kinds.Attributes++
		}
		if e[fieldMode][0] != '0' {
			c.Kinds.Special++
		}
		if !slices.Contains(owners, e[fieldOwner]) {
			owners = append(owners, e[fieldOwner])
		}
	}
	c.Kinds.Owners = len(owners)
}

func sumText(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
