package main

import (
	"context"
	"fmt"
	"time"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/firstboot/restore"
	"github.com/6FaNcY9/mkimage/installer/preflight"
)

// What is read of a repository's data: enough to meet a disk that is going bad,
// and little enough for a slow one.
const (
	sampleBytes = 50 << 20
	sampleTime  = time.Minute
)

// lookAtBackup proves that the backup can be restored. Each finding but the
// sample needs those before it.
func (p *prover) lookAtBackup(ctx context.Context) {
	want := p.c.Restore
	backup, err := restore.OpenBackup(&p.c, p.restic(), p.o.backup)
	if !p.addBackup("backup disk", fmt.Sprintf("%s is there and can be read", want.Disk), err) {
		return
	}
	defer backup.Close()
	if !p.addBackup("repository", want.Repository+" is there", backup.Exists()) {
		return
	}
	if !p.unlock(backup) {
		return
	}
	snapshot, err := backup.Latest(ctx)
	if code := firstboot.CodeOf(err); err == nil || code == firstboot.CodeNoSnapshot {
		p.addBackup("password", fmt.Sprintf("the secret %s opens the repository", want.Password), nil)
		err = p.lookAtSnapshot(ctx, backup, &snapshot, err)
	} else {
		p.addBackup("password", "", err)
	}
	if firstboot.CodeOf(err) != firstboot.CodePassword && ctx.Err() == nil {
		p.sample(ctx, backup)
	}
}

func (p *prover) addBackup(name, text string, err error) bool {
	return p.add(name, preflight.ProofBackup, text, err)
}

// unlock hands the password over, where it was decrypted.
func (p *prover) unlock(backup *restore.Backup) bool {
	name := p.c.Restore.Password
	switch {
	case len(p.password) > 0:
		if err := backup.Unlock(p.password); err != nil {
			return p.addBackup("password", "", err)
		}
		return true
	case p.password != nil:
		return p.addBackup("password", "", firstboot.NewProblem(firstboot.CodePassword, "sops edit FILE", "the secret %s is empty", name))
	case p.c.NixOS:
		return p.addBackup("password", "", firstboot.NewProblem(firstboot.CodeSecret, `in the installer's profile: missing = ["backup"]`,
			"not tried: NixOS has the secret %s in its store, and decrypts it itself", name))
	}
	return p.addBackup("password", "", notTried(firstboot.CodeSecret, "the secret %s, which opens the repository, is not decrypted", name))
}

// lookAtSnapshot adds the findings about what would be restored; err is that of
// looking for it.
func (p *prover) lookAtSnapshot(ctx context.Context, backup *restore.Backup, s *restore.Snapshot, err error) error {
	if err == nil {
		err = backup.Measure(ctx, s)
	}
	text := ""
	if err == nil {
		text = fmt.Sprintf("%s of %s: %d files, %s", s.ID[:8], s.Time.UTC().Format(time.DateTime), s.Files, size(s.Bytes))
	}
	if p.addBackup("snapshot", text, err) && p.o.space != 0 {
		p.compareSpace(s.Needed())
	}
	return err
}

// compareSpace adds the finding about room for need bytes.
func (p *prover) compareSpace(need int64) {
	var err error
	if need > p.o.space {
		err = firstboot.NewProblem(firstboot.CodeSpace, "", "the backup needs %d bytes, there will be %d", need, p.o.space)
	}
	p.addBackup("space", fmt.Sprintf("the backup needs %s, there will be %s", size(need), size(p.o.space)), err)
}

// sample reads some data.
func (p *prover) sample(ctx context.Context, backup *restore.Backup) {
	done, err := backup.Sample(ctx, sampleBytes, sampleTime)
	if err == nil && !done {
		p.list = append(p.list, preflight.Finding{
			Name: "sample", Proof: preflight.ProofBackup, Warning: true, Hint: "restic check --read-data-subset=1% when there is time",
			Text: fmt.Sprintf("no damage was found within %v, in which not all was looked at", sampleTime),
		})
		return
	}
	p.addBackup("sample", fmt.Sprintf("all packs are there, and a sample of %s was read", size(sampleBytes)), err)
}
