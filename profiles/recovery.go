package profiles

// Age says which key opens the secrets, and where the first boot looks for it.
// The zero value is a system without secrets.
type Age struct {
	Recipient string   `toml:"recipient" json:"recipient"` // "age1…", the machine's; "" means those that .sops.yaml has for the files of secrets
	Sources   []string `toml:"sources" json:"sources"`     // in the order of trying: "medium", "esp", "credential", "console"
	Timeout   int      `toml:"timeout" json:"timeout"`     // seconds that the console asks before the boot goes on
}

// IsZero reports whether nothing is said, be the list nil or empty: JSON then
// leaves the table out.
func (a Age) IsZero() bool { return a.Recipient == "" && len(a.Sources) == 0 && a.Timeout == 0 }

// Secret is one value of a file that sops encrypted, and the file in the
// running system that it goes to: /run/secrets/NAME.
type Secret struct {
	Name  string `toml:"name" json:"name"`
	File  string `toml:"file" json:"file"`   // on the host: YAML, JSON, dotenv or INI by its name, else binary
	Key   string `toml:"key" json:"key"`     // of the value, its parents before it with / between them; "" is the whole file
	Owner string `toml:"owner" json:"owner"` // "" is root
	Group string `toml:"group" json:"group"` // "" is the owner's
	Mode  string `toml:"mode" json:"mode"`   // octal; "" is 0400
	Path  string `toml:"path" json:"path"`   // a symlink to it, absolute; "" for none
}

// Restore says from which backup the first boot fills a directory. The zero
// value restores nothing.
type Restore struct {
	Disk       string `toml:"disk" json:"disk"`             // "LABEL=…" or "UUID=…" of the file system that has the repository
	Repository string `toml:"repository" json:"repository"` // of restic, a path from the top of that file system
	Host       string `toml:"host" json:"host"`             // whose snapshots; "" is the profile's hostname
	Path       string `toml:"path" json:"path"`             // what is restored, in the snapshot and in the system; "" is /home
	Password   string `toml:"password" json:"password"`     // the name of the secret that opens the repository
	Login      string `toml:"login" json:"login"`           // "wait" until it is done, or "warn"; "" is wait
}

// Backup is a repository of restic that the system backs up to.
type Backup struct {
	Name        string   `toml:"name" json:"name"`
	Disk        string   `toml:"disk" json:"disk"`                 // "LABEL=…" or "UUID=…"; "" when the repository is on a server
	Repository  string   `toml:"repository" json:"repository"`     // a path from the top of the disk, or "s3:…", "sftp:…", "rest:…"
	Password    string   `toml:"password" json:"password"`         // the name of the secret that opens it
	Environment string   `toml:"environment" json:"environment"`   // the name of the secret with KEY=VALUE lines for a server; "" for none
	Schedule    string   `toml:"schedule" json:"schedule"`         // systemd.time(7); "" is daily at 00:03
	RandomDelay string   `toml:"random_delay" json:"random_delay"` // systemd.time(7); "" is 1h
	Paths       []string `toml:"paths" json:"paths"`               // none is /home
	Exclude     []string `toml:"exclude" json:"exclude"`           // patterns of restic
	Keep        Keep     `toml:"keep" json:"keep"`
}

// Keep says how many snapshots of a kind stay when old ones are forgotten. All
// zero forgets nothing.
type Keep struct {
	Daily   int `toml:"daily" json:"daily"`
	Weekly  int `toml:"weekly" json:"weekly"`
	Monthly int `toml:"monthly" json:"monthly"`
	Yearly  int `toml:"yearly" json:"yearly"`
}
