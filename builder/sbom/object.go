package sbom

import (
	"encoding/hex"
	"slices"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/nix"
	"github.com/6FaNcY9/mkimage/builder/nix/storedb"
)

// objectsComment says what the fields of packages hold where those are store
// objects: SPDX knows neither store paths nor archives of Nix.
const objectsComment = "Packages with a packageFileName are store objects of Nix: it is the store path, " +
	"the checksum that of the object as a Nix archive (NAR), and DEPENDS_ON stands for a reference."

// addObjects adds store objects, and what each refers to. References outside of the
// store are an error: it would not be one that Nix takes.
func (d *document) addObjects(objects []storedb.Object, taken map[string]bool) error {
	if len(objects) == 0 {
		return nil
	}
	d.Comment = objectsComment
	objects = slices.Clone(objects)
	slices.SortFunc(objects, func(a, b storedb.Object) int { return a.Path.Compare(b.Path) })
	ids := map[nix.StorePath]string{}
	for _, o := range objects {
		id := newID("SPDXRef-Object-", o.Path.Base(), taken)
		ids[o.Path] = id
		d.Packages = append(d.Packages, describeObject(o, id))
		d.Relationships = append(d.Relationships, relationship{imageID, "CONTAINS", id})
	}
	for _, o := range objects {
		references := slices.Clone(o.References)
		slices.SortFunc(references, nix.StorePath.Compare)
		for _, r := range references {
			switch id := ids[r]; {
			case id == "":
				return fault.New(fault.Config, "", "sbom: store path %s: refers to %s, which is not among the objects", o.Path, r)
			case r != o.Path: // to itself most do
				d.Relationships = append(d.Relationships, relationship{ids[o.Path], "DEPENDS_ON", id})
			}
		}
	}
	return nil
}

func describeObject(o storedb.Object, id string) spdxPackage {
	name, version := splitName(o.Path)
	return spdxPackage{
		SPDXID: id, Name: name, Version: version, FileName: o.Path.String(), Supplier: noAssertion, DownloadLocation: noAssertion,
		Checksums:        []checksum{{"SHA256", hex.EncodeToString(o.NarHash[:])}},
		LicenseConcluded: noAssertion, LicenseDeclared: noAssertion, CopyrightText: noAssertion,
		ExternalRefs: []externalRef{{"PACKAGE-MANAGER", "purl", ObjectURL(o.Path)}},
	}
}

// splitName returns the name of a store object's package and its version, without the
// name of an output, as mkimage diff shows them.
func splitName(p nix.StorePath) (name, version string) {
	name, version = nix.SplitName(p.Name)
	version, _ = nix.CutOutput(version)
	return name, version
}

// ObjectURL returns the package URL of a store object:
// pkg:nix/NAME@VERSION?outputhash=HASH, without the version where it has none. The type
// is registered nowhere yet: syft writes it so, sbomnix and bombon without the hash.
// What is proposed for the registry has the attribute path in nixpkgs in the place of
// the name, which nothing in a store says.
func ObjectURL(p nix.StorePath) string {
	name, version := splitName(p)
	url := "pkg:nix/" + percent(name)
	if version != "" {
		url += "@" + percent(version)
	}
	return url + "?outputhash=" + percent(p.Hash)
}
