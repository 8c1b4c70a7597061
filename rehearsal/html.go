package rehearsal

import (
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"math"
	"time"
)

//go:embed report.html.tmpl
var pageText string

var page = template.Must(template.New("report").Funcs(template.FuncMap{
	"duration": duration,
	"percent":  percent,
	"picture":  picture,
	"mark":     mark,
	"short":    shortSum,
	"size":     sizeText,
	"date":     func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") },
}).Parse(pageText))

// HTML writes the report as a page that needs no other file.
func (r *Report) HTML(w io.Writer) error { return page.Execute(w, r) }

// picture returns an image as an address that has all of it.
func picture(png []byte) template.URL {
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(png))
}

// duration returns a time as a person says it.
func duration(seconds float64) string {
	if seconds < 60 {
		return fmt.Sprintf("%.1f s", seconds)
	}
	d := time.Duration(math.Round(seconds)) * time.Second
	if d < time.Hour {
		return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
}

// percent is the share of a part, for the width of a bar.
func percent(part, all float64) float64 {
	if all <= 0 {
		return 0
	}
	return math.Round(1000*min(part/all, 1)) / 10
}

// mark is how a result is shown without colours.
func mark(held bool) string {
	if held {
		return "✓"
	}
	return "✗"
}

// shortSum is the beginning of a digest, which is enough to compare two by eye.
func shortSum(sum string) string {
	const digits = 16
	if len(sum) > digits {
		return sum[:digits] + "…"
	}
	return sum
}

func sizeText(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }
