package bootspec_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/bootspec"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/loader/bls"
)

// listed is what "bootctl list --json" says of an entry.
type listed struct {
	ID         string   `json:"id"`
	ShowTitle  string   `json:"showTitle"`
	SortKey    string   `json:"sortKey"`
	Version    string   `json:"version"`
	MachineID  string   `json:"machineId"`
	Options    string   `json:"options"`
	Linux      string   `json:"linux"`
	Initrd     []string `json:"initrd"`
	Devicetree string   `json:"deviceTree"`
}

// TestBootctl has systemd read the entries, and sort them: the newest generation
// first. It needs no EFI.
func TestBootctl(t *testing.T) {
	imgtest.Need(t, "bootctl", "unshare", "mount", "sh")
	imgtest.NeedRoot(t)
	for _, layout := range []bootspec.Layout{bootspec.ByGeneration, bootspec.ByContent} {
		o := bootspec.EntryOptions{Layout: layout, MachineID: machineID}
		spec := small(t)
		spec.DeviceTree = mustPath(t, linux+"/x.dtb")
		list, err := bootspec.Entries([]bootspec.Generation{{Number: 9, Built: day, Spec: spec}, {Number: 10, Built: day, Spec: spec}}, o)
		if err != nil {
			t.Fatal(err)
		}
		conf, err := bootspec.LoaderConf(bootspec.LoaderOptions{Timeout: 5, Default: list[1].FileName, Editor: true})
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		write(t, filepath.Join(dir, bls.ConfFile), conf)
		var want []listed
		for _, e := range []bootspec.Entry{list[1], list[0]} {
			write(t, filepath.Join(dir, bls.EntriesDir, e.FileName), e.Text())
			want = append(want, listed{
				ID: e.FileName, ShowTitle: e.Title + " (" + e.Version + ")", SortKey: e.SortKey, Version: e.Version, MachineID: e.MachineID, Options: e.Options,
				Linux: "/" + e.Kernel, Initrd: []string{"/" + e.Initrd}, Devicetree: "/" + e.DeviceTree,
			})
		}
		if diff := cmp.Diff(want, parseList(t, bootctl(t, dir, "--json=short"))); diff != "" {
			t.Errorf("layout %d: bootctl (-want +got):\n%s", layout, diff)
		}
		text := string(bootctl(t, dir))
		if first, _, _ := strings.Cut(text, "\n\n"); strings.Count(text, "(default)") != 1 || !strings.Contains(first, "(default)") || !strings.Contains(first, list[1].FileName) {
			t.Errorf("layout %d: bootctl does not have %s as the default:\n%s", layout, list[1].FileName, text)
		}
	}
}

// parseList reads the JSON: an array, or objects one after the other from the
// versions before 253.
func parseList(t *testing.T, data []byte) []listed {
	t.Helper()
	var out []listed
	if bytes.HasPrefix(data, []byte("[")) {
		if err := json.Unmarshal(data, &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	for d := json.NewDecoder(bytes.NewReader(data)); d.More(); {
		var one listed
		if err := d.Decode(&one); err != nil {
			t.Fatal(err)
		}
		out = append(out, one)
	}
	return out
}

func write(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// bootctl lists what is in dir. It wants the root of a file system: a tmpfs that
// only the command sees.
func bootctl(t *testing.T, dir string, args ...string) []byte {
	t.Helper()
	script := `mount -t tmpfs none "$1" && cp -r "$0/." "$1" && shift && exec bootctl --no-pager --esp-path="$ESP" list "$@"`
	mount := t.TempDir()
	cmd := exec.Command("unshare", append([]string{"--mount", "sh", "-c", script, dir, mount}, args...)...)
	cmd.Env = append(os.Environ(), "SYSTEMD_RELAX_ESP_CHECKS=1", "ESP="+mount)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("bootctl: %v\n%s", err, stderr.String())
	}
	return out
}
