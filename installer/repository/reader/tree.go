package reader

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// Node is an entry of a directory in a snapshot.
type Node struct {
	Name     string    `json:"name"` // any bytes that a name can have
	Type     string    `json:"type"` // "file", "dir", "symlink", "dev", "chardev", "fifo", "socket" or "irregular"
	Mode     uint32    `json:"mode"` // fs.FileMode
	MTime    time.Time `json:"mtime"`
	ATime    time.Time `json:"atime"`
	UID      uint32    `json:"uid"`
	GID      uint32    `json:"gid"`
	Size     uint64    `json:"size"`      // of a file, in bytes
	Links    uint64    `json:"links"`     // names that it had; those of one Inode and DeviceID are of one file
	Inode    uint64    `json:"inode"`     // when it was backed up
	DeviceID uint64    `json:"device_id"` // of the file system that it was on
	Device   uint64    `json:"device"`    // of a device: st_rdev
	Target   string    `json:"linktarget"`
	Xattrs   []Xattr   `json:"extended_attributes"`
	Content  []ID      `json:"content"` // of a file: blobs of data, in their order
	Subtree  *ID       `json:"subtree"` // of a directory, not nil

	RawTarget []byte `json:"linktarget_raw"` // Target, where it is not UTF-8; otherwise nil
}

// Xattr is an extended attribute.
type Xattr struct {
	Name  string `json:"name"`
	Value []byte `json:"value"`
}

// decodeNode reads the next node of a tree.
func decodeNode(d *json.Decoder) (*Node, error) {
	n := &Node{}
	if err := d.Decode(n); err != nil {
		return nil, err
	}
	// restic keeps names as Go quotes them, so that what is not UTF-8 survives.
	name, err := strconv.Unquote(`"` + n.Name + `"`)
	if err != nil {
		return nil, fmt.Errorf("name %.100q: %w", n.Name, err)
	}
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return nil, fmt.Errorf("name %.100q: is none of a directory's entry", name)
	}
	n.Name = name
	if n.RawTarget != nil {
		n.Target = string(n.RawTarget)
	}
	if n.Type == "dir" && n.Subtree == nil {
		return nil, fmt.Errorf("directory %.100q: has no tree", name)
	}
	return n, nil
}

// errStop ends a loop over nodes.
var errStop = errors.New("stop")

// Nodes returns the entries of a tree as they are stored, which is sorted by
// name. An error is the last that it yields, with no node.
func (r *Repository) Nodes(tree ID) iter.Seq2[*Node, error] {
	return func(yield func(*Node, error) bool) {
		text, err := r.tree(tree)
		if err != nil {
			yield(nil, err)
			return
		}
		err = decodeTree(text, func(n *Node) bool { return yield(n, nil) })
		if err != nil {
			yield(nil, damaged(fmt.Sprintf("tree %.8s…", tree), "%w", err))
		}
	}
}

// decodeTree calls a function with the nodes of a tree until it returns false.
func decodeTree(text []byte, call func(*Node) bool) error {
	err := members(text, "nodes", func(d *json.Decoder) error {
		n, err := decodeNode(d)
		if err == nil && !call(n) {
			err = errStop
		}
		return err
	})
	if errors.Is(err, errStop) {
		return nil
	}
	return err
}

// tree returns the JSON of a tree.
func (r *Repository) tree(id ID) ([]byte, error) {
	return r.anywhere(id, "tree", r.index.trees.find(id))
}

// Directory returns the tree of a directory below a tree; "" and "/" are the tree
// itself. What is not there, and what is no directory, is a CodeIncomplete.
func (r *Repository) Directory(tree ID, dir string) (ID, error) {
	dir = path.Join("/", dir)
	n, err := r.Lookup(tree, dir)
	if err != nil {
		return ID{}, err
	}
	if n == nil || n.Type != "dir" {
		return ID{}, firstboot.NewProblem(firstboot.CodeIncomplete, "", "%s: is no directory of the snapshot", dir)
	}
	return *n.Subtree, nil
}

// Lookup returns the node of a path below a tree, or nil where there is none. The tree
// itself is a directory without a name.
func (r *Repository) Lookup(tree ID, at string) (*Node, error) {
	n := &Node{Type: "dir", Subtree: &tree}
	for name := range strings.SplitSeq(path.Join("/", at), "/") {
		if name == "" {
			continue
		}
		if n == nil || n.Type != "dir" {
			return nil, nil
		}
		var err error
		if n, err = r.child(*n.Subtree, name); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// child returns a node of a tree, or nil.
func (r *Repository) child(tree ID, name string) (*Node, error) {
	for n, err := range r.Nodes(tree) {
		if err != nil || n.Name == name {
			return n, err
		}
	}
	return nil, nil
}
