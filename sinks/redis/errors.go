package redis

import "fmt"

func explain(verb string, err error) error { return fmt.Errorf("%s: %w", verb, err) }
