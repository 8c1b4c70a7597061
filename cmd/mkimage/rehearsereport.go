package main

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/strict"
	"github.com/6FaNcY9/mkimage/rehearsal"
)

// reportNames are the files of a report.
type reportNames struct{ html, json string }

// reportFiles returns where the report goes, and refuses where it cannot, which is not to
// be noticed an hour later.
func reportFiles(dir, profile string, now time.Time) (reportNames, error) {
	base := filepath.Join(dir, "rehearsal-"+strict.PlainName(profile)+"-"+now.UTC().Format(time.DateOnly))
	names := reportNames{base + ".html", base + ".json"}
	for _, name := range []string{names.html, names.json} {
		if err := checkOutput(name, ""); err != nil {
			return names, err
		}
		// A folder that nothing can be made in is found out by making something.
		out, err := createOutput(name, 0, modePlain)
		if err != nil {
			return names, err
		}
		if err := out.discard(); err != nil {
			return names, err
		}
	}
	return names, nil
}

// beganRecovery reports whether there was a stick to recover from: until then a report has
// nothing to say that the error does not.
func beganRecovery(r *rehearsal.Report) bool {
	for _, s := range r.Steps {
		if s.Part != rehearsal.PartPrepare && s.Result != rehearsal.ResultNot {
			return true
		}
	}
	return false
}

// conclude writes the report, says what came of the rehearsal, and fails when it did not
// hold.
func (f *rehearseFlags) conclude(u *ui, files reportNames, r *rehearsal.Report, failed error) error {
	if !r.Held {
		r.Hint = fault.HintOf(failed)
		if r.Hint == "" && f.keep == "" {
			r.Hint = "With --keep DIR the images and the logs of the machines stay, to find out why."
		}
	}
	var page bytes.Buffer
	if err := r.HTML(&page); err != nil {
		return err
	}
	text, err := r.Encode()
	if err != nil {
		return err
	}
	for _, file := range []struct {
		name string
		data []byte
	}{{files.html, page.Bytes()}, {files.json, text}} {
		if err := saveReport(file.name, file.data); err != nil {
			return err
		}
	}
	show := u.summary
	if !r.Held {
		show = u.answer
	}
	if err := show(r, func(w io.Writer) { printRehearsal(w, r, files) }); err != nil || r.Held {
		return err
	}
	return fault.New(fault.Mismatch, "see "+shellWord(files.html), "rehearsal of %s: did not hold", r.Profile)
}

func saveReport(name string, data []byte) error {
	out, err := createOutput(name, 0, modePlain)
	if err != nil {
		return err
	}
	defer out.discard()
	if _, err := out.file.Write(data); err != nil {
		return spaceHint(err)
	}
	return out.publish(int64(len(data)))
}

// printRehearsal prints the verdict, the steps, and where the rest is.
func printRehearsal(w io.Writer, r *rehearsal.Report, files reportNames) {
	fmt.Fprintf(w, "%s\n\n", printable(r.Verdict))
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintf(t, "RESULT\tSECONDS\tSTEP\n")
	for _, s := range r.Steps {
		fmt.Fprintf(t, "%s\t%.1f\t%s\n", s.Result, s.Seconds, s.Title)
	}
	t.Flush()
	for _, s := range r.Steps {
		if s.Error != "" {
			fmt.Fprintf(w, "\n%s: %s\n", s.Title, printable(s.Error))
		}
	}
	fmt.Fprintf(w, "\nreport: %s\n", files.html)
}

// showRehearsal prints what would be done.
func showRehearsal(u *ui, p rehearsal.Plan) error {
	return u.answer(p, func(w io.Writer) {
		fmt.Fprintf(w, "Rehearsal of %s: the stick of %s, with %s on it\n\n", p.Profile, p.Installer, p.System)
		for i, s := range p.Steps {
			fmt.Fprintf(w, "%3d  %s\n", i+1, s)
		}
		fmt.Fprintf(w, "\nroom: %s at least; the machine's disk of %s is a file with a hole\n", humanBytes(p.Room), humanBytes(p.DiskSize))
		for _, list := range []struct {
			title string
			lines []string
		}{{"The stand-in differs from the machine in:", p.Changed}, {"Not rehearsed:", p.Not}} {
			fmt.Fprintf(w, "\n%s\n", list.title)
			for _, line := range list.lines {
				fmt.Fprintf(w, "  %s\n", printable(line))
			}
		}
	})
}
