package repository

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

func FuzzParseLine(f *testing.F) {
	for _, text := range []string{
		`{"message_type":"status","seconds_elapsed":1,"percent_done":0.54,"total_files":13,"files_restored":4,"total_bytes":71008864,"bytes_restored":38348736}`,
		`{"message_type":"error","error":{"message":"decrypting blob \u003cdata/ea57bdc1\u003e"},"during":"restore","item":"/alice/\ufffd"}`,
		`{"message_type":"exit_error","code":12,"message":"Fatal: wrong password or no key found"}`,
		`{"message_type":"summary","num_errors":2,"broken_packs":["` + strings.Repeat("ab", 32) + `"],"suggest_repair_index":true,"suggest_prune":false}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var c complaints
		w := &lineWriter{call: func(line []byte) {
			c.take(line)
			if l, ok := parseLine(line); ok && l.MessageType == "" {
				t.Error("a message of no type")
			}
		}}
		if n, err := w.Write(text); n != len(text) || err != nil {
			t.Errorf("Write: %d, %v", n, err)
		}
		if len(c.first) > 500 || len(c.last) > 500 || strings.ContainsAny(c.first+c.exit+c.last, "\n\x1b\x00") {
			t.Errorf("complaints %+v", &c)
		}
		if code := firstboot.CodeOf(c.problem(&exec.ExitError{ProcessState: &os.ProcessState{}}, &Repository{})); code == 0 {
			t.Error("a problem of no code")
		}
	})
}
