package rehearsal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	sopsage "github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/config"
	"github.com/getsops/sops/v3/keyservice"
	sopsjson "github.com/getsops/sops/v3/stores/json"
	sopsyaml "github.com/getsops/sops/v3/stores/yaml"
	"github.com/getsops/sops/v3/version"
	"go.yaml.in/yaml/v3"

	"github.com/6FaNcY9/mkimage/installer/agekey"
	"github.com/6FaNcY9/mkimage/profiles"
)

// testKey is a key of age that lives as long as a rehearsal.
type testKey struct {
	text      []byte // of its file, as it is installed
	recipient string
}

func newTestKey() (*testKey, error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, err
	}
	key, err := agekey.Parse([]byte(id.String() + "\n"))
	if err != nil {
		return nil, err
	}
	return &testKey{text: key.Text(), recipient: id.Recipient().String()}, nil
}

// standIn is what a rehearsal has in the place of a secret.
type standIn struct {
	secret profiles.Secret // with the file that has the stand-in
	value  string
}

// secretValues returns the value of each secret of a profile, by its name. The one that
// opens the repository is a password like any other.
func secretValues(p *profiles.Profile) map[string]string {
	values := map[string]string{}
	for _, s := range p.Secrets {
		values[s.Name] = "stand-in of " + s.Name
	}
	for _, b := range p.Backup { // it is read as assignments
		if b.Environment != "" {
			values[b.Environment] = "STAND_IN=" + b.Environment
		}
	}
	return values
}

// makeSecrets writes stand-ins for all secrets of a profile to files in dir, encrypted to
// a recipient. Those that are of one file are of one file again. A secret that is a whole
// file has one of its own.
func makeSecrets(p *profiles.Profile, dir, recipient string, now time.Time) ([]standIn, error) {
	values := secretValues(p)
	var list []standIn
	texts, names := map[string]map[string]any{}, map[string]string{}
	for i, s := range p.Secrets {
		made := standIn{secret: s, value: values[s.Name]}
		if s.Key == "" {
			made.secret.File = filepath.Join(dir, fmt.Sprintf("secret-%d.bin", i))
			if err := encrypt(made.secret.File, binaryStore(), []byte(made.value), recipient, now); err != nil {
				return nil, fmt.Errorf("secret %s: %w", s.Name, err)
			}
		} else {
			if names[s.File] == "" {
				names[s.File], texts[s.File] = filepath.Join(dir, fmt.Sprintf("secrets-%d.yaml", i)), map[string]any{}
			}
			made.secret.File = names[s.File]
			if err := putValue(texts[s.File], strings.Split(s.Key, "/"), made.value); err != nil {
				return nil, fmt.Errorf("secret %s: key %q: %w", s.Name, s.Key, err)
			}
		}
		list = append(list, made)
	}
	for file, text := range texts {
		data, err := yaml.Marshal(text)
		if err == nil {
			err = encrypt(names[file], yamlStore(), data, recipient, now)
		}
		if err != nil {
			return nil, fmt.Errorf("stand-in of %s: %w", file, err)
		}
	}
	return list, nil
}

// putValue puts a value into tables within tables.
func putValue(table map[string]any, key []string, value string) error {
	for ; len(key) > 1; key = key[1:] {
		below, ok := table[key[0]].(map[string]any)
		if !ok && table[key[0]] != nil {
			return errors.New("is below another secret")
		}
		if !ok {
			below = map[string]any{}
			table[key[0]] = below
		}
		table = below
	}
	if _, isTable := table[key[0]].(map[string]any); isTable {
		return errors.New("is above another secret")
	}
	table[key[0]] = value
	return nil
}

func yamlStore() sops.Store { return sopsyaml.NewStore(&config.NewStoresConfig().YAML) }

func binaryStore() sops.Store { return sopsjson.NewBinaryStore(&config.NewStoresConfig().JSONBinary) }

// encrypt writes a file as the program sops does.
func encrypt(name string, store sops.Store, plain []byte, recipient string, now time.Time) error {
	branches, err := store.LoadPlainFile(plain)
	if err != nil {
		return err
	}
	key, err := sopsage.MasterKeyFromRecipient(recipient)
	if err != nil {
		return err
	}
	tree := sops.Tree{Branches: branches, Metadata: sops.Metadata{
		KeyGroups: []sops.KeyGroup{{key}}, Version: version.Version, LastModified: now.UTC().Truncate(time.Second), UnencryptedSuffix: sops.DefaultUnencryptedSuffix,
	}}
	dataKey, errs := tree.GenerateDataKeyWithKeyServices([]keyservice.KeyServiceClient{keyservice.NewLocalClient()})
	if err := errors.Join(errs...); err != nil {
		return err
	}
	c := aes.NewCipher()
	mac, err := tree.Encrypt(dataKey, c)
	if err != nil {
		return err
	}
	if tree.Metadata.MessageAuthenticationCode, err = c.Encrypt(mac, dataKey, tree.Metadata.LastModified.Format(time.RFC3339)); err != nil {
		return err
	}
	data, err := store.EmitEncryptedFile(tree)
	if err != nil {
		return err
	}
	return os.WriteFile(name, data, 0o600)
}
