package boot

import "testing"

func TestKmsgText(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"record", "6,339,5140900,-;BTRFS info: x;y\n SUBSYSTEM=block\n", "BTRFS info: x;y"},
		{"no text", "6,1,2,-;", ""},
		{"no record", "garbage", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := kmsgText([]byte(tt.in)); got != tt.want {
				t.Errorf("kmsgText(%q) = %q; want %q", tt.in, got, tt.want)
			}
		})
	}
}

func FuzzKmsgText(f *testing.F) {
	f.Add([]byte("6,339,5140900,-;text\n KEY=v\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got := kmsgText(b); len(got) >= len(b) && len(b) > 0 {
			t.Errorf("kmsgText(%q) = %q", b, got)
		}
	})
}
