package rehearsal

import (
	"bytes"
	"encoding/json"
	"flag"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	update = flag.Bool("update", false, "write the golden files anew")
	// A page that is looked at has real pictures: those of the documentation.
	samplePage = flag.String("sample", "", "write the page of the golden report, with the pictures of docs/images, to `FILE`")
)

// golden returns the report of a golden file.
func golden(t *testing.T, name string) *Report {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var r Report
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	again, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(data), string(again)); diff != "" {
		t.Errorf("%s.json is not what the report encodes to (-want +got):\n%s", name, diff)
	}
	return &r
}

// dot is a picture of one pixel.
func dot(t *testing.T) []byte {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, 1, 1))
	img.Set(0, 0, color.White)
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestHTML(t *testing.T) {
	for _, name := range []string{"held", "failed"} {
		t.Run(name, func(t *testing.T) {
			r := golden(t, name)
			for i := range r.Screens {
				r.Screens[i].PNG = dot(t)
			}
			var page bytes.Buffer
			if err := r.HTML(&page); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", name+".html")
			if *update {
				if err := os.WriteFile(file, page.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), page.String()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", file, diff)
			}
			for _, outside := range []string{"http:", "https:", "src=\"/", "<script", "<link", "@import", "ZgotmplZ"} {
				if strings.Contains(page.String(), outside) {
					t.Errorf("the page has %q", outside)
				}
			}
		})
	}
	if *samplePage != "" {
		writeSample(t)
	}
}

func writeSample(t *testing.T) {
	t.Helper()
	r := golden(t, "held")
	for i, name := range []string{"boot-menu.png", "login.png", "login.png", "login.png"}[:len(r.Screens)] {
		var err error
		if r.Screens[i].PNG, err = os.ReadFile(filepath.Join("..", "docs", "images", name)); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Create(*samplePage)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := r.HTML(f); err != nil {
		t.Fatal(err)
	}
}

// TestHTMLEscapes: what a machine prints is text.
func TestHTMLEscapes(t *testing.T) {
	evil := `<script>alert("x")</script>`
	r := &Report{
		Profile: evil, Verdict: evil, Hint: evil, Console: []string{evil}, Changed: []string{evil}, Not: []string{evil}, Steps: []Done{{Title: evil, Note: evil, Error: evil, Result: ResultFailed}},
		Home: &Comparison{Path: evil, First: []Difference{{evil, evil}}}, Secrets: []Placed{{evil, evil, evil, evil}}, Promises: []Promise{{Name: evil, Error: evil}},
		Screens: []Screen{{Title: evil}}, Disks: []Unchanged{{evil, evil, evil}}, Versions: Versions{evil, evil, evil, evil, evil}, Split: []Part{{Name: evil}},
	}
	var page bytes.Buffer
	if err := r.HTML(&page); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(page.String(), "<script") {
		t.Errorf("a script is in the page:\n%s", &page)
	}
}

func TestDuration(t *testing.T) {
	for _, tt := range []struct {
		seconds float64
		want    string
	}{{0, "0.0 s"}, {59.94, "59.9 s"}, {60, "1 min 00 s"}, {119.6, "2 min 00 s"}, {3599, "59 min 59 s"}, {3600, "1 h 00 min"}, {7500, "2 h 05 min"}} {
		if got := duration(tt.seconds); got != tt.want {
			t.Errorf("duration(%v) = %q; want %q", tt.seconds, got, tt.want)
		}
	}
}
