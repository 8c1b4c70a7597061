package inventory

import "testing"

func TestLaptop(t *testing.T) {
	i := laptop(t)
	golden(t, "laptop", take(t, Options{Plan: i.plan}, i.name))
}
