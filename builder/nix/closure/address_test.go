package closure

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/nix"
	"github.com/6FaNcY9/mkimage/builder/nix/nar"
)

// addressed are objects that Nix 2.8 made without a signature: their base names and
// content addresses. Flat ones and texts hold "hello", trees a file "a" of "hi".
var addressed = []struct{ base, ca string }{
	{"b6vlcczw338dw159168bilchz3xdv4is-flat", "fixed:sha1:9m1skbnr5i43n3yypvda5s65vhfwdx5a"},
	{"8r5vhzx7yfsila94339fcig66q6jxj38-flat", "fixed:md5:4jqlbi14cxf6wpcajbphm40hax"},
	{"gn76d8dh089anfi3s47pvgsh93l1d1n9-text", "text:sha256:094qif9n4cq4fdg459qzbhg1c6wywawwaaivx0k0x8xhbyx4vwic"},
	{"5na4llrk6ijn2vjbqa94a3jn3vljgl85-tree", "fixed:r:sha256:11yvwhz7prai41mjgl8fs4ccflqk3m7274xc9ds6yn1hj0gy534w"},
	{"2w00zmq169aczz5adkxy0bsfj106yd2s-tree", "fixed:r:sha1:wwmi6xvfwc0ghnh1p95dz0hab7xgr59r"},
}

// archiveOf packs a file of its own, or one called a in a directory.
func archiveOf(t *testing.T, tree, executable bool, content string) []byte {
	t.Helper()
	var out bytes.Buffer
	e := nar.NewEncoder(&out)
	path := ""
	if tree {
		path = "a"
		if err := e.Directory(""); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.File(nar.File{Path: path, Executable: executable, Size: int64(len(content))}, strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestContentAddressed: an object whose path proves its content needs no signature,
// and must have that content.
func TestContentAddressed(t *testing.T) {
	for _, a := range addressed {
		tree := strings.HasPrefix(a.ca, "fixed:r:")
		right, wrong := "hello", "hallo"
		if tree {
			right, wrong = "hi", "ho"
		}
		t.Run(a.ca, func(t *testing.T) {
			if c, err := fetchOne(t, a.base, a.ca, archiveOf(t, tree, false, right)); err != nil || len(c.Objects) != 1 {
				t.Errorf("right: %v", err)
			}
			for name, archive := range map[string][]byte{"content": archiveOf(t, tree, false, wrong), "executable": archiveOf(t, tree, true, right), "kind": archiveOf(t, !tree, false, right)} {
				// One by SHA-256 of the archive is refused before, by its NarHash.
				if _, err := fetchOne(t, a.base, a.ca, archive); fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), a.base) {
					t.Errorf("other %s: %v", name, err)
				}
			}
			if _, err := fetchOne(t, strings.ToUpper(a.base[:1])+a.base[1:], a.ca, nil); err == nil {
				t.Error("no store path: no error")
			}
		})
	}
	// Another name gives another path, so that a signature is needed.
	if _, err := fetchOne(t, addressed[0].base+"x", addressed[0].ca, archiveOf(t, false, false, "hello")); err == nil || !strings.Contains(err.Error(), "is not signed") {
		t.Errorf("another name: %v", err)
	}
}

// fetchOne fetches an object of a cache that has no other.
func fetchOne(t *testing.T, base, ca string, archive []byte) (*Closure, error) {
	t.Helper()
	p, err := nix.ParseBase(base)
	if err != nil {
		return nil, err
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "nar"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/nix-cache-info", "StoreDir: /nix/store\n")
	write(t, dir+"/nar/x.nar", string(archive))
	write(t, dir+"/"+p.Hash+".narinfo", fmt.Sprintf("StorePath: %s\nURL: nar/x.nar\nCompression: none\nNarHash: sha256:%x\nNarSize: %d\nReferences: \nCA: %s\n", p, sha256.Sum256(archive), len(archive), ca))
	return Fetch(t.Context(), []nix.StorePath{p}, options(t, dir))
}
