package boot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fstab"
)

// mounter carries out a plan and can undo it.
type mounter struct{ mounted []string }

// do carries out the actions. After an error what was mounted stays, for the
// message and the shell, until undo.
func (m *mounter) do(plan []Action) error {
	for _, a := range plan {
		if err := m.one(a); err != nil {
			return fmt.Errorf("%s: %w", a, err)
		}
	}
	return nil
}

// undo unmounts everything, the last first.
func (m *mounter) undo() {
	for _, target := range slices.Backward(m.mounted) {
		_ = unix.Unmount(target, unix.MNT_DETACH)
	}
	m.mounted = nil
}

func (m *mounter) one(a Action) error {
	target, err := Resolve("/"+a.Root, a.Target)
	if err != nil {
		return err
	}
	target = filepath.Join("/", a.Root, target)
	switch a.Op {
	case OpDir:
		return makeDir(target, a.Mode, a.Source)
	case OpMount:
		return m.mount(a, target)
	case OpBind, OpFile:
		return m.bind(a, target)
	case OpDetach:
		return m.detach(target)
	case OpFstab:
		return writeFactoryFstab(a.Root)
	}
	return errors.New("unknown operation")
}

// makeDir makes a directory of the mode that is asked for, whatever the umask,
// or one that has owner and mode of the directory like.
func makeDir(name, mode, like string) error {
	if err := os.MkdirAll(name, 0o700); err != nil {
		return err
	}
	if mode == "" {
		var st unix.Stat_t
		if err := unix.Stat(like, &st); err != nil {
			return fmt.Errorf("%s: %w", like, err)
		}
		return setOwner(name, &st)
	}
	perm, err := strconv.ParseUint(mode, 8, 12)
	if err != nil {
		return fmt.Errorf("mode %q: expected octal digits", mode)
	}
	return unix.Chmod(name, uint32(perm))
}

func setOwner(name string, like *unix.Stat_t) error {
	if err := unix.Lchown(name, int(like.Uid), int(like.Gid)); err != nil {
		return err
	}
	return unix.Chmod(name, like.Mode&0o7777)
}

func (m *mounter) mount(a Action, target string) error {
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	flags, data := fstab.MountFlags(a.Options)
	if err := unix.Mount(a.Source, target, a.Type, flags, data); err != nil {
		return err
	}
	m.mounted = append(m.mounted, target)
	return nil
}

// detach takes a mount out of sight. The mount point goes, and its directory
// when nothing else is in it: the system finds nothing of ours below /run.
func (m *mounter) detach(target string) error {
	if err := unix.Unmount(target, unix.MNT_DETACH); err != nil {
		return err
	}
	m.mounted = slices.DeleteFunc(m.mounted, func(name string) bool { return name == target })
	if err := os.Remove(target); err != nil {
		return err
	}
	_ = os.Remove(filepath.Dir(target))
	return nil
}

// bind mounts a.Source on target. A side that is missing is made empty: the
// target like a new file of the system, the source with owner and mode of the
// target, which is what the system has seen there before.
func (m *mounter) bind(a Action, target string) error {
	source, err := Resolve(a.Root, a.Source)
	if err != nil {
		return err
	}
	source = filepath.Join(a.Root, source)
	file := a.Op == OpFile
	if err := makeEmpty(target, file, nil); err != nil {
		return err
	}
	var like unix.Stat_t
	if err := unix.Stat(target, &like); err != nil {
		return err
	}
	if err := makeEmpty(source, file, &like); err != nil {
		return err
	}
	if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	m.mounted = append(m.mounted, target)
	return nil
}

// makeEmpty makes an empty file or directory, and the directories above it.
// What is there is left alone.
func makeEmpty(name string, file bool, like *unix.Stat_t) error {
	st, err := os.Stat(name)
	if err == nil {
		if st.IsDir() == file {
			return fmt.Errorf("%s is a %v, which does not fit what is bound", name, st.Mode().Type())
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	if file {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		f.Close()
	} else if err := os.Mkdir(name, 0o755); err != nil {
		return err
	}
	if like == nil {
		return nil
	}
	return setOwner(name, like)
}

func writeFactoryFstab(root string) error {
	name, err := Resolve(root, "/etc/fstab")
	if err != nil {
		return err
	}
	name = filepath.Join(root, name)
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if strings.HasPrefix(string(text), fstabHead) {
		return nil
	}
	return os.WriteFile(name, []byte(factoryFstab(string(text))), 0o644)
}
