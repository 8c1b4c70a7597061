package bls_test

import (
	"testing"

	"github.com/6FaNcY9/mkimage/builder/loader/bls"
)

func TestCompare(t *testing.T) {
	// In the order of the menu.
	list := []bls.Entry{
		{SortKey: "a", Version: "1"},
		{SortKey: "nixos", Version: "Generation 10 Fox, built on 2025-01-01"},
		{SortKey: "nixos", Version: "Generation 9 Fox, built on 2026-01-01"},
		{SortKey: "nixos", Version: "Generation 09 Fox, built on 2025-12-31"},
		{SortKey: "nixos", Version: "Generation 1"},
		{SortKey: "nixos", Version: "Generation 0"},
		{SortKey: "nixos", Version: "Generation "},
		{SortKey: "nixos", Version: ""},
		{Version: "6.12"},
		{Version: "6.2.1"},
		{Version: "6.2"},
		{Version: "5.a"},
	}
	for i, a := range list {
		for j, b := range list {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := bls.Compare(a, b); got != want {
				t.Errorf("Compare(%+v, %+v) = %d; want %d", a, b, got, want)
			}
		}
	}
}
