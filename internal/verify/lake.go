package verify

import "context"

func (v *verifier) compareLake(ctx context.Context) error { return nil }
