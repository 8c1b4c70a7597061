package narinfo

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

func TestParseCacheInfo(t *testing.T) {
	const dir = "/nix/store"
	tests := []struct {
		text string
		want CacheInfo
	}{
		{readFile(t, golden+"cache-xz/nix-cache-info"), CacheInfo{StoreDir: dir}},
		{"StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 40\n", CacheInfo{dir, 40, true}},
		{"StoreDir:/nix/store\r\nWantMassQuery:\t1 \r\nPriority: 40\r\n", CacheInfo{dir, 40, true}},
		{"\nnot a line\nStoreDir: /nix/store\n\nNew: a: b\nNew: c\nWantMassQuery: 0", CacheInfo{StoreDir: dir}},
		{"StoreDir: /nix/store\nWantMassQuery: true\nPriority: -2147483648", CacheInfo{dir, -1 << 31, false}},
		{"StoreDir: /nix/store\nPriority: 2147483647", CacheInfo{dir, 1<<31 - 1, false}},
		{"StoreDir: /nix/store\nK: " + strings.Repeat("x", MaxSize-len("StoreDir: /nix/store\nK: ")), CacheInfo{StoreDir: dir}},
	}
	for _, tt := range tests {
		got, err := ParseCacheInfo("nix-cache-info", []byte(tt.text))
		if err != nil {
			t.Errorf("%.100q: %v", tt.text, err)
		} else if diff := cmp.Diff(&tt.want, got); diff != "" {
			t.Errorf("%.100q: -want +got:\n%s", tt.text, diff)
		}
	}
}

func TestParseCacheInfoRefuses(t *testing.T) {
	const dir = "StoreDir: /nix/store\n"
	tests := []struct{ name, text, want string }{
		{"empty", "", "no line StoreDir"},
		{"page", "<html>\n<a style=\"color: red\">Not found</a>\n", "no line StoreDir"},
		{"other store", "WantMassQuery: 1\nStoreDir: /gnu/store\n", `line 2: StoreDir: "/gnu/store", expected /nix/store`},
		{"store below", "StoreDir: /nix/store/\n", `expected /nix/store`},
		{"no store", "StoreDir: \n", `line 1: StoreDir: "", expected`},
		{"StoreDir twice", dir + dir, "line 2: StoreDir: again, the first is in line 1"},
		{"Priority twice", dir + "Priority: 1\nPriority: 1\n", "line 3: Priority: again"},
		{"WantMassQuery twice", dir + "WantMassQuery: 1\n\nWantMassQuery: 1\n", "line 4: WantMassQuery: again, the first is in line 2"},
		{"no number", dir + "Priority: high\n", `line 2: Priority: "high", expected a number`},
		{"number and more", dir + "Priority: 40x\n", `line 2: Priority: "40x"`},
		{"too high", dir + "Priority: 2147483648\n", "line 2: Priority: "},
		{"too low", dir + "Priority: -2147483649\n", "line 2: Priority: "},
		{"NUL", dir + "A: \x00\n", "NUL in byte 24"},
		{"too large", dir + strings.Repeat("\n", MaxSize+1-len(dir)), "expected at most 1048576"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			info, err := ParseCacheInfo("nix-cache-info", []byte(tt.text))
			wantFault(t, err, fault.Input, tt.want)
			if info != nil {
				t.Errorf("%+v; want nil", info)
			}
		})
	}
}
