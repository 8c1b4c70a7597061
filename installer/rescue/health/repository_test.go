package health

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/installer/repository"
)

// resticProgram is the one that is put into images; make programs builds it.
const resticProgram = "../../../.cache/programs/restic"

const password = "correct horse"

// newRepository makes a repository with a snapshot.
func newRepository(t *testing.T) *repository.Repository {
	t.Helper()
	imgtest.NeedRoot(t) // who has built the program
	imgtest.Need(t, resticProgram)
	program, err := filepath.Abs(resticProgram)
	must(t, err)
	dir := t.TempDir()
	random := make([]byte, 9<<20)
	r := rand.NewPCG(1, 2)
	for i := range random {
		random[i] = byte(r.Uint64())
	}
	must(t, os.Mkdir(dir+"/home", 0o755), os.WriteFile(dir+"/home/big", random, 0o600))
	for _, args := range [][]string{{"init"}, {"backup", "--pack-size=4", dir + "/home"}} {
		cmd := exec.Command(program, append([]string{"--repo=" + dir + "/repo", "--no-cache"}, args...)...)
		cmd.Env = append(os.Environ(), "RESTIC_PASSWORD="+password)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("restic %q: %v\n%s", args, err, out)
		}
	}
	return &repository.Repository{Program: program, Dir: dir + "/repo", Names: repository.Names{Disk: "LABEL=backup", Repository: "repo", Password: "what was typed", PasswordHint: "type it again"}}
}

// packs are the files of data, the largest last.
func packs(t *testing.T, repo *repository.Repository) []string {
	t.Helper()
	list, err := filepath.Glob(repo.Dir + "/data/*/*")
	must(t, err)
	largest := 0
	size := func(i int) int64 {
		info, err := os.Stat(list[i])
		must(t, err)
		return info.Size()
	}
	for i := range list {
		if size(i) > size(largest) {
			largest = i
		}
	}
	last := len(list) - 1
	list[largest], list[last] = list[last], list[largest]
	return list
}

// check has restic check a repository, and judges what it found.
func checkOf(t *testing.T, repo *repository.Repository, percent int) *Repository {
	t.Helper()
	file, forget, err := repository.Hold([]byte(password))
	must(t, err)
	defer forget()
	repo.PasswordFile = file
	found, err := repo.Check(t.Context(), percent)
	must(t, err)
	return JudgeRepository(found, percent)
}

func TestJudgeRepository(t *testing.T) {
	repo := newRepository(t)
	largest := packs(t, repo)[len(packs(t, repo))-1]
	r := checkOf(t, repo, 100)
	if r.Verdict != OK || r.Errors != 0 || len(r.Packs) != 0 || r.Hint != "" {
		t.Fatalf("%+v", r)
	}
	data, err := os.ReadFile(largest)
	must(t, err)
	damaged := append([]byte(nil), data...)
	damaged[len(damaged)/2] ^= 1
	must(t, os.Chmod(largest, 0o600), os.WriteFile(largest, damaged, 0o600))
	r = checkOf(t, repo, 100)
	if r.Verdict != Failing || r.Errors < 1 || len(r.Packs) != 1 || r.Packs[0] != filepath.Base(largest) || !strings.Contains(r.Hint, "restic repair packs "+r.Packs[0]) {
		t.Errorf("a byte: %+v", r)
	}
	must(t, os.Remove(largest))
	r = checkOf(t, repo, 1)
	if r.Verdict != Failing || r.Errors < 1 || r.First == "" || r.Hint == "" {
		t.Errorf("a file is missing: %+v", r)
	}
	if locks, err := os.ReadDir(repo.Dir + "/locks"); err != nil || len(locks) > 0 {
		t.Errorf("locks: %v, %v", locks, err)
	}
}
