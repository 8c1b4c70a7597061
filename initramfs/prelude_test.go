package initramfs

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/initramfs/config"
)

// TestPrelude wants a prelude to be what the main segment of an initramfs is, all of it
// in one directory, and beside that what stands for a console.
func TestPrelude(t *testing.T) {
	p := params(t)
	p.Config.Swapfile = &config.Swapfile{Path: "@swap/swapfile", Hibernate: true}
	own, err := Build(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	a, err := Prelude(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	segments := unpackNewc(t, a.Data)
	if len(segments) != 1 || len(a.Segments) != 1 || a.Segments[0] != (Segment{"prelude", int64(len(a.Data))}) {
		t.Fatalf("%d segments, %v; want the prelude alone", len(segments), a.Segments)
	}
	want := []string{"dev 40755 ", "dev/null 100666 ", "mkimage 40755 "}
	for _, m := range unpackNewc(t, own.Data)[1] {
		want = append(want, text("mkimage/"+m.name, m))
	}
	var got []string
	for _, m := range segments[0] {
		got = append(got, text(m.name, m))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("prelude (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(own.Modules, a.Modules); diff != "" {
		t.Errorf("modules (-initramfs +prelude):\n%s", diff)
	}
	if main := byName(t, segments[0]); main[config.PreludeInit[1:]].data != "init" || main[config.PreludeDir[1:]+config.HibernateProgram].data != "hibernate" {
		t.Errorf("the programs are not in their places")
	}
	again, err := Prelude(t.Context(), p)
	if err != nil || !bytes.Equal(again.Data, a.Data) {
		t.Errorf("made again it differs: %v", err)
	}
}

func text(name string, m member) string {
	return fmt.Sprintf("%s %o %s", name, m.mode, m.data)
}
