package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/keymedium"
)

// fromMedium reads the key from a key medium.
func (s *system) fromMedium() (keyText, error) {
	node := filepath.Join(s.root, firstboot.DevicePath("PARTLABEL="+config.KeyLabel))
	f, err := os.Open(node)
	if errors.Is(err, fs.ErrNotExist) {
		return keyText{}, firstboot.NewProblem(firstboot.CodeNoKey, "plug it in, or name a file: mkimage-firstboot import FILE", "there is no key medium")
	}
	if err != nil {
		return keyText{}, err
	}
	defer f.Close()
	size, err := f.Seek(0, 2)
	if err != nil {
		return keyText{}, fmt.Errorf("%s: %w", node, err)
	}
	name, text, err := keymedium.Read(f, size)
	if err != nil {
		return keyText{}, firstboot.Located("the key medium", err)
	}
	return keyText{text: text, where: "the key medium (" + name + ")"}, nil
}

// fromESP reads the encrypted key from the ESP.
func (s *system) fromESP(c *firstboot.Config) (keyText, error) {
	name := filepath.Join(c.Age.ESP, config.KeyFileEncrypted)
	f, err := os.Open(filepath.Join(s.root, name))
	if errors.Is(err, fs.ErrNotExist) {
		return keyText{}, firstboot.NewProblem(firstboot.CodeNoKey, "", "there is no %s", name)
	}
	if err != nil {
		return keyText{}, err
	}
	defer f.Close()
	text, err := readKey(f)
	return keyText{text: text, where: name}, err
}

// askSecret asks for a line that is not shown.
func (s *system) askSecret(prompt string) ([]byte, error) {
	f, ok := s.in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil, fault.New(fault.Usage, "run it on a terminal, or name a file: mkimage-firstboot import FILE", "there is nobody to ask: the input is no terminal")
	}
	fmt.Fprint(s.err, prompt)
	line, err := term.ReadPassword(int(f.Fd()))
	fmt.Fprintln(s.err)
	return line, err
}

// availableMemory returns the bytes that a program can take.
func availableMemory(root string) (int64, error) {
	text, err := os.ReadFile(filepath.Join(root, "proc/meminfo"))
	if err == nil {
		return firstboot.MemAvailable(string(text))
	}
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0, fmt.Errorf("sysinfo: %w", err)
	}
	return int64(info.Freeram) * int64(info.Unit), nil
}
