package reader

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// Snapshot is what a snapshot says of itself: internal/restic/snapshot.go of restic.
type Snapshot struct {
	ID    ID        `json:"-"`
	Time  time.Time `json:"time"`
	Host  string    `json:"hostname"`
	Paths []string  `json:"paths"`
	Tree  *ID       `json:"tree"` // not nil

	// Summary is what the backup counted, in all of its paths and with every name of
	// a file; restic before 0.17 did not keep it.
	Summary *struct {
		Files uint64 `json:"total_files_processed"`
		Bytes uint64 `json:"total_bytes_processed"`
	} `json:"summary"`
}

// Snapshot reads a snapshot. One that is not there is a CodeNoSnapshot.
func (r *Repository) Snapshot(id ID) (*Snapshot, error) {
	text, err := r.document("snapshots", id, maxSnapshot)
	if errors.Is(err, errAbsent) {
		return nil, firstboot.NewProblem(firstboot.CodeNoSnapshot, "", "snapshots/%s: %w", id, errAbsent)
	}
	if err != nil {
		return nil, err
	}
	s, err := decodeSnapshot(text)
	if err != nil {
		return nil, damaged("snapshots/"+id.String(), "%w", err)
	}
	s.ID = id
	return s, nil
}

// Snapshots returns the IDs of all snapshots, sorted.
func (r *Repository) Snapshots() ([]ID, error) { return r.list("snapshots") }

func decodeSnapshot(text []byte) (*Snapshot, error) {
	var s Snapshot
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, err
	}
	if s.Tree == nil {
		return nil, errors.New("has no tree")
	}
	return &s, nil
}
