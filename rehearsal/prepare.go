package rehearsal

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

func (r *run) makeSecrets(context.Context) (string, error) {
	if err := os.Mkdir(r.file("profiles"), 0o700); err != nil {
		return "", err
	}
	var err error
	if r.key, err = newTestKey(); err != nil {
		return "", err
	}
	if r.secrets, err = makeSecrets(&r.System, r.file("profiles"), r.key.recipient, r.Now()); err != nil {
		return "", err
	}
	for name, text := range map[string]string{"key.txt": string(r.key.text), "passphrase": r.passphrase + "\n"} {
		if err := os.WriteFile(r.file(name), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("secrets: %d, encrypted to %s", len(r.secrets), r.key.recipient), nil
}

// password returns the stand-in for the password of the repository.
func (r *run) password() (string, error) {
	for _, s := range r.secrets {
		if s.secret.Name == r.System.Restore.Password {
			return s.value, nil
		}
	}
	return "", fault.New(fault.Config, "name one of [[secrets]] there", "profile %s: restore.password: no secret is named %q", r.System.Name, r.System.Restore.Password)
}

func (r *run) makeHome(ctx context.Context) (string, error) {
	password, err := r.password()
	if err != nil {
		return "", err
	}
	users := r.users()
	b := backupMaker{root: chroot{r.file("root"), users[0].UID}, restore: r.restore(), host: r.restore().Host, lister: r.Lister, restic: r.Restic}
	if err := os.Mkdir(b.root.dir, 0o755); err != nil {
		return "", err
	}
	if r.sample, err = b.make(ctx, users, password, r.Now()); err != nil {
		return "", err
	}
	r.report.Versions.Restic = r.sample.restic
	r.report.Not = append(r.report.Not, r.sample.noted...)
	c, err := compareHomes(b.restore.Path, r.sample.list, r.sample.list)
	if err != nil {
		return "", err
	}
	var names []string
	for _, u := range users {
		names = append(names, u.Name)
	}
	return fmt.Sprintf("%d entries, %d MiB, of %s", c.Entries, c.Bytes>>20, strings.Join(names, ", ")), nil
}

// makeStick writes the profiles of the stand-in and builds its stick.
func (r *run) makeStick(ctx context.Context) (string, error) {
	system, _ := r.systemProfile(r.key, r.secrets)
	installer, _ := r.installerProfile()
	for name, text := range map[string]string{r.System.Name: system, r.Installer.Name: installer} {
		if err := os.WriteFile(r.file("profiles/"+name+Suffix+".toml"), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	var err error
	if r.stickPlan, err = r.Stick(ctx, r.file("profiles"), r.Installer.Name+Suffix, r.file(stickFile)); err != nil {
		return "", err
	}
	info, err := os.Stat(r.file(stickFile))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d MiB", info.Size()>>20), nil
}

func (r *run) makeDisks(ctx context.Context) (string, error) {
	if err := r.KeyMedium(ctx, r.file("key.txt"), r.file("passphrase"), r.file(keyFile)); err != nil {
		return "", err
	}
	if err := writeBackupDisk(ctx, r.file(backupFile), r.sample.tree, r.label()); err != nil {
		return "", err
	}
	program, err := os.ReadFile(r.Lister[0])
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(r.file(listerFile), padded(program), 0o600); err != nil {
		return "", err
	}
	// The disk is lost: what is left of the home is the backup.
	if err := removeHome(r.file("root")); err != nil {
		return "", err
	}
	if err := writeEmpty(r.file(targetFile), r.size()); err != nil {
		return "", err
	}
	for _, d := range []struct{ name, file string }{{"stick", stickFile}, {"key medium", keyFile}, {"backup disk", backupFile}} {
		sum, err := r.digest(ctx, d.file)
		if err != nil {
			return "", err
		}
		r.report.Disks = append(r.report.Disks, Unchanged{Name: d.name, Before: sum})
	}
	return fmt.Sprintf("an NVMe disk of %d GiB, empty", r.size()>>30), nil
}

func (r *run) digest(ctx context.Context, file string) (string, error) {
	if file == stickFile {
		return digestStick(ctx, r.file(file))
	}
	return digest(ctx, r.file(file))
}
