package bootrepair

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/gpt"
)

// TestPick: how large the room for an ESP may be.
func TestPick(t *testing.T) {
	fat := func(start, size int64) FileSystem { return FileSystem{Kind: kindFAT, Start: start, Size: size} }
	root := func(start int64) FileSystem { return FileSystem{Kind: kindBtrfs, Start: start, Size: mib} }
	for _, tt := range []struct {
		found []FileSystem
		want  bool
	}{
		{[]FileSystem{root(mib + minESP - mib)}, false},
		{[]FileSystem{root(mib + minESP)}, true},
		{[]FileSystem{root(mib + minESP + mib)}, true},
		{[]FileSystem{root(mib + maxESP - mib)}, true},
		{[]FileSystem{root(mib + maxESP)}, true},
		{[]FileSystem{root(mib + maxESP + mib)}, false},
		{[]FileSystem{fat(mib, minESP), root(mib + minESP)}, true},
		{[]FileSystem{fat(mib, minESP+1), root(mib + minESP)}, false},
		{[]FileSystem{fat(3*mib, minESP), root(mib + minESP)}, false},
		{[]FileSystem{root(mib + minESP), fat(mib+minESP+mib, minESP)}, false},
		{[]FileSystem{root(mib + minESP), root(2*mib + minESP)}, false},
		{nil, false},
	} {
		esp, _, err := (&TableFound{Found: tt.found}).pick()
		if (err == nil) != tt.want || err == nil && (esp != nil) != (len(tt.found) == 2) {
			t.Errorf("%v: ESP %v, %v", tt.found, esp, err)
		}
	}
}

// TestTable damages the table of both systems and wants it as it was.
func TestTable(t *testing.T) {
	for name, make := range map[string]func(testing.TB) made{"small": smallDisk, "NixOS": nixosDisk} {
		for _, tt := range []struct {
			name   string
			damage func(m made)
			state  TableState
		}{
			{"whole", func(made) {}, TableWhole},
			{"first MiB", func(m made) { m.disk.wipe(t, 0, mib) }, TableDamaged},
			{"backup", func(m made) { m.disk.wipe(t, m.disk.Size()-mib, mib) }, TableDamaged},
			{"both", func(m made) { m.disk.wipe(t, 0, mib); m.disk.wipe(t, m.disk.Size()-mib, mib) }, TableLost},
		} {
			t.Run(name+", "+tt.name, func(t *testing.T) {
				m := make(t)
				tt.damage(m)
				found, err := InspectTable(t.Context(), m.disk, seed, nil)
				if err != nil {
					t.Fatal(err)
				}
				if found.State != tt.state {
					t.Errorf("state %q, expected %q", found.State, tt.state)
				}
				want := m.table
				want.Partitions = slices.Clone(want.Partitions)
				if tt.state == TableLost {
					want.GUID = seed.UUID(nameDisk)
					for i := range want.Partitions { // what only the table says
						want.Partitions[i].Attributes = 0
					}
				}
				if tt.state == TableLost && name == "NixOS" { // whose table of mounts has labels
					want.Partitions[0].GUID = seed.UUID(nameESP)
				}
				if diff := cmp.Diff(want, found.Table); diff != "" {
					t.Errorf("table (-want +got):\n%s\nnotes: %q", diff, found.Notes)
				}
				if err := RepairTable(m.disk, found); err != nil {
					t.Fatal(err)
				}
				got, problems, err := gpt.Read(m.disk, m.disk.Size())
				if err != nil || len(problems) > 0 || !cmp.Equal(*got, want) {
					t.Errorf("afterwards %v, %v: %s", problems, err, cmp.Diff(want, *got))
				}
			})
		}
	}
}
