package source

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// TestNixosKernels: the kernel of the current system, with what its loader adds to the
// command line.
func TestNixosKernels(t *testing.T) {
	s, err := openGolden(t, golden+"/cache-zstd", cacheOptions(t))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	kernels, err := Kernels(s.Tree)
	if err != nil || len(kernels) != 1 {
		t.Fatalf("%d kernels, %v", len(kernels), err)
	}
	k := kernels[0]
	want := []string{"init=" + system + "/init", "console=ttyS0,115200n8", "loglevel=4", "lsm=landlock,yama,bpf"}
	if diff := cmp.Diff(want, k.Words); diff != "" || k.Version != "6.1.0" || k.Modules.Name != "6.1.0" || !strings.HasSuffix(k.Image.Path(), "-linux-6.1.0-56-cloud/bzImage") {
		t.Errorf("kernel %s at %s: %s", k.Version, k.Image.Path(), diff)
	}
	modules := k.Modules.Parent()
	modules.Remove(k.Modules)
	if _, err := Kernels(s.Tree); fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), "has no kernel with modules") {
		t.Errorf("without modules: %v", err)
	}
}

func TestWords(t *testing.T) {
	got := words("/x/init", []string{"a=b", "two words", " ", `quoted="a b"`})
	if want := []string{"init=/x/init", "a=b", "two", "words", `quoted="a b"`}; !slices.Equal(got, want) {
		t.Errorf("words %q; want %q", got, want)
	}
}
