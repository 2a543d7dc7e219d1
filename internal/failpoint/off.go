//go:build !failpoints

package failpoint

// Enabled says whether this build can be disturbed.
const Enabled = false

// Start reads the rules from the environment, when this build has failpoints.
func Start() error { return nil }

// Report writes how often each name was come by, when this build has failpoints.
func Report() {}

// At is a step of the product that can be disturbed, but not fail.
func At(Name) {}

// Err is a step that can be disturbed, and can fail with an error like as. The
// error that it returns wraps as.
func Err(_ Name, as error) error { return nil }
