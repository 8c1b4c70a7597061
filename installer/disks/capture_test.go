package disks_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/disks"
)

func TestCapture(t *testing.T) {
	want := scan(t, laptop(t).scanner())
	var b bytes.Buffer
	if err := disks.WriteCapture(&b, want); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	got, err := disks.ReadCapture(&b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, bad := range []string{"", "x", `{"format":"other","disks":[]}`, text + "{}", strings.Replace(text, `"bus"`, `"bsu"`, 1), text[:len(text)/2]} {
		if _, err := disks.ReadCapture(strings.NewReader(bad)); fault.ClassOf(err) != fault.Input || fault.HintOf(err) == "" {
			t.Errorf("%.40q: %v; want class input and a hint", bad, err)
		}
	}
}
