package imgtest

import "testing"

func TestStride(t *testing.T) {
	for value, want := range map[string]int{"": 1, "0": 1, "1": 5} {
		t.Setenv(UnprivilegedEnv, value)
		if got := Stride(5); got != want {
			t.Errorf("%s=%q: step %d; want %d", UnprivilegedEnv, value, got, want)
		}
	}
}
