package source

import "testing"

// What the tests outside of the package need: those that use package imgtest,
// which imports this one.
var FakeMmdebstrap = fakeMmdebstrap

// RecipeKey returns the key of the recipe for trixie.
func RecipeKey(t *testing.T, o Options) string {
	t.Helper()
	r, err := newRecipe("trixie", o)
	if err != nil {
		t.Fatal(err)
	}
	return r.key()
}
