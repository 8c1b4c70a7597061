package stick

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/cavaliergopher/cpio"
	"github.com/klauspost/compress/zstd"

	"github.com/6FaNcY9/mkimage/builder/esp/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/builder/secrets"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/signature"
)

// rescuePath is where the ESP of a medium has the rescue environment.
const rescuePath = "mkimage/rescue.cpio"

// Bounds of what is read into memory, in bytes.
const (
	maxArchive   = 512 << 20 // an environment takes 384 MiB unpacked
	maxMember    = 128 << 20 // restic has 40 MB
	maxSignature = 64 << 10
)

const hint = "name the stick, or its image: one that mkimage made of a profile of kind rescue or installer"

// Read returns what the medium in r, of size bytes, holds, but for what only reading all of
// it shows: Problems is -1. The signature is checked with trusted, or, where that is nil,
// with the key on the medium itself. Errors are of class fault.Input.
func Read(r io.ReaderAt, size int64, trusted *signature.Key) (*Stick, *manifest.Manifest, error) {
	files, err := openESP(r, size)
	if err != nil {
		return nil, nil, err
	}
	text, err := files.ReadAtMost(manifest.ESPPath, manifest.MaxSize)
	if err != nil {
		return nil, nil, fault.New(fault.Input, hint, "medium: %w", err)
	}
	m, err := manifest.Decode(text)
	if err != nil {
		return nil, nil, fault.New(fault.Input, hint, "medium: %s: %w", manifest.ESPPath, err)
	}
	if m.Plan == nil || m.Plan.Medium == nil || !m.Plan.Medium.Rescue.Enabled() {
		return nil, nil, fault.New(fault.Input, hint, "medium: expected one with a rescue environment, found none")
	}
	s := &Stick{Plan: m.Plan, Mkimage: m.Inputs.Mkimage, Problems: -1, Secrets: map[string]Secret{}}
	if len(m.Inputs.Kernels) > 0 {
		s.Kernel = m.Inputs.Kernels[0].Version
	}
	data, err := files.ReadAtMost(rescuePath, maxArchive)
	if err != nil {
		return nil, nil, fault.New(fault.Input, hint, "medium: %w", err)
	}
	own, err := s.archive(data)
	if err != nil {
		s.Unreadable = rescuePath + ": " + err.Error()
	}
	return s, m, s.sign(files, text, trusted, own)
}

// openESP opens the ESP of a disk.
func openESP(r io.ReaderAt, size int64) (*reader.FS, error) {
	table, _, err := gpt.Read(r, size)
	if err != nil {
		return nil, fault.New(fault.Input, hint, "medium: %w", err)
	}
	for _, p := range table.Partitions {
		if p.Type != plan.TypeESP {
			continue
		}
		files, err := reader.Open(io.NewSectionReader(r, p.Start, p.Size), p.Size)
		if err != nil {
			return nil, fault.New(fault.Input, hint, "medium: ESP: %w", err)
		}
		return files, nil
	}
	return nil, fault.New(fault.Input, hint, "medium: %d partitions, none of them an ESP", len(table.Partitions))
}

// sign notes whether the manifest is signed, and well.
func (s *Stick) sign(files *reader.FS, text []byte, trusted *signature.Key, own []byte) error {
	sig, err := files.ReadAtMost(manifest.SignaturePath, maxSignature)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if trusted != nil {
			s.BadSign = "there is none"
		}
		return nil
	case err != nil:
		return fault.New(fault.Input, hint, "medium: %w", err)
	}
	s.Signed = true
	public := trusted
	if public == nil {
		key, err := signature.ParsePublic(own)
		if err != nil {
			s.BadSign = "the medium has no public key of its maker"
			return nil
		}
		public = &key
	}
	if _, err := signature.Verify(*public, text, sig); err != nil {
		s.BadSign = err.Error()
	}
	return nil
}

// archive reads the rescue environment, and returns the public key of the medium's maker
// that it has.
func (s *Stick) archive(data []byte) (maker []byte, err error) {
	if len(data) == 0 {
		return nil, io.ErrUnexpectedEOF // where cpio sees the end of what it began
	}
	d, err := zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(64<<20))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	r := cpio.NewReader(io.LimitReader(d, maxArchive))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return maker, nil
		}
		if err != nil {
			return maker, err
		}
		name := "/" + strings.TrimPrefix(strings.TrimPrefix(h.Name, "."), "/")
		if !h.Mode.IsRegular() || !wanted(name) {
			continue
		}
		if h.Size > maxMember {
			return maker, fault.New(fault.Input, "", "%s: %d bytes, expected at most %d", name, h.Size, maxMember)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			return maker, err
		}
		if name == config.InstallKey {
			maker = content
			continue
		}
		if err := s.member(name, content); err != nil {
			return maker, err
		}
	}
}

// resticPath is where the environment has restic.
const resticPath = firstboot.ProgramsDir + "/restic"

// wanted reports whether a file of the archive is looked at.
func wanted(name string) bool {
	return name == config.InstallKey || name == firstboot.ConfigPath || name == resticPath || path.Dir(name) == firstboot.SecretsDir
}

// member takes note of a file of the environment.
func (s *Stick) member(name string, content []byte) error {
	switch {
	case name == resticPath:
		s.Restic = ResticVersion(content)
	case name == firstboot.ConfigPath:
		c, err := firstboot.DecodeConfig(name, content)
		if err != nil {
			return err
		}
		if c.Age != nil {
			s.Recipients = c.Age.Recipients
		}
	default:
		s.Secrets[path.Base(name)] = SecretOf(path.Base(name), content)
	}
	return nil
}

// SecretOf describes a file of secrets. One that sops has not encrypted has no recipients.
func SecretOf(name string, data []byte) Secret {
	secret := Secret{SHA256: sha256.Sum256(data)}
	if f, err := secrets.Parse(name, data); err == nil {
		secret.Recipients = f.Recipients
	}
	return secret
}

// resticModule is the module that a restic of mkimage is built of.
const resticModule = "github.com/restic/restic"

// ResticVersion returns the version of a program of restic, "" where it does not say it.
func ResticVersion(program []byte) string {
	info, err := buildinfo.Read(bytes.NewReader(program))
	if err != nil {
		return ""
	}
	if info.Main.Path == resticModule {
		return info.Main.Version
	}
	for _, m := range info.Deps {
		if m.Path == resticModule {
			return m.Version
		}
	}
	return ""
}
