// Package firstboot is what a system does once after it was installed, and what
// it keeps of that: its configuration, which the image brings, the journal of
// what was done, and the reasons why something was not.
//
// What it does not do: it decrypts nothing and restores nothing; the packages
// below it do.
package firstboot

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/initramfs/config"
)

// ConfigPath is where an image has the configuration in the running system.
const ConfigPath = "/etc/mkimage/firstboot.json"

// A NixOS makes its /etc and /usr itself. There the configuration, the programs
// and their units are beside the state; mkimage-init copies the units into /run
// at every boot.
const (
	ConfigPathNixOS = StateDir + "/firstboot.json"
	ProgramsDir     = StateDir + "/bin"
	UnitsDir        = StateDir + "/units"
)

// SecretsDir is where an image has the files of secrets, as sops encrypted them.
const SecretsDir = "/etc/mkimage/secrets"

// StateDir is what is kept of the first boot.
const StateDir = config.StateDir

// ConfigVersion is the version of the configuration's form.
const ConfigVersion = 1

// Config is what an image says about its first boot.
type Config struct {
	Version  int      `json:"version"`
	Image    string   `json:"image"`    // which image this is: profile and seed
	Hostname string   `json:"hostname"` // of the profile
	NixOS    bool     `json:"nixos"`    // the system decrypts its secrets itself, when it is activated
	Age      *Age     `json:"age,omitempty"`
	Secrets  []Secret `json:"secrets,omitempty"` // sorted by name
	Restore  *Restore `json:"restore,omitempty"`
}

// Age is the key of the secrets.
type Age struct {
	Recipients []string `json:"recipients"` // public keys, any of which opens all secrets
	Path       string   `json:"path"`       // config.KeyPath of the initramfs
	ESP        string   `json:"esp"`        // where the ESP is mounted, which may have the key, encrypted
}

// Secret is a value of an encrypted file, and where it goes.
type Secret struct {
	Name   string `json:"name"`   // the file in /run/secrets
	File   string `json:"file"`   // absolute, below SecretsDir
	Format string `json:"format"` // "yaml", "json", "dotenv", "ini" or "binary"
	Key    string `json:"key"`    // parents before it, with / between; "" is the whole file
	Owner  string `json:"owner"`  // a user's name
	Group  string `json:"group"`  // a group's name; "" is the owner's
	Mode   uint32 `json:"mode"`   // permission bits
	Path   string `json:"path"`   // a symlink to it; "" for none
}

// Restore is where a directory is restored from.
type Restore struct {
	Disk       string `json:"disk"`       // "LABEL=…" or "UUID=…"
	Repository string `json:"repository"` // from the top of the disk's file system
	Host       string `json:"host"`
	Path       string `json:"path"`     // in the snapshot and in the system, such as /home
	Password   string `json:"password"` // the name of a secret
	Wait       bool   `json:"wait"`     // nobody logs in meanwhile
	Homes      []Home `json:"homes"`    // of users, below Path
}

// Home is a user's directory: made if the backup has none, and the user's in
// any case.
type Home struct {
	Path string `json:"path"` // absolute
	UID  uint32 `json:"uid"`
	GID  uint32 `json:"gid"`
}

// The names of the steps in the journal.
const (
	StepKey     = "age-key"
	StepSecrets = "secrets"
	StepRestore = "restore"
)

// Steps returns the names of the steps that the configuration asks for, in the
// order in which they are done.
func (c *Config) Steps() (names []string) {
	if c.Age != nil {
		names = append(names, StepKey)
	}
	if len(c.Secrets) > 0 && !c.NixOS {
		names = append(names, StepSecrets)
	}
	if c.Restore != nil {
		names = append(names, StepRestore)
	}
	return names
}

// ReadConfig reads the configuration at a path.
func ReadConfig(path string) (c Config, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return c, fault.New(fault.Input, "this system was not made by mkimage with secrets or a restore; nothing is to be done", "%w", plainError(err))
	}
	return DecodeConfig(path, text)
}

// DecodeConfig reads the text of a configuration; path is where it was. Errors are
// faults of the class Config.
func DecodeConfig(path string, text []byte) (c Config, err error) {
	if err := json.Unmarshal(text, &c); err != nil {
		return c, fault.New(fault.Config, "", "%s: %w", path, err)
	}
	if c.Version != ConfigVersion {
		return c, fault.New(fault.Config, "", "%s: version %d, expected %d", path, c.Version, ConfigVersion)
	}
	return c, nil
}

// plainError is err without the name of the system call.
func plainError(err error) error {
	if p, ok := err.(*fs.PathError); ok {
		return fmt.Errorf("%s: %w", p.Path, p.Err)
	}
	return err
}
