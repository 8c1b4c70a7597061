package bootrepair

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/gpt"
)

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
				if tt.state == TableLost {
					want.GUID = seed.UUID(nameDisk)
					for i := range want.Partitions { // what only the table says
						want.Partitions[i].Attributes = 0
						if name == "NixOS" {
							want.Partitions[i].GUID = found.Table.Partitions[i].GUID
						}
					}
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
