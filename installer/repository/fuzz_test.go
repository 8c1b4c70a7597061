package repository

import (
	"errors"
	"strings"
	"testing"
)

func FuzzParseLine(f *testing.F) {
	for _, text := range []string{
		`{"message_type":"status","seconds_elapsed":1,"percent_done":0.54,"total_files":13,"files_restored":4,"total_bytes":71008864,"bytes_restored":38348736}`,
		`{"message_type":"error","error":{"message":"decrypting blob \u003cdata/ea57bdc1\u003e"},"during":"restore","item":"/alice/\ufffd"}`,
		`{"message_type":"exit_error","code":12,"message":"Fatal: wrong password or no key found"}`,
		`{"name":"f","type":"file","path":"/f","uid":0,"gid":0,"size":3,"mode":420,"mtime":"2026-11-28T23:06:44.288231643Z","message_type":"node"}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var c Complaints
		w := &lineWriter{call: func(line []byte) {
			c.take(line)
			if l, ok := parseLine(line); ok && l.MessageType == "" {
				t.Error("a message of no type")
			}
		}}
		if n, err := w.Write(text); n != len(text) || err != nil {
			t.Errorf("Write: %d, %v", n, err)
		}
		if len(c.failures) > maxFailures || len(c.last) > 500 || strings.ContainsAny(c.exit+c.last, "\n\x1b\x00") {
			t.Errorf("complaints %+v", &c)
		}
		codeOf(c.reason(errors.New("exit status 1")))
	})
}

func FuzzParseSnapshots(f *testing.F) {
	f.Add([]byte(`[{"time":"2026-11-28T23:07:26.43Z","paths":["/home"],"hostname":"fox","id":"` + strings.Repeat("ab", 32) + `"}]`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := parseSnapshots(text)
		for _, s := range list {
			if err == nil && !IsID(s.ID) {
				t.Errorf("ID %q", s.ID)
			}
		}
	})
}
